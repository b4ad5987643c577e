"""mushrooms: 8124 x 112, sparse, binary and separable."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """mushrooms: 8124 x 112, sparse, binary and separable."""

    name = "mushrooms"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("mushrooms")
