"""The metric where d is too large for a matrix and the diagonal too slow: a few directions held exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh, qr, svd

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners.full import floored
from gdnp.standardized import Standardized, diagonal, gram_product

__all__ = ["LowRankCurvature"]

ROUNDING = 1e-13
"""An eigenvalue of QᵀY below this share of the largest is none."""


class LowRankCurvature:
    """H of low rank beside a diagonal, from products with random directions (Nyström's approximation).

    With the notation of ``preconditioners.full``, G = A - R, D the diagonal of A and Γ that of D^-½ G D^-½,

        A ≈ R + D^½ (U Λ Uᵀ + λ (Γ - U Uᵀ)) D^½,

    where U Λ Uᵀ = Y (QᵀY)⁻¹ Yᵀ, Y = D^-½ G D^-½ Q for an orthonormal Q, and λ is the smallest of Λ: what is
    not seen curves less than that, so that no step is too long (Frangella, Tropp and Udell 2023). Where few
    rows count, Λ may end in 0; λ is at least the mean of what is not seen.

    Parameters
    ----------
    problem : Standardized
    curvature : ndarray of shape (n,)
        c >= 0.
    index : ndarray or None
        The rows that Y is made from; None is all.
    ridge : ndarray of shape (d,)
    rank : int
        Columns of Q, at most d.
    basis : ndarray of shape (d, k) or None
        The U of an earlier metric, which is part of the span of Q: its directions become the more exact.

    Attributes
    ----------
    basis : ndarray of shape (d, k)
        U.
    values : ndarray of shape (k,), k <= rank
        The diagonal of Λ, descending.
    rest : float
        The mean of the other eigenvalues, without those of columns that the ridge rules; at most 1.
    """

    def __init__(
        self,
        problem: Standardized,
        curvature: FloatArray,
        index: NDArray[np.intp] | None,
        ridge: FloatArray,
        rank: int,
        basis: FloatArray | None = None,
    ) -> None:
        about = diagonal(problem, curvature)
        self._total, self._mean = max(about.total, 1e-300), about.mean
        share = np.abs(about.scatter)
        self._unit = 1.0 / np.sqrt(floored(share + ridge))
        share *= np.square(self._unit)
        if index is not None:
            curvature = curvature[index]
        Q = np.random.default_rng(0).standard_normal((problem.d, rank))
        if basis is not None:
            kept = min(rank, basis.shape[1])
            Q[:, :kept] = basis[:, :kept]
        Q = qr(Q, mode="economic", overwrite_a=True, check_finite=False)[0]
        Y = gram_product(problem, curvature, self._unit[:, None] * Q, self._mean, index)
        Y *= self._unit[:, None]
        self.values, self.basis = _eigen(Q, Y)
        trace = float(share.sum())
        self.rest = max(0.0, trace - float(self.values.sum())) / max(1.0, trace - rank)
        least = max(self.rest, float(self.values[-1]))
        self._diagonal = floored(ridge * np.square(self._unit) + least * share)
        self._factor = self.basis * np.sqrt(np.maximum(self.values - least, 0.0))
        inner = self._factor.T @ (self._factor / self._diagonal[:, None])
        np.einsum("ii->i", inner)[:] += 1.0
        self._inner = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        r = g[:-1] - g[-1] * self._mean
        r *= self._unit
        r /= self._diagonal
        inside = cho_solve(self._inner, self._factor.T @ r, check_finite=False)
        r -= (self._factor @ inside) / self._diagonal
        r *= self._unit
        return np.append(r, g[-1] / self._total - self._mean @ r)


def _eigen(Q: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Λ, descending, and U of Y (QᵀY)⁻¹ Yᵀ, without what is rounding."""
    core = Q.T @ Y
    if not np.isfinite(core).all():
        raise FloatingPointError("products with X are not finite")
    seen, W = eigh(0.5 * (core + core.T), check_finite=False)
    kept = seen > ROUNDING * seen[-1]
    half = (W[:, kept] / np.sqrt(seen[kept])).T @ Y.T
    _, sigma, rows = svd(half, full_matrices=False, overwrite_a=True, check_finite=False)
    return np.square(sigma), np.ascontiguousarray(rows.T)
