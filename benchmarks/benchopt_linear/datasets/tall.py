"""Synthetic, 500000 x 54, dense: condition 1e4 and heavy tails."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 500000 x 54, dense: condition 1e4 and heavy tails."""

    name = "tall"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("tall")
