"""Metrics of the curvature at a point: positive definite approximations H of ∇²f over (v, γ), to solve with.

The intercept is eliminated by its Schur complement. With c_i = s_i φ''(t_i), C = Σ c_i, m = Σ c_i x_i / C and
A = Σ c_i (x_i - m)(x_i - m)ᵀ + R, the system H (δ, δ_γ) = (g, g_γ) is A δ = g - g_γ m, δ_γ = g_γ/C - mᵀδ.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy.linalg import lapack

from gdnp._typing import FloatArray
from gdnp.standardized import Gram, Standardized

__all__ = ["Curvature", "DiagonalCurvature", "FullCurvature", "KernelCurvature", "floored"]

JITTERS = (1e-14, 1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 1.0, 1e3)
"""What is added to the diagonal, in units of its largest entry, until Cholesky succeeds."""
SMALLEST_PIVOT = 1e-13
ENOUGH = 1e-11
"""A pivot below the first asks for at least the second to be added."""


class Curvature(Protocol):
    """What a quasi-Newton method needs of a metric."""

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        ...


class FullCurvature:
    """H from a positive semidefinite Gram matrix, by Cholesky.

    Parameters
    ----------
    gram : Gram
        About the weighted mean; used up.
    ridge : ndarray of shape (d,)
    """

    def __init__(self, gram: Gram, ridge: FloatArray) -> None:
        self._total, self._mean = max(gram.total, 1e-300), gram.mean
        diagonal = np.einsum("ii->i", gram.scatter)
        diagonal += ridge
        self._factor = _cholesky(gram.scatter, float(np.max(diagonal, initial=0.0)))

    def solve(self, g: FloatArray) -> FloatArray:  # noqa: D102
        out = np.empty_like(g)
        out[:-1] = lapack.dpotrs(self._factor, g[:-1] - g[-1] * self._mean, lower=1)[0]
        out[-1] = g[-1] / self._total - self._mean @ out[:-1]
        return out


def _cholesky(matrix: FloatArray, largest: float) -> FloatArray:
    """The factor of the matrix plus as little of the identity as keeps rounding from being blown up.

    A pivot near rounding (twin columns) passes the noise of a right-hand side on in full size, so more is
    added then: too large a metric costs an iteration, noise along a kernel costs digits of every margin.
    """
    unit = largest if largest > 0.0 else 1.0
    diagonal = np.einsum("ii->i", matrix)
    added = 0.0
    for jitter in JITTERS:
        diagonal += (jitter - added) * unit
        added = jitter
        factor, info = lapack.dpotrf(matrix, lower=1)
        pivot = float(np.square(np.min(np.einsum("ii->i", factor), initial=np.inf)))
        if info == 0 and (pivot > SMALLEST_PIVOT * unit or jitter >= ENOUGH):
            return np.asarray(factor)
    raise FloatingPointError("a Gram matrix is not finite or far from positive semidefinite")


def floored(diagonal: FloatArray) -> FloatArray:
    """Entries of a diagonal that can be divided by: beside the largest, none is next to nothing."""
    return np.maximum(diagonal, 1e-12 * float(np.max(diagonal, initial=0.0)) + 1e-300)


class DiagonalCurvature:
    """H from the diagonal of the Gram, for d too large for a matrix.

    Parameters
    ----------
    gram : Gram
        With a scatter of shape (d,).
    ridge : ndarray of shape (d,)
    """

    def __init__(self, gram: Gram, ridge: FloatArray) -> None:
        self._total, self._mean = abs(gram.total) if gram.total != 0.0 else 1.0, gram.mean
        self._inverse = 1.0 / floored(np.abs(gram.scatter) + ridge)

    def solve(self, g: FloatArray) -> FloatArray:  # noqa: D102
        out = np.empty_like(g)
        inner = np.multiply(self._mean, -g[-1], out=out[:-1])
        inner += g[:-1]
        inner *= self._inverse
        out[-1] = g[-1] / self._total - self._mean @ inner
        return out


class KernelCurvature:
    """H for n < d, by the Woodbury identity on K = X R⁻¹ Xᵀ (n x n): two products with X for each solution.

    A⁻¹ = R⁻¹ - R⁻¹ Xᵀ M X R⁻¹ with M = C^½ (I + C^½ K C^½)⁻¹ C^½, and 1ᵀ M 1 is the Schur complement of γ.

    Parameters
    ----------
    problem : Standardized
    kernel : ndarray of shape (n, n)
        K for the floored ridge.
    ridge : ndarray of shape (d,)
        R, floored so that it can be divided by.
    curvature : ndarray of shape (n,)
        c >= 0.
    """

    def __init__(
        self, problem: Standardized, kernel: FloatArray, ridge: FloatArray, curvature: FloatArray
    ) -> None:
        self._problem, self._ridge = problem, ridge
        self._root = np.sqrt(np.maximum(curvature, 0.0))
        system = self._root[:, None] * kernel * self._root
        np.einsum("ii->i", system)[:] += 1.0
        self._factor = _cholesky(system, 0.0)
        if problem.fit_intercept:
            ones = self._inner(np.ones(problem.n))
            self._complement = max(float(ones.sum()), 1e-300)
            self._response = problem.backward(ones) / ridge

    def _inner(self, r: FloatArray) -> FloatArray:
        """M r."""
        return np.asarray(self._root * lapack.dpotrs(self._factor, self._root * r, lower=1)[0])

    def _solve_features(self, g: FloatArray) -> FloatArray:
        plain = g / self._ridge
        inner = self._inner(self._problem.features(plain))
        return np.asarray(plain - self._problem.backward(inner) / self._ridge)

    def solve(self, g: FloatArray) -> FloatArray:  # noqa: D102
        out = np.zeros_like(g)
        out[:-1] = self._solve_features(g[:-1])
        if self._problem.fit_intercept:
            # H_v⁻¹ Xᵀc = R⁻¹ Xᵀ M 1, and (Xᵀc)ᵀ H_v⁻¹ g = (H_v⁻¹ Xᵀc)ᵀ g
            out[-1] = (g[-1] - float(self._response @ g[:-1])) / self._complement
            out[:-1] -= self._response * out[-1]
        return out
