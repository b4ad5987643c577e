"""The drawings of Figure 2, from saved curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure2.race import RACERS
from gdnp.paper.figure2.summary import Panel, panels
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.plotting import band, draw_band, new_figure, on_grid, save, shared_legend, titled

__all__ = ["curve", "draw", "floor_of"]

SUBOPTIMALITY_FLOOR = 1e-13
GRADIENT_FLOOR = 1e-9
"""Below these the axis is cut: rounding, and gradients that have underflowed on the flat part of a loss."""
GRID_POINTS = 400


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``figure2``, ``figure2-passes`` and ``figure2-sigmoid`` as PNG and PDF."""
    found = list(panels(settings, results))
    written = _draw_race(settings, found, directory / "figure2", passes=False)
    written += _draw_race(settings, found, directory / "figure2-passes", passes=True)
    bounded = [panel for panel in found if not panel.convex]
    if bounded:
        written += _draw_bounded(settings, bounded, directory / "figure2-sigmoid")
    return written


def _draw_race(settings: Settings, found: list[Panel], path: Path, *, passes: bool) -> list[Path]:
    """The four panels as printed: losses across, data down."""
    rows, columns = len(settings["data"]), len(settings["losses"])
    with new_figure(rows, columns, width=7.2, height=1.0 + 2.35 * rows) as (figure, axes):
        for axis, panel in zip(axes.flat, found, strict=True):
            lines = _curves(axis, settings, panel, panel.measure, floor_of(panel), passes=passes)
            titled(axis, panel.label, _subtitle(panel))
            axis.set_ylabel(_quantity(panel))
        for axis in axes[-1]:
            axis.set_xlabel("passes over the data" if passes else "iterations")
        shared_legend(figure, lines, columns=4)
        return save(figure, path)


def _draw_bounded(settings: Settings, found: list[Panel], path: Path) -> list[Path]:
    """What a gradient norm alone does not say: objective and 0-1 error beside it."""
    with new_figure(len(found), 3, width=7.2, height=1.0 + 2.1 * len(found)) as (figure, axes):
        for row, panel in zip(axes, found, strict=True):
            lines = _curves(row[0], settings, panel, panel.measure, floor_of(panel))
            row[0].set_ylabel(_quantity(panel))
            for axis, name, label in (
                (row[1], "objective", r"objective $f$"),
                (row[2], "zero_one", "0-1 error"),
            ):
                curves = {method: entry[name] for method, entry in panel.curves.items()}
                _curves(axis, settings, panel, curves.__getitem__, None)
                axis.set_ylabel(label)
                axis.set_ylim(*_window(curves))
            titled(row[0], panel.label, _subtitle(panel))
        for axis in axes[-1]:
            axis.set_xlabel("iterations")
        shared_legend(figure, lines, columns=4)
        return save(figure, path)


def floor_of(panel: Panel) -> float:
    """Where the logarithmic axis of a panel's measure is cut."""
    return SUBOPTIMALITY_FLOOR if panel.convex else GRADIENT_FLOOR


def curve(
    panel: Panel, method: str, values: FloatArray, grid: FloatArray, *, passes: bool, floor: float | None
) -> FloatArray:
    """A method's `values` (starts, max_iter + 1) at the m iterations, or passes, of `grid`: (starts, m).

    They are at least a tenth of `floor`, so that their line leaves the axis and does not end.
    """
    if passes:
        spent = panel.curves[method]["passes"]
        values = np.stack([on_grid(a, b, grid) for a, b in zip(spent, values, strict=True)])
    else:
        values = values[:, grid.astype(int)]
    return values if floor is None else np.maximum(values, 0.1 * floor)


def _curves(
    axis: Any,
    settings: Settings,
    panel: Panel,
    measure: Callable[[str], FloatArray],
    floor: float | None,
    *,
    passes: bool = False,
) -> list[Any]:
    """Every method's mean and bands; on a logarithmic axis cut at `floor`, or on a linear one."""
    budget, methods = settings["max_iter"], settings["methods"]
    x = np.linspace(0.0, budget, (GRID_POINTS if passes else budget) + 1)
    lines = []
    for number, method in enumerate(methods):
        values = curve(panel, method, measure(method), x, passes=passes, floor=floor)
        found, share = band(values, log=floor is not None), number / len(methods)
        lines.append(draw_band(axis, x, found, method, RACERS[method].label, marker_at=share))
    axis.set_xlim(0.0, budget)
    if floor is not None:
        axis.set_yscale("log")
        axis.set_ylim(*_decades([measure(method) for method in methods], floor))
    return lines


def _decades(measures: list[FloatArray], floor: float) -> tuple[float, float]:
    """From the floor or the least value to a little above the starts; spikes beyond are cut."""
    low = max(floor, min(float(values.min()) for values in measures))
    start = max(float(np.median(values[:, 0])) for values in measures)
    return 10.0 ** np.floor(np.log10(low)), 3.0 * max(start, 10.0 * low)


def _window(curves: Mapping[str, FloatArray]) -> tuple[float, float]:
    """From the best value to the worst method's median run after a twentieth of the budget."""
    early = max(1, next(iter(curves.values())).shape[1] // 20)
    low = min(float(values.min()) for values in curves.values())
    high = max(float(np.median(values[:, early])) for values in curves.values())
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin


def _subtitle(panel: Panel) -> str:
    """Size, preparation and condition of the data."""
    facts = panel.facts
    scaled = ", unit variance" if panel.spec["scaled"] else ""
    rank = "" if facts["rank"] == facts["d"] else f", rank {facts['rank']}"
    kappa = facts["kappa_on_range"]
    condition = f"κ = {kappa:,.0f}" if kappa is not None and kappa < 1e5 else f"κ = {kappa or np.inf:.0e}"
    return f"{facts['n']:,} × {facts['d']}{scaled}{rank}, {condition}"


def _quantity(panel: Panel) -> str:
    if not panel.convex:
        return r"gradient norm $\|\nabla f\|$"
    return r"objective $f$ (separable)" if panel.separable else r"suboptimality $f - f^*$"
