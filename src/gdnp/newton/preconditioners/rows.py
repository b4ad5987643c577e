"""Preconditioners for n < d: what the Hessian is to the rows, which fit in memory and are gathered there."""

import numpy as np
from scipy.linalg import lapack, qr, solve_triangular

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners.base import with_intercept, without_intercept
from gdnp.newton.preconditioners.full import cholesky
from gdnp.problem.objective import Objective


class KernelPreconditioner:
    """H by the Woodbury identity on K = X R⁻¹ Xᵀ (n x n): two products with X for each solution.

    A⁻¹ = R⁻¹ - R⁻¹ Xᵀ M X R⁻¹ with M = C^½ (I + C^½ K C^½)⁻¹ C^½, and 1ᵀ M 1 is the Schur complement of γ.
    The ridge R is floored, so that it can be divided by.
    """

    def __init__(
        self, problem: Objective, kernel: FloatArray, ridge: FloatArray, curvature: FloatArray
    ) -> None:
        self._problem, self._ridge = problem, ridge
        self._root = np.sqrt(np.maximum(curvature, 0.0))
        system = self._root[:, None] * kernel * self._root
        np.einsum("ii->i", system)[:] += 1.0
        self._factor = cholesky(system, 0.0)
        if problem.fit_intercept:
            ones = self._inner(np.ones(problem.n_samples))
            self._complement = max(float(ones.sum()), 1e-300)
            self._response = self._backward(ones) / ridge

    def _inner(self, r: FloatArray) -> FloatArray:
        """M r."""
        return np.asarray(self._root * lapack.dpotrs(self._factor, self._root * r, lower=1)[0])

    def _backward(self, r: FloatArray) -> FloatArray:
        return self._problem.backward(self._problem.design.rows.hold(r))

    def _solve_features(self, g: FloatArray) -> FloatArray:
        plain = g / self._ridge
        inner = self._inner(self._problem.design.rows.gather(self._problem.features(plain)))
        return np.asarray(plain - self._backward(inner) / self._ridge)

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        out = np.zeros_like(g)
        out[:-1] = self._solve_features(g[:-1])
        if self._problem.fit_intercept:
            # H_v⁻¹ Xᵀc = R⁻¹ Xᵀ M 1, and (Xᵀc)ᵀ H_v⁻¹ g = (H_v⁻¹ Xᵀc)ᵀ g
            out[-1] = (g[-1] - float(self._response @ g[:-1])) / self._complement
            out[:-1] -= self._response * out[-1]
        return out


class BasisPreconditioner:
    """H from an orthonormal basis of the rows, where inner products of them would lose small columns.

    With B = C^½ (X - m) R^-½ = (Q T)ᵀ,

        A⁻¹ = R^-½ (I - Q Qᵀ + Q (I + T Tᵀ)⁻¹ Qᵀ) R^-½.

    Columns whose ridge is small beside their curvature make entries of B that are larger by orders of
    magnitude. Householder's reflections keep the small ones beside them if the largest come first, by rows
    and by columns (Cox and Higham 1998); inner products do not. X is used up; m is 0 without γ.
    """

    def __init__(
        self, rows: FloatArray, ridge: FloatArray, curvature: FloatArray, *, fit_intercept: bool
    ) -> None:
        self._total = max(float(curvature.sum()), 1e-300)
        self._mean = np.zeros(len(ridge))
        if fit_intercept:
            self._mean = curvature @ rows / self._total
            rows -= self._mean
        self._unit = 1.0 / np.sqrt(ridge)
        rows *= np.sqrt(curvature)[:, None]
        rows *= self._unit
        order = np.argsort(-np.abs(rows).max(axis=0), kind="stable")
        basis, triangle, _ = qr(rows.T[order], mode="economic", pivoting=True, check_finite=False)
        self._basis = np.empty_like(basis)
        self._basis[order] = basis
        below = np.vstack((triangle.T, np.eye(len(triangle))))
        self._root = qr(below, mode="r", check_finite=False)[0][: len(triangle)]  # of I + T Tᵀ

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        Q = self._basis
        outside = self._unit * without_intercept(g, self._mean)
        inside = Q.T @ outside
        outside -= Q @ inside
        outside -= Q @ (Q.T @ outside)  # the first leaves rounding of the size of what it took off
        half = solve_triangular(self._root, inside, trans="T", check_finite=False)
        outside += Q @ solve_triangular(self._root, half, check_finite=False)
        return with_intercept(self._unit * outside, g, self._total, self._mean)
