"""Newton's equations ∇²f δ = -∇f by conjugate gradients, preconditioned by an approximation of ∇²f."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import daxpy

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint
from gdnp.solvers.state import ROUNDING, replace

Solve = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True)
class NewtonStep:
    """An inexact Newton step, what it tells, and where it goes on."""

    step: FloatArray  # δ, shape (d + 1,) or (d + 1, K)
    slope: RowVector | None  # the change of the margins along δ, shape (n,); None at δ = 0
    residual: FloatArray  # ∇²f δ + ∇f, shape (d + 1,)
    decrement: float  # -½ ∇fᵀδ, the decrease that the quadratic model promises
    direction: FloatArray  # where the next iteration goes, shape (d + 1,)
    square: float  # rᵀH⁻¹r of the residual r
    first: float  # the same at δ = 0
    iterations: int = 0
    ended: bool = False  # whether it went as far as was asked, or as rounding lets it
    escape: FloatArray | None = None  # a direction of negative curvature, if one was met, shape (d + 1,)
    size: float = 0.0  # pᵀH p of the direction
    least: float = math.inf  # the smallest pᵀ∇²f p/pᵀH p met: how much less ∇²f may be than H
    gain: float = 0.0  # what the last iteration took off the model


def still(point: DataPoint, precondition: Solve) -> NewtonStep:
    """δ = 0 at a point."""
    gradient = point.x_gradient
    z = precondition(gradient)
    square = float(np.vdot(gradient, z))
    return NewtonStep(np.zeros_like(gradient), None, gradient, 0.0, -z, square, square, size=square)


def exact_step(point: DataPoint, solve: Solve) -> NewtonStep:
    """δ where H is ∇²f; its slope is not known yet."""
    gradient = point.x_gradient
    z = solve(gradient)
    square = float(np.vdot(gradient, z))
    zero = np.zeros_like(gradient)
    return NewtonStep(-z, None, zero, 0.5 * square, zero, 0.0, square, 1, ended=True, size=square, least=1.0)


def advanced(
    problem: Objective,
    curvature: RowVector,
    state: NewtonStep,
    precondition: Solve,
    enough: Callable[[NewtonStep], bool],
) -> NewtonStep:
    """One iteration on; one pass over X. Of x with K columns the slope is left to be made at the end.

    `curvature` is s φ'' where the Hessian is taken, `precondition` g -> H⁻¹ g for a positive definite H near
    ∇²f, and `enough` says whether a step will do.
    """
    rows, p = problem.design.rows, state.direction
    slope = rows.empty() if p.ndim == 1 else None
    product = problem.hessian_product(curvature, p, slope)
    bend = float(np.vdot(p, product))
    count = state.iterations + 1
    # Else it is rounding, or negative.
    known = bend > ROUNDING * float(np.vdot(np.abs(p), np.abs(product)))
    if not (known and state.size > 0.0):
        return replace(state, iterations=count, ended=True, escape=p if bend < 0.0 else None)
    a = state.square / bend
    x, residual = _moved(state.step, a, p), _moved(state.residual, a, product)
    moved = None
    if slope is not None:
        terms = [(a, slope)] if state.slope is None else [(a, slope), (1.0, state.slope)]
        moved = rows.combine(*terms, out=slope)
    # -½ ∇fᵀδ would lose digits with the residuals' orthogonality
    gain = 0.5 * a * state.square
    least = min(state.least, bend / state.size)
    changed = {"step": x, "slope": moved, "residual": residual, "iterations": count}
    made = replace(state, **changed, decrement=state.decrement + gain, least=least, gain=gain)
    if enough(made):
        return replace(made, ended=True)
    z = precondition(residual)
    square = float(np.vdot(residual, z))
    turn = square / state.square
    ended = not square > ROUNDING * ROUNDING * state.first  # more would only stir up rounding
    size = square + turn * turn * state.size  # the residual is orthogonal to p
    return replace(made, direction=p * turn - z, square=square, size=size, ended=ended)


def newton_step(
    problem: Objective,
    point: DataPoint,
    curvature: RowVector,
    precondition: Solve,
    enough: Callable[[NewtonStep], bool],
    max_iter: int,
) -> NewtonStep:
    """Conjugate gradients from δ = 0, until it is enough or there were `max_iter` >= 1 products with ∇²f."""
    state = still(point, precondition)
    while not state.ended and state.iterations < max_iter:
        state = advanced(problem, curvature, state, precondition, enough)
    return state


def _moved(x: FloatArray, a: float, p: FloatArray) -> FloatArray:
    """x + a p."""
    return np.asarray(daxpy(p.ravel(), x.flatten(), a=a).reshape(x.shape))
