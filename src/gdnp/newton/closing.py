"""The end of a run: Newton's equations solved far enough that the point they lead to can be certified."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gdnp.newton.preconditioners.choice import Event, Seen, cost_of_matrix, cost_of_sharper, next_stage
from gdnp.newton.primal_dual import is_bounded_in_slope, iterated, left_after
from gdnp.newton.search import LITTLE, downhill, step_along
from gdnp.newton.state import TINY, CertifiedState, NewtonState, renewed
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.certificates import (
    duality_gap,
    estimated_gap,
    gap_of_step,
    margin_rounding,
    provable,
    risen,
    value_above,
)
from gdnp.solvers.conjugate import NewtonStep, advanced, exact_step, newton_step, still
from gdnp.solvers.curvature import CURVATURE_ROUNDING, hessian_fits, smallest_curvature
from gdnp.solvers.separation import leaves_open
from gdnp.solvers.state import ROUNDING, GapKind, Status, replace

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
    low: bool = False  # of several classes, whether the step leaves a direction of recession possible


def is_one_system(state: NewtonState) -> bool:
    """Whether Newton's equations are the whole problem, and their solution can be proved to be one."""
    return state.problem.loss.quadratic and provable(state.problem)


def solved(state: NewtonState, tol: float) -> NewtonState:
    """One more iteration of conjugate gradients where they are all there is; at their end, a certificate."""
    problem, precondition = state.problem, state.memory.solve
    if state.exact is state.point:
        return closed(state, tol)
    newton = still(state.point, precondition) if state.newton is None else state.newton
    curvature = problem.curvature(state.point.margins)
    newton = advanced(problem, curvature, newton, precondition, enough_of(state, tol))
    if not newton.ended and newton.iterations < np.clip(
        cost_of_sharper(state.facts, state.stage), SHORTEST, LONGEST_QUADRATIC
    ):
        return replace(state, newton=newton)
    return closed(replace(state, newton=None), tol, newton)


def closed(state: NewtonState, tol: float, newton: NewtonStep | None = None) -> NewtonState:
    """A last step that certifies itself, or what to go on from; `newton` is the step if it is known."""
    before, before_solve = state.point, state.memory.solve
    last = _last(state, tol, newton)
    gained = last.newton.ended and last.point.value <= before.value
    if gained and last.gap == last.newton.decrement and not state.within(last.gap, tol):
        state = replace(state, point=last.point)  # what the next step gains is less, and H serves for it too
        last = _last(state, tol)
    state = replace(_unless_solved(state, last.newton), open=_open(state, last.newton))
    if last.newton.escape is not None:
        lower = downhill(state.problem, state.point, last.newton.escape)
        if lower is not None:
            return _again(replace(state, point=lower), before)
    tired = state.attempts > 2  # an estimate will do then
    # A step towards a gap of `tol` gains more than a little of that; an estimate may be far from the gap.
    little = LITTLE * tol * state.scale(last.point.value) if last.kind == "duality_gap" else 0.0
    stuck = state.stuck or (tired and last.point.value >= state.lowest - max(little, _noise(last.point)))
    rounded = abs(float((last.point.x - state.point.x - last.newton.step)[-1]))  # see Objective.returned
    state, stuck = _taken(state, last, _noise(before, rounded), stuck)
    state = replace(state, lowest=min(state.lowest, last.point.value))
    # Whatever rounding says of its f, it is the point that the gap is known of.
    there = replace(state, point=last.point) if state.problem.loss.convex else state
    if there.within(last.gap, tol):
        ended = _converged(there, tol, last)
        return _again(ended, before) if ended.status is None else ended
    if last.kind == "duality_gap" and last.newton.ended and (stuck or tired):
        # R is too small beside rounding for a proof; an estimate can still be had.
        estimate = estimated_gap(state.problem, last.point, last.newton, before_solve)
        if there.within(estimate, tol):
            return there.ended(Status.CONVERGED, estimate, "newton_decrement")
        if not last.gap < last.point.value:  # a proof of nothing but f >= inf φ
            last = replace(last, gap=estimate, kind="newton_decrement")
    state = replace(state, attempts=state.attempts + 1)
    return state.ended(Status.STALLED, _gap_at(state, last), last.kind) if stuck else _again(state, before)


