"""Synthetic, 100000 x 20000, sparse: columns used as a power law."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 100000 x 20000, sparse: columns used as a power law."""

    name = "power_law"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("power_law")
