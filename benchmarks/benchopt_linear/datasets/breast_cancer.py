"""breast_cancer as it comes: 569 x 30, condition 6e11."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """breast_cancer as it comes: 569 x 30, condition 6e11."""

    name = "breast_cancer"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("breast_cancer")
