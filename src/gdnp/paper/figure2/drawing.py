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

__all__ = ["draw"]

SUBOPTIMALITY_FLOOR = 1e-13
GRADIENT_FLOOR = 1e-9
"""Below these the axis is cut: rounding, and gradients that have underflowed on the flat part of a loss."""
GRID_POINTS = 400


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``figure2``, ``figure2-passes`` and ``figure2-sigmoid`` as PNG and PDF.

    Parameters
    ----------
    settings, results : dict
    directory : Path

    Returns
    -------
    list of Path
    """
    found = list(panels(settings, results))
    written = _draw_race(settings, found, directory / "figure2", passes=False)
    written += _draw_race(settings, found, directory / "figure2-passes", passes=True)
    bounded = [panel for panel in found if panel.reference is None]
    if bounded:
        written += _draw_bounded(settings, bounded, directory / "figure2-sigmoid")
    return written


def _draw_race(settings: Settings, found: list[Panel], path: Path, *, passes: bool) -> list[Path]:
    """The four panels as printed: losses across, data down."""
    rows, columns = len(settings["data"]), len(settings["losses"])
    with new_figure(rows, columns, width=7.2, height=1.0 + 2.35 * rows) as (figure, axes):
        for axis, panel in zip(axes.flat, found, strict=True):
            floor = GRADIENT_FLOOR if panel.reference is None else SUBOPTIMALITY_FLOOR
            lines = _curves(axis, settings, panel, panel.measure, passes=passes, floor=floor)
            titled(axis, panel.label, _subtitle(panel))
            axis.set_ylabel(_quantity(panel))
        for axis in axes[-1]:
            axis.set_xlabel(_abscissa(passes))
        shared_legend(figure, lines, columns=4)
        return save(figure, path)


def _draw_bounded(settings: Settings, found: list[Panel], path: Path) -> list[Path]:
    """What a gradient norm alone does not say: objective and 0-1 error beside it."""
    with new_figure(len(found), 3, width=7.2, height=1.0 + 2.1 * len(found)) as (figure, axes):
        for row, panel in zip(axes, found, strict=True):
            lines = _curves(row[0], settings, panel, panel.measure, passes=False, floor=GRADIENT_FLOOR)
            row[0].set_ylabel(_quantity(panel))
            for axis, name, label in (
                (row[1], "objective", r"objective $f$"),
                (row[2], "zero_one", "0-1 error"),
            ):
                curves = {method: entry[name] for method, entry in panel.curves.items()}
                _curves(axis, settings, panel, curves.__getitem__, passes=False, floor=None)
                axis.set_ylabel(label)
                axis.set_ylim(*_window(curves))
            titled(row[0], panel.label, _subtitle(panel))
        for axis in axes[-1]:
            axis.set_xlabel(_abscissa(passes=False))
        shared_legend(figure, lines, columns=4)
        return save(figure, path)


def _curves(
    axis: Any,
    settings: Settings,
    panel: Panel,
    measure: Callable[[str], FloatArray],
    *,
    passes: bool,
    floor: float | None,
) -> list[Any]:
    """Every method's mean and bands; on a logarithmic axis cut at `floor`, or on a linear one."""
    lines = []
    budget = settings["max_iter"]
    for number, method in enumerate(settings["methods"]):
        values = measure(method)
        x = np.arange(values.shape[1], dtype=np.float64)
        if passes:
            x = np.linspace(0.0, budget, GRID_POINTS + 1)
            values = np.stack(
                [
                    on_grid(spent, row, x)
                    for spent, row in zip(panel.curves[method]["passes"], values, strict=True)
                ]
            )
        if floor is not None:
            values = np.maximum(values, 0.1 * floor)
        share = number / len(settings["methods"])
        lines.append(
            draw_band(
                axis, x, band(values, log=floor is not None), method, RACERS[method].label, marker_at=share
            )
        )
    axis.set_xlim(0.0, budget)
    if floor is not None:
        axis.set_yscale("log")
        axis.set_ylim(*_decades([measure(method) for method in settings["methods"]], floor))
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
    if panel.reference is None:
        return r"gradient norm $\|\nabla f\|$"
    return r"objective $f$ (separable)" if panel.reference["separable"] else r"suboptimality $f - f^*$"


def _abscissa(passes: bool) -> str:
    return "passes over the data" if passes else "iterations"
