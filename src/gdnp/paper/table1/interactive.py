"""Interactive drawings of Table 1 for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdnp.interactive import Figure, line_style, scatter, switched
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.table1.drawing import NONCONVEX
from gdnp.paper.table1.summary import reached, summarise
from gdnp.plotting import STYLES

__all__ = ["interactive"]


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each world and loss: what it takes to reach ε."""
    return [_rates(settings, panel) for panel in summarise(settings, results)["panels"]]


def _rates(settings: Settings, panel: Mapping[str, Any]) -> Figure:
    views = []
    for label, column, scale in (
        ("iterations", "iterations", "log"),
        ("iterations, linear axis", "iterations", "linear"),
        ("passes", "passes", "log"),
        ("seconds", "seconds", "log"),
    ):
        traces = [_rate(name, entry, column) for name, entry in panel["methods"].items()]
        if any(value for trace in traces for value in trace["y"]):
            views.append((label, traces, _axes(panel, column, scale)))
    caption = (
        f"First time at ‖∇f‖ <= ε, geometric mean of {settings['starts']} starts. With both axes logarithmic "
        "a power law is straight; on a linear axis linear convergence is."
    )
    return switched(str(panel["label"]), caption, views)


def _rate(name: str, entry: Mapping[str, Any], column: str) -> dict[str, Any]:
    x, y = reached(entry["epsilons"], entry[column])
    hover = f"{entry['label']}: %{{y:.4g}} {column} to ε = %{{x:.1e}}"
    return scatter(x, y, entry["label"], hover, **line_style(STYLES.get(name, NONCONVEX)))


def _axes(panel: Mapping[str, Any], column: str, scale: str) -> dict[str, Any]:
    """ε falls to the right; a linear axis shows the methods up to five times the quickest."""
    entries = panel["methods"].values()
    values = [reached(entry["epsilons"], entry[column])[1] for entry in entries]
    epsilons = np.log10([eps for entry in entries for eps in entry["epsilons"]])
    x = {
        "title": {"text": "ε"},
        "type": "log",
        "range": [float(epsilons.max()) + 0.1, float(epsilons.min()) - 0.1],
        "exponentformat": "power",
        "dtick": 2,
    }
    y: dict[str, Any] = {"title": {"text": column}, "type": scale, "exponentformat": "power"}
    if scale == "linear":
        most = [float(max(n, default=0.0)) for n in values]
        quickest = min((value for value in most if value > 0.0), default=1.0)
        top = max(value for value in most if value <= 5.0 * quickest)
        return {"xaxis": x, "yaxis": {**y, "range": [0.0, 1.05 * top], "autorange": False, "dtick": None}}
    known = [float(n) for entry in values for n in entry if n > 0.0]
    low, high = float(np.log10(min(known, default=1.0))), float(np.log10(max(known, default=10.0)))
    return {"xaxis": x, "yaxis": {**y, "range": [low - 0.15, high + 0.15], "autorange": False, "dtick": 1}}
