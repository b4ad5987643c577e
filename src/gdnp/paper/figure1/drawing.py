"""The drawings of Figure 1 in print and for the report, from saved paths and level sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.runner.charts import Figure, line_style, rounded, scatter, switched, thinned
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.runner.problems import WORLD_LABELS
from gdnp.plotting import LineStyle, new_figure, save, titled

LABELS = {"squared_error": "least squares", "log_loss": "logistic", "sigmoid": "sigmoid"}
WIDTH = 5.8
LEVELS, LEVEL_LINES, SHADES = 13, "#8d99a3", ("#b9c3cc", "#ffffff")
GRID = 61
"""Points along each axis of the level sets in the report."""
INK = "#333333"
PLACE = "%{fullData.name}: (%{x:.3g}, %{y:.3g})"
"""What the mouse is told of a point."""
HALO = 3.4
"""Width of the white rim that lifts a path off the level sets."""


@dataclass(frozen=True)
class Stroke:
    """A curve in the plane through `points` (m, 2), called `label` in print and `words` in the report.

    `arrows` are the shares of a path where its arrowheads are; the auxiliary lines have none.
    """

    label: str
    words: str
    points: FloatArray
    style: LineStyle
    arrows: tuple[float, ...] = ()


def _strokes(paths: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Stroke]:
    """The line of S⁻¹u, the ellipse of the first length, GD's path, and GDNP_seq's two as one."""
    begin, end = np.array(entry["ray"])
    ray = np.linspace(begin, end, 51)
    both = np.concatenate([np.array(entry["arc"]), ray])
    share = len(entry["arc"]) / len(both)
    places = (0.25 * share, 0.55 * share, 0.85 * share, 0.45 * share + 0.55)
    dotted, dashed = (0.0, (1.0, 1.6)), (0.0, (4.0, 2.5))
    seq = r"GDNP$_{seq}$: direction, then length"
    ring = LineStyle(INK, dashed, width=0.7)
    return {
        "line": Stroke(
            r"line of $S^{-1}u$", "line of S⁻¹u", optimal_line(paths), LineStyle("#cc3311", dotted)
        ),
        "ring": Stroke(r"$\|\tilde w\|_S = g_0$", "‖w̃‖ in S as at the start", ellipse(paths, 361), ring),
        "gd": Stroke("GD", "GD", np.array(entry["gd"]), LineStyle("#000000", width=1.7), (0.3, 0.62)),
        "seq": Stroke(seq, "GDNP_seq: direction, then length", both, LineStyle("#0072b2", width=1.7), places),
    }


def optimal_line(paths: Mapping[str, Any]) -> FloatArray:
    """The ends (2, 2) of the line of S⁻¹u, both outside the frame."""
    direction = np.array(paths["optimal"])
    reach = 2.0 * float(np.abs([paths["low"], paths["high"]]).max()) / np.linalg.norm(direction)
    return np.outer([-reach, reach], direction)


def ellipse(paths: Mapping[str, Any], points: int) -> FloatArray:
    """Points (points, 2) around ‖w̃‖_S = g₀."""
    turn = np.linspace(0.0, 2.0 * np.pi, points)
    circle = np.array([np.cos(turn), np.sin(turn)])
    return np.asarray(paths["g0"] * np.linalg.solve(np.linalg.cholesky(np.array(paths["S"])).T, circle).T)


# --- in print


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``figure1`` (population) and ``figure1-sample`` as PNG and PDF."""
    written = []
    for world in settings["worlds"]:
        path = directory / ("figure1" if world == "population" else f"figure1-{world}")
        written += _draw_world(settings, results, world, path)
    return written


