"""The end of a run: Newton's equations solved far enough that the point they lead to can be certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners import Event, Seen, cost_of_matrix, cost_of_sharper, next_stage
from gdnp.newton.search import downhill, step_along
from gdnp.newton.state import NewtonState, renewed
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.certificates import (
    CURVATURE_ROUNDING,
    duality_gap,
    hessian_fits,
    provable,
    smallest_curvature,
)
from gdnp.solvers.conjugate import NewtonStep, advanced, newton_step, still
from gdnp.solvers.state import ROUNDING, GapKind, Status

__all__ = ["closed", "is_one_system", "out_of_iterations", "solved"]

NO_VALUE = 1e-18
"""Suboptimality, relative to f, below which no value of f tells a better point from a worse one."""
TINY = 1 << 12
"""Entries of X below which a further Newton step is not worth saving."""
RESIDUAL = 0.5
"""Share of the tolerance that the residual may take of a duality gap; the loss's own gap comes on top."""
INEXACT = 0.02
"""Decrement of the residual, in units of the step's, that ends a step without a proof."""
SHORTEST, LONGEST, LONGEST_QUADRATIC = 20, 100, 1000
"""Conjugate gradient iterations that H is given; between these, what another kind of H costs."""


@dataclass(frozen=True)
class Last:
    """A Newton step, the point it leads to, the gap there, and how that is known."""

    newton: NewtonStep
    point: DataPoint
    gap: float
    kind: GapKind


def is_one_system(state: NewtonState) -> bool:
    """Whether Newton's equations are the whole problem, and their solution can be proved to be one."""
    return state.problem.loss.quadratic and provable(state.problem)


def solved(state: NewtonState, tol: float) -> NewtonState:
    """One more iteration of conjugate gradients where they are all there is; at their end, a certificate."""
    problem, precondition = state.problem, state.memory.solve
    newton = still(state.point, precondition) if state.newton is None else state.newton
    curvature = problem.curvature(state.point.margins)
    newton = advanced(problem, curvature, newton, precondition, _enough(state, tol))
    if not newton.ended and newton.iterations < np.clip(
        cost_of_sharper(state.facts, state.stage), SHORTEST, LONGEST_QUADRATIC
    ):
        return replace(state, newton=newton)
    return closed(replace(state, newton=None), tol, newton)


def closed(state: NewtonState, tol: float, newton: NewtonStep | None = None) -> NewtonState:
    """A last step that certifies itself, or what to go on from where it is not the last.

    Parameters
    ----------
    state : NewtonState
    tol : float
        Relative suboptimality.
    newton : NewtonStep or None
        The step, where it was made already.
    """
    before, last = state.point, _last(state, tol, newton)
    state = _unless_solved(state, last.newton)
    if last.newton.escape is not None:
        lower = downhill(state.problem, state.point, last.newton.escape)
        if lower is not None:
            return _again(replace(state, point=lower), before)
    tired = state.attempts > 2  # an estimate will do then
    stuck = state.stuck or (tired and last.newton.decrement <= NO_VALUE * state.scale(state.point.value))
    state, stuck = _taken(state, last, stuck)
    if state.within(last.gap, tol):
        ended = _converged(state, tol, last)
        return _again(ended, before) if ended.status is None else ended
    gap, kind = last.gap, last.kind
    if kind == "duality_gap" and last.newton.ended and (stuck or tired):
        # R is too small beside rounding for a proof; the decrement of the last step can still be had.
        gap, kind = last.newton.decrement, "newton_decrement"
        if state.within(gap, tol):
            return state.ended(Status.CONVERGED, gap, kind)
    state = replace(state, attempts=state.attempts + 1)
    return state.ended(Status.STALLED, gap, kind) if stuck else _again(state, before)


def out_of_iterations(state: NewtonState, tol: float) -> NewtonState:
    """The state with the certificate of one more Newton step, for which there is always room."""
    last = _last(state, tol, state.newton)
    if last.point.value <= state.point.value:
        state = replace(state, point=last.point)
    met = state.problem.loss.convex and state.within(last.gap, tol)
    return replace(state, newton=None).ended(
        Status.CONVERGED if met else Status.MAX_ITER, last.gap, last.kind
    )