def out_of_iterations(state: NewtonState, tol: float) -> NewtonState:
    """The state with the certificate of one more Newton step, for which there is always room."""
    if state.dual is not None:
        return iterated(state, tol, last=True)
    last = _last(state, tol, state.newton)
    state = replace(state, open=_open(state, last.newton))
    there = replace(state, point=last.point, newton=None)
    if state.problem.loss.convex and there.within(last.gap, tol):
        return there.ended(Status.CONVERGED, last.gap, last.kind)
    state = there if last.point.value <= state.point.value else replace(state, newton=None)
    return state.ended(Status.MAX_ITER, _gap_at(state, last), last.kind)


def stopped(state: NewtonState, tol: float) -> NewtonState:
    """The state as it is, with what one more Newton step knows of it."""
    if state.newton is not None:
        state = replace(state, point=state.problem.point(state.point.x + state.newton.step), newton=None)
    last = _last(state, tol)
    return state.ended(Status.STOPPED, _gap_at(state, last), last.kind)


def _gap_at(state: NewtonState, last: Last) -> float:
    """The gap at the state's point, by the bound that the last step has."""
    if state.point is last.point:
        return last.gap
    return max(last.gap, value_above(state.point, last.point.value - last.gap))


def enough_of(state: CertifiedState, tol: float) -> Callable[[NewtonStep], bool]:
    """When conjugate gradients have gone far enough."""
    value, ridge = state.point.value, state.problem.coordinates.ridge

    def proving(newton: NewtonStep) -> bool:
        residual = newton.residual[:-1]
        left = 0.5 * float(np.vdot(residual, (residual.T / ridge).T))
        return left <= RESIDUAL * tol * state.scale(value - newton.decrement)

    inexact = INEXACT if tol > 0.0 else ROUNDING

    def solving(newton: NewtonStep) -> bool:
        if newton.gain > inexact * newton.decrement:  # slow directions show in what the next one gains
            return False
        left = float(np.vdot(newton.residual, state.preconditioner.solve(newton.residual)))
        return left <= inexact * newton.decrement * min(newton.least, 1.0)

    return proving if provable(state.problem) else solving


def _last(state: NewtonState, tol: float, newton: NewtonStep | None = None) -> Last:
    """A Newton step and its gap, estimated where there is no proof."""
    problem, point = state.problem, state.point
    at_once = state.facts.dear or problem.loss.quadratic
    if newton is None and state.exact is point and provable(problem) and at_once:
        newton = exact_step(point, state.memory.solve)
        allowed = tol * state.scale(point.value - newton.decrement)
        newton, proof, gap = gap_of_step(problem, point, newton)
        if gap <= allowed:
            return Last(newton, proof, gap, "duality_gap")
    if newton is None:
        newton = newton_step(
            problem,
            point,
            problem.curvature(point.margins),
            state.memory.solve,
            enough_of(state, tol),
            int(np.clip(cost_of_matrix(state.facts, state.stage), SHORTEST, LONGEST)),
        )
    if provable(problem):
        allowed = tol * state.scale(point.value - newton.decrement)
        return Last(newton, *duality_gap(problem, point, newton, allowed), "duality_gap")
    moved = problem.point(problem.returned(point.x + newton.step))
    gap = estimated_gap(problem, moved, newton, state.memory.solve, exact=state.exact is point)
    if not problem.loss.convex:  # H is not near ∇²f, and with an escape the model has no minimum
        gap = max(gap, newton.decrement, state.decrement if newton.escape is not None else 0.0)
    if is_bounded_in_slope(problem.loss):
        gap = max(gap, left_after(point, newton, moved))
    return Last(newton, moved, gap, "newton_decrement")


def _open(state: NewtonState, newton: NewtonStep) -> tuple[DataPoint, NewtonStep] | None:
    """Where a step was taken, and it, if it leaves a direction of recession possible."""
    return (state.point, newton) if leaves_open(state.problem, state.point, newton) else None


