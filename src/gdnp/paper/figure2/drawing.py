"""Figure 2 and the phase diagram 'who is first', from saved runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.interactive import Figure
from gdnp.paper.runner.cells import METHODS, SCALES, TUNINGS, cells_of, label_of, part_name
from gdnp.paper.runner.charts import Chart, Curve, show
from gdnp.paper.runner.charts import draw as draw_charts
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.runner.own import called, measured_as
from gdnp.paper.runner.problems import LOSS_LABELS
from gdnp.plotting import STYLES, LineStyle, new_figure, on_grid, save, titled

SHOWN = "unit"
"""The scale of the starts in Figure 2."""
KEPT = ("passes", "objective", "gradient_norm", "length", "zero_one")
"""Saved of the best runs from there on data in rows, beside what is measured."""
FLOOR = {"log_loss": 1e-13, "sigmoid": 1e-9}
"""Below these the axis is cut: rounding, and gradients that have underflowed on the flat part of a loss."""
QUANTITY = {"log_loss": "suboptimality f - f*", "sigmoid": "gradient norm ‖∇f‖"}
OWN_STYLES = (LineStyle("#882255", (0, (6, 1, 1, 1)), "s"), LineStyle("#999933", (0, (2, 1)), "D"))
NAMES = {"objective": "objective f", "zero_one": "0-1 error"}


def drawn(settings: Settings) -> list[Mapping[str, Any]]:
    """The data of Figure 2: those in rows."""
    return [spec for spec in settings["data"] if spec["name"] != "population"]


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``section44`` and, for data in rows, ``figure2``, ``figure2-passes`` and ``figure2-sigmoid``."""
    written = _phases(settings, cells_of(settings, results), directory / "section44")
    data, losses = drawn(settings), settings["losses"]
    if not data:
        return written
    for name, against in (("figure2", "iterations"), ("figure2-passes", "passes")):
        rows = [[chart(settings, results, spec, loss, against=against) for loss in losses] for spec in data]
        written += draw_charts(rows, directory / name)
    whats = ("measure", "objective", "zero_one")  # a small gradient norm alone says little
    for loss in (loss for loss in losses if loss != "log_loss"):
        rows = [[chart(settings, results, spec, loss, what) for what in whats] for spec in data]
        written += draw_charts(rows, directory / f"figure2-{called(loss, LOSS_LABELS)}")
    return written


