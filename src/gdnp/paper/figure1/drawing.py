"""The drawings of Figure 1, from saved paths and level sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.paper.figure1.summary import LABELS
from gdnp.paper.runner.experiment import Results, Settings
from gdnp.paper.runner.problems import WORLD_LABELS
from gdnp.plotting import new_figure, save, titled

__all__ = ["draw", "ellipse", "optimal_line"]

WIDTH = 5.8
LEVELS = 13
SEQ_NAME = r"GDNP$_{\mathbf{seq}}$"
GD, SEQ, LINE, INK = "#000000", "#0072b2", "#cc3311", "#333333"
HALO = 3.4
"""Width of the white rim that lifts a path off the level sets."""
ARROWS = {"gd": (0.3, 0.62), "arc": (0.25, 0.55, 0.85), "ray": (0.55,)}


def draw(settings: Settings, results: Results, directory: Path) -> list[Path]:
    """Write ``figure1`` (population) and ``figure1-sample`` as PNG and PDF."""
    written = []
    for world in settings["worlds"]:
        path = directory / ("figure1" if world == "population" else f"figure1-{world}")
        written += _draw_world(settings, results, world, path)
    return written


def _draw_world(settings: Settings, results: Results, world: str, path: Path) -> list[Path]:
    paths = results[f"{world}/paths"]
    low, high = np.array(paths["low"]), np.array(paths["high"])
    losses = settings["losses"]
    panel = 0.5 * (WIDTH - 0.75) * float((high[1] - low[1]) / (high[0] - low[0]))
    height = len(losses) * (panel + 0.42) + 1.15
    with new_figure(len(losses), 2, width=WIDTH, height=height) as (figure, axes):
        for row, loss in zip(axes, losses, strict=True):
            entry = paths["losses"][loss]
            for axis in row:
                _ground(axis, results[f"{world}/levels/{loss}"], paths)
            _draw_gd(row[0], entry)
            _draw_seq(row[1], entry, paths)
            gd_note = "to the minimum" if entry["gd_stationary"] else "leaves the frame: cut"
            titled(row[0], f"{LABELS[loss]}: GD", gd_note)
            titled(row[1], f"{LABELS[loss]}: {SEQ_NAME}", _seq_note(entry))
            row[0].set_ylabel(_axis_label(settings, 1))
            row[1].tick_params(labelleft=False)
            for axis in row:
                _mark_start(axis, paths)
                axis.set_xlim(low[0], high[0])
                axis.set_ylim(low[1], high[1])
                axis.set_aspect("equal")
        for axis in axes[:-1].flat:
            axis.tick_params(labelbottom=False)
        for axis in axes[-1]:
            axis.set_xlabel(_axis_label(settings, 0))
        figure.legend(handles=_handles(), loc="outside lower center", ncols=3, handlelength=2.6)
        figure.suptitle(_headline(settings, world, paths), fontsize=9.5, x=0.01, ha="left")
        return save(figure, path)


def _ground(axis: Any, levels: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
    """Level sets at equal shares of the frame, low f dark, and the line of S⁻¹u."""
    from matplotlib.colors import LinearSegmentedColormap

    a, b, values = (np.array(levels[name]) for name in ("a", "b", "values"))
    edges = np.unique(np.quantile(values, np.linspace(0.0, 1.0, LEVELS) ** 1.5))
    shades = LinearSegmentedColormap.from_list("low f dark", ["#b9c3cc", "#ffffff"])
    axis.contourf(a, b, values, levels=edges, cmap=shades)
    axis.contour(a, b, values, levels=edges[1:-1], colors="#8d99a3", linewidths=0.5, linestyles="solid")
    axis.grid(False)
    axis.plot(*optimal_line(paths).T, color=LINE, linestyle=(0, (1, 1.6)), linewidth=1.5, zorder=2)
    for spine in axis.spines.values():
        spine.set_visible(True)


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


def _draw_gd(axis: Any, entry: Mapping[str, Any]) -> None:
    points = np.array(entry["gd"])
    _stroke(axis, points, GD, ARROWS["gd"])
    _mark_end(axis, points, GD, entry["gd_stationary"])


def _draw_seq(axis: Any, entry: Mapping[str, Any], paths: Mapping[str, Any]) -> None:
    """The ellipse of the first length, the arc on it, and the ray to the minimum."""
    axis.plot(*ellipse(paths, 361).T, color=INK, linestyle=(0, (4, 2.5)), linewidth=0.7, zorder=2)
    arc, ray = np.array(entry["arc"]), np.array(entry["ray"])
    _stroke(axis, arc, SEQ, ARROWS["arc"])
    axis.plot(*ray.T, color="white", linewidth=HALO, zorder=3)
    _stroke(axis, np.linspace(ray[0], ray[1], 51), SEQ, ARROWS["ray"])
    axis.plot(*arc[-1], marker="o", color=SEQ, markersize=4.5, markeredgecolor="white", zorder=6)
    _mark_end(axis, ray, SEQ, entry["ray_stationary"])


def _stroke(axis: Any, points: FloatArray, color: str, arrows: tuple[float, ...]) -> None:
    axis.plot(*points.T, color="white", linewidth=HALO, zorder=3, solid_capstyle="round")
    axis.plot(*points.T, color=color, linewidth=1.7, zorder=4, solid_capstyle="round")
    for share in arrows:
        k = min(int(share * len(points)), len(points) - 2)
        arrow = {"arrowstyle": "-|>,head_width=0.3,head_length=0.6", "color": color, "lw": 0.1}
        axis.annotate("", xy=points[k + 1], xytext=points[k], arrowprops=arrow, zorder=5)


def _mark_start(axis: Any, paths: Mapping[str, Any]) -> None:
    look = {"marker": "o", "color": "white", "markersize": 6, "markeredgecolor": INK, "markeredgewidth": 1.2}
    axis.plot(*paths["start"], **look, zorder=7)


def _mark_end(axis: Any, points: FloatArray, color: str, stationary: bool) -> None:
    """A star at a minimum; an arrow through the frame where the path goes on."""
    if stationary:
        look = {"marker": "*", "color": color, "markersize": 10, "markeredgecolor": "white"}
        axis.plot(*points[-1], **look, markeredgewidth=0.6, zorder=7)
        return
    before, end = points[-2], points[-1]
    step = (end - before) / np.linalg.norm(end - before)
    size = 0.05 * float(np.ptp(points, axis=0).max())
    arrow = axis.annotate(
        "",
        xy=end + size * step,
        xytext=end - size * step,
        arrowprops={"arrowstyle": "-|>,head_width=0.35,head_length=0.7", "color": color, "lw": 1.7},
        annotation_clip=False,
        zorder=8,
    )
    arrow.set_in_layout(False)


def _seq_note(entry: Mapping[str, Any]) -> str:
    best = entry["best_length"]
    if best is None:
        return "no best length: cut at the frame"
    where = "" if entry["ray_stationary"] else ", outside the frame: cut"
    return f"then to the best length, {best:.3g}{where}"


def _axis_label(settings: Settings, k: int) -> str:
    names = settings["data"].get("axes")
    symbol = rf"$\tilde w_{k + 1}$"
    return symbol if names is None else f"{symbol}  ({names[k]})"


def _headline(settings: Settings, world: str, paths: Mapping[str, Any]) -> str:
    spec = settings["data"]
    size = f", {spec['n']:,} rows" if world == "sample" else ""
    apart = max(paths["coincidence"].values())
    return (
        f"{spec['label']}, {WORLD_LABELS[world]}{size}.\n"
        "GDNP$_{seq}$'s curves on the ellipse "
        f"are at most {apart:.0e} apart. Darker is lower."
    )


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=GD, linewidth=1.7, label="GD"),
        Line2D([], [], color=SEQ, linewidth=1.7, label=r"GDNP$_{seq}$: direction, then length"),
        Line2D([], [], color=LINE, linestyle=(0, (1, 1.6)), linewidth=1.5, label=r"line of $S^{-1}u$"),
        Line2D([], [], color="white", marker="o", markeredgecolor=INK, markersize=6, label="start"),
        Line2D([], [], color=INK, marker="*", linestyle="", markersize=9, label="minimum"),
        Line2D([], [], color=INK, linestyle=(0, (4, 2.5)), linewidth=0.7, label=r"$\|\tilde w\|_S = g_0$"),
    ]
