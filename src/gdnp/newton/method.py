"""The production solver: quasi-Newton about a preconditioner, from the paper's two steps as a start.

1. Start: the direction H⁻¹u and then its length, searched together with the intercept. Where there are many
   more rows than columns a sample of them is solved first.
2. Step: L-BFGS about the preconditioner H of the curvature at that point. Its length is searched on known
   margins, which reads nothing; far from the optimum of a convex loss the length of w is searched with it.
3. Renewal: H is taken afresh when, at the rate seen, that is the shorter way.
4. Certificate: Newton's equations by conjugate gradients in H. Their solution is the last step and the dual
   point of the certificate at once. Of a quadratic f with a ridge it is the only step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design.block import EPS
from gdnp.newton.closing import closed, is_one_system, out_of_iterations, solved, stopped
from gdnp.newton.lbfgs import Memory
from gdnp.newton.nonconvex import graduated_start
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import Event, Facts, Kind, Stage, cost, first_stage, next_stage
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.making import made, seen_of
from gdnp.newton.primal_dual import (
    begun,
    is_bounded_in_slope,
    is_flat_somewhere,
    iterated,
    softened,
    width_of,
)
from gdnp.newton.recession import columns_of, with_separation, without_minimiser
from gdnp.newton.search import step_along, step_in_plane, will_do
from gdnp.newton.start import SAMPLE_TOL, decoupled_start, drawn_from, sample, sample_size
from gdnp.newton.state import Begin, NewtonState, renewed
from gdnp.problem.gram import covariance, curved
from gdnp.problem.interface import Objective as AnyObjective
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint, Direction, length_direction
from gdnp.problem.rank import least_squares
from gdnp.solvers.certificates import margin_error, provable, value_above
from gdnp.solvers.loop import Progress, Result, run
from gdnp.solvers.separation import all_apart
from gdnp.solvers.state import ROUNDING, Certificate, Measured, Method, Status, parted, replace

BASIN = 7e-6
"""Decrease in sight, in units of f, from which a last step is tried."""
INTERPOLATED = 1e-15
"""f in units of f at the constant prediction, below which f is rounding."""
FAR = 0.02
"""Decrease in sight, in units of f, above which every step is searched, of a convex loss with the length."""
BENT = 1e3
"""Mean |residual| at the start, in units of where the loss bends, above which its curvature vanishes."""


@dataclass(frozen=True)
class Newton(Method):
    """Quasi-Newton about a preconditioner; see the module."""

    tol: float = 1e-8  # relative suboptimality, proved where the loss and the ridge allow it
    max_iter: int = 1000  # iterations at most: the last one ends with a certificate
    prove: bool = True  # False ends at the decrease in sight, without conjugate gradients or proof
    begin: Begin | None = None  # where to begin; None is the method's own start

    name = "newton"

    def aimed(self, tol: float, max_iter: int) -> Newton:
        """The method with this goal."""
        return replace(self, tol=tol, max_iter=max_iter)

    # Start

    def init(self, objective: AnyObjective, start: FloatArray | None) -> NewtonState:
        """The state at the start: `start`, w̃₀ or (w̃₀, γ₀), ``begin``, or the method's own."""
        if not isinstance(objective, Objective):
            raise TypeError(
                f"newton needs rows of data, a gdnp.Objective. Got {type(objective).__name__}; "
                "use gdnp_metric for a population."
            )
        if objective.cost.meter is not None and objective.loss.convex:
            unread = objective.unread
            size = sample_size(unread)
            if size is not None and unread.design.collects:
                unread.design.want(unread.design.rows.sample(drawn_from(unread, unread.constant)[0], size))
        problem = objective.standardised
        facts = Facts.of(problem)
        robust = self.prove and is_bounded_in_slope(problem.loss)
        constant = problem.constant
        width = width_of(constant) if robust else 1.0
        bent = robust and (width > BENT or is_flat_somewhere(constant))
        stage = first_stage(facts, sure=bent or not self.prove)
        begin = self.begin
        if begin is None and start is not None:
            begin = Begin(problem.from_raw(*objective.raw(np.append(*parted(start, facts.d)))))
        begins = softened(problem, width).constant if bent else constant
        point, preconditioner, stage = self._start(begins, facts, stage, begin)
        if bent:  # where rows are dear the start has no margins yet
            point = problem.point(point.x) if facts.dear else problem.known(point.x, point.margins)
        event = Event.MADE if preconditioner is None else Event.GIVEN
        exact = point if point is constant and self._solves(problem, stage) else None
        if preconditioner is None and facts.dear and not bent:
            point, found = curved(problem, point.x)
            if not point.value <= (1.0 + INTERPOLATED) * constant.value:
                point, found = curved(problem, constant.x)
            preconditioner, exact = FullPreconditioner(found, problem.coordinates.ridge), point
        if preconditioner is None:
            preconditioner = made(problem, stage, point.margins)
        state = NewtonState(
            point=point,
            problem=problem,
            facts=facts,
            floor=rounding_of_targets(constant),
            preconditioner=preconditioner,
            stage=next_stage(facts, stage, seen_of(preconditioner, event)),
            memory=Memory.sized(preconditioner.solve, facts.d, facts.entries),
            exact=exact,
            fresh=exact is not None,
        )
        return begun(state, width_of(point)) if bent else self._judged(self._ended_by_reflections(state))

    def _start(
        self, constant: DataPoint, facts: Facts, stage: Stage, begin: Begin | None
    ) -> tuple[DataPoint, Preconditioner | None, Stage]:
        """Where to begin, H if one was made, and the stage that it was made at."""
        problem = constant.objective
        assert isinstance(problem, Objective)
        triangle = problem.shared.triangle
        if triangle is not None and problem.loss.quadratic:
            problem.shared.triangle = triangle = least_squares(problem, triangle)
            return problem.point(triangle.x), FullPreconditioner.of_triangle(triangle), stage
        if begin is not None and facts.dear:
            return DataPoint(problem, begin.x, constant.margins), None, stage
        if begin is not None:
            known = begin.margins
            point = problem.point(begin.x) if known is None else problem.known(begin.x, known)
            _ = point.x_gradient  # brings the value along
            if point.value <= (1.0 + INTERPOLATED) * constant.value:  # else it is too far out
                return point, begin.preconditioner, stage
        elif not problem.loss.convex:
            return *graduated_start(problem, self._roughly), stage
        loss, size = problem.loss, sample_size(problem)
        if size is not None and stage.kind is Kind.FULL and loss.convex and not loss.quadratic:
            x = sample(problem, size, partial(_rough, self, SAMPLE_TOL * facts.d / size), constant=constant)
            if facts.dear:
                return DataPoint(problem, x, constant.margins), None, stage
            point = problem.point(x)
            return point if point.value <= constant.value else constant, None, stage
        if facts.dear:
            return constant, None, stage
        if self._solves(problem, stage):
            H = covariance(problem).times(loss.max_curvature)
            return constant, FullPreconditioner(H, problem.coordinates.ridge), stage
        return decoupled_start(problem, constant, facts, stage)

    def _solves(self, problem: Objective, stage: Stage) -> bool:
        """Whether the first H is ∇²f everywhere, and one step with it can be proved to be all there is.

        Of fewer rows the normal equations lose digits, which conjugate gradients bring back.
        """
        n = problem.n_samples
        whole = stage.kind is Kind.FULL and stage.size >= n >= 2 * problem.n_features
        return self.prove and whole and problem.loss.quadratic and provable(problem)

    def _ended_by_reflections(self, state: NewtonState) -> NewtonState:
        """The end of a run that began at the solution: a further step would stir up rounding."""
        problem, x = state.problem, state.point.x
        if problem.shared.triangle is None or not problem.loss.quadratic:
            return state
        moved_by = math.sqrt(problem.loss.max_curvature) * margin_error(problem, x, *problem.raw(x))
        gap = float(0.5 * np.square(math.sqrt(2.0 * state.decrement) + moved_by))
        within = state.within(gap, self.tol)
        return state.ended(Status.CONVERGED, gap, "newton_decrement") if within else state

    def _roughly(
        self, problem: Objective, tol: float, at: DataPoint | None, preconditioner: Preconditioner | None
    ) -> tuple[DataPoint, Preconditioner]:
        begin = None if at is None else Begin(at.x, at.margins, preconditioner)
        state = solve(problem, tol=tol, max_iter=self.max_iter, prove=False, begin=begin).state
        return state.point, state.preconditioner

    # Iterations

    def step(self, objective: AnyObjective, state: NewtonState) -> NewtonState:
        """One iteration: a step, a renewal of H, or an attempt at the last step."""
        moved = self._advanced(state)
        if moved.iteration == state.iteration:
            moved = replace(moved, iteration=state.iteration + 1)
        if moved.status is None and moved.iteration >= self.max_iter:
            if not self.prove:
                return moved.ended(Status.MAX_ITER, moved.decrement, "newton_decrement")
            moved = out_of_iterations(moved, self.tol)
        return self._judged(moved)

    def _advanced(self, state: NewtonState) -> NewtonState:
        if self.prove and is_one_system(state):
            return solved(state, self.tol)
        if state.dual is not None:
            return iterated(state, self.tol)
        target = self._target(state)
        if state.decrement <= target or state.stuck:
            robust = self.prove and is_bounded_in_slope(state.problem.loss)
            if robust and state.stuck and math.isinf(state.gap):
                return iterated(begun(state, width_of(state.point)), self.tol)
            return closed(state, self.tol)
        seen = (*state.decrements, state.decrement)
        if self.prove and _is_astray(state, seen):
            return closed(replace(state, decrements=seen), self.tol)
        if self._stale(state, seen, target):
            new = renewed(state, Event.STALE)
            if new is not None:
                return new
        moved = self._moved(state, seen) or renewed(state, Event.NO_STEP)
        return replace(state, decrements=seen, stuck=True) if moved is None else moved

    def _target(self, state: NewtonState) -> float:
        """The decrease in sight at which the last step is tried, or the run ends."""
        near = BASIN if self.prove else ROUNDING
        if self.prove and state.exact is state.point:  # an exact step leaves about the square of it
            near = max(near, 0.3 * math.sqrt(self.tol))
        return max(self.tol, near) * state.scale(state.point.value)

    def _judged(self, state: NewtonState) -> NewtonState:
        """The state, ended where there is nothing left to do, or nothing that is finite to get to."""
        if state.status is not None:
            known = state.known
            if state.status is Status.CONVERGED and self.prove and known is not None and known.gap > self.tol:
                stalled = replace(known, status=Status.STALLED)  # by rounding of what is returned
                state = replace(state, status=Status.STALLED, known=stalled)
            rest = partial(solve, tol=self.tol, max_iter=self.max_iter)
            return state if state.open is None else with_separation(state, self.tol, rest)
        if state.dual is not None:
            return state
        problem = state.problem
        if problem.loss.increasing and not problem.has_ridge and state.point.separates:
            if not problem.loss.convex:
                gap = value_above(state.point)  # as inf f = 0
                return state.ended(Status.LENGTH_DIVERGES, gap, "newton_decrement")
            if all_apart(problem, state.point):
                columns = columns_of(problem, state.point.x)
                return without_minimiser(state, "complete", math.inf, columns)
        if not self.prove and (state.decrement <= self._target(state) or state.stuck):
            return state.ended(Status.CONVERGED, state.decrement, "newton_decrement")
        return state

    def _stale(self, state: NewtonState, seen: tuple[float, ...], target: float) -> bool:
        """Whether at the rate of the decreases seen lately a new H is the shorter way to `target`."""
        if len(seen) < 2:
            return False
        last = min(2, len(seen) - 1)
        rate = (seen[-1] / seen[-1 - last]) ** (1.0 / last)
        problem = state.problem
        if rate >= 1.0 and problem.loss.convex and problem.has_ridge:  # more may be in sight for a step
            rate = (seen[-1] / seen[0]) ** (1.0 / (len(seen) - 1))
        if rate >= 1.0:
            return True
        remaining = math.log(max(target, 1e-300) / seen[-1]) / math.log(rate)
        return remaining > cost(state.facts, state.stage) + 2.0

    def _moved(self, state: NewtonState, seen: tuple[float, ...]) -> NewtonState | None:
        """The state one searched step on, the decreases `seen` on the way; None where none leads down."""
        if state.facts.dear and state.dual is None:
            return self._read(state, seen)
        found = self._found(state)
        if found is None:
            return None
        point = state.point
        memory = state.memory.with_pair(found.x - point.x, found.x_gradient - point.x_gradient)
        return replace(
            state, point=found, memory=memory, fresh=False, decrements=seen, iteration=state.iteration + 1
        )

    def _read(self, state: NewtonState, seen: tuple[float, ...]) -> NewtonState | None:
        """As ``_moved``, with the H of the new point from the reading that its gradient takes."""
        point, problem, p = state.point, state.problem, state.direction
        new, found = curved(problem, point.x + p)
        lower = _whole_or_part(state, new)
        if lower is None:
            return None
        if lower is not new:
            new, found = curved(problem, lower.x)
        preconditioner = FullPreconditioner(found, problem.coordinates.ridge)
        return replace(
            state,
            point=new,
            exact=new,
            preconditioner=preconditioner,
            memory=state.memory.about(preconditioner.solve),
            fresh=True,
            damping=0.0,
            decrements=(),
            iteration=state.iteration + 1,
        )

    def _found(self, state: NewtonState) -> DataPoint | None:
        """A lower point along p: the whole step where that will do, else a searched one."""
        point, problem, p = state.point, state.problem, state.direction
        if problem.loss.convex and state.decrement <= FAR * point.value:
            return _whole_or_part(state, problem.point(point.x + p))  # one reading, where a search takes two
        direction = Direction(p, problem.slope(p))
        found = None
        if problem.loss.convex:  # bounded losses would come nearer to the 0-1 loss, and to worse minima
            found = step_in_plane(point, direction, length_direction(point))
        return step_along(point, direction, state.slope) if found is None else found

    # What the loop asks

    def scale(self, objective: AnyObjective) -> float:
        """1: suboptimality is judged, not the gradient."""
        return 1.0

    def measure(self, objective: AnyObjective, state: NewtonState) -> Measured:
        """f and ‖∇f‖ in B⁻¹; at the end in H⁻¹."""
        if state.newton is not None:
            value = state.point.value - state.newton.decrement
            return Measured(value, math.sqrt(max(state.newton.square, 0.0)))
        if state.known is not None:
            return Measured(state.point.value, state.known.gradient_norm)
        if state.dual is not None and state.decrements:
            return Measured(state.point.value, math.sqrt(max(2.0 * state.decrements[-1], 0.0)))
        return Measured(state.point.value, math.sqrt(2.0 * state.decrement))

    def terminate(
        self, objective: AnyObjective, state: NewtonState, measured: Measured, scale: float, tol: float
    ) -> Status | None:
        """The status, which comes with a certificate."""
        return state.status

    def stopped(self, objective: AnyObjective, state: NewtonState) -> NewtonState:
        """With a certificate of the point where a callback ended the run."""
        return stopped(state, self.tol) if self.prove else state

    def solution(self, objective: AnyObjective, state: NewtonState) -> tuple[FloatArray, float]:
        """(w̃, b) for raw columns."""
        x = state.point.x if state.newton is None else state.point.x + state.newton.step
        return state.problem.raw(x)

    def length_of(self, objective: AnyObjective, state: NewtonState) -> float:
        """‖w̃‖_S, the standard deviation of the predictions."""
        return state.point.length

    def certificate(self, state: NewtonState) -> Certificate | None:
        """That of the last state."""
        return state.known


