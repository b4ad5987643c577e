"""Interactive drawings of Figure 1 for the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.interactive import Figure, rounded, scatter, switched, thinned
from gdnp.paper.figure1.drawing import GD, INK, LEVELS, LINE, SEQ, ellipse, optimal_line
from gdnp.paper.figure1.summary import LABELS
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.runner.problems import WORLD_LABELS

__all__ = ["interactive"]

GRID = 61
SHADES = [[0.0, "#b9c3cc"], [1.0, "#ffffff"]]


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each loss: level sets and paths, on the population or on the sample."""
    return [_plane(settings, results, loss) for loss in settings["losses"]]


def _plane(settings: Settings, results: Results, loss: str) -> Figure:
    views = []
    for world in settings["worlds"]:
        paths = results[f"{world}/paths"]
        ground = _level_sets(results[f"{world}/levels/{loss}"])
        layout = _axes(settings, paths)
        views.append((WORLD_LABELS[world], [ground, *_paths(paths, paths["losses"][loss])], layout))
    return switched(LABELS[loss].capitalize(), _caption(settings, results, loss), views)


def _level_sets(levels: Mapping[str, Any]) -> dict[str, Any]:
    """Contours at equal shares of the frame, like in print: the share takes the place of f."""
    a, b, values = (np.array(levels[name]) for name in ("a", "b", "values"))
    step = max(1, -(-len(a) // GRID))
    values = values[::step, ::step]
    share = np.searchsorted(np.sort(values.ravel()), values) / values.size
    return {
        "type": "contour",
        "x": rounded(a[::step]),
        "y": rounded(b[::step]),
        "z": [[round(float(value), 3) for value in row] for row in share ** (1.0 / 1.5)],
        "contours": {"start": 1.0 / LEVELS, "end": 1.0, "size": 1.0 / LEVELS},
        "colorscale": SHADES,
        "line": {"color": "#8d99a3", "width": 0.6, "smoothing": 1.0},
        "showscale": False,
        "hoverinfo": "skip",
    }


def _paths(paths: Mapping[str, Any], entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The line of S⁻¹u, the ellipse of the first length, both methods' paths, their start and ends."""
    descent, arc, ray = (np.array(entry[name]) for name in ("gd", "arc", "ray"))
    decoupled = np.concatenate([arc, np.linspace(ray[0], ray[-1], 20)])
    ends = [
        path[-1]
        for path, reached in ((descent, entry["gd_stationary"]), (ray, entry["ray_stationary"]))
        if reached
    ]
    traces = [
        _stroke("line of S⁻¹u", optimal_line(paths), LINE, dash="2px,3px", width=2),
        _stroke("‖w̃‖ in S as at the start", ellipse(paths, 121), INK, dash="5px,4px", width=1),
        _stroke("GD", descent, GD),
        _stroke("GDNP_seq: direction, then length", decoupled, SEQ),
        _arrows(descent, GD, (0.3, 0.62)),
        _arrows(arc, SEQ, (0.3, 0.7)),
        _marks("start", [paths["start"]], "circle-open", INK, 10),
    ]
    return [*traces, _marks("minimum", ends, "star", INK, 13)] if ends else traces


def _stroke(
    label: str, points: FloatArray, color: str, *, dash: str = "solid", width: float = 2.5
) -> dict[str, Any]:
    line = {"color": color, "width": width, "dash": dash}
    x, y = thinned(points).T
    return scatter(x, y, label, _place(label), mode="lines", line=line, legendgroup=label)


def _arrows(points: FloatArray, color: str, shares: tuple[float, ...]) -> dict[str, Any]:
    """Arrowheads along a path: each is the second of two points, and turned away from the first."""
    gap = np.full((1, 2), np.nan)
    pieces = []
    for share in shares:
        k = max(1, min(int(share * len(points)), len(points) - 1))
        pieces += [points[k - 1 : k + 1], gap]
    size = [0, 12, 0] * len(shares)
    marker: dict[str, Any] = {"symbol": "arrow", "angleref": "previous", "size": size, "color": color}
    marker["line"] = {"width": 0}
    return scatter(*np.concatenate(pieces).T, mode="markers", marker=marker)


def _marks(label: str, points: list[Any], symbol: str, color: str, size: float) -> dict[str, Any]:
    marker = {"symbol": symbol, "size": size, "color": color, "line": {"width": 2, "color": color}}
    x, y = np.array(points, dtype=np.float64).T
    return scatter(x, y, label, _place(label), mode="markers", marker=marker)


def _place(label: str) -> str:
    """What the mouse is told of a point."""
    return f"{label}: (%{{x:.3g}}, %{{y:.3g}})"


def _axes(settings: Settings, paths: Mapping[str, Any]) -> dict[str, Any]:
    names = settings["data"].get("axes") or ("w̃₁", "w̃₂")
    ranges = [rounded(np.array([paths["low"][k], paths["high"][k]])) for k in (0, 1)]
    # A fixed margin: with equal scales an automatic one changes the frame, and the frame it, without end.
    common = {"constrain": "domain", "showgrid": False}
    return {
        "xaxis": {"title": {"text": names[0]}, "range": ranges[0], **common},
        "yaxis": {
            "title": {"text": names[1]},
            "range": ranges[1],
            "scaleanchor": "x",
            "automargin": False,
            **common,
        },
        "margin": {"l": 56, "r": 12, "t": 8, "b": 8},
    }


def _caption(settings: Settings, results: Results, loss: str) -> str:
    exact = [world for world in settings["worlds"] if f"{world}/paths" in results]
    apart = "; ".join(
        f"{max(results[f'{world}/paths']['coincidence'].values()):.0e} ({WORLD_LABELS[world]})"
        for world in exact
    )
    entry = results[f"{exact[0]}/paths"]["losses"][loss]
    cut = "" if entry["ray_stationary"] else " The paths leave the frame, where they are cut."
    return (
        "Level sets, the stronger the shade the lower f. Over the three losses the curves of GDNP_seq on the "
        f"ellipse are at most this far apart: {apart}.{cut}"
    )
