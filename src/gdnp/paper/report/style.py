"""How the figures of the report look, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["Figure", "styled"]

Figure = dict[str, Any]
AXIS = {
    "gridcolor": "#dfe2e8",
    "linecolor": "#c3c8d1",
    "zerolinecolor": "#c3c8d1",
    "tickcolor": "#c3c8d1",
    "showline": True,
    "ticks": "outside",
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 13}},
    "tickfont": {"size": 12},
    "ticklabeloverflow": "allow",
}
LAYOUT: Figure = {
    "autosize": True,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {
        "family": "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif",
        "size": 13,
        "color": "#565d6a",
    },
    "margin": {"l": 8, "r": 20, "t": 8, "b": 8},
    "xaxis": AXIS,
    "yaxis": AXIS,
    "legend": {
        "orientation": "h",
        "xref": "container",
        "x": 0,
        "xanchor": "left",
        "yref": "container",
        "y": 0,
        "yanchor": "bottom",
        "font": {"color": "#16181d"},
    },
    "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#c3c8d1", "font": {"color": "#16181d"}},
    "hovermode": "closest",
}
"""Defaults, in colours that the page knows the dark counterparts of."""


def styled(figure: Figure) -> Figure:
    """The figure with the page's defaults, and without the title, which is in the text."""
    layout = {
        key: value for key, value in figure.get("layout", {}).items() if key not in ("title", "template")
    }
    axes = {key: _over(AXIS, value) for key, value in layout.items() if key[:5] in ("xaxis", "yaxis")}
    return {"data": figure.get("data", []), "layout": {**_over(LAYOUT, layout), **axes}}


def _over(defaults: Any, given: Any) -> Any:
    """`given`, with what it leaves open taken from `defaults`."""
    if not isinstance(defaults, Mapping) or not isinstance(given, Mapping):
        return given
    return {**defaults, **{key: _over(defaults.get(key), value) for key, value in given.items()}}