def _unless_solved(state: NewtonState, newton: NewtonStep) -> NewtonState:
    """Where conjugate gradients did not get there, another H: its idea of the distance was wrong, too."""
    if newton.ended:
        return state
    if is_one_system(state):
        return renewed(state, Event.STALE) or state
    return replace(state, stage=next_stage(state.facts, state.stage, Seen(Event.UNSOLVED)))


def _taken(state: NewtonState, last: Last, noise: float, stuck: bool) -> tuple[NewtonState, bool]:
    """The state at the end of a Newton step, or of a part of it where it went too far; and whether stuck."""
    point, problem, newton = state.point, state.problem, last.newton
    if not _no_higher(last.point, point, noise):
        point = problem.point(point.x)  # its margins may have gathered rounding, and made f look lower
        gathered = margin_rounding(problem, point.x)
        stuck = stuck and _no_higher(point, state.point, _noise(point, gathered))
    if _no_higher(last.point, point, noise):
        return replace(state, point=last.point), stuck
    if newton.slope is not None:
        slope = float(newton.step @ point.x_gradient)
        damped = step_along(point, Direction(newton.step, newton.slope), slope)
        if damped is not None:
            return replace(state, point=damped), False
    return replace(state, point=point), stuck


def _converged(state: NewtonState, tol: float, last: Last) -> NewtonState:
    """The state with its certificate; or one further down, where the gap or ∇²f is not what it seemed."""
    gap, problem = last.gap, state.problem
    if state.facts.entries <= TINY and not state.facts.quadratic:  # to the last digits, at next to no cost
        polished = renewed(state, Event.MADE) or state
        again = _last(polished, 0.0)
        state = replace(state, open=_open(polished, again.newton))
        if last.kind == "newton_decrement":
            again = replace(again, gap=max(again.gap, _series(last.newton.decrement, again.newton.decrement)))
        refuted = again.newton.decrement > gap  # the step leads further down than there was said to be left
        doubted, noise = last.kind == "newton_decrement" and again.gap > gap, _noise(state.point)
        as_good = again.gap <= gap or (again.gap <= gap + noise and state.within(again.gap, tol))
        if (refuted or doubted or as_good) and _no_higher(again.point, state.point, noise):
            state, gap = replace(polished, point=again.point, open=state.open), again.gap
        elif refuted:  # what the step gains, and what is left after it
            gap = again.newton.decrement + again.gap
        if not state.within(gap, tol):
            return state
    if problem.loss.convex:
        return state.ended(Status.CONVERGED, gap, last.kind)
    with_products = None if hessian_fits(problem) else state.preconditioner.solve
    smallest, direction = smallest_curvature(problem, state.point, with_products)
    if smallest < -CURVATURE_ROUNDING:
        lower = downhill(problem, state.point, direction)
        if lower is not None:
            return replace(state, point=lower)
    return state.ended(Status.CONVERGED, gap, last.kind, smallest)


def _series(first: float, second: float) -> float:
    """What steps gain after the second, if each gains a like share of the last: at most 100 times it.

    Where f is quadratic the share is next to nothing.
    """
    share = min(second / first, 1.0 - LITTLE * LITTLE) if first > 0.0 else 0.0
    return second * share / (1.0 - share)


def _again(state: NewtonState, before: DataPoint) -> NewtonState:
    """On from a last step that was not the last; stuck where neither H nor f is new."""
    new = None if is_one_system(state) else renewed(state, Event.MADE)
    if new is not None:
        return replace(new, stuck=False)
    return replace(state, stuck=not state.point.value < before.value - _noise(before))


def _no_higher(new: DataPoint, old: DataPoint, noise: float) -> bool:
    return new.value <= old.value + noise


def _noise(point: DataPoint, wrong: float = 0.0) -> float:
    """How far f at a point may be off: its own rounding, and that of margins that are `wrong`."""
    return ROUNDING * abs(point.value) + risen(point, wrong) - point.value
