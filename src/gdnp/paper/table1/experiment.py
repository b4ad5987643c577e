"""Table 1: how many iterations, passes and seconds it takes to reach a gradient norm of at most ε."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import numpy as np
from scipy.special import ndtr

from gdnp import methods
from gdnp._typing import FloatArray
from gdnp.paper.runner.experiment import OptionError, Options, Settings, sized
from gdnp.paper.runner.problems import WORLD_LABELS, gaussian_objective, start_at
from gdnp.paper.table1 import drawing, summary
from gdnp.problem import Objective as Empirical
from gdnp.problem.interface import Objective, Point
from gdnp.solvers import Progress, minimize
from gdnp.solvers.state import Method
from gdnp.store import Part

__all__ = ["FULL", "LOSSES", "METHODS", "QUICK", "Profile", "Table1"]

LOSSES = ("log_loss", "sigmoid")
LENGTHS = tuple(10.0**k for k in range(7))
"""At which the sigmoid is looked at on its way to infinity."""


@dataclass(frozen=True)
class Contender:
    """A method of the table.

    Parameters
    ----------
    make : callable
        ``make(eps) -> Method``.
    separate : bool
        Its parameters depend on ε, so that every ε is a run of its own.
    work : float
        Milliseconds of an iteration, roughly.
    """

    make: Callable[[float], Method]
    separate: bool = False
    work: float = 0.12


BISECTION_STEPS = 40
METHODS: dict[str, Contender] = {
    "gd": Contender(lambda eps: methods.gd()),
    "agd": Contender(lambda eps: methods.agd()),
    "agd_nonconvex": Contender(lambda eps: methods.agd_nonconvex(epsilon=eps), separate=True, work=0.5),
    "gdnp": Contender(lambda eps: methods.gdnp(bisection_steps=BISECTION_STEPS), work=5.0),
}


@dataclass(frozen=True)
class Profile:
    """How much is computed.

    Parameters
    ----------
    d, kappa, r
        Of the Gaussian design.
    rows : int
        n of the sample.
    starts, max_iter : int
    gdnp_max_iter : int
        The same for GDNP, whose iterations take longer.
    decades : tuple of int
        ε runs from 10^(-first) to 10^(-last).
    per_decade : int
        Values of ε in a decade.
    separate_per_decade : int
        The same where every ε is a run of its own.
    """

    d: int
    kappa: float
    r: float
    rows: int
    starts: int
    max_iter: int
    gdnp_max_iter: int
    decades: tuple[int, int]
    per_decade: int
    separate_per_decade: int

    def epsilons(self, *, separate: bool) -> list[float]:
        """The ε, falling, for methods of one run or of a run for each ε."""
        (first, last), each = self.decades, self.separate_per_decade if separate else self.per_decade
        return [10.0 ** -(first + k / each) for k in range((last - first) * each + 1)]


QUICK = Profile(
    d=10,
    kappa=20.0,
    r=0.5,
    rows=4000,
    starts=2,
    max_iter=6000,
    gdnp_max_iter=300,
    decades=(1, 8),
    per_decade=4,
    separate_per_decade=2,
)
FULL = replace(
    QUICK, d=20, kappa=100.0, rows=10_000, starts=5, max_iter=20_000, gdnp_max_iter=3000, decades=(1, 10)
)


@dataclass(frozen=True)
class Table1:
    """GD, AGD, the non-convex AGD and GDNP at their safe steps, from the same random starts.

    Parameters
    ----------
    quick, full : Profile
    methods : tuple of str
        Keys of ``METHODS``.
    """

    quick: Profile = QUICK
    full: Profile = FULL
    methods: tuple[str, ...] = tuple(METHODS)
    name: str = "table1"
    title: str = summary.TITLE

    summarise = staticmethod(summary.summarise)
    tables = staticmethod(summary.tables)
    draw = staticmethod(drawing.draw)
    interactive = staticmethod(drawing.interactive)

    def settings(self, options: Options) -> tuple[str, Settings]:
        """Folder and configuration; the data are the Gaussian design, whatever `options` names."""
        if any(name != "gaussian" for name in options.data):
            raise OptionError(
                "Table 1 is about Gaussian data, where GDNP's rate is proved. "
                f"Got {', '.join(options.data)}: leave --data out."
            )
        folder, profile, settings = sized(self.name, self.quick, self.full, options)
        shape = {"d": profile.d, "kappa": profile.kappa, "r": profile.r, "n": profile.rows}
        settings |= {
            "design": {**shape, "seed": options.seed},
            "losses": list(LOSSES),
            "worlds": list(WORLD_LABELS),
            "methods": list(self.methods),
            "starts": profile.starts,
            "max_iter": {
                name: profile.gdnp_max_iter if name == "gdnp" else profile.max_iter for name in self.methods
            },
            "epsilons": {name: profile.epsilons(separate=METHODS[name].separate) for name in self.methods},
        }
        return folder, settings

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """A run for each world, loss, method and start; and the sigmoid's way to infinity."""
        parts = []
        for world in settings["worlds"]:
            for loss in settings["losses"]:
                common = {"design": settings["design"], "world": world, "loss": loss}
                for name in settings["methods"]:
                    for start in range(settings["starts"]):
                        config = {
                            "task": "run",
                            **common,
                            "method": name,
                            "max_iter": settings["max_iter"][name],
                            "epsilons": settings["epsilons"][name],
                            "start": start,
                            "seed": settings["seed"],
                        }
                        cost = settings["max_iter"][name] * METHODS[name].work
                        parts.append(Part(f"{world}/{loss}/{name}/start-{start}", _run, config, cost=cost))
        config = {"task": "curvature", "design": settings["design"]}
        parts.append(Part("population/log_loss/curvature", _curvature, config, cost=10.0))
        config = {"task": "infinity", "design": settings["design"], "lengths": list(LENGTHS)}
        parts.append(Part("population/sigmoid/infinity", _infinity, config, cost=100.0))
        return parts


