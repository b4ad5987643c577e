"""Pieces of plotly figures, as plain dictionaries: ``{"data": [...], "layout": {...}}``.

A figure of these is complete for any reader of plotly's JSON. The report takes the title and
``layout.meta.caption`` into the text around the figure, and turns ``layout.updatemenus`` into buttons that a
keyboard reaches. Numbers keep four digits, since a page has many of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.plotting import LineStyle, band

Figure = dict[str, Any]

SYMBOLS = {
    "": "circle",
    "s": "square",
    "o": "circle",
    "^": "triangle-up",
    "v": "triangle-down",
    "D": "diamond",
    "X": "x",
    "P": "cross",
    "*": "star",
}


def band_traces(
    x: FloatArray, values: FloatArray, label: str, style: LineStyle, *, log: bool = True
) -> list[dict[str, Any]]:
    """A shaded interval and the mean line over it, two traces in the style of a method.

    `values` (k, m) at the abscissae `x` (m,) have a row for each run; columns with NaN are left out. With
    `log` the mean is that of logarithms.
    """
    kept = np.isfinite(values).all(axis=0)
    x, found = x[kept], band(values[:, kept], log=log)
    shade = scatter(
        np.concatenate([x, x[::-1]]),
        np.concatenate([found.high, found.low[::-1]]),
        fill="toself",
        fillcolor=style.color,
        opacity=0.16,
        mode="lines",
        line={"width": 0},
        legendgroup=label,
    )
    hover = f"{label}: %{{y:.3g}} at %{{x}}"
    return [shade, scatter(x, found.mean, label, hover, legendgroup=label, **line_style(style))]


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


def thinned(points: FloatArray, most: int = 200) -> FloatArray:
    """At most so many of the rows, evenly, first and last included."""
    if len(points) <= most:
        return points
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))])


def rounded(values: FloatArray) -> list[float | None]:
    """Four digits of each number; None, which plotly leaves out, for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
