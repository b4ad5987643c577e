"""Problems that several experiments have in common: data by name or file, the Gaussian design, starts."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from gdnp import datasets
from gdnp._typing import FloatArray
from gdnp.datasets import (
    DataNotFoundError,
    Dataset,
    data_dir,
    fetch_a9a,
    gaussian_design,
    gaussian_parameters,
)
from gdnp.metric import Metric
from gdnp.population import Halfspace, LeastSquares
from gdnp.problem import Objective as Empirical
from gdnp.problem.interface import Objective
from gdnp.solvers.state import DecoupledState, Length

__all__ = [
    "LOSS_LABELS",
    "WORLD_LABELS",
    "a9a",
    "diverging",
    "gaussian_moments",
    "gaussian_objective",
    "gaussian_rows",
    "identified",
    "population",
    "read",
    "start_at",
    "state_at",
]

LOSS_LABELS = {"log_loss": "softplus", "sigmoid": "sigmoid"}
WORLD_LABELS = {"population": "population", "sample": "finite sample"}


@lru_cache(maxsize=4)
def read(source: str) -> Dataset:
    """A data set of ``gdnp.datasets`` or of a file; the last few are kept."""
    return datasets.load(source)


def a9a() -> Dataset:
    """The training rows of a9a where they are on this machine; a check downloads nothing."""
    try:
        folder = data_dir()
    except ImportError as error:
        raise DataNotFoundError(str(error)) from error
    if not (folder / "a9a" / "a9a").exists():
        raise DataNotFoundError(
            "a9a is not on this machine: gdnp.datasets.fetch_a9a() downloads it, "
            "or GDNP_DATA names the folder that holds a9a/a9a."
        )
    return fetch_a9a()


def identified(source: str) -> dict[str, Any]:
    """What a data set is known by in settings: a name, or a file's name and the hash of its contents."""
    if source in datasets.DATASETS:
        return {"name": source, "sha256": None}
    return {"name": Path(source).name, "sha256": hashlib.sha256(Path(source).read_bytes()).hexdigest()}


def gaussian_moments(spec: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """u (d,) and S (d, d) of the Gaussian design with this ``d``, ``kappa``, ``r`` and ``seed``."""
    return gaussian_parameters(spec["d"], kappa=spec["kappa"], r=spec["r"], seed=spec["seed"])


def gaussian_rows(spec: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """X (n, d) and y (n,) of ±1, drawn from the Gaussian design of `gaussian_moments`."""
    data = gaussian_design(spec["n"], spec["d"], kappa=spec["kappa"], r=spec["r"], seed=spec["seed"])
    return np.asarray(data.X), data.signs()


def population(u: FloatArray, S: FloatArray, loss: str) -> Objective:
    """The objective under Assumption 2, exactly; least squares has a form of its own."""
    return LeastSquares(u, S) if loss == "squared_error" else Halfspace(u, S, loss)


def gaussian_objective(spec: Mapping[str, Any], world: str, loss: str) -> Objective:
    """The objective of the Gaussian design, without ridge or intercept; the last few are kept.

    `spec` has ``n``, ``d``, ``kappa``, ``r`` and ``seed``; `world`, a key of ``WORLD_LABELS``, says whether f
    is that of the population or of a sample of n rows.
    """
    return _gaussian_objective(spec["n"], spec["d"], spec["kappa"], spec["r"], spec["seed"], world, loss)


@lru_cache(maxsize=8)
def _gaussian_objective(
    n: int, d: int, kappa: float, r: float, seed: int, world: str, loss: str
) -> Objective:
    spec = {"n": n, "d": d, "kappa": kappa, "r": r, "seed": seed}
    if world == "population":
        return population(*gaussian_moments(spec), loss)
    return Empirical(*gaussian_rows(spec), loss, n_jobs=1)  # one thread, since parts run in processes


def start_at(d: int, seed: int, number: int) -> FloatArray:
    """w̃₀ ~ N(0, I/d), shape (d,), the same for every loss and method."""
    return np.asarray(np.random.default_rng([seed, number]).standard_normal(d) / math.sqrt(d))


def state_at(f: Objective, metric: Metric, w: FloatArray, g: float) -> DecoupledState:
    """The state at w̃ = g w/‖w‖, from which a step of any decoupled method can be taken."""
    return DecoupledState(point=f.at(metric.join(w, g)), metric=metric, direction=w, length=Length(g))


def diverging(entries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The sentence on methods of a summary whose length diverged in some runs; none where there are none."""
    found = [entry["label"] for entry in entries.values() if "LENGTH_DIVERGES" in entry["statuses"]]
    return [f"Status LENGTH_DIVERGES in some or all runs of: {', '.join(found)}."] if found else []
