"""Synthetic, 30000 x 960, sparse: one column for each value of twelve variables."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 30000 x 960, sparse: one column for each value of twelve variables."""

    name = "categories"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("categories")