def _enough(state: NewtonState, tol: float) -> Callable[[FloatArray, float], bool]:
    """When conjugate gradients have gone far enough."""
    value, ridge = state.point.value, state.problem.coordinates.ridge

    def proving(residual: FloatArray, decrement: float) -> bool:
        left = 0.5 * float(residual[:-1] @ (residual[:-1] / ridge))
        return left <= RESIDUAL * tol * state.scale(value - decrement)

    def solving(residual: FloatArray, decrement: float) -> bool:
        left = float(residual @ state.preconditioner.solve(residual))
        return left <= INEXACT * decrement

    return proving if provable(state.problem) else solving


def _last(state: NewtonState, tol: float, newton: NewtonStep | None = None) -> Last:
    """A Newton step and its gap. Without a proof the decrement of the step stands for that."""
    problem, point = state.problem, state.point
    if newton is None:
        newton = newton_step(
            problem,
            point,
            problem.curvature(point.margins),
            state.memory.solve,
            _enough(state, tol),
            int(np.clip(cost_of_matrix(state.facts, state.stage), SHORTEST, LONGEST)),
        )
    if provable(problem):
        return Last(newton, *duality_gap(problem, point, newton), "duality_gap")
    bends_down = newton.escape is not None and not problem.loss.convex  # the model has no minimum
    gap = max(newton.decrement, state.decrement) if bends_down else newton.decrement
    return Last(newton, problem.point(point.x + newton.step), gap, "newton_decrement")


def _unless_solved(state: NewtonState, newton: NewtonStep) -> NewtonState:
    """Where conjugate gradients did not get there, another H: its idea of the distance was wrong, too."""
    if newton.ended:
        return state
    if is_one_system(state):
        return renewed(state, Event.STALE) or state
    return replace(state, stage=next_stage(state.facts, state.stage, Seen(Event.UNSOLVED)))


def _taken(state: NewtonState, last: Last, stuck: bool) -> tuple[NewtonState, bool]:
    """The state at the end of a Newton step, or of a part of it where it went too far; and whether stuck."""
    point, problem, newton = state.point, state.problem, last.newton
    if not _no_higher(last.point, point):
        point = problem.point(point.x)  # its margins may have gathered rounding, and made f look lower
        stuck = stuck and _no_higher(point, state.point)
    if _no_higher(last.point, point):
        return replace(state, point=last.point), stuck
    if newton.slope is not None:
        slope = float(newton.step @ point.x_gradient)
        damped = step_along(point, Direction(newton.step, newton.slope), slope)
        if damped is not None:
            return replace(state, point=damped), False
    return replace(state, point=point), stuck


def _converged(state: NewtonState, tol: float, last: Last) -> NewtonState:
    """The state with its certificate, or one further down where ∇²f is not positive semidefinite."""
    gap, problem = last.gap, state.problem
    if state.facts.entries <= TINY and not state.facts.quadratic:  # to the last digits, at next to no cost
        polished = renewed(state, Event.MADE) or state
        again = _last(polished, 0.0)
        if _no_higher(again.point, state.point) and again.gap <= gap:
            state, gap = replace(polished, point=again.point), again.gap
    if problem.loss.convex:
        return state.ended(Status.CONVERGED, gap, last.kind)
    with_products = None if hessian_fits(problem) else state.preconditioner.solve
    smallest, direction = smallest_curvature(problem, state.point, with_products)
    if smallest < -CURVATURE_ROUNDING:
        lower = downhill(problem, state.point, direction)
        if lower is not None:
            return replace(state, point=lower)
    return state.ended(Status.CONVERGED, gap, last.kind, smallest)


def _again(state: NewtonState, before: DataPoint) -> NewtonState:
    """On from a last step that was not the last; stuck where neither H nor f is new."""
    new = None if is_one_system(state) else renewed(state, Event.MADE)
    if new is not None:
        return replace(new, stuck=False)
    lower = state.point.value < before.value - ROUNDING * abs(before.value)
    return replace(state, stuck=not lower)


def _no_higher(new: DataPoint, old: DataPoint) -> bool:
    return new.value <= old.value + ROUNDING * abs(old.value)
