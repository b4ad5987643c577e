"""Synthetic, 30000 x 65, dense: ten variables with their squares and products."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 30000 x 65, dense: ten variables with their squares and products."""

    name = "polynomial"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("polynomial")
