"""Synthetic, 3000 x 2200, dense: fifty factors of falling size, and noise."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 3000 x 2200, dense: fifty factors of falling size, and noise."""

    name = "factors"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("factors")