def _rough(method: Newton, tol: float, problem: Objective) -> FloatArray:
    return method._roughly(problem, tol, None, None)[0].x


def _whole_or_part(state: NewtonState, new: DataPoint) -> DataPoint | None:
    """The point at the end of a whole step where that will do, else that of a searched one."""
    if will_do(new, state.point, state.direction, state.slope):
        return new
    slope = state.problem.design.rows.combine((1.0, new.margins), (-1.0, state.point.margins))
    return step_along(state.point, Direction(state.direction, slope), state.slope)


def _is_astray(state: NewtonState, seen: tuple[float, ...]) -> bool:
    """Whether a first step in H has left as much to be gained, and the next H would be of the same kind.

    Then rounding keeps H from ∇²f, and Newton's equations take products with ∇²f itself.
    """
    last = state.stage.renewed and len(state.stage.kinds) == 1
    return last and len(seen) == 2 and seen[1] >= seen[0]


def rounding_of_targets(constant: DataPoint) -> float:
    """f below which there is only rounding of the targets."""
    loss = constant.objective.loss
    # Residuals from which 1e-8 of f can still be told.
    missed = EPS ** (2 / 3) * np.atleast_1d(constant.x[-1])
    if loss.task == "regression":
        return max(INTERPOLATED * constant.value, float(loss.value(missed)[0]))
    most = loss.max_curvature if math.isfinite(loss.max_curvature) else 0.0
    return max(INTERPOLATED * constant.value, 0.5 * most * float(missed @ missed))


def newton(*, tol: float = 1e-8, prove: bool = True) -> Newton:
    """The production solver of the estimators, on data; without `prove` it ends at the decrease in sight.

    `tol` is relative suboptimality; in ``gdnp.minimize`` its own counts.
    """
    return Newton(tol=tol, prove=prove)


def solve(
    objective: Objective,
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    begin: Begin | None = None,
    prove: bool = True,
    callback: Callable[[Progress], object] | None = None,
    kind: type[Newton] = Newton,
) -> Result:
    """``newton`` in the loop, or another `kind` of it, without the lengths of a history."""
    method = kind(prove=prove, begin=begin)
    return run(objective, method, max_iter=max_iter, tol=tol, callback=callback, lengths=False)
