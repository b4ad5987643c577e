"""The drawing of Table 1: iterations against ε, where a power law is straight and where a logarithm is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.table1.rates import LogLaw, PowerLaw
from gdnp.paper.table1.summary import LABELS, reached, summarise, write_markdown
from gdnp.plotting import STYLES, LineStyle, new_figure, save, titled

__all__ = ["draw"]

NONCONVEX = LineStyle("#cc79a7", (0, (4, 1.2)), "^")
SLOWEST = 3.0
"""A linear axis shows whole those methods that need at most this many times the median of all."""


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Iterations against ε on both scales as PNG and PDF, and the tables as Markdown."""
    found = summarise(settings, results)
    return [
        *_draw_laws(settings, found["panels"], directory / "table1"),
        write_markdown(found, directory / "table1.md"),
    ]


def _draw_laws(settings: Settings, panels: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """A row for each world and loss."""
    with new_figure(len(panels), 2, width=7.2, height=0.8 + 2.15 * len(panels)) as (figure, axes):
        for row, panel in zip(axes, panels, strict=True):
            for axis, scale in zip(row, ("log", "linear"), strict=True):
                lines = [_draw_method(axis, name, entry) for name, entry in panel["methods"].items()]
                axis.set_xscale("log")
                axis.set_yscale(scale)
                axis.set_xlim(*_span(settings))
                axis.set_ylabel("iterations")
            row[0].set_ylim(bottom=0.8)
            row[1].set_ylim(0.0, _ceiling(panel))
            titled(row[0], panel["label"], "both axes logarithmic: a power law is straight")
            titled(row[1], panel["label"], "linear iterations: linear convergence is straight")
        for axis in axes[-1]:
            axis.set_xlabel(r"$\varepsilon$")
        figure.legend(handles=lines, loc="outside lower center", ncols=4, handlelength=2.8)
        return save(figure, path)


def _span(settings: Settings) -> tuple[float, float]:
    """From the largest ε at the left to the smallest at the right."""
    epsilons = [eps for values in settings["epsilons"].values() for eps in values]
    return 1.3 * max(epsilons), min(epsilons) / 1.3


def _draw_method(axis: Any, name: str, entry: Mapping[str, Any]) -> Any:
    """The measured points, and the law that fits the finer half of them as a broad line beneath."""
    style = STYLES.get(name, NONCONVEX)
    eps, counts = reached(entry["epsilons"], entry["iterations"], 1.0)
    laws = entry["laws"]["fine"]
    if laws["better"] in ("log", "power"):
        first, last = laws["range"]
        fine = np.geomspace(first, last, 100)
        values = LogLaw(**laws["log"])(fine) if laws["better"] == "log" else PowerLaw(**laws["power"])(fine)
        axis.plot(fine[values > 0.0], values[values > 0.0], color=style.color, linewidth=4.0, alpha=0.25)
    (line,) = axis.plot(
        eps,
        counts,
        color=style.color,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker,
        markevery=1 if len(eps) < 15 else 4,
        markeredgecolor="white",
        markeredgewidth=0.4,
        label=LABELS[name],
    )
    return line


def _ceiling(panel: Mapping[str, Any]) -> float:
    """The largest count of the methods that are not far slower than most."""
    entries = panel["methods"].values()
    counts = (reached(entry["epsilons"], entry["iterations"], 1.0)[1] for entry in entries)
    tops = sorted(known.max() for known in counts if len(known))
    if not tops:
        return 1.0
    return 1.08 * float(max(top for top in tops if top <= SLOWEST * tops[(len(tops) - 1) // 2]))