def style_of(method: str, settings: Settings) -> LineStyle:
    """The line of a method; one's own have others, in their order."""
    own = [name for name in settings["methods"] if name not in STYLES]
    return STYLES[method] if method in STYLES else OWN_STYLES[own.index(method) % len(OWN_STYLES)]


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each data set in rows and loss, with buttons for what is shown and how it was started."""
    found = []
    for spec in drawn(settings):
        for loss in settings["losses"]:
            views = {
                against: chart(settings, results, spec, loss, against=against)
                for against in ("iterations", "passes")
            }
            if loss != "log_loss":
                views |= {
                    NAMES[w]: chart(settings, results, spec, loss, w) for w in ("objective", "zero_one")
                }
            views[TUNINGS["theory"]] = chart(settings, results, spec, loss, tuning="theory")
            for scale in (name for name in SCALES if name != SHOWN):
                views[f"starts {SCALES[scale]}"] = chart(settings, results, spec, loss, scale=scale)
            title = f"{label_of(spec)}, {called(loss, LOSS_LABELS)}"
            caption = (
                f"{_about(results, spec)}. Mean of {settings['starts']} starts from N(0, I), each method "
                "with the best multiple of its step, where no button says otherwise. Shaded: 90 % confidence "
                "interval of the mean."
            )
            found.append(show(title, caption, views))
    return found


def chart(
    settings: Settings,
    results: Results,
    spec: Mapping[str, Any],
    loss: str,
    what: str = "measure",
    *,
    against: str = "iterations",
    scale: str = SHOWN,
    tuning: str = "best",
) -> Chart:
    """Every method on one problem, h corrected: its measure, or what else was kept of the best runs."""
    budget, curves = settings["iterations"], []
    for method in settings["methods"]:
        run = results[part_name(spec, loss, scale, method, "stein")]
        values = np.array(run[tuning if what == "measure" else what], dtype=np.float64).T
        x = np.arange(budget + 1.0)
        if against == "passes":
            spent = np.array(run["passes"]).T
            values = np.stack([on_grid(a, b, x) for a, b in zip(spent, values, strict=True)])
        if what == "measure":  # a tenth of the floor, so that a line leaves the axis and does not end
            values = np.maximum(values, 0.1 * FLOOR[measured_as(loss)])
        curves.append(Curve(called(method, METHODS), style_of(method, settings), x, values))
    log = what == "measure"
    separable = loss == "log_loss" and results[f"{label_of(spec)}/facts"]["separable"]
    name = "objective f (separable)" if separable else QUANTITY[measured_as(loss)]
    return Chart(
        f"{label_of(spec)}, {called(loss, LOSS_LABELS)}",
        f"{_about(results, spec)}; starts {SCALES[scale]}",
        "passes over the data" if against == "passes" else "iterations",
        name if log else NAMES[what],
        curves,
        log=log,
        span=(0.0, budget),
        height=_decades(curves, FLOOR[measured_as(loss)]) if log else _window(curves),
    )


def _decades(curves: list[Curve], floor: float) -> tuple[float, float]:
    """From the floor or the least value to a little above the starts; spikes beyond are cut."""
    low = max(floor, min(float(np.nanmin(curve.runs)) for curve in curves))
    start = max(float(np.nanmedian(_first(curve))) for curve in curves)
    return float(10.0 ** np.floor(np.log10(low))), 3.0 * max(start, 10.0 * low)


def _first(curve: Curve) -> FloatArray:
    """What the runs begin with: where passes are the abscissa, once the first of them are spent."""
    return np.asarray([row[np.isfinite(row)][0] for row in curve.runs if np.isfinite(row).any()] or [np.nan])


def _window(curves: list[Curve]) -> tuple[float, float]:
    """From the best value to the worst method's median run after a twentieth of the budget."""
    early = max(1, len(curves[0].x) // 20)
    low = min(float(curve.runs.min()) for curve in curves)
    high = max(float(np.median(curve.runs[:, early])) for curve in curves)
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin


def _about(results: Results, spec: Mapping[str, Any]) -> str:
    """Size, preparation and condition of the data."""
    found = results[f"{label_of(spec)}/facts"]
    scaled = ", unit variance" if spec.get("scaled") else ""
    rank = "" if found["rank"] == spec["d"] else f", rank {found['rank']}"
    return f"{spec['n']:,} × {spec['d']}{scaled}{rank}, κ = {found['kappa']:.3g}"


def _phases(settings: Settings, cells: list[dict[str, Any]], path: Path) -> list[Path]:
    """Start scales down, data across; a panel for each loss and tuning, h corrected."""
    data, scales = [label_of(spec) for spec in settings["data"]], list(SCALES)
    with new_figure(len(settings["losses"]), len(TUNINGS), width=7.2, height=5.0) as (figure, axes):
        for row, loss in zip(axes, settings["losses"], strict=True):
            for axis, tuning in zip(row, TUNINGS, strict=True):
                for cell in cells:
                    if (cell["loss"], cell["tuning"], cell["h"]) == (loss, tuning, "stein"):
                        x, y = data.index(cell["data"]), scales.index(cell["scale"])
                        look = {"facecolor": style_of(cell["first"], settings).color, "edgecolor": "white"}
                        axis.bar(x, 1.0, width=1.0, bottom=y - 0.5, alpha=0.35, **look)
                        axis.text(x, y, called(cell["first"], METHODS), ha="center", va="center", fontsize=7)
                axis.set_xlim(-0.5, len(data) - 0.5)
                axis.set_ylim(-0.5, len(scales) - 0.5)
                axis.set_xticks(range(len(data)), data, rotation=30, ha="right", rotation_mode="anchor")
                axis.set_yticks(range(len(scales)), [SCALES[scale] for scale in scales])
                axis.grid(visible=False)
                titled(axis, called(loss, LOSS_LABELS), TUNINGS[tuning])
        return save(figure, path)
