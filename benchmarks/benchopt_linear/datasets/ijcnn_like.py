"""Synthetic, 49990 x 22, dense, a tenth positive, of the shape of ijcnn1."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """Synthetic, 49990 x 22, dense, a tenth positive, of the shape of ijcnn1."""

    name = "ijcnn_like"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("ijcnn_like")
