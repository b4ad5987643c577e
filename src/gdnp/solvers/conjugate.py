"""Newton's equations ∇²f δ = -∇f by conjugate gradients, preconditioned by a metric of curvature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import daxpy

from gdnp._typing import FloatArray
from gdnp.standardized import Place, Standardized

__all__ = ["NewtonStep", "newton_step"]


ROUNDING = 1e-28
"""Squared residual, in units of the first, below which iterations only stir up rounding."""


@dataclass(frozen=True)
class NewtonStep:
    """An inexact Newton step and what it tells.

    Attributes
    ----------
    step : ndarray of shape (d + 1,)
        δ.
    slope : ndarray of shape (n,)
        The change of the margins along δ.
    residual : ndarray of shape (d + 1,)
        ∇²f δ + ∇f.
    decrement : float
        -½ ∇fᵀδ, the decrease that the quadratic model promises.
    solved : bool
        Whether it went as far as was asked, or as rounding lets it.
    escape : ndarray of shape (d + 1,) or None
        A direction of negative curvature, if one was met.
    """

    step: FloatArray
    slope: FloatArray
    residual: FloatArray
    decrement: float
    solved: bool
    escape: FloatArray | None = None


def newton_step(
    problem: Standardized,
    place: Place,
    curvature: FloatArray,
    precondition: Callable[[FloatArray], FloatArray],
    done: Callable[[FloatArray, float], bool],
    max_iter: int,
    watch: Callable[[FloatArray, float, float], object] | None = None,
) -> NewtonStep:
    """Conjugate gradients from δ = 0; one pass over X an iteration.

    Parameters
    ----------
    problem : Standardized
    place : Place
        Where the Hessian is taken.
    curvature : ndarray of shape (n,)
        s φ'' there.
    precondition : callable
        g -> H⁻¹ g for a positive definite H near ∇²f.
    done : callable
        (residual, decrement) -> whether that is enough.
    max_iter : int
        Products with the Hessian at most.
    watch : callable or None
        Called with (δ, decrement, rᵀH⁻¹r) of every iteration that another follows, r the residual.
    """
    x, residual = np.zeros_like(place.gradient), place.gradient.copy()
    slope = np.empty(problem.n)
    total: FloatArray | None = None
    z = precondition(residual)
    p, rz = -z, float(residual @ z)
    first, solved = rz, True
    decrement = 0.0
    for k in range(max_iter):
        if k > 0 and watch is not None:
            watch(x, decrement, rz)
        product = problem.hessian_product(curvature, p, slope)
        bend = float(p @ product)
        if not bend > 1e-14 * float(np.abs(p) @ np.abs(product)):
            escape = p if bend < 0.0 else None
            total = np.zeros(problem.n) if total is None else total
            return NewtonStep(x, total, residual, decrement, True, escape)
        a = rz / bend
        x, residual = daxpy(p, x, a=a), daxpy(product, residual, a=a)
        slope *= a
        if total is None:  # most often one iteration is enough, and then so is one vector
            total = slope
        else:
            total += slope
        decrement += 0.5 * a * rz  # -½ ∇fᵀδ would lose digits with the residuals' orthogonality
        if done(residual, decrement):
            break
        if slope is total:
            slope = np.empty(problem.n)
        z = precondition(residual)
        rz, old = float(residual @ z), rz
        if not rz > ROUNDING * first:
            break
        p *= rz / old
        p -= z
    else:
        solved = False
    assert total is not None, "max_iter must be at least 1"
    return NewtonStep(x, total, residual, decrement, solved)
