"""Losses that bend in few rows: slopes a and coefficients x are found together, on a path of widths.

Far from zero a robust loss has next to no φ'', and Newton's model of f says nothing of its minimum. Write
a = φ'(t) as a h(t) = t with h = t/φ'(t), which bends little where φ' bends much, and linearise it in a and t
(Chan, Golub and Mulet 1999). With C = (1 - a h')/h, between the weight 1/h of reweighted least squares at
a = 0 and φ'' at a = φ'(t), and with σ and s as in ``problem.empirical``,

    (Xᵀ s C X + R) δ = -∇f,   a⁺ = φ'(t) + C σ X δ.

The second makes Xᵀ(s σ a⁺) = -R (v + δ): a dual point that is feasible once it is scaled into the domain of
φ*. So every step has a duality gap, ridge or no ridge. φ(t) is k φ(t/k) at first, with k near the size of the
residuals. k falls as the steps of a become whole, and the gap is that of φ itself at every k.
"""

import math
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.design.block import total, weighted
from gdnp.losses import Loss
from gdnp.newton.nonconvex import Tempered
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import Event, Seen, Stage, next_stage
from gdnp.newton.preconditioners.making import made, seen_of
from gdnp.newton.search import LITTLE, step_along
from gdnp.newton.state import NewtonState
from gdnp.problem.empirical import Weights
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.certificates import LAST_DIGITS, scaled_gap
from gdnp.solvers.conjugate import NewtonStep, newton_step
from gdnp.solvers.state import ROUNDING, TRIALS, Status, replace


def bent(loss: Loss, share: float, t: FloatArray, a: FloatArray, s: Weights, out: FloatArray) -> list[Any]:
    """s C of every row, written; n times as much where every row weighs the same."""
    out[:] = weighted(_bend(loss, t, a)[1], s)
    if s is None:
        out *= share
    return []


def stepped(
    loss: Loss, t: FloatArray, q: FloatArray, a: FloatArray, whole: FloatArray, used: FloatArray
) -> Any:
    """a⁺, written, and the change of a in units of the room that it has."""
    slope, bend = _bend(loss, t, a)
    most = loss.max_gradient
    whole[:] = slope + bend * q
    change = whole - a
    room = np.where(change > 0.0, most - a, most + a)
    np.divide(np.abs(change), np.maximum(room, ROUNDING * most), out=used)
    return []


def _excess(loss: Loss, factor: float, t: FloatArray, a: FloatArray, s: Weights) -> list[Any]:
    """Σ s (φ(t) + φ*(κa) - κ a t)."""
    dual = factor * a
    return [total(np.maximum(loss.value(t) + loss.conjugate(dual) - dual * t, 0.0), s)]


