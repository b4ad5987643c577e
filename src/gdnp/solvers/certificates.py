"""What is known about a solution: a duality gap where one can be had, a Newton decrement elsewhere.

For convex φ and a ridge R > 0, every a with Σ s_i σ_i a_i = 0 (γ is free) gives the lower bound
D(a) = Σ s_i (a_i base_i - φ*(a_i)) - ½ ‖Xᵀ(s σ a)‖²_{R⁻¹} <= min f, and at (v, γ)

    f(v, γ) - D(a) = Σ s_i [φ(t_i) + φ*(a_i) - a_i t_i] + ½ ‖R v + Xᵀ(s σ a)‖²_{R⁻¹},

a sum of terms that are never negative, so nothing cancels. The customary a = φ'(t) makes the first sum 0 and
leaves ‖∇f‖²_{R⁻¹}/2, which is useless where R is small. Here a = φ'(t) + φ''(t) ∘ (X δ) with δ the Newton
step: then the second term is the residual of Newton's equations, and the first is of fourth order in δ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.linalg import LinAlgError, eigh
from scipy.sparse.linalg import LinearOperator, lobpcg

from gdnp._typing import FloatArray
from gdnp.design import Block
from gdnp.solvers.conjugate import NewtonStep
from gdnp.solvers.state import Status
from gdnp.standardized import Place, Standardized, gram

Kind = Literal["duality_gap", "newton_decrement", "gradient_norm"]

__all__ = ["Certificate", "Kind", "duality_gap", "provable", "smallest_curvature"]

SEARCH, CLOSE = 40, 1e-9
"""Products with ∇²f in the search of its smallest eigenvalue, and the residual that ends it before."""


@dataclass(frozen=True)
class Certificate:
    """How good a fit is, and how that is known.

    Attributes
    ----------
    status : Status
        How the run ended.
    gap : float
        Bound or estimate of (f - min f)/min f. Near interpolation, where min f is below 1e-15 of f at the
        constant prediction, it is relative to that: less is rounding of the targets.
    gradient_norm : float
        ‖∇f‖ in the inverse of the metric the solver ended with.
    kind : {"duality_gap", "newton_decrement", "gradient_norm"}
        "duality_gap" proves `gap`; the others estimate it.
    objective : float
        f.
    smallest_curvature : float or None
        Losses that are not convex: the smallest eigenvalue of ∇²f in the solver's coordinates, where it was
        computed, or beyond 2048 columns the smallest that was found; not below zero (beyond rounding) at a
        local minimum.
    zero_one_error : float or None
        Classification: the weighted share of training rows on the wrong side.
    smoothing_gap : float or None
        Bounded losses: mean φ less the 0-1 error, what smoothing adds to or takes off the error.
    """

    status: Status
    gap: float
    gradient_norm: float
    kind: Kind
    objective: float
    smallest_curvature: float | None = None
    zero_one_error: float | None = None
    smoothing_gap: float | None = None

    @property
    def proved(self) -> bool:
        """Whether ``gap`` is a proof rather than an estimate."""
        return self.kind == "duality_gap"


def provable(problem: Standardized) -> bool:
    """Whether a duality gap exists: a convex loss with a conjugate, and a ridge on every live column."""
    loss = problem.loss
    return bool(loss.convex and loss.has_conjugate and np.all(problem.ridge > 0.0))


def duality_gap(problem: Standardized, place: Place, newton: NewtonStep) -> tuple[Place, float]:
    """The place one Newton step on, and f there less the dual bound; one pass.

    The margins there are computed from the coefficients, not from those before the step: what is proved is
    proved of the coefficients, whatever rounding the margins have gathered on the way.

    Parameters
    ----------
    problem : Standardized
    place : Place
        Where ∇²f was taken.
    newton : NewtonStep
        δ, and X δ as the change of the margins.

    Returns
    -------
    Place
        (v, γ) + δ.
    float
        An upper bound on f - min f there, up to rounding; infinite where a cannot be balanced.
    """
    loss = problem.loss
    x = place.x + newton.step
    moved, (w, b) = np.empty(problem.n), problem.outward(x)  # holds a, until the margins take its place

    def dual(
        t: FloatArray, q: FloatArray, sigma: FloatArray, s: FloatArray | None, a: FloatArray
    ) -> list[Any]:
        a[:] = loss.dual_clip(loss.gradient(t) + loss.curvature(t) * q)
        h = problem.weighted(a * sigma, s)
        return [float(np.maximum(h, 0.0).sum()), -float(np.minimum(h, 0.0).sum())]

    positive, negative = problem.design.reduce_rows(
        dual, place.margins, newton.slope, problem.sigma, problem.weight, moved
    )
    up = down = 1.0
    if problem.fit_intercept:
        if min(positive, negative) <= 0.0 < max(positive, negative):
            up = down = 0.0
        elif positive > negative:
            up = negative / positive
        elif negative > positive:
            down = positive / negative

    def kernel(
        block: Block, at: FloatArray, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None
    ) -> list[Any]:
        a = at * np.where(at * sigma > 0.0, up, down)
        problem.forward(block, w, b, sigma, base, at)
        value, r = loss.value_and_gradient(at)
        excess = np.maximum(value + loss.conjugate(a) - a * at, 0.0)
        r = problem.weighted(r, s)
        r *= sigma
        h = problem.weighted(a, s)
        h *= sigma
        products = block.tdot(r), block.tdot(h)
        return [problem.total(value, s), problem.total(excess, s), *products, float(r.sum()), float(h.sum())]

    problem.cost.charge(1.0)
    value, excess, product, dual_product, total, dual_total = problem.design.reduce(
        kernel, moved, problem.sigma, problem.base, problem.weight, partial_size=2 * problem.d
    )
    gradient = problem.finished(product, total, x)
    residual = problem.finished(dual_product, dual_total, x)[:-1]
    gap = excess + 0.5 * float(residual @ (residual / problem.ridge))
    return Place(x, moved, value + problem.penalty(x), gradient), float(gap)


def smallest_curvature(
    problem: Standardized,
    place: Place,
    precondition: Callable[[FloatArray], FloatArray] | None = None,
) -> tuple[float, FloatArray]:
    """The smallest eigenvalue of ∇²f in standardised coordinates and its eigenvector.

    Parameters
    ----------
    problem : Standardized
    place : Place
    precondition : callable or None
        g -> H⁻¹ g for a positive definite H near ∇²f, to search with products, a pass over X each; what is
        found is then the Rayleigh quotient of a vector, an upper bound. None takes the matrix.
    """
    c = problem.curvature(place.margins)
    if precondition is None:
        values, vectors = eigh(_hessian(problem, c), subset_by_index=(0, 0))
        return float(values[0]), vectors[:, 0]
    buffer = np.empty(problem.n)

    def product(p: FloatArray) -> FloatArray:
        p = np.ravel(p)
        if problem.fit_intercept:
            return problem.hessian_product(c, p, buffer)
        out = problem.hessian_product(c, np.append(p[:-1], 0.0), buffer)
        out[-1] = p[-1]  # as in _hessian
        return out

    size = (problem.d + 1, problem.d + 1)
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
                tol=CLOSE,
            )
        except (ValueError, LinAlgError):  # where ∇²f or H is next to nothing
            v = start[:, 0]
            return float(v @ product(v)) / float(v @ v), v
    return float(values[0]), vectors[:, 0]


def _hessian(problem: Standardized, c: FloatArray) -> FloatArray:
    """∇²f over (v, γ), with a 1 for a γ that is no variable."""
    found, d = gram(problem, c, central=False), problem.d
    matrix = np.zeros((d + 1, d + 1))
    matrix[:d, :d] = found.scatter
    np.einsum("ii->i", matrix)[:d] += problem.ridge
    matrix[d, :d] = matrix[:d, d] = found.first
    matrix[d, d] = found.total if problem.fit_intercept else 1.0
    return matrix
