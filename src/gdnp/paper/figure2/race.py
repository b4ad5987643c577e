"""Methods racing on one problem from the same starts: loading, tuning, running. No figure is made here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

import numpy as np
from scipy.sparse import issparse

from gdnp import methods
from gdnp._typing import FloatArray
from gdnp.datasets import Dataset
from gdnp.paper.runner.problems import gaussian_objective, identified, read, start_at
from gdnp.problem import LARGEST_GRAM, Objective
from gdnp.reference import newton_minimum
from gdnp.solvers import Progress, Status, minimize
from gdnp.solvers.state import Method
from gdnp.store import Part

Config = Mapping[str, Any]

__all__ = [
    "CURVES",
    "RACERS",
    "Racer",
    "describe",
    "facts_part",
    "load_problem",
    "race_parts",
    "reference_part",
]

CURVES = ("passes", "objective", "gradient_norm", "dual_gradient_norm", "length", "zero_one")
"""Saved for every iterate: passes over the data, f, ‖∇f‖, ‖∇f‖ in S⁻¹, ‖w̃‖ in S, and the 0-1 error."""
TUNING_START = 1_000_003
"""Number of the start that steps are tuned on: none of those that are drawn."""


@dataclass(frozen=True)
class Racer:
    """A method in a race.

    Parameters
    ----------
    label : str
        For legends and tables.
    make : callable
        Of `parameters`, and of ``step`` where the step is tuned, returning a method.
    tuned : bool
        Whether a constant step is chosen from a grid for every problem.
    parameters : dict
        Fixed ones.
    work : float
        Evaluations of the loss on cached margins in an iteration, for the estimate of the time left.
    """

    label: str
    make: Callable[..., Method]
    tuned: bool = False
    parameters: Mapping[str, float | str] = field(default_factory=dict)
    work: float = 2.0


RACERS: dict[str, Racer] = {
    "gd_safe": Racer("GD (safe step)", methods.gd),
    "gd": Racer("GD", methods.gd, tuned=True),
    "agd": Racer("AGD", methods.agd, tuned=True, parameters={"momentum": "convex"}),
    "weight_norm_gd": Racer("WN", methods.weight_norm_gd, tuned=True),
    "batch_norm_gd": Racer("BN", methods.batch_norm_gd, tuned=True),
    "gdnp_inner": Racer("GDNP (inner steps)", methods.gdnp_inner, parameters={"inner_steps": 10}, work=12),
    "gdnp": Racer("GDNP (bisection)", methods.gdnp, parameters={"bisection_steps": 40}, work=50),
    "gdnp_metric": Racer("GDNP (metric)", methods.gdnp_metric, work=8),
    "two_step": Racer("Two-step LS", methods.two_step, work=0.1),
}


# --- data


def describe(name: str, *, rows: int, seed: int) -> dict[str, Any]:
    """A data set as settings: all that decides its rows, and how they are prepared.

    breast_cancer is taken with its ten columns of means: with all thirty the conditioning hides every
    difference between first-order methods. It and dense data from files are centred and scaled to unit
    variance: on raw columns (condition 6e11 there) gradient descent does not move at all.

    Parameters
    ----------
    name : str
        A name of ``gdnp.datasets`` or a file.
    rows, seed : int
        For the Gaussian design.

    Raises
    ------
    FileNotFoundError, ValueError
        For data that are missing, unreadable, not of two classes or too wide.
    """
    if name == "gaussian":
        shape = {"n": rows, "d": 20, "kappa": 100.0, "r": 0.5, "seed": seed}
        return {"name": name, "label": "Gaussian design", "columns": None, "scaled": False, **shape}
    data, identity = read(name), identified(name)
    from_file = identity["sha256"] is not None
    spec: dict[str, Any] = {
        **identity,
        "columns": 10 if name == "breast_cancer" else None,
        "scaled": name == "breast_cancer" or (from_file and not issparse(data.X)),
    }
    X, _ = _prepared(data, spec)
    spec.update(n=X.shape[0], d=X.shape[1], label=spec["name"])
    if spec["d"] > LARGEST_GRAM:
        raise ValueError(
            f"{spec['label']} should have at most {LARGEST_GRAM} columns, since the minimum that the figure "
            f"measures against takes a d x d matrix. Got {spec['d']}."
        )
    return spec


def _prepared(data: Dataset, spec: Config) -> tuple[Any, FloatArray]:
    X, y = data.X, data.signs()
    if spec["columns"] is not None:
        X = X[:, : spec["columns"]]
    if spec["scaled"]:
        X = X - X.mean(axis=0)
        deviation = X.std(axis=0)
        X = X / np.where(deviation > 0.0, deviation, 1.0)
    return X, y


@lru_cache(maxsize=8)
def _objective(spec: str, source: str, loss: str) -> Objective:
    return Objective(*_prepared(read(source), json.loads(spec)), loss, n_jobs=1)


def load_problem(spec: Config, source: str, loss: str) -> Any:
    """The objective of settings made by `describe`: centred, no intercept, no ridge, as in section 4.4.

    `source` is the name or the file that the rows are read from.
    """
    if spec["name"] == "gaussian":
        return gaussian_objective(spec, "sample", loss)
    return _objective(json.dumps(spec, sort_keys=True), source, loss)


# --- parts


def facts_part(spec: Config, source: str) -> Part:
    """Rank, L, μ, κ and r = uᵀS⁻¹u of a data set."""
    config = {"task": "facts", "data": spec}
    return Part(f"{spec['name']}/facts", partial(_facts, source), config, cost=_cost(spec, 5))


def reference_part(spec: Config, source: str, loss: str) -> Part:
    """The minimum of a convex loss."""
    config = {"task": "reference", "data": spec, "loss": loss}
    cost = _cost(spec, 10 + 5 * spec["d"])
    return Part(f"{spec['name']}/{loss}/reference", partial(_reference, source), config, cost=cost)


def race_parts(spec: Config, source: str, loss: str, name: str, settings: Config) -> list[Part]:
    """The parts of one method on one problem: its tuning, where it has a step, and a run for each start.

    They are named ``data/loss/method/tuning`` and ``data/loss/method/start-k``. Of `settings` it takes
    ``starts``, ``max_iter``, ``seed``, and ``grid``: constant steps to try, in units of 1/(L sup φ'').
    """
    racer, prefix, grid = RACERS[name], f"{spec['name']}/{loss}/{name}", list(settings["grid"])
    common = {"data": spec, "loss": loss, "method": name, "parameters": dict(racer.parameters)}
    common |= {key: settings[key] for key in ("max_iter", "seed")}
    cost = _cost(spec, settings["max_iter"], racer.work)
    tuning: tuple[Part, ...] = ()
    if racer.tuned:
        config = {"task": "tuning", **common, "start": TUNING_START, "grid": grid}
        tuning = (Part(f"{prefix}/tuning", partial(_tuning, source), config, cost=cost * len(grid)),)
    run = partial(_run, source)
    configs = [{"task": "run", **common, "start": start} for start in range(settings["starts"])]
    return [*tuning, *(Part(f"{prefix}/start-{c['start']}", run, c, tuning, cost) for c in configs)]


def _cost(spec: Config, iterations: float, work: float = 2.0) -> float:
    """Microseconds, roughly: overhead, the two products and the loss of each iteration."""
    n, d = int(spec["n"]), int(spec["d"])
    return iterations * (60.0 + 1e-3 * n * min(d, 30) + work * (15.0 + 0.01 * n))


def _facts(source: str, config: Config) -> dict[str, Any]:
    objective = load_problem(config["data"], source, "log_loss")
    S = objective.covariance
    L, mu = float(S.largest), float(S.smallest)
    return {
        "n": objective.n_samples,
        "d": objective.n_features,
        "rank": int(S.rank),
        "L": L,
        "mu_on_range": mu,
        "kappa_on_range": L / mu if mu > 0.0 else None,
        "r": float(S.dual_norm(objective.u)) ** 2,
        "gram_passes": float(objective.gram_passes),
    }


def _reference(source: str, config: Config) -> dict[str, Any]:
    found = newton_minimum(load_problem(config["data"], source, config["loss"]))
    return {
        "objective": found.objective,
        "decrement": found.decrement,
        "separable": found.separable,
        "iterations": found.iterations,
    }


def _tuning(source: str, config: Config) -> dict[str, Any]:
    """Run every step of the grid; the chosen one has the least final objective.

    For a bounded loss as well: there the least gradient norm belongs to steps so long that they leave for
    the flat region, where f is bad. What that criterion would have taken is recorded beside the choice.
    """
    objective = load_problem(config["data"], source, config["loss"])
    natural = 1.0 / (objective.covariance.largest * objective.loss.max_curvature)
    w0 = start_at(objective.n_features, config["seed"], config["start"])
    final = []
    for multiple in config["grid"]:
        method = RACERS[config["method"]].make(**config["parameters"], step=multiple * natural)
        result = minimize(objective, method, w0, max_iter=config["max_iter"], tol=0.0)
        failed = result.status is Status.NON_FINITE
        gradient = objective.at(result.coef).gradient
        final.append((np.inf, np.inf) if failed else (result.objective, float(np.linalg.norm(gradient))))
    f, gradient_norm = np.array(final).T
    best = int(np.argmin(f))
    return {
        "natural_step": natural,
        "multiples": list(config["grid"]),
        "final_objective": f,
        "final_gradient_norm": gradient_norm,
        "chosen": best,
        "multiple": config["grid"][best],
        "step": config["grid"][best] * natural,
        "on_edge": best in (0, len(config["grid"]) - 1),
        "chosen_by_gradient_norm": int(np.argmin(gradient_norm)),
    }


def _run(source: str, config: Config, tuning: Config | None = None) -> dict[str, Any]:
    """One method from one start, everything recorded at every iterate."""
    objective = load_problem(config["data"], source, config["loss"])
    w0 = start_at(objective.n_features, config["seed"], config["start"])
    step = {} if tuning is None else {"step": tuning["step"]}
    method = RACERS[config["method"]].make(**config["parameters"], **step)
    rows: list[tuple[float, ...]] = []

    def record(progress: Progress) -> None:
        point: Any = progress.point
        wrong = np.count_nonzero(point.margins > 0.0)  # t = -y xᵀw̃
        undecided = np.count_nonzero(point.margins == 0.0)
        rows.append(
            (
                progress.passes,
                progress.objective,
                float(np.linalg.norm(point.gradient)),
                progress.gradient_norm,
                progress.length,
                (wrong + 0.5 * undecided) / objective.n_samples,
            )
        )

    result = minimize(objective, method, w0, max_iter=config["max_iter"], tol=0.0, callback=record)
    return {
        "curves": dict(zip(CURVES, np.array(rows).T, strict=True)),
        "status": result.status.name,
        "message": result.status.message,
        "n_iter": result.n_iter,
        "step": tuning["step"] if tuning is not None else None,
        "seconds": float(result.history["seconds"][-1]),
    }
