"""Synthetic, 11314 x 86000, sparse: tf-idf of words used as a power law."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 11314 x 86000, sparse: tf-idf of words used as a power law."""

    name = "text_like"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("text_like")
