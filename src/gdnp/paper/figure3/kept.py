"""Figure 3 at a size that takes hours: the curves of a run that is kept, if it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gdnp.paper.figure3 import summary

__all__ = ["CURVES", "kept_summary"]

CURVES = Path(__file__).with_name("curves.json")
"""Settings and results, as ``benchmarks/figure3.py`` writes them."""


def kept_summary(path: Path = CURVES) -> dict[str, Any]:
    """What came out of the run whose curves are kept."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return summary.summarise(document["settings"], document["results"])
