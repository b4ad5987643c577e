"""Synthetic, 5000 x 2000, sparse: tf-idf of the commonest words of short texts."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 5000 x 2000, sparse: tf-idf of the commonest words of short texts."""

    name = "vocabulary"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("vocabulary")
