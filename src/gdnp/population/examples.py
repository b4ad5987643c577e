"""Losses of a user's own and a population that is slow, on which statements about any loss are checked."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.optimize import minimize, root

from gdnp._typing import FloatArray
from gdnp.losses import LOSSES, Loss
from gdnp.population.halfspace import Halfspace


@dataclass(frozen=True)
class Target(Loss):
    """φ(t) = √(1 + (t + k)²) - 1: a convex loss with a slope of at most one that wants z = -k."""

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
    """φ(t) = 1 - exp(-(t - k)²/2): bounded and not convex, with a best length on Gaussian data."""

    k: float = -1.0

    name = "welsch"
    task = "classification"
    convex = False
    max_gradient: ClassVar[float] = math.exp(-0.5)
    max_curvature: ClassVar[float] = 1.0

    def value(self, t: FloatArray) -> FloatArray:
        """1 - exp(-(t - k)²/2)."""
        return -np.expm1(-0.5 * (t - self.k) ** 2)

    def gradient(self, t: FloatArray) -> FloatArray:
        """(t - k) exp(-(t - k)²/2)."""
        return (t - self.k) * np.exp(-0.5 * (t - self.k) ** 2)

    def curvature(self, t: FloatArray) -> FloatArray:
        """(1 - (t - k)²) exp(-(t - k)²/2)."""
        return (1.0 - (t - self.k) ** 2) * np.exp(-0.5 * (t - self.k) ** 2)


@dataclass(frozen=True)
class DoubleWell(Welsch):
    """φ(t) = 1 - (exp(-(t - k)²/2) + exp(-(t + k)²/2))/2: even, so that it cannot tell z from -z."""

    k: float = 2.0

    name = "double_well"

    def value(self, t: FloatArray) -> FloatArray:
        """The mean of that of Welsch at t and -t."""
        return 0.5 * (super().value(t) + super().value(-t))

    def gradient(self, t: FloatArray) -> FloatArray:
        """Of the same."""
        return 0.5 * (super().gradient(t) - super().gradient(-t))

    def curvature(self, t: FloatArray) -> FloatArray:
        """Of the same."""
        return 0.5 * (super().curvature(t) + super().curvature(-t))


EVERY_LOSS: tuple[Loss, ...] = (LOSSES["log_loss"], LOSSES["sigmoid"], LOSSES["probit"], Target(), Welsch())
"""The classification losses of the library and two of a user's own."""
FINITE_LENGTH: tuple[Loss, ...] = (LOSSES["log_loss"], Target(), Welsch())
"""Those that have a best length on Gaussian data, as Assumption 4 asks."""


def slow_population(kappa: float, r: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(u, S, w₀) in the plane with the error of w₀ in the slow eigenvector, where Eq. 14 is an equality.

    It is one up to the square of sin θ₀ = .03.
    """
    u, S = np.array([math.sqrt(r), 0.0]), np.diag([1.0, 1.0 / kappa])
    return u, S, np.array([1.0, 0.03 * math.sqrt(kappa)])


def whitening(S: FloatArray) -> FloatArray:
    """T with TᵀST = I: w̃ = T v has ‖w̃‖_S = ‖v‖."""
    unit = 1.0 / np.sqrt(np.diagonal(S))
    values, vectors = np.linalg.eigh(S * np.outer(unit, unit))
    return np.asarray((unit[:, None] * vectors) / np.sqrt(values))


def critical_points(f: Halfspace, starts: int, *, seed: int = 0) -> list[FloatArray]:
    """Bounded points with ∇f = 0 to rounding, reached by a few steps of BFGS and then a root finder.

    The steps keep the root finder away from where f is flat; it may end in a saddle or a maximum.
    """
    T, rng = whitening(f.S), np.random.default_rng(seed)

    def gradient(v: FloatArray) -> FloatArray:
        return np.asarray(T.T @ f.at(T @ v).gradient)

    found = []
    for _ in range(starts):
        start = rng.standard_normal(f.n_features) * rng.uniform(0.5, 4.0)
        options = {"maxiter": 15}
        near = minimize(lambda v: f.at(T @ v).value, start, jac=gradient, method="BFGS", options=options)
        coef = T @ root(gradient, near.x, tol=1e-13).x
        if f.covariance.norm(coef) < 50.0 and f.covariance.dual_norm(f.at(coef).gradient) < 1e-10:
            found.append(coef)
    return found
