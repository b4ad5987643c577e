"""Interactive drawings of Figure 2 for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.interactive import Figure, band_traces, switched
from gdnp.paper.figure2.drawing import curve, floor_of
from gdnp.paper.figure2.race import RACERS
from gdnp.paper.figure2.summary import Panel, panels
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.plotting import STYLES

__all__ = ["interactive"]

POINTS = 150


@dataclass(frozen=True)
class View:
    """One of the ways to look at a panel: its button, its axes, and each method's (starts, max_iter + 1).

    A logarithmic axis is cut at `floor`; where that is None, the axis is linear.
    """

    label: str
    abscissa: str
    ordinate: str
    values: Callable[[str], FloatArray]
    passes: bool
    floor: float | None


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each panel: means with their 90 % intervals, against iterations or passes."""
    return [_race(settings, panel) for panel in panels(settings, results)]


def _race(settings: Settings, panel: Panel) -> Figure:
    views = []
    for view in _views(panel):
        traces = [
            trace
            for method in settings["methods"]
            for trace in _traces(panel, view, method, _grid(settings["max_iter"], passes=view.passes))
        ]
        views.append((view.label, traces, _axes(settings, view, traces)))
    return switched(panel.label, _caption(settings, panel), views)


def _views(panel: Panel) -> Iterator[View]:
    measured = "suboptimality f - f*" if panel.convex else "gradient norm ‖∇f‖"
    if panel.separable:
        measured = "objective f (separable)"
    what, floor = "" if panel.convex else "gradient norm, ", floor_of(panel)
    iterations, passes = "iterations", "passes over the data"
    yield View(f"{what}iterations", iterations, measured, panel.measure, False, floor)
    yield View(f"{what}passes", passes, measured, panel.measure, True, floor)
    if not panel.convex:
        for name, label in (("objective", "objective f"), ("zero_one", "0-1 error")):
            curves = {method: entry[name] for method, entry in panel.curves.items()}
            yield View(label, iterations, label, curves.__getitem__, False, None)


def _grid(budget: int, *, passes: bool) -> FloatArray:
    """Abscissae: every early iteration is there, since the curves fall steeply."""
    if passes:
        return np.linspace(0.0, budget, POINTS + 1)
    x = np.unique(np.round(np.concatenate([np.arange(12), np.linspace(0, budget, POINTS)])))
    return x[x <= budget]


def _traces(panel: Panel, view: View, method: str, x: FloatArray) -> list[dict[str, Any]]:
    values = curve(panel, method, view.values(method), x, passes=view.passes, floor=view.floor)
    return band_traces(x, values, RACERS[method].label, STYLES[method], log=view.floor is not None)


def _axes(settings: Settings, view: View, traces: list[dict[str, Any]]) -> dict[str, Any]:
    """Titles, scales and ranges."""
    # Within a small budget of passes a method that forms a Gram matrix may not have begun.
    lines = [np.array(trace["y"]) for trace in traces if trace["showlegend"] and trace["y"]]
    if view.floor is not None:
        low = max(view.floor, min(float(line.min()) for line in lines))
        start = max(float(line[0]) for line in lines)
        span = [float(np.floor(np.log10(low))), float(np.log10(3.0 * max(start, 10.0 * low)))]
    else:
        early = max(1, len(lines[0]) // 15)
        low = min(float(line.min()) for line in lines)
        high = max(float(line[min(early, len(line) - 1)]) for line in lines)
        margin = 0.06 * max(high - low, 1e-3)
        span = [low - margin, high + margin]
    return {
        "xaxis": {"title": {"text": view.abscissa}, "range": [0, settings["max_iter"]]},
        "yaxis": {
            "title": {"text": view.ordinate},
            "type": "linear" if view.floor is None else "log",
            "range": [float(f"{value:.4g}") for value in span],
            "exponentformat": "power",
            "dtick": None if view.floor is None else max(1, round((span[1] - span[0]) / 6)),
        },
    }


def _caption(settings: Settings, panel: Panel) -> str:
    facts = panel.facts
    scaled = ", columns scaled to unit variance" if panel.spec["scaled"] else ""
    kappa = facts["kappa_on_range"]
    condition = "" if kappa is None else f", κ = {kappa:.3g}"
    return (
        f"{facts['n']:,} rows x {facts['d']} columns{scaled}, rank {facts['rank']}{condition}. Mean of "
        f"{settings['starts']} random starts; shaded: 90 % confidence interval of the mean."
    )
