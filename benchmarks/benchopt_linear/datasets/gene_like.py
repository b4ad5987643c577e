"""Synthetic, 300 x 5000, dense: few rows, columns that go together in blocks."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 300 x 5000, dense: few rows, columns that go together in blocks."""

    name = "gene_like"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("gene_like")
