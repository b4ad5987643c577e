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
from gdnp.paper.figure1 import drawing
from gdnp.paper.figure1.flows import direction_flow, gradient_flow, hausdorff, length_flow
from gdnp.paper.runner import problems
from gdnp.paper.runner.experiment import Experiment, OptionError, Options, Results, Settings, Table, said
from gdnp.problem import Objective as Empirical
from gdnp.problem.interface import Objective
from gdnp.solvers.lengths import Bisection
from gdnp.store import Part
from gdnp.tables import column_of

DESIGN = {"d": 2, "kappa": 6.0, "r": 0.5}
START_ANGLE = 115.0
"""Degrees in S between the start and -S⁻¹u."""
MARGIN = 0.05
FLATTEST = 0.75
"""Least height of the frame for its width; it is never taller than wide."""
LEAST_SIGNAL = 1e-6
EXACT = 1e-6
"""Curves closer than this are the same up to the accuracy of the integration."""
SUMMARISED = (
    *("arc_length", "angle", "best_length", "gd_stationary", "ray_stationary"),
    *("gradient_norm", "gradient_norm_at_start"),
)
"""What of the paths for a loss is in the summary as it is."""

QUICK = {"rows": 2000, "grid": 81}
"""n of the sample, and points of the level sets along each axis."""


class Figure1(Experiment):
    """GD and GDNP_seq as gradient flows from one start, exactly on the population and on a finite sample.

    For data of the user's own the population is the Gaussian with the same u and S.
    """

    name, title = "figure1", "Figure 1: paths of GD and GDNP_seq"
    quick, full = QUICK, {**QUICK, "grid": 241}
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
            "losses": list(drawing.LABELS),
            "worlds": list(problems.WORLD_LABELS),
            "grid": size["grid"],
            "start_angle": START_ANGLE,
        }
        suffix = "" if data["name"] == "gaussian" else f"-{Path(data['name']).stem}"
        return f"{folder}{suffix}", settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """Paths and level sets for each world."""
        source = options.data[0] if options.data else settings["data"]["name"]
        shared = {key: settings[key] for key in ("data", "losses", "grid", "start_angle")}
        return [
            Part(f"{world}/paths", partial(_paths, source), {"world": world, **shared})
            for world in settings["worlds"]
        ]

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """Do the paths of GDNP_seq coincide, and where does each flow end."""
        return {
            **self.summary_head(settings, own=settings["data"]["name"] != "gaussian"),
            "data": settings["data"],
            "panels": [_panel(settings, results, world) for world in settings["worlds"]],
        }

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """How far the curves are apart and where they end, one table for each world."""
        columns = (
            "loss",
            "GDNP_seq from least squares",
            "GD from least squares",
            "angle to S⁻¹u",
            "best length",
            "gradient at the end",
        )
        return [
            Table(panel["label"], columns, [_row(entry) for entry in panel["losses"].values()])
            for panel in summary["panels"]
        ]


# --- data


def _described(source: str, columns: tuple[str, ...], rows: int, seed: int) -> dict[str, Any]:
    """The data as settings; two columns of a file are centred and scaled to unit variance."""
    if source == "gaussian":
        if columns:
            raise OptionError("--columns chooses columns of --data FILE. Got it for the Gaussian design.")
        return {"name": "gaussian", "label": "Gaussian design", "n": rows, "seed": seed, **DESIGN}
    chosen, names = _columns(problems.read(source), columns)
    spec: dict[str, Any] = {**problems.identified(source), "columns": chosen, "scaled": True}
    spec |= {"n": len(problems.prepared_rows(spec, source)[0]), "d": 2, "axes": list(names)}
    spec["label"] = f"{spec['name']}: {names[0]}, {names[1]}"
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
    columns = columns or ("1", "2")
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
    """The objective of a world of ``WORLD_LABELS``, without ridge or intercept, of rows from `source`."""
    if spec["name"] == "gaussian":
        return problems.gaussian_objective(spec, world, loss)
    if world == "population":
        return problems.population(*_moments(spec, source), loss)
    return Empirical(*problems.prepared_rows(spec, source), loss, n_jobs=1)


# --- what is drawn where


