"""The metric for n < d where columns differ so much in size that inner products would lose the small ones."""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr, solve_triangular

from gdnp._typing import FloatArray

__all__ = ["RowSpaceCurvature"]


class RowSpaceCurvature:
    """H for n < d, from an orthonormal basis of the rows.

    With the notation of ``gdnp.newton.preconditioners.full`` and B = C^½ (X - m) R^-½ = (Q T)ᵀ,

        A⁻¹ = R^-½ (I - Q Qᵀ + Q (I + T Tᵀ)⁻¹ Qᵀ) R^-½.

    Columns whose ridge is small beside their curvature make entries of B that are larger by orders of
    magnitude. Householder's reflections keep the small ones beside them if the largest come first, by rows
    and by columns (Cox and Higham 1998); inner products do not.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        X; used up.
    ridge : ndarray of shape (d,)
        R > 0.
    curvature : ndarray of shape (n,)
        c >= 0.
    fit_intercept : bool
        Whether there is a γ; m is 0 without.
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
        outside = self._unit * (g[:-1] - g[-1] * self._mean)
        inside = Q.T @ outside
        outside -= Q @ inside
        outside -= Q @ (Q.T @ outside)  # the first leaves rounding of the size of what it took off
        half = solve_triangular(self._root, inside, trans="T", check_finite=False)
        outside += Q @ solve_triangular(self._root, half, check_finite=False)
        out = np.empty_like(g)
        out[:-1] = self._unit * outside
        out[-1] = g[-1] / self._total - self._mean @ out[:-1]
        return out
