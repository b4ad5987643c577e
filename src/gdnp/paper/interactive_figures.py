"""Interactive figures of the experiments that have no ``interactive(settings, results)`` of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure1.summary import LABELS, WORLD_LABELS
from gdnp.paper.figure2.race import RACERS
from gdnp.paper.figure2.summary import Panel, panels
from gdnp.paper.report.interactive import Figure, band_traces, line_style, rounded, switched, thinned
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.table1 import summary as table1_summary
from gdnp.paper.table1.drawing import NONCONVEX
from gdnp.plotting import STYLES, on_grid

__all__ = ["INTERACTIVE", "figure1", "figure2", "table1"]

POINTS = 150
FLOORS = {"suboptimality": 1e-13, "gradient norm": 1e-9}
LEVELS = 13
GRID = 61
GD, SEQ, LINE, INK = "#000000", "#0072b2", "#cc3311", "#333333"
SHADES = [[0.0, "#b9c3cc"], [1.0, "#ffffff"]]


# --- Figure 1


def figure1(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each loss: level sets and paths, on the population or on the sample.

    Parameters
    ----------
    settings, results : dict

    Returns
    -------
    list of dict
    """
    return [_plane(settings, results, loss) for loss in settings["losses"]]


def _plane(settings: Settings, results: Results, loss: str) -> Figure:
    views = []
    for world in settings["worlds"]:
        paths = results[f"{world}/paths"]
        ground = _level_sets(results[f"{world}/levels/{loss}"])
        layout = _plane_axes(settings, paths)
        views.append((WORLD_LABELS[world], [ground, *_paths(paths, paths["losses"][loss])], layout))
    return switched(LABELS[loss].capitalize(), _plane_caption(settings, results, loss), views)


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
    low, high, optimal = (np.array(paths[name]) for name in ("low", "high", "optimal"))
    reach = 2.0 * float(np.abs([low, high]).max()) / np.linalg.norm(optimal)
    turn = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = np.array([np.cos(turn), np.sin(turn)])
    ellipse = paths["g0"] * np.linalg.solve(np.linalg.cholesky(np.array(paths["S"])).T, circle)
    descent, arc, ray = (np.array(entry[name]) for name in ("gd", "arc", "ray"))
    decoupled = np.concatenate([arc, np.linspace(ray[0], ray[-1], 20)])
    ends = [
        path[-1]
        for path, reached in ((descent, entry["gd_stationary"]), (ray, entry["ray_stationary"]))
        if reached
    ]
    traces = [
        _stroke("line of S⁻¹u", np.outer([-reach, reach], optimal), LINE, dash="2px,3px", width=2),
        _stroke("‖w̃‖ in S as at the start", ellipse.T, INK, dash="5px,4px", width=1),
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
    x, y = thinned(points).T
    return {
        "type": "scatter",
        "x": rounded(x),
        "y": rounded(y),
        "mode": "lines",
        "line": {"color": color, "width": width, "dash": dash},
        "name": label,
        "legendgroup": label,
        "showlegend": True,
        "hovertemplate": f"{label}: (%{{x:.3g}}, %{{y:.3g}})<extra></extra>",
    }


def _arrows(points: FloatArray, color: str, shares: tuple[float, ...]) -> dict[str, Any]:
    """Arrowheads along a path: each is the second of two points, and turned away from the first."""
    x: list[float | None] = []
    y: list[float | None] = []
    for share in shares:
        k = max(1, min(int(share * len(points)), len(points) - 1))
        x += [*rounded(points[k - 1 : k + 1, 0]), None]
        y += [*rounded(points[k - 1 : k + 1, 1]), None]
    size = [0, 12, 0] * len(shares)
    marker: dict[str, Any] = {"symbol": "arrow", "angleref": "previous", "size": size, "color": color}
    marker["line"] = {"width": 0}
    return {
        "type": "scatter",
        "x": x,
        "y": y,
        "mode": "markers",
        "marker": marker,
        "hoverinfo": "skip",
        "showlegend": False,
    }


def _marks(label: str, points: list[Any], symbol: str, color: str, size: float) -> dict[str, Any]:
    x, y = np.array(points, dtype=np.float64).T
    return {
        "type": "scatter",
        "x": rounded(x),
        "y": rounded(y),
        "mode": "markers",
        "marker": {"symbol": symbol, "size": size, "color": color, "line": {"width": 2, "color": color}},
        "name": label,
        "showlegend": True,
        "hovertemplate": f"{label}: (%{{x:.3g}}, %{{y:.3g}})<extra></extra>",
    }


def _plane_axes(settings: Settings, paths: Mapping[str, Any]) -> dict[str, Any]:
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


def _plane_caption(settings: Settings, results: Results, loss: str) -> str:
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


# --- Figure 2


@dataclass(frozen=True)
class View:
    """One of the ways to look at a panel.

    Attributes
    ----------
    label, abscissa, ordinate : str
        Of the button and of the axes.
    values : callable
        Method -> ndarray of shape (starts, max_iter + 1).
    passes : bool
        Against passes over the data rather than iterations.
    floor : float or None
        Where the logarithmic axis is cut; None for a linear one.
    """

    label: str
    abscissa: str
    ordinate: str
    values: Callable[[str], FloatArray]
    passes: bool
    floor: float | None


def figure2(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each panel: means with their 90 % intervals, against iterations or passes.

    Parameters
    ----------
    settings, results : dict

    Returns
    -------
    list of dict
    """
    return [_race(settings, panel) for panel in panels(settings, results)]


def _race(settings: Settings, panel: Panel) -> Figure:
    views = []
    for view in _views(panel):
        traces = [
            trace
            for method in settings["methods"]
            for trace in band_traces(
                *_curve(settings, panel, view, method),
                RACERS[method].label,
                STYLES[method],
                log=view.floor is not None,
            )
        ]
        views.append((view.label, traces, _race_axes(settings, view, traces)))
    return switched(panel.label, _race_caption(settings, panel), views)


def _views(panel: Panel) -> Iterator[View]:
    convex = panel.reference is not None
    separable = panel.reference is not None and panel.reference["separable"]
    measured = (
        "objective f (separable)" if separable else "suboptimality f - f*" if convex else "gradient norm ‖∇f‖"
    )
    floor = FLOORS["suboptimality" if convex else "gradient norm"]
    what = "" if convex else "gradient norm, "
    iterations, passes = "iterations", "passes over the data"
    yield View(f"{what}iterations", iterations, measured, panel.measure, False, floor)
    yield View(f"{what}passes", passes, measured, panel.measure, True, floor)
    if not convex:
        for name, label in (("objective", "objective f"), ("zero_one", "0-1 error")):
            curves = {method: entry[name] for method, entry in panel.curves.items()}
            yield View(label, iterations, label, curves.__getitem__, False, None)


def _curve(settings: Settings, panel: Panel, view: View, method: str) -> tuple[FloatArray, FloatArray]:
    """Abscissae, and one row of values a run."""
    budget, values = settings["max_iter"], view.values(method)
    if view.passes:
        x = np.linspace(0.0, budget, POINTS + 1)
        spent = panel.curves[method]["passes"]
        values = np.stack([on_grid(a, b, x) for a, b in zip(spent, values, strict=True)])
    else:
        x = np.unique(np.round(np.concatenate([np.arange(12), np.linspace(0, budget, POINTS)])))
        x = x[x <= budget]
        values = values[:, x.astype(int)]
    if view.floor is not None:
        values = np.maximum(values, 0.1 * view.floor)
    return x, values


def _race_axes(settings: Settings, view: View, traces: list[dict[str, Any]]) -> dict[str, Any]:
    """Titles, scales and ranges."""
    # Within a small budget of passes a method that forms a Gram matrix may not have begun.
    lines = [np.array(trace["y"]) for trace in traces if trace["showlegend"] and trace["y"]]
    if view.floor is not None:
        low = max(view.floor, min(float(line.min()) for line in lines))
        start = max(float(line[0]) for line in lines)
        span = [float(np.floor(np.log10(low))), float(np.log10(3.0 * max(start, 10.0 * low)))]
    else:
        early = max(1, len(lines[0]) // 15)
        low = min(float(line.min()) for line in lines)
        high = max(float(line[min(early, len(line) - 1)]) for line in lines)
        margin = 0.06 * max(high - low, 1e-3)
        span = [low - margin, high + margin]
    return {
        "xaxis": {"title": {"text": view.abscissa}, "range": [0, settings["max_iter"]]},
        "yaxis": {
            "title": {"text": view.ordinate},
            "type": "linear" if view.floor is None else "log",
            "range": [float(f"{value:.4g}") for value in span],
            "exponentformat": "power",
            "dtick": None if view.floor is None else max(1, round((span[1] - span[0]) / 6)),
        },
    }


def _race_caption(settings: Settings, panel: Panel) -> str:
    facts = panel.facts
    scaled = ", columns scaled to unit variance" if panel.spec["scaled"] else ""
    kappa = facts["kappa_on_range"]
    condition = "" if kappa is None else f", κ = {kappa:.3g}"
    return (
        f"{facts['n']:,} rows x {facts['d']} columns{scaled}, rank {facts['rank']}{condition}. Mean of "
        f"{settings['starts']} random starts; shaded: 90 % confidence interval of the mean."
    )


# --- Table 1


def table1(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each world and loss: what it takes to reach ε.

    Parameters
    ----------
    settings, results : dict

    Returns
    -------
    list of dict
    """
    summary = table1_summary.summarise("", settings, results)
    return [_rates(settings, panel) for panel in summary["panels"]]


def _rates(settings: Settings, panel: Mapping[str, Any]) -> Figure:
    views = []
    for label, column, scale in (
        ("iterations", "iterations", "log"),
        ("iterations, linear axis", "iterations", "linear"),
        ("passes", "passes", "log"),
        ("seconds", "seconds", "log"),
    ):
        traces = [_rate(name, entry, column) for name, entry in panel["methods"].items()]
        if any(value for trace in traces for value in trace["y"]):
            views.append((label, traces, _rate_axes(panel, column, scale)))
    caption = (
        f"First time at ‖∇f‖ <= ε, geometric mean of {settings['starts']} starts. With both axes logarithmic "
        "a power law is straight; on a linear axis linear convergence is."
    )
    return switched(str(panel["label"]), caption, views)


def _rate(name: str, entry: Mapping[str, Any], column: str) -> dict[str, Any]:
    style = line_style(STYLES.get(name, NONCONVEX))
    reached = [(eps, y) for eps, y in zip(entry["epsilons"], entry[column], strict=True) if y is not None]
    x, y = np.array(reached, dtype=np.float64).reshape(-1, 2).T
    return {
        "type": "scatter",
        "x": rounded(x),
        "y": rounded(y),
        "name": entry["label"],
        "showlegend": True,
        "hovertemplate": f"{entry['label']}: %{{y:.4g}} {column} to ε = %{{x:.1e}}<extra></extra>",
        **style,
    }


def _rate_axes(panel: Mapping[str, Any], column: str, scale: str) -> dict[str, Any]:
    """ε falls to the right; a linear axis shows the methods up to five times the quickest."""
    smallest = min(min(entry["epsilons"]) for entry in panel["methods"].values())
    largest = max(max(entry["epsilons"]) for entry in panel["methods"].values())
    x = {
        "title": {"text": "ε"},
        "type": "log",
        "range": [float(np.log10(largest)) + 0.1, float(np.log10(smallest)) - 0.1],
        "exponentformat": "power",
        "dtick": 2,
    }
    most = [
        max((y for y in entry[column] if y is not None), default=0.0) for entry in panel["methods"].values()
    ]
    y: dict[str, Any] = {"title": {"text": column}, "type": scale, "exponentformat": "power"}
    if scale == "linear":
        quickest = min((value for value in most if value > 0.0), default=1.0)
        top = max(value for value in most if value <= 5.0 * quickest)
        return {"xaxis": x, "yaxis": {**y, "range": [0.0, 1.05 * top], "autorange": False, "dtick": None}}
    known = [v for entry in panel["methods"].values() for v in entry[column] if v is not None and v > 0.0]
    low, high = float(np.log10(min(known, default=1.0))), float(np.log10(max(known, default=10.0)))
    return {"xaxis": x, "yaxis": {**y, "range": [low - 0.15, high + 0.15], "autorange": False, "dtick": 1}}


INTERACTIVE: dict[str, Callable[[Settings, Results], list[Figure]]] = {
    "figure1": figure1,
    "figure2": figure2,
    "table1": table1,
}
"""For experiments that have no ``interactive(settings, results)`` of their own."""
