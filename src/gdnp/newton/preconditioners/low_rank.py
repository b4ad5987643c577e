"""The preconditioner where d is too large for a matrix: a diagonal, and a few directions held exactly."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh, qr, svd

from gdnp._typing import FloatArray
from gdnp.design import Choice, RowVector
from gdnp.newton.preconditioners.base import with_intercept, without_intercept
from gdnp.newton.preconditioners.full import SMALLEST_PIVOT
from gdnp.problem.coordinates import Gram
from gdnp.problem.gram import diagonal, gram_product
from gdnp.problem.objective import Objective


class LowRankPreconditioner:
    """H of low rank beside a diagonal; rank 0 is the diagonal.

    With G = A - R, D the diagonal of A and Γ that of D^-½ G D^-½,

        A ≈ R + D^½ (U Λ Uᵀ + λ (Γ - U Uᵀ)) D^½.

    λ is the smallest of Λ: what is not seen curves less than that, so that no step is too long (Frangella,
    Tropp and Udell 2023). Where few rows count, Λ may end in 0; λ is at least the mean of what is not seen.
    At rank 0 it is 1. ``values`` has the k entries of Λ, descending, and ``basis`` U, shape (d, k). ``rest``
    is the mean of the other eigenvalues, without those of columns that the ridge rules; at most 1.
    """

    def __init__(
        self,
        about: Gram,
        ridge: FloatArray,
        values: FloatArray | None = None,
        basis: FloatArray | None = None,
    ) -> None:
        self._total, self._mean = about.total if about.total > 0.0 else 1.0, about.mean
        self._unit, share = _unit(about, ridge)
        self.values, self.basis = np.empty(0) if values is None else values, basis
        rank = len(self.values)
        trace = float(share.sum())
        self.rest = max(0.0, trace - float(self.values.sum())) / max(1.0, trace - rank)
        least = max(self.rest, float(self.values[-1])) if rank else 1.0
        self._diagonal = _floored(ridge * np.square(self._unit) + least * share)
        if basis is None:
            self._inverse = np.square(self._unit) / self._diagonal
        else:
            self._factor = basis * np.sqrt(np.maximum(self.values - least, 0.0))
            inner = self._factor.T @ (self._factor / self._diagonal[:, None])
            np.einsum("ii->i", inner)[:] += 1.0
            self._inner = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)

    @classmethod
    def of(
        cls,
        problem: Objective,
        curvature: RowVector,
        ridge: FloatArray,
        rank: int = 0,
        choice: Choice | None = None,
        previous: LowRankPreconditioner | None = None,
    ) -> LowRankPreconditioner:
        """From products with random directions (Nyström's approximation): U Λ Uᵀ = Y (QᵀY)⁻¹ Yᵀ.

        Q has `rank` columns, and Y = D^-½ G D^-½ Q is made from the rows of `choice`, None being all. The U
        of a `previous` one becomes part of the span of Q: its directions are the more exact then.
        """
        about = diagonal(problem, curvature)
        if rank == 0:
            return cls(about, ridge)
        unit = _unit(about, ridge)[0]
        Q = np.random.default_rng(0).standard_normal((problem.n_features, rank))
        if previous is not None and previous.basis is not None:
            kept = min(rank, previous.basis.shape[1])
            Q[:, :kept] = previous.basis[:, :kept]
        Q = qr(Q, mode="economic", overwrite_a=True, check_finite=False)[0]
        V = unit[:, None] * Q
        Y, first = gram_product(problem, curvature, V, about.mean @ V, choice)
        Y = unit[:, None] * (Y - np.outer(about.mean, first))
        return cls(about, ridge, *_eigen(Q, Y))

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        r = without_intercept(g, self._mean)
        if self.basis is None:
            r *= self._inverse
            return with_intercept(r, g, self._total, self._mean)
        r *= self._unit
        r /= self._diagonal
        inside = cho_solve(self._inner, self._factor.T @ r, check_finite=False)
        r -= (self._factor @ inside) / self._diagonal
        r *= self._unit
        return with_intercept(r, g, self._total, self._mean)


def _unit(about: Gram, ridge: FloatArray) -> tuple[FloatArray, FloatArray]:
    """D^-½ and Γ."""
    share = np.abs(about.scatter)
    unit = 1.0 / np.sqrt(_floored(share + ridge))
    return unit, share * np.square(unit)


def _floored(diagonal: FloatArray) -> FloatArray:
    """Entries of a diagonal that can be divided by: beside the largest, none is next to nothing."""
    return np.maximum(diagonal, SMALLEST_PIVOT * float(np.max(diagonal, initial=0.0)) + 1e-300)


def _eigen(Q: FloatArray, Y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Λ, descending, and U of Y (QᵀY)⁻¹ Yᵀ, without what is rounding."""
    core = Q.T @ Y
    if not np.isfinite(core).all():
        raise FloatingPointError("products with X are not finite")
    seen, W = eigh(0.5 * (core + core.T), check_finite=False)
    kept = seen > SMALLEST_PIVOT * seen[-1]
    half = (W[:, kept] / np.sqrt(seen[kept])).T @ Y.T
    _, sigma, rows = svd(half, full_matrices=False, overwrite_a=True, check_finite=False)
    return np.square(sigma), np.ascontiguousarray(rows.T)
