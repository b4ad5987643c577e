"""Pieces of plotly figures, as plain dictionaries: ``{"data": [...], "layout": {...}}``.

A figure of these is complete for any reader of plotly's JSON. The report takes the title and
``layout.meta.caption`` into the text around the figure, and turns ``layout.updatemenus`` into buttons that a
keyboard reaches. Numbers keep four digits, since a page has many of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.plotting import LineStyle, band

Figure = dict[str, Any]

__all__ = ["Figure", "band_traces", "flat", "line_style", "menu", "rounded", "switched", "thinned"]

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
    """A shaded interval and the mean line over it, in the style of a method.

    Parameters
    ----------
    x : ndarray of shape (m,)
    values : ndarray of shape (k, m)
        One row a run; columns with NaN are left out.
    label : str
    style : LineStyle
    log : bool
        Average logarithms.

    Returns
    -------
    list of dict
        Two traces.
    """
    kept = np.isfinite(values).all(axis=0)
    x, found = x[kept], band(values[:, kept], log=log)
    shade = {
        "type": "scatter",
        "x": rounded(np.concatenate([x, x[::-1]])),
        "y": rounded(np.concatenate([found.high, found.low[::-1]])),
        "fill": "toself",
        "fillcolor": style.color,
        "opacity": 0.16,
        "mode": "lines",
        "line": {"width": 0},
        "hoverinfo": "skip",
        "legendgroup": label,
        "showlegend": False,
    }
    line = {
        "type": "scatter",
        "x": rounded(x),
        "y": rounded(found.mean),
        "name": label,
        "legendgroup": label,
        "showlegend": True,
        "hovertemplate": f"{label}: %{{y:.3g}} at %{{x}}<extra></extra>",
        **line_style(style),
    }
    return [shade, line]


def line_style(style: LineStyle) -> dict[str, Any]:
    """Colour, dashes and a few markers of a method, as in print.

    Parameters
    ----------
    style : LineStyle
    """
    dash = "solid"
    if not isinstance(style.dashes, str):
        dash = ",".join(f"{2.0 * length:g}px" for length in style.dashes[1])
    found: dict[str, Any] = {"mode": "lines", "line": {"color": style.color, "width": 2, "dash": dash}}
    if style.marker:
        marker = {"symbol": SYMBOLS[style.marker], "size": 7, "color": style.color, "maxdisplayed": 6}
        found |= {"mode": "lines+markers", "marker": marker}
    return found


def menu(name: str, buttons: Sequence[tuple[str, Mapping[str, Any], Mapping[str, Any]]]) -> dict[str, Any]:
    """A plotly menu.

    Parameters
    ----------
    name : str
    buttons : sequence of (label, changes of the traces, changes of the layout)
    """
    entries = [
        {"label": label, "method": "update", "args": [dict(traces), dict(layout)]}
        for label, traces, layout in buttons
    ]
    return {"type": "buttons", "direction": "right", "name": name, "active": 0, "buttons": entries}


def flat(layout: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"xaxis.title.text": ...}``: changes that leave the rest of an axis as it is.

    Parameters
    ----------
    layout : dict
    prefix : str
        Put before every name.
    """
    found: dict[str, Any] = {}
    for key, value in layout.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def switched(
    title: str, caption: str, views: Sequence[tuple[str, list[dict[str, Any]], Mapping[str, Any]]]
) -> Figure:
    """A figure with several views, the first one shown, and a button for each.

    Parameters
    ----------
    title, caption : str
    views : sequence of (label, traces, layout)
    """
    traces = [
        trace if shown == 0 else {**trace, "visible": False}
        for shown, (_, block, _) in enumerate(views)
        for trace in block
    ]
    owners = [number for number, (_, block, _) in enumerate(views) for _ in block]
    buttons = [
        (label, {"visible": [owner == number for owner in owners]}, flat(layout))
        for number, (label, _, layout) in enumerate(views)
    ]
    layout = {**views[0][2], "title": {"text": title}, "meta": {"caption": caption}}
    if len(views) > 1:
        layout["updatemenus"] = [menu("Show", buttons)]
    return {"data": traces, "layout": layout}


def thinned(points: FloatArray, most: int = 200) -> FloatArray:
    """At most so many of the rows, evenly, first and last included."""
    if len(points) <= most:
        return points
    return np.asarray(points[np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))])


def rounded(values: FloatArray) -> list[float | None]:
    """Four digits of each number; None, which plotly leaves out, for what is not finite."""
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.tolist()]
