"""A chart as data, drawn in print by matplotlib and in the report by plotly: the same curves in both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.interactive import Figure, band_traces, switched
from gdnp.plotting import LineStyle, band, draw_band, new_figure, save, shared_legend, titled

FIRST, POINTS = 12, 200
"""Of a long curve the report has its first points, where curves fall steeply, and so many of the others."""
WIDTH = 7.2
"""Inches."""


@dataclass(frozen=True)
class Curve:
    """Runs as the mean over them and its bands, in one look.

    Attributes
    ----------
    label : str
        The same in every chart of a figure, for one legend; "" for what is explained elsewhere.
    style : LineStyle
    x : ndarray of shape (m,)
    runs : ndarray of shape (k, m)
        One row a run; on a logarithmic axis what is not positive is left out, and what is not finite on any.
    """

    label: str
    style: LineStyle
    x: FloatArray
    runs: FloatArray

    def kept(self, *, log: bool) -> tuple[FloatArray, FloatArray]:
        """The abscissae and the runs (k, p) that can be shown."""
        shown = (np.isfinite(self.runs) & ((self.runs > 0.0) | (not log))).all(axis=0)
        return self.x[shown], self.runs[:, shown]


Range = tuple[float, float] | None


@dataclass(frozen=True)
class Chart:
    """Curves between two axes.

    Attributes
    ----------
    title, note : str
        In bold, and a light line under it.
    x, y : str
        What the axes show.
    curves : sequence of Curve
    log_x, log : bool
        Which axes are logarithmic; on a logarithmic ordinate means are geometric.
    span, height : pair of float or None
        The ranges of the axes; None takes what is there.
    """

    title: str
    note: str
    x: str
    y: str
    curves: Sequence[Curve]
    log_x: bool = False
    log: bool = True
    span: Range = None
    height: Range = None


def draw(rows: Sequence[Sequence[Chart]], path: Path, *, row_height: float = 2.35, headline: str = "") -> Any:
    """Write a grid of charts with one legend as PNG and PDF, and return their paths."""
    size = {"width": WIDTH, "height": 1.2 + row_height * len(rows) + 0.3 * bool(headline)}
    with new_figure(len(rows), len(rows[0]), **size) as (figure, axes):
        lines: dict[str, Any] = {}
        for row, charts, below in zip(axes, rows, [*rows[1:], ()], strict=True):
            for axis, chart in zip(row, charts, strict=True):
                for number, curve in enumerate(chart.curves):
                    x, runs = curve.kept(log=chart.log)
                    if len(x):
                        offset, found = number / len(chart.curves), band(runs, log=chart.log)
                        line = draw_band(axis, x, found, curve.style, curve.label, marker_at=offset)
                        lines.setdefault(curve.label, line)
                axis.set(xscale="log" if chart.log_x else "linear", yscale="log" if chart.log else "linear")
                axis.set(ylabel=chart.y, xlim=chart.span, ylim=chart.height)
                axis.set_xlabel("" if any(other.x == chart.x for other in below) else chart.x)
                titled(axis, chart.title, chart.note)
        lines.pop("", None)
        banded = any(len(curve.runs) > 1 for row in rows for chart in row for curve in chart.curves)
        shared_legend(figure, list(lines.values()), columns=4, banded=banded)
        if headline:
            figure.suptitle(headline, fontsize=9.0, x=0.01, ha="left")
        return save(figure, path)


def show(title: str, caption: str, views: Mapping[str, Chart]) -> Figure:
    """The charts by the words on their buttons, as one figure of the report."""
    shown = [
        (
            label,
            [trace for curve in chart.curves for trace in _traces(curve, chart)],
            {
                "xaxis": _axis(chart.x, chart.span, log=chart.log_x),
                "yaxis": _axis(chart.y, chart.height, log=chart.log),
            },
        )
        for label, chart in views.items()
    ]
    return switched(title, caption, shown)


def _traces(curve: Curve, chart: Chart) -> list[dict[str, Any]]:
    if not curve.label:
        return []
    x, runs = curve.kept(log=chart.log)
    index = np.concatenate([np.arange(min(FIRST, len(x))), np.linspace(0, len(x) - 1, POINTS)])
    index = np.unique(index.round().astype(int)) if len(x) else np.arange(0)
    traces = band_traces(x[index], runs[:, index], curve.label, curve.style, log=chart.log)
    return traces if len(runs) > 1 else traces[1:]  # one run has no interval


def _axis(title: str, limits: Range, *, log: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title}, "type": "log" if log else "linear"}
    axis |= {"autorange": limits is None, "exponentformat": "power", "dtick": None}
    if limits is not None:
        ends = np.log10(limits) if log else np.asarray(limits)
        axis["range"] = [float(f"{end:.4g}") for end in ends]
        axis["dtick"] = max(1, round(abs(float(ends[1] - ends[0])) / 6)) if log else None
    return axis