def _draw_world(settings: Settings, results: Results, world: str, path: Path) -> list[Path]:
    paths, losses = results[f"{world}/paths"], settings["losses"]
    low, high = np.array(paths["low"]), np.array(paths["high"])
    panel = 0.5 * (WIDTH - 0.75) * float((high[1] - low[1]) / (high[0] - low[0]))
    names = settings["data"].get("axes")
    words = [rf"$\tilde w_{k + 1}$" + (f"  ({names[k]})" if names else "") for k in (0, 1)]
    height = len(losses) * (panel + 0.42) + 1.15
    handles: dict[str, Any] = {}
    with new_figure(len(losses), 2, width=WIDTH, height=height) as (figure, axes):
        for row, loss in zip(axes, losses, strict=True):
            entry = paths["losses"][loss]
            strokes = _strokes(paths, entry)
            gd_note = "to the minimum" if entry["gd_stationary"] else "leaves the frame: cut"
            titled(row[0], f"{LABELS[loss]}: GD", gd_note)
            titled(row[1], f"{LABELS[loss]}: GDNP$_{{\\mathbf{{seq}}}}$", _seq_note(entry))
            for axis, shown, stationary in (
                (row[0], ("line", "gd"), entry["gd_stationary"]),
                (row[1], ("line", "ring", "seq"), entry["ray_stationary"]),
            ):
                _ground(axis, entry["levels"])
                handles |= {name: _stroke(axis, strokes[name]) for name in shown}
                _mark_end(axis, strokes[shown[-1]], stationary)
                handles["start"] = _mark(
                    axis,
                    paths["start"],
                    "o",
                    "white",
                    6,
                    markeredgecolor=INK,
                    markeredgewidth=1.2,
                    label="start",
                )
                axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            _mark(row[1], entry["arc"][-1], "o", strokes["seq"].style.color, 4.5, zorder=6)
            row[0].set_ylabel(words[1])
            row[1].tick_params(labelleft=False)
        for axis in axes[:-1].flat:
            axis.tick_params(labelbottom=False)
        for axis in axes[-1]:
            axis.set_xlabel(words[0])
        (star,) = axes[0, 0].plot([], [], "*", color=INK, markersize=9, label="minimum")
        order = [*(handles[name] for name in ("gd", "seq", "line", "start")), star, handles["ring"]]
        figure.legend(handles=order, loc="outside lower center", ncols=3, handlelength=2.6)
        figure.suptitle(_headline(settings, world, paths), fontsize=9.5, x=0.01, ha="left")
        return save(figure, path)


def _ground(axis: Any, levels: Mapping[str, Any]) -> None:
    """Level sets at equal shares of the frame, low f dark."""
    from matplotlib.colors import LinearSegmentedColormap

    a, b, values = (np.array(levels[name]) for name in ("a", "b", "values"))
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, LEVELS) ** 1.5))
    shades = LinearSegmentedColormap.from_list("low f dark", SHADES)
    axis.contourf(a, b, values, levels=edges, cmap=shades)
    axis.contour(a, b, values, levels=edges[1:-1], colors=LEVEL_LINES, linewidths=0.5, linestyles="solid")
    axis.grid(False)
    axis.spines[:].set_visible(True)


def _stroke(axis: Any, stroke: Stroke) -> Any:
    """A path has a rim, and arrowheads on the way."""
    path, points = bool(stroke.arrows), stroke.points
    if path:
        axis.plot(*points.T, color="white", linewidth=HALO, zorder=3, solid_capstyle="round")
    look = {"color": stroke.style.color, "linestyle": stroke.style.dashes, "linewidth": stroke.style.width}
    (line,) = axis.plot(
        *points.T, **look, label=stroke.label, zorder=4 if path else 2, solid_capstyle="round"
    )
    for share in stroke.arrows:
        k = min(int(share * len(points)), len(points) - 2)
        _arrow(axis, points[k], points[k + 1], stroke.style.color, 0.3, 0.1)
    return line


def _arrow(axis: Any, tail: FloatArray, tip: FloatArray, color: str, size: float, width: float) -> Any:
    look = {"arrowstyle": f"-|>,head_width={size},head_length={2.0 * size}", "color": color, "lw": width}
    return axis.annotate("", xy=tip, xytext=tail, arrowprops=look, annotation_clip=False, zorder=8)


def _mark(axis: Any, point: FloatArray, marker: str, color: str, size: float, **look: Any) -> Any:
    look = {"markeredgecolor": "white", "zorder": 7, "linestyle": "", **look}
    return axis.plot(*point, marker, color=color, markersize=size, **look)[0]


