"""A chart as data, drawn in print by matplotlib and in the report by plotly: the same curves in both.

Figures of the report are plain dictionaries, ``{"data": [...], "layout": {...}}``, complete for any reader of
plotly's JSON. The report takes the title and ``layout.meta.caption`` into the text around the figure, and
turns ``layout.updatemenus`` into buttons that a keyboard reaches. Numbers keep four digits: a page has many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student

from gdnp._typing import FloatArray
from gdnp.plotting import LineStyle, new_figure, save, titled

Figure = dict[str, Any]
LEVEL = 0.90
"""Confidence of the interval of the mean."""
FIRST = 12
"""Of a long curve the report has its first points, where curves fall steeply, and thins out the others."""
WIDTH = 7.2
"""Inches."""


class Band(NamedTuple):
    """What runs have in common at each abscissa: the mean, its interval (Student's t), their 5-95 % range."""

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    bottom: FloatArray
    top: FloatArray


def band(runs: FloatArray, *, log: bool = True) -> Band:
    """The band of runs of shape (k, m), one row a run.

    With `log`, logarithms of positive values are averaged (the geometric mean), as a logarithmic axis shows
    them.
    """
    values = np.log10(runs) if log else np.asarray(runs, dtype=np.float64)
    k, mean = len(values), values.mean(axis=0)
    half = np.zeros_like(mean)
    if k > 1:
        half = student.ppf(0.5 + LEVEL / 2.0, k - 1) * values.std(axis=0, ddof=1) / np.sqrt(k)
    found = (mean, mean - half, mean + half, *np.percentile(values, [5.0, 95.0], axis=0))
    return Band(*(10.0**value for value in found)) if log else Band(*found)


def on_grid(x: FloatArray, y: FloatArray, grid: FloatArray) -> FloatArray:
    """The last y of shape (m,) reached at each abscissa of `grid`, shape (p,); NaN before the first.

    x, of shape (m,) too, is non-decreasing.
    """
    index = np.searchsorted(x, grid, side="right") - 1
    return np.where(index >= 0, np.asarray(y)[np.maximum(index, 0)], np.nan)


@dataclass(frozen=True)
class Curve:
    """Runs, one row of (k, m) each, at abscissae `x` (m,): shown as the mean and its bands, in one look.

    The `label` is the same in every chart of a figure, for one legend; "" is for what is explained elsewhere.
    """

    label: str
    style: LineStyle
    x: FloatArray
    runs: FloatArray

    def kept(self, *, log: bool) -> tuple[FloatArray, FloatArray]:
        """The abscissae and the runs (k, p) that can be shown: finite, and positive where logarithmic."""
        shown = (np.isfinite(self.runs) & ((self.runs > 0.0) | (not log))).all(axis=0)
        return self.x[shown], self.runs[:, shown]


Range = tuple[float, float] | None


@dataclass(frozen=True)
class Chart:
    """Curves between two axes; the title is in bold, and the note a light line under it.

    `x` and `y` say what the axes show, `log_x` and `log` which are logarithmic: on a logarithmic ordinate
    means are geometric. `span` and `height` are the ranges of the axes; None takes what is there.
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


# --- in print


def draw_charts(rows: Sequence[Sequence[Chart]], path: Path, *, headline: str = "") -> list[Path]:
    """Write a grid of charts with one legend as PNG and PDF, and return their paths."""
    size = {"width": WIDTH, "height": 1.2 + 2.35 * len(rows) + 0.3 * bool(headline)}
    with new_figure(len(rows), len(rows[0]), **size) as (figure, axes):
        lines: dict[str, Any] = {}
        for row, charts, below in zip(axes, rows, [*rows[1:], ()], strict=True):
            for axis, chart in zip(row, charts, strict=True):
                for number, curve in enumerate(chart.curves):
                    line = _drawn(axis, chart, curve, number / len(chart.curves))
                    lines |= {curve.label: line} if line and curve.label not in lines else {}
                axis.set(xscale="log" if chart.log_x else "linear", yscale="log" if chart.log else "linear")
                axis.set(ylabel=chart.y, xlim=chart.span, ylim=chart.height)
                axis.set_xlabel("" if any(other.x == chart.x for other in below) else chart.x)
                titled(axis, chart.title, chart.note)
        lines.pop("", None)
        banded = any(len(curve.runs) > 1 for row in rows for chart in row for curve in chart.curves)
        _legend(figure, list(lines.values()), banded=banded)
        if headline:
            figure.suptitle(headline, fontsize=9.0, x=0.01, ha="left")
        return save(figure, path)


def _drawn(axis: Any, chart: Chart, curve: Curve, offset: float) -> Any:
    """The mean's Line2D, drawn over its two bands; None where nothing can be shown.

    `offset` is that of the first marker as a share of their spacing, so that markers of curves that coincide
    do not cover each other.
    """
    x, runs = curve.kept(log=chart.log)
    if not len(x):
        return None
    found, style, spacing = band(runs, log=chart.log), curve.style, max(1, len(x) // 6)
    axis.fill_between(x, found.bottom, found.top, color=style.color, alpha=0.10, linewidth=0)
    axis.fill_between(x, found.low, found.high, color=style.color, alpha=0.22, linewidth=0)
    (line,) = axis.plot(
        x,
        found.mean,
        color=style.color,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker or None,
        markevery=(int(spacing * offset), spacing),
        markeredgecolor="none" if style.marker == "*" else "white",
        markeredgewidth=0.4,
        markersize=6.0 if style.marker == "*" else 4.5,
        label=curve.label,
    )
    return line


def _legend(figure: Any, lines: list[Any], *, banded: bool) -> None:
    """One legend under all the axes, with what the two bands mean where there are any."""
    from matplotlib.patches import Patch

    bands = [
        Patch(color="#555555", alpha=0.3, linewidth=0, label=f"{100 * LEVEL:.0f} % interval of mean"),
        Patch(color="#555555", alpha=0.12, linewidth=0, label="5-95 % of runs"),
    ]
    spacing = {"handlelength": 2.8, "columnspacing": 1.5, "labelspacing": 0.35}
    handles = [*lines, *bands] if banded else lines
    figure.legend(handles=handles, loc="outside lower center", ncols=4, **spacing)


# --- in the report

SYMBOLS = {"s": "square", "^": "triangle-up", "v": "triangle-down", "D": "diamond"}
SYMBOLS |= {"o": "circle", "X": "x", "P": "cross", "*": "star"}


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
    """The mean line, over its shaded interval where there are several runs."""
    x, runs = curve.kept(log=chart.log)
    if not curve.label:
        return []
    index = np.unique(np.append(np.arange(len(x))[:FIRST], thinned(np.arange(len(x)))))
    x, found, style = x[index], band(runs[:, index], log=chart.log), curve.style
    hover = f"{curve.label}: %{{y:.3g}} at %{{x}}"
    line = scatter(x, found.mean, curve.label, hover, legendgroup=curve.label, **line_style(style))
    if len(runs) == 1:
        return [line]
    shade: dict[str, Any] = {"fill": "toself", "fillcolor": style.color, "opacity": 0.16}
    shade |= {"mode": "lines", "line": {"width": 0}}
    there, back = np.append(x, x[::-1]), np.append(found.high, found.low[::-1])
    return [scatter(there, back, legendgroup=curve.label, **shade), line]


def _axis(title: str, limits: Range, *, log: bool) -> dict[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title}, "type": "log" if log else "linear"}
    axis |= {"autorange": limits is None, "exponentformat": "power", "dtick": None}
    if limits is not None:
        ends = np.log10(limits) if log else np.asarray(limits)
        axis["range"] = rounded(ends)
        axis["dtick"] = max(1, round(abs(float(ends[1] - ends[0])) / 6)) if log else None
    return axis


def scatter(x: FloatArray, y: FloatArray, label: str = "", hover: str = "", **options: Any) -> dict[str, Any]:
    """A trace through points, (m,) each, with a gap where one of them is not finite.

    `hover` is plotly's template of what is said of a point; what has no label is neither in the legend nor
    answers the mouse.
    """
    shown: dict[str, Any] = {"hoverinfo": "skip", "showlegend": False}
    if label:
        shown = {"name": label, "showlegend": True, "hovertemplate": f"{hover}<extra></extra>"}
    return {"type": "scatter", "x": rounded(x), "y": rounded(y), **shown, **options}


def line_style(style: LineStyle) -> dict[str, Any]:
    """Colour, dashes and a few markers of a method, as in print."""
    dash = "solid"
    if not isinstance(style.dashes, str):
        dash = ",".join(f"{2.0 * length:g}px" for length in style.dashes[1])
    found: dict[str, Any] = {"mode": "lines", "line": {"color": style.color, "width": 2, "dash": dash}}
    if style.marker:
        marker = {"symbol": SYMBOLS[style.marker], "size": 7, "color": style.color, "maxdisplayed": 6}
        found |= {"mode": "lines+markers", "marker": marker}
    return found


def flat(layout: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"xaxis.title.text": ...}``: changes that leave the rest of an axis as it is."""
    found: dict[str, Any] = {}
    for key, value in layout.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def switched(
    title: str, caption: str, views: Sequence[tuple[str, list[dict[str, Any]], Mapping[str, Any]]]
) -> Figure:
    """A figure with several views (label, traces, layout), the first one shown, and a button for each."""
    traces = [
        trace if shown == 0 else {**trace, "visible": False}
        for shown, (_, block, _) in enumerate(views)
        for trace in block
    ]
    owners = [number for number, (_, block, _) in enumerate(views) for _ in block]
    buttons = [
        {
            "label": label,
            "method": "update",
            "args": [{"visible": [k == number for k in owners]}, flat(layout)],
        }
        for number, (label, _, layout) in enumerate(views)
    ]
    menu = {"type": "buttons", "direction": "right", "name": "Show", "active": 0, "buttons": buttons}
    layout = {**views[0][2], "title": {"text": title}, "meta": {"caption": caption}}
    if len(views) > 1:
        layout["updatemenus"] = [menu]
    return {"data": traces, "layout": layout}


def thinned(points: Any, most: int = 200) -> Any:
    """At most so many of the rows, evenly, first and last included."""
    if len(points) <= most:
        return points
    return points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))]


def rounded(values: FloatArray) -> list[float | None]:
    """Four digits of each number; None, which plotly leaves out, for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
