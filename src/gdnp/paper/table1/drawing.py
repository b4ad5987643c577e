"""The drawing of Table 1: iterations against ε, where a power law is straight and where a logarithm is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdnp.interactive import Figure
from gdnp.paper.runner.charts import Chart, Curve, show
from gdnp.paper.runner.charts import draw as draw_charts
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.table1.rates import count_at
from gdnp.paper.table1.summary import LABELS, known, summarise
from gdnp.plotting import STYLES, LineStyle

NONCONVEX = LineStyle("#cc79a7", (0, (4, 1.2)), "^")
SLOWEST = 3.0
"""A linear axis shows whole those methods that need at most this many times the median of all."""
PALE = "40"
"""Opacity of the law beneath the points, in the hexadecimal of a colour."""


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Iterations against ε on both scales as PNG and PDF."""
    panels = summarise(settings, results)["panels"]
    rows = [[_chart(settings, panel, log=log) for log in (True, False)] for panel in panels]
    return list(draw_charts(rows, directory / "table1"))


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each world and loss: what it takes to reach ε."""
    caption = (
        f"First time at ‖∇f‖ <= ε, geometric mean of {settings['starts']} starts. With both axes logarithmic "
        "a power law is straight; on a linear axis linear convergence is."
    )
    figures = []
    for panel in summarise(settings, results)["panels"]:
        columns = ("iterations",) if panel["world"] == "population" else ("iterations", "passes")
        views = {column: _chart(settings, panel, column) for column in columns}
        views["iterations, linear axis"] = _chart(settings, panel, log=False)
        figures.append(show(str(panel["label"]), caption, views))
    return figures


def _chart(
    settings: Settings, panel: Mapping[str, Any], column: str = "iterations", *, log: bool = True
) -> Chart:
    """What each method needs; below the iterations the law that fits the finer half of them, if one does."""
    curves = []
    for name, entry in panel["methods"].items():
        style, laws = STYLES.get(name, NONCONVEX), entry["laws"]["fine"]
        if column == "iterations" and laws["better"] in ("log", "power"):
            fine = np.geomspace(laws["range"][0], laws["range"][1], 100)
            fitted = count_at(laws["better"], laws[laws["better"]], fine)
            curves.append(Curve("", LineStyle(style.color + PALE, width=4.0), fine, fitted[None]))
        eps, values = known(entry["epsilons"], entry[column])
        curves.append(Curve(LABELS[name], style, eps, values[None]))
    epsilons = [eps for values in settings["epsilons"].values() for eps in values]
    return Chart(
        panel["label"],
        "a power law is straight" if log else "linear convergence is straight",
        "ε",
        column,
        curves,
        log_x=True,
        log=log,
        span=(1.3 * max(epsilons), min(epsilons) / 1.3),
        height=None if log else (0.0, _ceiling(panel)),
    )


def _ceiling(panel: Mapping[str, Any]) -> float:
    """The largest count of the methods that are not far slower than most."""
    entries = panel["methods"].values()
    counts = (known(entry["epsilons"], entry["iterations"], 1.0)[1] for entry in entries)
    tops = sorted(values.max() for values in counts if len(values))
    if not tops:
        return 1.0
    return 1.08 * float(max(top for top in tops if top <= SLOWEST * tops[(len(tops) - 1) // 2]))