@dataclass(frozen=True)
class Geometry:
    """The start and the frame, the same for every loss and for both worlds.

    `start` (2,) is w̃₀, with a length between those of the least-squares and of the log-loss minimiser
    (geometric mean). The frame from `low` to `high` holds the ellipse through the start and both minimisers.
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
    across = np.array([-down[1], down[0]])
    across *= np.sign(across[np.abs(across).argmax()])
    g0 = math.sqrt(2.0 * r / (1.0 - r))
    turn = math.radians(angle)
    start = np.linalg.solve(factor.T, g0 * (math.cos(turn) * down + math.sin(turn) * across))
    optimum = np.linalg.solve(factor.T, 2.0 * math.sqrt(r) / (1.0 - r) * down)
    extent = g0 * np.sqrt(np.diagonal(np.linalg.inv(S)))
    low, high = np.minimum(-extent, optimum), np.maximum(extent, optimum)
    side = (high - low).max() * np.array([1.0, FLATTEST])
    room = 0.5 * np.maximum(side - (high - low), 0.0) + MARGIN * (high - low).max()
    return Geometry(start, low - room, high + room)


# --- parts


def _paths(source: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """GD's path, GDNP_seq's two, and what they come to, for every loss."""
    spec, world, losses = config["data"], config["world"], config["losses"]
    frame = geometry(spec, source, config["start_angle"])
    axes = {name: np.linspace(frame.low[k], frame.high[k], config["grid"]) for k, name in enumerate("ab")}
    found: dict[str, Any] = {}
    for loss in losses:
        f = worlds_objective(spec, source, world, loss)
        metric: Any = f.covariance
        descent = gradient_flow(f, frame.start, frame.inside)
        arc = direction_flow(f, frame.start)
        turned = arc.points[-1]
        ray = length_flow(f, turned, frame.inside)
        norm = metric.norm(turned)
        length = Bisection().fit(f, f.origin.line(turned / norm), problems.state_at(f, metric, turned, norm))
        values = [[f.at(np.array([x, y])).value for x in axes["a"]] for y in axes["b"]]
        found[loss] = {
            "levels": {**axes, "values": values},
            "gd": descent.points,
            "gd_stationary": descent.stationary,
            "arc": arc.points,
            "arc_length": arc.length,
            "ray": ray.points[[0, -1]],
            "ray_stationary": ray.stationary,
            "angle": _angle(metric, ray.points[-1], -metric.solve(f.u)),
            "gradient_norm": metric.dual_norm(f.at(ray.points[-1]).gradient),
            "gradient_norm_at_start": metric.dual_norm(f.at(frame.start).gradient),
            "best_length": None if length.diverges else length.g,
        }
    return {
        **vars(frame),
        "g0": metric.norm(frame.start),
        "u": f.u,
        "S": metric.S,
        "r": metric.dual_norm(f.u) ** 2,
        "optimal": -metric.solve(f.u),
        "losses": found,
        "coincidence": _apart({loss: found[loss]["arc"] for loss in losses}),
        "gd_apart": _apart({loss: found[loss]["gd"] for loss in losses}),
    }


def _angle(metric: Any, v: FloatArray, w: FloatArray) -> float:
    """Degrees between two vectors in a metric, accurate for small angles."""
    v, w = v / metric.norm(v), w / metric.norm(w)
    return math.degrees(2.0 * math.atan2(metric.norm(v - w), metric.norm(v + w)))


def _apart(curves: Mapping[str, FloatArray]) -> dict[str, float]:
    """Hausdorff distances of all pairs."""
    return {f"{a}-{b}": hausdorff(curves[a], curves[b]) for a, b in combinations(curves, 2)}


# --- what came out


def _panel(settings: Settings, results: Results, world: str) -> dict[str, Any]:
    paths = results[f"{world}/paths"]
    losses = {
        loss: {
            "label": drawing.LABELS[loss],
            **{key: entry[key] for key in SUMMARISED},
            # Least squares, the first loss, has no distance from itself.
            "distance_to_least_squares": paths["coincidence"].get(f"squared_error-{loss}", 0.0),
            "gd_distance_to_least_squares": paths["gd_apart"].get(f"squared_error-{loss}", 0.0),
        }
        for loss, entry in paths["losses"].items()
    }
    panel = {
        "world": world,
        "label": f"{settings['data']['label']}, {problems.WORLD_LABELS[world]}",
        "n": None if world == "population" else settings["data"]["n"],
        "r": paths["r"],
        "g0": paths["g0"],
        "coincidence": max(paths["coincidence"].values()),
        "gd_apart": max(paths["gd_apart"].values()),
        "losses": losses,
    }
    return {**panel, "findings": _findings(panel)}


def _findings(panel: Mapping[str, Any]) -> list[str]:
    entries = panel["losses"].values()
    longest = max(entry["arc_length"] for entry in entries)
    exact = panel["coincidence"] < EXACT
    verdict = "coincide" if exact else "nearly coincide" if panel["coincidence"] < 0.1 * longest else "differ"
    say = partial(said, "figure1")
    sentences = [say("curves", verdict=verdict, longest=longest, **panel)]
    sentences += [
        say("endless" if entry["best_length"] is None else "outside", **entry)
        for entry in entries
        if not entry["ray_stationary"]
    ]
    if panel["world"] == "sample":
        left = "; ".join(say("gradient", **entry) for entry in entries if entry["ray_stationary"])
        sentences.append(say("left", left=left))
    return sentences


def _row(entry: Mapping[str, Any]) -> tuple[str, ...]:
    best = entry["best_length"]
    return (
        entry["label"],
        f"{entry['distance_to_least_squares']:.1e}",
        f"{entry['gd_distance_to_least_squares']:.2g}",
        f"{entry['angle']:.2g}°",
        "none" if best is None else f"{best:.4g}",
        f"{entry['gradient_norm']:.1e}" if entry["ray_stationary"] else "leaves the frame",
    )
