"""digits: 1797 x 64, ten classes, each against the rest."""

from __future__ import annotations

from typing import Any

from benchmark_utils.data import load
from benchopt import BaseDataset


class Dataset(BaseDataset):
    """digits: 1797 x 64, ten classes, each against the rest."""

    name = "digits"
    requirements = ["pip::gdnp"]  # noqa: RUF012

    def get_data(self) -> dict[str, Any]:
        """X and y."""
        return load("digits")
