"""What is known about a solution: a duality gap where one can be had, a Newton decrement elsewhere.

For convex φ and a ridge R > 0, every a with Σ s_i σ_i a_i = 0 (γ is free) gives the lower bound
D(a) = Σ s_i (a_i base_i - φ*(a_i)) - ½ ‖Xᵀ(s σ a)‖²_{R⁻¹} <= min f, and at (v, γ)

    f(v, γ) - D(a) = Σ s_i [φ(t_i) + φ*(a_i) - a_i t_i] + ½ ‖R v + Xᵀ(s σ a)‖²_{R⁻¹},

a sum of terms that are never negative, so nothing cancels. The customary a = φ'(t) makes the first sum 0 and
leaves ‖∇f‖²_{R⁻¹}/2, which is useless where R is small. Here a = φ'(t) + φ''(t) ∘ (X δ) with δ the Newton
step: then the second term is the residual of Newton's equations, and the first is of fourth order in δ.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import LinAlgError, eigh
from scipy.sparse.linalg import LinearOperator, lobpcg

from gdnp._typing import FloatArray
from gdnp.design.block import Dual, weighted
from gdnp.losses import Loss
from gdnp.problem.gram import hessian
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.problem.points import DataPoint
from gdnp.solvers.conjugate import NewtonStep
from gdnp.solvers.state import Certificate, Status

__all__ = ["certified", "duality_gap", "provable", "smallest_curvature"]

SEARCH = 40
"""Products with ∇²f in the search of its smallest eigenvalue, at most."""
CURVATURE_ROUNDING = 1e-9
"""An eigenvalue this far below zero, where columns have unit variance, is not called negative."""


def provable(problem: Objective) -> bool:
    """Whether a duality gap exists: a convex loss with a conjugate, and a ridge on every live column."""
    loss = problem.loss
    return bool(loss.convex and loss.has_conjugate and np.all(problem.coordinates.ridge > 0.0))


@dataclass(frozen=True)
class DualPoint:
    """a = φ'(t) + φ''(t) ∘ q, clipped, written; returns the masses of s a σ above and below 0."""

    loss: Loss

    def __call__(
        self, t: FloatArray, q: FloatArray, sigma: FloatArray, s: FloatArray | None, a: FloatArray
    ) -> list[Any]:
        """See ``Rows.total``."""
        a[:] = self.loss.dual_clip(self.loss.gradient(t) + self.loss.curvature(t) * q)
        h = weighted(a * sigma, s)
        return [float(np.maximum(h, 0.0).sum()), -float(np.minimum(h, 0.0).sum())]


def duality_gap(problem: Objective, point: DataPoint, newton: NewtonStep) -> tuple[DataPoint, float]:
    """The point one Newton step on, and f there less the dual bound; one pass.

    The margins there are computed from the coefficients, not from those before the step: what is proved is
    proved of the coefficients, whatever rounding the margins have gathered on the way.

    Parameters
    ----------
    problem : Objective
    point : DataPoint
        Where ∇²f was taken.
    newton : NewtonStep
        δ, and X δ as the change of the margins.

    Returns
    -------
    DataPoint
        x + δ.
    float
        An upper bound on f - min f there, up to rounding; infinite where a cannot be balanced.
    """
    rows, x = problem.design.rows, point.x + newton.step
    moved = rows.empty()  # holds a, until the margins take its place
    slope = rows.hold(np.broadcast_to(0.0, rows.n)) if newton.slope is None else newton.slope
    positive, negative = rows.total(
        DualPoint(problem.loss), point.margins, slope, problem.sigma, problem.weight, writes=(moved,)
    )
    up, down = _balance(positive, negative) if problem.fit_intercept else (1.0, 1.0)
    problem.cost.charge(1.0)
    sums = problem.design.map(
        "gap",
        Dual(*problem.outward(x), problem.loss, up, down),
        reads=(problem.sigma, problem.base, problem.weight),
        writes=(moved,),
        partial_size=2 * problem.n_features,
    )
    _, excess, _, dual_product, _, dual_rest = (problem.share * part for part in sums)
    residual = problem.with_ridge(problem.pulled_back(dual_product, dual_rest), x)[:-1]
    gap = excess + 0.5 * float(residual @ (residual / problem.coordinates.ridge))
    return DataPoint(problem, x, moved, [sums[0], sums[2], sums[4]]), float(gap)


def _balance(positive: float, negative: float) -> tuple[float, float]:
    """Factors for both signs of s a σ after which they sum to 0, as a free intercept asks."""
    if min(positive, negative) <= 0.0 < max(positive, negative):
        return 0.0, 0.0
    if positive > negative:
        return negative / positive, 1.0
    return (1.0, positive / negative) if negative > positive else (1.0, 1.0)


def certified(point: DataPoint, known: Certificate, status: Status, tol: float) -> Certificate:
    """The certificate of a point that some solver came to, against the bound of another's certificate.

    Its status is CONVERGED if and only if the gap is within `tol`, whatever `status` was said.
    """
    lower = known.objective - known.gap * known.objective / (1.0 + known.gap)
    excess = max(point.value - lower, 0.0)
    gap = 0.0 if excess == 0.0 else excess / lower if lower > 0.0 else math.inf
    if gap <= tol:
        status = Status.CONVERGED
    elif status is Status.CONVERGED:
        status = Status.MAX_ITER
    return replace(known, status=status, gap=gap, objective=point.value)


def hessian_fits(problem: Objective) -> bool:
    """Whether ∇²f is small enough, and cheap enough beside products with it, to be held as a matrix."""
    return problem.n_features <= min(LARGEST_GRAM, 2 * problem.n_samples)


def smallest_curvature(
    problem: Objective, point: DataPoint, precondition: Callable[[FloatArray], FloatArray] | None = None
) -> tuple[float, FloatArray]:
    """The smallest eigenvalue of ∇²f in the problem's coordinates and its eigenvector.

    Parameters
    ----------
    problem : Objective
    point : DataPoint
    precondition : callable or None
        g -> H⁻¹ g for a positive definite H near ∇²f, to search with products, a pass over X each; what is
        found is then the Rayleigh quotient of a vector, an upper bound. None takes the matrix.
    """
    c = problem.curvature(point.margins)
    if precondition is None:
        values, vectors = eigh(hessian(problem, c), subset_by_index=(0, 0))
        return float(values[0]), vectors[:, 0]
    buffer = problem.design.rows.empty()

    def product(p: FloatArray) -> FloatArray:
        p = np.ravel(p)
        if problem.fit_intercept:
            return problem.hessian_product(c, p, buffer)
        out = problem.hessian_product(c, np.append(p[:-1], 0.0), buffer)
        out[-1] = p[-1]  # as in ``hessian``
        return out

    size = (problem.n_features + 1, problem.n_features + 1)
    start = np.random.default_rng(0).standard_normal((size[0], 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of accuracy not reached: a quotient is a bound anyway
        try:
            values, vectors = lobpcg(
                LinearOperator(size, matvec=product, dtype=np.float64),
                start,
                M=LinearOperator(size, matvec=lambda g: precondition(np.ravel(g)), dtype=np.float64),
                largest=False,
                maxiter=SEARCH,
                tol=CURVATURE_ROUNDING,
            )
        except (ValueError, LinAlgError):  # where ∇²f or H is next to nothing
            v = start[:, 0]
            return float(v @ product(v)) / float(v @ v), v
    return float(values[0]), vectors[:, 0]
