"""Synthetic, 1000 x 20000, sparse: a hundred entries a row."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 1000 x 20000, sparse: a hundred entries a row."""

    name = "wide"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("wide")
