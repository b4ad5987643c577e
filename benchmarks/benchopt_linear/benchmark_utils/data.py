"""The data sets of ``benchmarks/sets.py`` as benchopt wants them: a dictionary, or why there is none."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gdnp.datasets import data_dir

sys.path.append(str(Path(__file__).resolve().parents[2]))
from sets import SETS

FILES = {"a9a": "a9a/a9a", "mushrooms": "mushrooms/mushrooms"}


def load(name: str) -> dict[str, Any]:
    """X and y of a set; None for both, and why, where its file is not here. Nothing is downloaded."""
    key = FILES.get(name)
    if key is not None and not (data_dir() / key).exists():
        return {"X": None, "y": None, "absent": f"{key} is not in the data folder; set GDNP_DATA"}
    X, y = SETS[name]()
    return {"X": X, "y": y}
