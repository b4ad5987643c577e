"""Figure 1: level sets, and the paths of GD and GDNP_seq, for three losses on the same data in the plane."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.datasets import Dataset
from gdnp.metric import Identity
from gdnp.paper.figure1 import drawing, summary
from gdnp.paper.figure1.flows import direction_flow, gradient_flow, hausdorff, length_flow
from gdnp.paper.runner import problems
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Settings
from gdnp.problem import Objective as Empirical
from gdnp.problem.interface import Objective
from gdnp.solvers.lengths import Bisection
from gdnp.solvers.state import Length
from gdnp.store import Part
from gdnp.tables import column_of

LOSSES = ("squared_error", "log_loss", "sigmoid")
DESIGN = {"d": 2, "kappa": 6.0, "r": 0.5}
HIGHER = {"d": 5, "kappa": 10.0, "r": 0.5}
"""Where a curve on the ellipsoid could go anywhere: in the plane there are but two ways to go."""
START_ANGLE = 115.0
"""Degrees in S between the start and -S⁻¹u."""
MARGIN = 0.05
FLATTEST = 0.75
"""Least height of the frame for its width; it is never taller than wide."""
LEAST_SIGNAL = 1e-6


QUICK = {"rows": 2000, "grid": 81}
"""n of the sample, and points of the level sets along each axis."""
FULL = {**QUICK, "grid": 241}


class Figure1(Experiment):
    """GD and GDNP_seq as gradient flows from one start, exactly on the population and on a finite sample.

    For data of the user's own the population is the Gaussian with the same u and S.
    """

    name, title = "figure1", summary.TITLE
    quick, full = QUICK, FULL
    summarise = staticmethod(summary.summarise)
    tables = staticmethod(summary.tables)
    draw = staticmethod(drawing.draw)
    interactive = staticmethod(drawing.interactive)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; a file is read once, so that what cannot be used is refused here."""
        folder, size, settings = self.begun(options)
        if len(options.data) > 1:
            raise OptionError(f"Figure 1 shows one data set. Got {len(options.data)}: name one with --data.")
        source = options.data[0] if options.data else "gaussian"
        data = _described(source, options.columns, size["rows"], options.seed)
        settings |= {
            "data": data,
            "losses": list(LOSSES),
            "worlds": list(problems.WORLD_LABELS),
            "grid": size["grid"],
            "start_angle": START_ANGLE,
            "higher": None if data["name"] != "gaussian" else {**data, **HIGHER},
        }
        suffix = "" if data["name"] == "gaussian" else f"-{Path(data['name']).stem}"
        return f"{folder}{suffix}", settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """Paths and level sets for each world, and the check in a higher dimension."""
        spec = settings["data"]
        source = options.data[0] if options.data else spec["name"]
        keys = ("losses", "grid", "start_angle")
        parts = []
        for world in settings["worlds"]:
            config = {"world": world, **{key: settings[key] for key in keys}}
            cost = 2.0 + 3.0 * (settings["grid"] / 80.0) ** 2
            parts.append(Part(f"{world}/paths", partial(_paths, source), {"data": spec, **config}, cost=cost))
            if settings["higher"] is not None:
                config["data"] = settings["higher"]
                parts.append(Part(f"{world}/higher", partial(_higher, source), config, cost=4.0))
        return parts


# --- data


def _described(source: str, columns: tuple[str, ...], rows: int, seed: int) -> dict[str, Any]:
    """The data as settings; two columns of a file are centred and scaled to unit variance."""
    if source == "gaussian":
        if columns:
            raise OptionError("--columns chooses columns of --data FILE. Got it for the Gaussian design.")
        return {"name": "gaussian", "label": "Gaussian design", "n": rows, "seed": seed, **DESIGN}
    chosen, names = _columns(problems.read(source), columns)
    spec: dict[str, Any] = {**problems.identified(source), "columns": chosen, "scaled": True}
    spec.update(
        n=len(problems.prepared_rows(spec, source)[0]),
        d=2,
        label=f"{spec['name']}: {names[0]}, {names[1]}",
        axes=list(names),
    )
    u, S = _moments(spec, source)
    condition = np.linalg.cond(S)
    r = float(u @ np.linalg.solve(S, u)) if condition < 1e10 else 1.0
    if not LEAST_SIGNAL < r < 1.0 - LEAST_SIGNAL:
        raise ValueError(
            f"The two columns of {spec['label']} should vary, differ and tell something, but not everything, "
            f"about the labels (0 < uᵀS⁻¹u < 1). Got uᵀS⁻¹u = {r:.3g}, condition {condition:.1e}."
        )
    return spec