def _mark_end(axis: Any, stroke: Stroke, stationary: bool) -> None:
    """A star at a minimum; an arrow through the frame where the path goes on."""
    before, end = stroke.points[-2], stroke.points[-1]
    if stationary:
        _mark(axis, end, "*", stroke.style.color, 10, markeredgewidth=0.6)
        return
    step = (end - before) / np.linalg.norm(end - before)
    step *= 0.05 * float(np.ptp(stroke.points, axis=0).max())
    _arrow(axis, end - step, end + step, stroke.style.color, 0.35, 1.7).set_in_layout(False)


def _seq_note(entry: Mapping[str, Any]) -> str:
    best = entry["best_length"]
    if best is None:
        return "no best length: cut at the frame"
    where = "" if entry["ray_stationary"] else ", outside the frame: cut"
    return f"then to the best length, {best:.3g}{where}"


def _headline(settings: Settings, world: str, paths: Mapping[str, Any]) -> str:
    spec = settings["data"]
    size = f", {spec['n']:,} rows" if world == "sample" else ""
    apart = max(paths["coincidence"].values())
    return (
        f"{spec['label']}, {WORLD_LABELS[world]}{size}.\n"
        f"GDNP$_{{seq}}$'s curves on the ellipse are at most {apart:.0e} apart. Darker is lower."
    )


# --- in the report


def interactive(settings: Settings, results: Results) -> list[Figure]:
    """A figure for each loss: level sets and paths, on the population or on the sample."""
    worlds = {label: results[f"{world}/paths"] for world, label in WORLD_LABELS.items()}
    apart = "; ".join(
        f"{max(found['coincidence'].values()):.0e} ({label})" for label, found in worlds.items()
    )
    caption = (
        "Level sets, the stronger the shade the lower f. Over the three losses the curves of GDNP_seq on the "
        f"ellipse are at most this far apart: {apart}. A path that leaves the frame is cut there."
    )
    figures = []
    for loss in settings["losses"]:
        views = [
            (label, _traces(paths, paths["losses"][loss]), _axes(settings, paths))
            for label, paths in worlds.items()
        ]
        figures.append(switched(LABELS[loss].capitalize(), caption, views))
    return figures


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
        "z": [rounded(row) for row in share ** (1.0 / 1.5)],
        "contours": {"start": 1.0 / LEVELS, "end": 1.0, "size": 1.0 / LEVELS},
        "colorscale": list(zip((0.0, 1.0), SHADES, strict=True)),
        "line": {"color": LEVEL_LINES, "width": 0.6, "smoothing": 1.0},
        "showscale": False,
        "hoverinfo": "skip",
    }


def _traces(paths: Mapping[str, Any], entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The level sets, the curves, their start, and the minima that they reach."""
    traces = [_level_sets(entry["levels"])]
    for stroke in _strokes(paths, entry).values():
        (x, y), words = thinned(stroke.points).T, stroke.words
        traces.append(scatter(x, y, words, PLACE, legendgroup=words, **line_style(stroke.style)))
    ends = [entry[name][-1] for name in ("gd", "ray") if entry[f"{name}_stationary"]]
    marked = [("start", [paths["start"]], "circle-open", 10), ("minimum", ends, "star", 13)]
    for label, points, symbol, size in marked:
        marker = {"symbol": symbol, "size": size, "color": INK, "line": {"width": 2, "color": INK}}
        if points:
            x, y = np.array(points).T
            traces.append(scatter(x, y, label, PLACE, mode="markers", marker=marker))
    return traces


def _axes(settings: Settings, paths: Mapping[str, Any]) -> dict[str, Any]:
    names, axes = settings["data"].get("axes") or ("w̃₁", "w̃₂"), {}
    for k, key in enumerate(("xaxis", "yaxis")):
        ends = rounded(np.array([paths["low"][k], paths["high"][k]]))
        axes[key] = {"title": {"text": names[k]}, "range": ends, "constrain": "domain", "showgrid": False}
    # A fixed margin: with equal scales an automatic one changes the frame, and the frame it, without end.
    axes["yaxis"] |= {"scaleanchor": "x", "automargin": False}
    return {**axes, "margin": {"l": 56, "r": 12, "t": 8, "b": 8}}