def _bend(loss: Loss, t: FloatArray, a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """φ' and C = 1/h + (a/φ')(φ'' - 1/h)."""
    _, slope, bend = loss.derivatives(t)
    weight = np.divide(slope, t, out=bend.copy(), where=t != 0.0)
    bend -= weight
    bend *= a
    np.divide(bend, slope, out=bend, where=slope != 0.0)
    bend += weight
    return slope, np.clip(bend, 0.0, 2.0 * weight, out=bend)


def is_bounded_in_slope(loss: Loss) -> bool:
    """Whether this is how to minimise it where curvature vanishes: a convex robust loss of residuals."""
    robust = loss.task == "regression" and loss.convex and not loss.quadratic
    return robust and loss.has_conjugate and math.isfinite(loss.max_gradient)


def width_of(point: DataPoint) -> float:
    """The mean size of the residuals, in units of where the loss bends; 1 at least."""
    problem = point.objective
    size = problem.mean(np.abs, point.margins)
    return max(1.0, size * problem.loss.max_curvature / problem.loss.max_gradient)


def is_flat_somewhere(point: DataPoint) -> bool:
    """Whether φ'' is 0 in the row with the largest residual."""
    problem = point.objective
    ends = problem.design.rows.extremes(point.margins)[0]
    return bool((problem.loss.curvature(ends) == 0.0).any())


def softened(problem: Objective, width: float) -> Objective:
    """The problem with k φ(t/k) for φ."""
    return problem if width == 1.0 else problem.with_loss(Tempered(problem.loss, 1.0 / width, width))


def begun(state: NewtonState, width: float) -> NewtonState:
    """The state with slopes near those of k φ(t/k), every one of them with room to move; H is tried first."""
    rows, loss = state.problem.design.rows, softened(state.problem, width).loss
    dual = rows.empty()
    rows.total(partial(_slopes, loss, 1.0 - LITTLE * LITTLE), state.point.margins, writes=(dual,))
    spare = state.problem.design.gram_passes
    return replace(state, dual=dual, width=width, spare=spare, decrements=(), attempts=0, stuck=False)


def _slopes(loss: Loss, share: float, t: FloatArray, out: FloatArray) -> list[Any]:
    """A share of φ'(t), written."""
    np.multiply(loss.gradient(t), share, out=out)
    return []


def iterated(state: NewtonState, tol: float, *, last: bool = False) -> NewtonState:
    """One step of a and x, and the state with a certificate where its gap is within `tol`, or `last`."""
    point, width, stage = state.point, state.width, state.stage
    smooth = softened(state.problem, width)
    at = point if smooth is state.problem else smooth.known(point.x, point.margins)
    try:
        prepared, newton, curvature = _solved(state, smooth, at)
    except FloatingPointError:
        return state.ended(Status.STALLED, math.inf, "duality_gap")
    moved, dual, aim = _moved(prepared, at, newton)
    gained = moved.point.value < point.value - max(LITTLE * tol, ROUNDING) * state.scale(point.value)
    same = moved.width == width and moved.stage == stage
    idle = same and not gained and not 2.0 * moved.gap < state.gap
    settled, moved = idle and state.stuck, replace(moved, stuck=idle)
    if not (last or settled or max(moved.gap, LAST_DIGITS) <= tol):
        return moved
    solve = moved.preconditioner.solve
    proved, gap = scaled_gap(state.problem, moved.point.x, dual, aim, (curvature, solve))
    moved = replace(moved, point=proved, attempts=state.attempts + 1)
    if moved.within(gap, tol):
        return moved.ended(Status.CONVERGED, gap, "duality_gap")
    if last:
        return moved.ended(Status.MAX_ITER, gap, "duality_gap")
    if not settled and not (same and moved.attempts > 2):
        return moved
    if dual[1] < 1.0 or moved.width > 1.0:
        return moved.ended(Status.STALLED, gap, "duality_gap")
    # The dual point of the whole step is feasible: rounding alone hides the gap, and an estimate can be had.
    memory = state.memory.about(solve)
    return replace(moved, dual=None, stuck=True, attempts=3, decrements=(), memory=memory)


def _solved(
    state: NewtonState, smooth: Objective, at: DataPoint
) -> tuple[NewtonState, NewtonStep, RowVector]:
    """δ in the last H where that is worth a try, else in one made here; the state with that H, and s C."""
    rows, solve, spare = smooth.design.rows, state.preconditioner, state.spare
    curvature, stage = rows.empty(), state.stage
    kernel = partial(bent, smooth.loss, smooth.share)
    rows.total(kernel, at.margins, state.dual, smooth.weight, writes=(curvature,))
    exact = max(ROUNDING, min(LITTLE, state.gap))

    def enough(newton: NewtonStep) -> bool:
        left = newton.residual @ solve.solve(newton.residual)
        return bool(left <= exact * exact * 2.0 * newton.decrement)

    newton = newton_step(smooth, at, curvature, solve.solve, enough, int(spare)) if spare > 0.0 else None
    if newton is None or not newton.ended:
        spent = smooth.cost.passes
        solve = made(smooth, stage, at.margins, previous=solve, curvature=curvature)
        spare = smooth.cost.passes - spent
        newton = newton_step(smooth, at, curvature, solve.solve, enough, TRIALS)
    if not newton.ended:
        stage = _sharper(state, solve)
    again = 2 * newton.iterations  # or so of the next step in it
    spare = spare if 2 * again <= spare else 0.0
    return replace(state, preconditioner=solve, stage=stage, spare=spare), newton, curvature


def _moved(
    state: NewtonState, at: DataPoint, newton: NewtonStep
) -> tuple[NewtonState, tuple[RowVector, float], FloatArray]:
    """The state a step on; a⁺ and κ, whose gap it has, and the (v̂, γ) that they are the dual point of."""
    problem, point, dual, rows = state.problem, state.point, state.dual, state.problem.design.rows
    assert dual is not None
    whole, used = rows.empty(), rows.empty()
    slope = problem.every(0.0) if newton.slope is None else newton.slope
    rows.total(partial(stepped, at.objective.loss), at.margins, slope, dual, writes=(whole, used))
    largest = rows.extremes(used, whole)[:, 2]
    pace = min(1.0, (1.0 - LITTLE * LITTLE) / max(float(largest[0]), ROUNDING))
    lower = step_along(at, Direction(newton.step, slope), float(newton.step @ at.x_gradient))
    new = point if lower is None else problem.known(lower.x, lower.margins)
    scale, gap = _scaled(problem, whole, float(largest[1]), new)
    aim = scale * (point.x + newton.step)
    gap += problem.penalty(new.x - aim)
    moved = replace(
        state,
        point=new,
        dual=rows.combine((1.0 - pace, dual), (pace, whole)),
        width=max(1.0, state.width * max(LITTLE, 1.0 - pace)),
        decrements=(newton.decrement,),
        gap=gap / max(state.scale(new.value - gap), 1e-300),
    )
    return moved, (whole, scale), aim


def _scaled(problem: Objective, dual: RowVector, largest: float, at: DataPoint) -> tuple[float, float]:
    """What brings a dual point into the domain of φ*, and the gap of φ and φ* there."""
    rows, loss = problem.design.rows, problem.loss
    scale = min(1.0, loss.max_gradient / max(largest, 1e-300))
    asked = partial(_excess, loss, scale), at.margins, dual, problem.weight
    rows.foresee(*asked)
    _ = at.x_gradient  # it is asked for soon, and brings the value along
    return scale, problem.share * rows.total(*asked)[0]


def left_after(point: DataPoint, newton: NewtonStep, new: DataPoint) -> float:
    """The gap of φ and φ* a Newton step on; 0 where no margin moves by a tenth of where φ bends.

    There φ is as quadratic as the step takes it for. Elsewhere its decrement says nothing.
    """
    problem, slope = point.objective, newton.slope
    assert isinstance(problem, Objective)
    rows, loss = problem.design.rows, problem.loss
    if slope is None or rows.extremes(slope)[0, 2] <= LITTLE * loss.max_gradient / loss.max_curvature:
        return 0.0
    slopes, whole, used = rows.empty(), rows.empty(), rows.empty()
    rows.total(partial(_slopes, loss, 1.0), point.margins, writes=(slopes,))
    rows.total(partial(stepped, loss), point.margins, slope, slopes, writes=(whole, used))
    return _scaled(problem, whole, float(rows.extremes(whole)[0, 2]), new)[1]


def _sharper(state: NewtonState, preconditioner: Preconditioner) -> Stage:
    """Where conjugate gradients did not get there: another kind, or more rows or directions."""
    stage = next_stage(state.facts, state.stage, Seen(Event.UNSOLVED))
    if stage != state.stage:
        return stage
    return next_stage(state.facts, next_stage(state.facts, stage, seen_of(preconditioner)), Seen(Event.STALE))