def _columns(data: Dataset, columns: tuple[str, ...]) -> tuple[list[int], tuple[str, str]]:
    """Which two columns are meant, by name or by number from 1, and what they are called."""
    d = data.X.shape[1]
    names = data.feature_names or tuple(f"column {k + 1}" for k in range(d))
    if d < 2:
        raise ValueError(f"{data.name} should have at least two columns beside the labels. Got {d}.")
    if not columns:
        columns = ("1", "2")
    if len(columns) != 2 or columns[0] == columns[1]:
        raise OptionError(f"--columns should name two different columns. Got {', '.join(columns)}.")
    try:
        first, second = (column_of(names, column, "--columns", data.name) for column in columns)
    except ValueError as error:
        raise OptionError(str(error)) from error
    return [names.index(first), names.index(second)], (first, second)


def _moments(spec: Mapping[str, Any], source: str) -> tuple[FloatArray, FloatArray]:
    """u and S of the population: of the design, or those that the data have."""
    if spec["name"] == "gaussian":
        return problems.gaussian_moments(spec)
    X, y = problems.prepared_rows(spec, source)
    return -(y[:, None] * X).mean(axis=0), X.T @ X / len(X)


def worlds_objective(spec: Mapping[str, Any], source: str, world: str, loss: str) -> Objective:
    """The objective of a world of ``WORLD_LABELS``, without ridge or intercept.

    `spec` is the ``data`` of the settings, `source` what its rows are read from.
    """
    if spec["name"] == "gaussian":
        return problems.gaussian_objective(spec, world, loss)
    if world == "population":
        return problems.population(*_moments(spec, source), loss)
    return Empirical(*problems.prepared_rows(spec, source), loss, n_jobs=1)


# --- what is drawn where


@dataclass(frozen=True)
class Geometry:
    """The start and the frame, the same for every loss and for both worlds.

    Attributes
    ----------
    start : ndarray of shape (d,)
        w̃₀, at an angle to -S⁻¹u in S, with a length between those of the least-squares and of the
        log-loss minimiser (geometric mean).
    low, high : ndarray of shape (d,)
        The frame: it holds the ellipsoid through the start and both minimisers.
    """

    start: FloatArray
    low: FloatArray
    high: FloatArray

    def inside(self, w: FloatArray) -> float:
        """Positive within the frame."""
        return float(min((w - self.low).min(), (self.high - w).min()))


def geometry(spec: Mapping[str, Any], source: str, angle: float) -> Geometry:
    """Where to start and what to show; `angle` in degrees is that between w̃₀ and -S⁻¹u in S."""
    u, S = _moments(spec, source)
    factor = np.linalg.cholesky(S)  # S = F Fᵀ: Fᵀw̃ has its Euclidean norm for its S-norm
    white = np.linalg.solve(factor, u)
    r = float(white @ white)
    down = -white / math.sqrt(r)
    across = np.roll(np.eye(len(u))[0], 1) if abs(down[0]) > abs(down[1]) else np.eye(len(u))[0]
    across = across - (across @ down) * down
    across /= np.linalg.norm(across)
    g0 = math.sqrt(2.0 * r / (1.0 - r))
    turn = math.radians(angle)
    start = np.linalg.solve(factor.T, g0 * (math.cos(turn) * down + math.sin(turn) * across))
    optimum = np.linalg.solve(factor.T, 2.0 * math.sqrt(r) / (1.0 - r) * down)
    extent = g0 * np.sqrt(np.diagonal(np.linalg.inv(S)))
    low, high = np.minimum(-extent, optimum), np.maximum(extent, optimum)
    side = (high - low).max() * np.where(np.arange(len(u)) == 0, 1.0, FLATTEST)
    room = 0.5 * np.maximum(side - (high - low), 0.0) + MARGIN * (high - low).max()
    return Geometry(start, low - room, high + room)


