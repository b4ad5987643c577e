"""What claims are checked on: random populations, losses of a user's own, runs of a method."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize as scipy_minimize
from scipy.optimize import root

from gdnp._typing import FloatArray
from gdnp.datasets import DataNotFoundError, Dataset, data_dir, fetch_a9a, gaussian_parameters
from gdnp.losses import LOSSES, Loss
from gdnp.metric import Covariance
from gdnp.population import Halfspace
from gdnp.problem.interface import Objective
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import FixedLength
from gdnp.solvers.state import DecoupledState
from gdnp.solvers.step_sizes import AdaptiveStep


@dataclass(frozen=True)
class Target(Loss):
    """φ(t) = √(1 + (t + k)²) - 1: a convex loss with a slope of at most one that wants z = -k.

    Parameters
    ----------
    k : float
        The margin that costs nothing.
    """

    k: float = 1.0

    name = "target"
    task = "classification"
    convex = True
    max_gradient: ClassVar[float] = 1.0
    max_curvature: ClassVar[float] = 1.0

    def value(self, t: FloatArray) -> FloatArray:
        """√(1 + (t + k)²) - 1."""
        return np.hypot(1.0, t + self.k) - 1.0

    def gradient(self, t: FloatArray) -> FloatArray:
        """(t + k)/√(1 + (t + k)²)."""
        return (t + self.k) / np.hypot(1.0, t + self.k)

    def curvature(self, t: FloatArray) -> FloatArray:
        """(1 + (t + k)²)^(-3/2)."""
        return np.hypot(1.0, t + self.k) ** -3.0


@dataclass(frozen=True)
class Welsch(Loss):
    """φ(t) = 1 - exp(-(t + 1)²/2): bounded and not convex, with a best length on Gaussian data."""

    name = "welsch"
    task = "classification"
    convex = False
    max_gradient: ClassVar[float] = math.exp(-0.5)
    max_curvature: ClassVar[float] = 1.0

    def value(self, t: FloatArray) -> FloatArray:
        """1 - exp(-(t + 1)²/2)."""
        return -np.expm1(-0.5 * (t + 1.0) ** 2)

    def gradient(self, t: FloatArray) -> FloatArray:
        """(t + 1) exp(-(t + 1)²/2)."""
        return (t + 1.0) * np.exp(-0.5 * (t + 1.0) ** 2)

    def curvature(self, t: FloatArray) -> FloatArray:
        """(1 - (t + 1)²) exp(-(t + 1)²/2)."""
        return (1.0 - (t + 1.0) ** 2) * np.exp(-0.5 * (t + 1.0) ** 2)


@dataclass(frozen=True)
class DoubleWell(Loss):
    """φ(t) = 1 - (exp(-(t - 2)²/2) + exp(-(t + 2)²/2))/2: even, so that it cannot tell z from -z."""

    name = "double_well"
    task = "classification"
    convex = False
    max_gradient: ClassVar[float] = 1.0
    max_curvature: ClassVar[float] = 1.0

    def value(self, t: FloatArray) -> FloatArray:
        """1 - (N(t - 2) + N(t + 2))/2 with N(s) = exp(-s²/2)."""
        return 1.0 - 0.5 * (_bell(t - 2.0) + _bell(t + 2.0))

    def gradient(self, t: FloatArray) -> FloatArray:
        """Of the same."""
        return 0.5 * ((t - 2.0) * _bell(t - 2.0) + (t + 2.0) * _bell(t + 2.0))

    def curvature(self, t: FloatArray) -> FloatArray:
        """Of the same."""
        left, right = t - 2.0, t + 2.0
        return 0.5 * ((1.0 - left**2) * _bell(left) + (1.0 - right**2) * _bell(right))


def _bell(s: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-0.5 * s * s))


EVERY_LOSS: tuple[Loss, ...] = (LOSSES["log_loss"], LOSSES["sigmoid"], LOSSES["probit"], Target(), Welsch())
"""The classification losses of the library and two of a user's own."""
FINITE_LENGTH: tuple[Loss, ...] = (LOSSES["log_loss"], Target(), Welsch())
"""Those that have a best length on Gaussian data, as Assumption 4 asks."""


FIXED = DecoupledDescent("fixed", "covariance", AdaptiveStep(), FixedLength(), guarded=False)
"""The direction step of Eq. 17 alone: it keeps the length it is given."""


def populations(
    count: int, *, seed: int = 0, kappa: float | None = None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """(u, S) of random populations: d from 2 to 20, κ to 1e4, r from .02 to .98, L from 1e-4 to 1e4."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        d, scale = int(rng.integers(2, 21)), float(10.0 ** rng.uniform(-2.0, 2.0))
        condition = float(10.0 ** rng.uniform(0.0, 4.0)) if kappa is None else kappa
        r = float(rng.uniform(0.02, 0.98))
        u, S = gaussian_parameters(d, kappa=condition, r=r, seed=int(rng.integers(2**31)))
        yield scale * u, scale**2 * S


def states(
    method: DecoupledDescent, objective: Objective, start: FloatArray | None, steps: int
) -> list[DecoupledState]:
    """The states of a run, start included: `steps` + 1 of them."""

    def run() -> Iterator[DecoupledState]:
        state = method.init(objective, start)
        while True:
            yield state
            state = method.step(objective, state)

    return list(islice(run(), steps + 1))


def solved(A: FloatArray, b: FloatArray) -> FloatArray:
    """A⁻¹b."""
    return np.asarray(np.linalg.solve(A, b), dtype=np.float64)


def relative(found: FloatArray, expected: FloatArray) -> float:
    """‖found - expected‖/‖expected‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def whitening(metric: Covariance) -> FloatArray:
    """T of shape (d, rank) with TᵀST = I: w̃ = T v has ‖w̃‖_S = ‖v‖."""
    unit = metric._unit
    values, vectors, _ = metric._spectrum
    return np.asarray((unit[:, None] * vectors) / np.sqrt(values))


def critical_points(f: Halfspace, starts: int, *, seed: int = 0) -> list[FloatArray]:
    """Bounded points with ∇f = 0 to rounding, reached by a few steps of BFGS and then a root finder.

    The steps keep the root finder away from where f is flat; it may end in a saddle or a maximum.
    """
    metric, rng = f.covariance, np.random.default_rng(seed)
    T = whitening(metric)

    def gradient(v: FloatArray) -> FloatArray:
        return np.asarray(T.T @ f.at(T @ v).gradient)

    found = []
    for _ in range(starts):
        start = rng.standard_normal(f.n_features) * rng.uniform(0.5, 4.0)
        options = {"maxiter": 15}
        near = scipy_minimize(
            lambda v: f.at(T @ v).value, start, jac=gradient, method="BFGS", options=options
        )
        coef = T @ root(gradient, near.x, tol=1e-13).x
        if metric.norm(coef) < 50.0 and metric.dual_norm(f.at(coef).gradient) < 1e-10:
            found.append(coef)
    return found


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
