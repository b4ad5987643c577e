"""Synthetic, 20000 x 30, dense: a table as it comes, each column in a unit of its own."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 20000 x 30, dense: a table as it comes, each column in a unit of its own."""

    name = "mixed_units"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("mixed_units")
