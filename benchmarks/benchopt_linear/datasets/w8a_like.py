"""Synthetic, 49749 x 300, sparse and binary, 3 % positive, of the shape of w8a."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 49749 x 300, sparse and binary, 3 % positive, of the shape of w8a."""

    name = "w8a_like"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("w8a_like")
