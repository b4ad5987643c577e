"""Synthetic, 11055 x 68, binary and nearly half full, of the shape of phishing."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 11055 x 68, binary and nearly half full, of the shape of phishing."""

    name = "phishing_like"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("phishing_like")