# --- parts


def _paths(source: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """GD's path, GDNP_seq's two, and what they come to, for every loss."""
    spec, world, losses = config["data"], config["world"], config["losses"]
    frame = geometry(spec, source, config["start_angle"])
    found: dict[str, Any] = {}
    for loss in losses:
        f = worlds_objective(spec, source, world, loss)
        descent = gradient_flow(f, frame.start, frame.inside)
        arc = direction_flow(f, frame.start)
        ray = length_flow(f, arc.points[-1], frame.inside)
        end = ray.points[-1]
        length = _best_length(f, arc.points[-1])
        found[loss] = {
            "levels": _levels(f, frame, config["grid"]),
            "gd": descent.points,
            "gd_stationary": descent.stationary,
            "arc": arc.points,
            "arc_stationary": arc.stationary,
            "arc_length": arc.length,
            "ray": ray.points[[0, -1]],
            "ray_stationary": ray.stationary,
            "angle": _angle(f.covariance, end, -f.covariance.solve(f.u)),
            "gradient_norm": f.covariance.dual_norm(f.at(end).gradient),
            "gradient_norm_at_start": f.covariance.dual_norm(f.at(frame.start).gradient),
            "best_length": None if length.diverges else length.g,
            "length_drift": float(
                np.ptp([f.covariance.norm(w) for w in arc.points]) / f.covariance.norm(frame.start)
            ),
        }
    first: Any = worlds_objective(spec, source, world, losses[0])
    return {
        "start": frame.start,
        "low": frame.low,
        "high": frame.high,
        "g0": first.covariance.norm(frame.start),
        "u": first.u,
        "S": first.covariance.S,
        "r": first.covariance.dual_norm(first.u) ** 2,
        "optimal": -first.covariance.solve(first.u),
        "losses": found,
        "coincidence": _apart({loss: found[loss]["arc"] for loss in losses}),
        "gd_apart": _apart({loss: found[loss]["gd"] for loss in losses}),
    }


def _levels(f: Objective, frame: Geometry, grid: int) -> dict[str, Any]:
    """F on a grid over the frame, rows along the second coordinate."""
    a, b = (np.linspace(frame.low[k], frame.high[k], grid) for k in (0, 1))
    return {"a": a, "b": b, "values": [[f.at(np.array([x, y])).value for x in a] for y in b]}


def _higher(source: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The same check in more dimensions, and for Weight Normalization's sphere."""
    spec, losses = config["data"], config["losses"]
    start = geometry(spec, source, config["start_angle"]).start
    arcs, spheres = {}, {}
    for loss in losses:
        f = worlds_objective(spec, source, config["world"], loss)
        arcs[loss] = direction_flow(f, start)
        spheres[loss] = direction_flow(f, start, metric=Identity(spec["d"])).points
    longest = max(arc.length for arc in arcs.values())
    apart = _apart({loss: arc.points for loss, arc in arcs.items()})
    return {"coincidence": apart, "sphere_apart": _apart(spheres), "arc_length": longest}


def _best_length(f: Objective, w: FloatArray) -> Length:
    """Algorithm 3 along w: the minimising g, or the news that there is none up to the cap."""
    norm = f.covariance.norm(w)
    return Bisection().fit(f, f.origin.line(w / norm), problems.state_at(f, f.covariance, w, norm))


def _angle(metric: Any, v: FloatArray, w: FloatArray) -> float:
    """Degrees between two vectors in a metric, accurate for small angles."""
    v, w = v / metric.norm(v), w / metric.norm(w)
    return math.degrees(2.0 * math.atan2(metric.norm(v - w), metric.norm(v + w)))


def _apart(curves: Mapping[str, FloatArray]) -> dict[str, float]:
    """Hausdorff distances of all pairs."""
    return {f"{a}-{b}": hausdorff(curves[a], curves[b]) for a, b in combinations(curves, 2)}
