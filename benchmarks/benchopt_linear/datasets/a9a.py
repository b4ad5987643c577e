"""a9a: census records, 32561 x 123, sparse and binary."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """a9a: census records, 32561 x 123, sparse and binary."""

    name = "a9a"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("a9a")