# --- parts


class _Reached(Exception):
    """The last ε is reached."""


class _Recorder:
    """What is known when each ε is reached for the first time, in the Euclidean norm and in that of S⁻¹."""

    def __init__(self, objective: Objective, epsilons: list[float]) -> None:
        self.objective, self.epsilons = objective, epsilons
        self.hits: list[dict[str, float]] = []
        self.dual_hits: list[int] = []
        self.last: dict[str, float] = {}

    def __call__(self, progress: Progress) -> None:
        """Record an iterate; `_Reached` when there is no ε left."""
        norm = float(np.linalg.norm(progress.point.gradient))
        self.last = {
            "iterations": progress.iteration,
            "passes": progress.passes,
            "seconds": progress.seconds,
            "objective": progress.objective,
            "gradient_norm": norm,
            "length": progress.length,
        }
        dual, left = progress.gradient_norm, self.epsilons[len(self.dual_hits) :]
        self.dual_hits += [progress.iteration for _ in takewhile(lambda eps: dual <= eps, left)]
        for _ in takewhile(lambda eps: norm <= eps, self.epsilons[len(self.hits) :]):
            self.hits.append({**self.last, "zero_one": _zero_one(self.objective, progress.point)})
        if len(self.hits) == len(self.epsilons):
            raise _Reached


def _run(config: Mapping[str, Any]) -> dict[str, Any]:
    """One method from one start, until the last ε or the end of the iterations."""
    objective = gaussian_objective(config["design"], config["world"], config["loss"])
    contender = METHODS[config["method"]]
    w0 = start_at(objective.n_features, config["seed"], config["start"])
    epsilons = list(config["epsilons"])
    goals = [[eps] for eps in epsilons] if contender.separate else [epsilons]
    hits: list[dict[str, float]] = []
    dual_hits: list[int] = []
    status = "REACHED"
    for goal in goals:
        recorder = _Recorder(objective, goal)
        try:
            method = contender.make(goal[-1])
            result = minimize(objective, method, w0, max_iter=config["max_iter"], tol=0.0, callback=recorder)
            status = result.status.name
        except _Reached:
            status = "REACHED"
        hits += recorder.hits
        dual_hits += recorder.dual_hits
        if status != "REACHED":
            break
    missing = len(epsilons) - len(hits)
    names = ("iterations", "passes", "seconds", "objective", "gradient_norm", "length", "zero_one")
    return {
        "reached": {name: [hit[name] for hit in hits] + [None] * missing for name in names},
        "iterations_dual": dual_hits + [None] * (len(epsilons) - len(dual_hits)),
        "status": status,
        "last": recorder.last,
    }


def _zero_one(objective: Objective, point: Point) -> float:
    """The share of wrong labels: P(ξ > 0) for ξ = zᵀw̃ ~ N(a, q - a²), or a count; ties are a half."""
    if isinstance(objective, Empirical):
        margins: FloatArray = point.margins  # type: ignore[attr-defined]
        return float(np.mean(margins > 0.0) + 0.5 * np.mean(margins == 0.0))
    mean = float(objective.u @ point.coef)
    variance = objective.covariance.norm(point.coef) ** 2 - mean**2
    return float(ndtr(mean / math.sqrt(variance))) if variance > 0.0 else 0.5


def _curvature(config: Mapping[str, Any]) -> dict[str, Any]:
    """The Hessian of softplus on the population at its minimiser, by central differences of the gradient."""
    objective: Any = gaussian_objective(config["design"], "population", "log_loss")
    minimiser = -2.0 / (1.0 - objective.r) * objective.optimal_direction
    h = 1e-4
    columns = [
        (objective.at(minimiser + step).gradient - objective.at(minimiser - step).gradient) / (2.0 * h)
        for step in h * np.eye(len(minimiser))
    ]
    eigenvalues = np.linalg.eigvalsh(0.5 * (np.array(columns) + np.array(columns).T))
    metric = objective.covariance
    step = 1.0 / (metric.largest * objective.loss.max_curvature)
    return {
        "smallest": float(eigenvalues[0]),
        "largest": float(eigenvalues[-1]),
        "gd_per_decade": math.log(10.0) / -math.log1p(-step * float(eigenvalues[0])),
        "gdnp_per_decade": math.log(10.0) / -math.log1p(-metric.smallest / metric.largest),
    }


def _infinity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sigmoid on the population along the best direction, and along one that is as good as a coin."""
    objective: Any = gaussian_objective(config["design"], "population", "sigmoid")
    metric, best = objective.covariance, -objective.optimal_direction
    other = np.eye(len(best))[int(np.argmin(np.abs(objective.u)))]
    other = other - metric.inner(other, best) / metric.inner(best, best) * best
    infimum = float(ndtr(-math.sqrt(objective.r / (1.0 - objective.r))))
    found: dict[str, Any] = {"lengths": list(config["lengths"]), "infimum": infimum}
    for name, direction in (("best", best), ("coin", other)):
        unit = direction / metric.norm(direction)
        points = [objective.at(g * unit) for g in config["lengths"]]
        found[name] = {
            "objective": [point.value for point in points],
            "gradient_norm": [float(np.linalg.norm(point.gradient)) for point in points],
            "slope": [float(point.gradient @ unit) for point in points],
            "zero_one": _zero_one(objective, points[-1]),
        }
    return found
