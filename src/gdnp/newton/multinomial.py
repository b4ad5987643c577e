"""The production solver of the multinomial log loss: Newton's method by conjugate gradients, from two steps.

1. Start: the paper's two steps for K directions. These are those of linear discriminant analysis,
   S_w⁻¹ (m_k - m); their length is searched along a line. Where there are many rows a sample of them is
   solved next.
2. Step: Newton's equations, preconditioned class by class, as far as the distance to the minimum is worth it
   (Dembo, Eisenstat and Steihaug 1982). A whole step that does not lead down is searched on known margins.
3. Renewal: H is taken afresh once conjugate gradients have taken as long as making it.
4. Certificate: the last step is solved until its residual fits into the tolerance, and is the dual point.

Where a reading of X is dear beside the Hessian as a matrix, that comes along with each gradient, and a sample
of the rows, or all of them where they are few, is solved first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import lapack

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import Choice, RowVector
from gdnp.design.block import EPS
from gdnp.newton.closing import LONGEST, SHORTEST, Last, enough_of
from gdnp.newton.method import INTERPOLATED, Newton, rounding_of_targets, solve
from gdnp.newton.nonconvex import ROUGH
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.classes import (
    BlockPreconditioner,
    JointPreconditioner,
    made_for_classes,
    rows_of_sample,
)
from gdnp.newton.preconditioners.full import cholesky
from gdnp.newton.recession import columns_of, without_minimiser
from gdnp.newton.search import step_along, will_do
from gdnp.newton.start import on_drawn
from gdnp.newton.state import DAMPING, TINY, Begin, CertifiedState
from gdnp.problem.gram import covariance
from gdnp.problem.interface import Objective as AnyObjective
from gdnp.problem.multinomial import ClassPoint, Labels, Multinomial
from gdnp.problem.objective import LARGEST_GRAM
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.certificates import estimated_gap, provable
from gdnp.solvers.conjugate import NewtonStep, advanced, exact_step, still
from gdnp.solvers.multinomial_gap import balance, dual_point, multinomial_gap
from gdnp.solvers.multinomial_separation import class_separation
from gdnp.solvers.state import ROUNDING, Measured, Status, replace


@dataclass(frozen=True, kw_only=True)
class MultinomialState(CertifiedState):
    """Everything that moves."""

    problem: Multinomial
    damping: float = 0.0  # the multiple of the identity in H; above 1 nothing is left to try
    due: float = 0.0  # passes that H cost
    spent: float = 0.0  # passes that conjugate gradients have taken with it
    attempts: int = 0  # proofs tried
    stuck: bool = False  # whether the last step did not lead down
    dear: bool = False  # whether H is ∇²f, from the reading of its point

    @property
    def shares(self) -> RowVector:
        """p of every row at the point."""
        assert isinstance(self.point, ClassPoint)
        return self.point.shares

    @property
    def is_exact(self) -> bool:
        """Whether H is the Hessian of this point."""
        H = self.preconditioner
        return isinstance(H, JointPreconditioner) and H.of is self.shares

    @property
    def is_due(self) -> bool:
        """Whether a new H is worth its cost: the Hessian itself takes less time than an iteration."""
        joint = isinstance(self.preconditioner, JointPreconditioner)
        return not self.is_exact if joint else self.spent >= self.due

    @cached_property
    def begun(self) -> NewtonStep:
        """A Newton step from here, of length 0; half its square is the decrease in sight."""
        return still(self.point, self.preconditioner.solve)


@dataclass(frozen=True)
class MultinomialNewton(Newton):
    """Newton's method by conjugate gradients; see the module, and ``Newton`` for the parameters."""

    def init(self, objective: AnyObjective, start: FloatArray | None) -> MultinomialState:  # type: ignore[override]
        """The state at ``begin``, or at the method's own start."""
        assert isinstance(objective, Multinomial)
        if objective.cost.meter is not None:
            unread = objective.unread
            assert isinstance(unread, Multinomial)
            if unread.design.collects and is_dear(unread):
                unread.design.want(_choice(unread))
        problem = objective.standardised
        assert isinstance(problem, Multinomial)
        x, constant, dear = self._begin(problem), problem.constant, is_dear(problem)
        point, H = _curved(problem, x) if dear else (problem.point(x), None)
        if not point.value <= (1.0 + INTERPOLATED) * constant.value:
            point, H = _curved(problem, constant.x) if dear else (constant, None)
        assert isinstance(point, ClassPoint)
        dear = H is not None
        if self.begin is not None and isinstance(self.begin.preconditioner, BlockPreconditioner):
            H = H or self.begin.preconditioner
        before, due = problem.cost.passes, problem.design.gram_passes
        if H is None:
            H = made_for_classes(problem, point.shares)
            due = problem.cost.passes - before
        state = MultinomialState(
            point=point,
            problem=problem,
            floor=rounding_of_targets(constant),
            preconditioner=H,
            due=due,
            dear=dear,
        )
        return self._ended(state)

    def _begin(self, problem: Multinomial) -> FloatArray:
        if self.begin is not None:
            return self.begin.x
        if problem.n_features > LARGEST_GRAM:
            return problem.constant.x
        n, size = problem.n_samples, _first_rows(problem)
        if size < n:
            drawn: FloatArray = _of_sample(problem, size, partial(_solved_roughly, ROUGH))
            return drawn
        if not is_dear(problem) or problem.design.in_rounds:
            return _two_steps(problem)
        weight = np.ones(n) if problem.weight is None else problem.design.rows.gather(problem.weight)
        part = problem.on_rows(Choice(np.arange(n), n), weight / weight.sum())
        assert isinstance(part, Multinomial)
        x = _solved_roughly(self.tol, part)
        problem.cost.charge(part.cost.passes)
        return x

    # Iterations

    def step(self, objective: AnyObjective, state: MultinomialState) -> MultinomialState:  # type: ignore[override]
        """One Newton step, with a renewal of H before it where that is due."""
        state = _read(state, state.point.x) if state.dear and not state.is_exact else state
        point, shares = state.point, state.shares
        out = state.iteration + 1 >= self.max_iter
        aim = (0.25 ** (1 + state.attempts) * self.tol) ** (2.0 / 3.0)  # less with every proof that failed
        sight = 2.0 * max(aim, ROUNDING) * state.scale(point.value)
        if state.dear:  # the step is exact
            sight = max(sight, 0.6 * math.sqrt(self.tol) * state.scale(point.value))
        near = state.begun.square <= sight  # Newton's method squares the distance
        last = self.prove and (out or near or state.damping > 1.0)
        tiny = state.problem.design.n_entries <= TINY and state.problem.has_ridge
        due = state.is_due and not (near and tiny and not state.attempts)  # else a polish brings the digits
        if not state.dear and (due or state.stuck or state.damping > 0.0):
            state = _renewed(state, shares, damped=state.stuck)
        if last:
            return self._ended(self._closed(state, shares, out))
        newton = _solved(state, shares)
        spent, iteration = state.spent + newton.iterations, state.iteration + 1
        state = self._stepped(replace(state, spent=spent, iteration=iteration), newton)
        if out:
            return state.ended(Status.MAX_ITER, newton.decrement, "newton_decrement")
        return self._ended(state)

    def _stepped(self, state: MultinomialState, newton: NewtonStep) -> MultinomialState:
        """The state a whole or a searched step on; stuck where none leads down."""
        problem, point, p, dear = state.problem, state.point, newton.step, state.dear
        along = float(np.vdot(p, point.x_gradient))
        state = _read(state, point.x + p) if dear else replace(state, point=problem.point(point.x + p))
        if will_do(state.point, point, p, along):
            return replace(state, stuck=False)
        slope = _apart(state.point, point) if dear else problem.slope(p)
        lower = step_along(point, Direction(p, slope), along)
        if lower is None:
            return replace(state, point=point, stuck=True, dear=False)
        return replace(_read(state, lower.x) if dear else replace(state, point=lower), stuck=False)

    def _last(self, state: MultinomialState, shares: RowVector, tol: float) -> Last:
        """A last step: as ``closing`` has it for one score in a row."""
        problem, before = state.problem, state.point
        newton = _solved(state, shares, enough_of(state, tol))
        x = problem.returned(before.x + newton.step)
        there = problem.point(x) if state.dear else None  # whose reading has the gradient too
        slope = problem.slope(newton.step) if there is None else _apart(there, before)
        if not provable(problem):
            newton, point = replace(newton, slope=slope), there or problem.point(x)
            gap = estimated_gap(problem, point, newton, state.preconditioner.solve)
            return Last(newton, point, gap, "newton_decrement", dual_point(problem, shares, slope))
        low = dual_point(problem, shares, slope)
        if problem.fit_intercept:
            balance(problem, slope)
        point, gap = multinomial_gap(problem, x, slope)
        return Last(newton, there or point, gap, "duality_gap", low)

    def _closed(self, state: MultinomialState, shares: RowVector, out: bool) -> MultinomialState:
        """The end of a last step: a certificate, or the point to go on from where it was not the last."""
        last, before = self._last(state, shares, self.tol), state.point
        spent, attempts = state.spent + last.newton.iterations, state.attempts + 1
        there = replace(
            state, point=last.point, spent=spent, attempts=attempts, iteration=state.iteration + 1
        )
        if there.within(last.gap, self.tol):
            # The last digits cost next to nothing.
            if state.problem.design.n_entries <= TINY and not state.dear:
                there, last = self._polished(there, last)
            ended = there.ended(Status.CONVERGED, last.gap, last.kind)
            return _without_minimiser(ended, last.gap) if last.low and not state.problem.has_ridge else ended
        noise, gap = ROUNDING * abs(before.value), last.gap
        if not last.point.value <= before.value + noise:
            p = last.newton.step
            slope = float(np.vdot(p, before.x_gradient))
            found = step_along(before, Direction(p, state.problem.slope(p)), slope)
            there = replace(there, point=found or before)
            gap += max(there.point.value - last.point.value, 0.0)
        lower = there.point.value < before.value - noise
        if last.kind == "duality_gap" and (there.attempts > 2 or state.stuck) and not lower:
            step = replace(last.newton, slope=state.problem.slope(last.newton.step))
            estimate = estimated_gap(state.problem, last.point, step, state.preconditioner.solve)
            proved = replace(there, point=last.point)
            if proved.within(estimate, self.tol):  # R is too small beside rounding for a proof
                return proved.ended(Status.CONVERGED, estimate, "newton_decrement")
        flat = state.damping > 1.0 or (state.stuck and last.newton.decrement <= noise)
        if out or (flat and not lower):
            return there.ended(Status.MAX_ITER if out else Status.STALLED, gap, last.kind)
        return replace(there, stuck=not lower, dear=state.dear and lower)

    def _polished(self, state: MultinomialState, last: Last) -> tuple[MultinomialState, Last]:
        """One more Newton step with the same H, where its gap is no larger and is not rounding already."""
        if last.gap <= ROUNDING * state.scale(state.point.value):
            return state, last
        more = self._last(state, state.shares, EPS)
        return (replace(state, point=more.point), more) if more.gap <= last.gap else (state, last)

    def _ended(self, state: MultinomialState) -> MultinomialState:
        """The state, ended where there is nothing left to do, or nothing that is finite to get to."""
        known, problem = state.known, state.problem
        if known is not None:
            if known.status is Status.CONVERGED and known.gap > self.tol:  # by rounding of what is returned
                known = replace(known, status=Status.STALLED)
            return replace(state, status=known.status, known=known)
        if not problem.has_ridge and state.point.separates:
            return without_minimiser(state, "complete", math.inf, _columns_of(problem, state.point.x))
        if not self.prove:
            decrement = 0.5 * state.begun.square
            if decrement <= max(self.tol, ROUNDING) * state.scale(state.point.value) or state.stuck:
                return state.ended(Status.CONVERGED, decrement, "newton_decrement")
        return state

    # What the loop asks

    def measure(self, objective: AnyObjective, state: MultinomialState) -> Measured:  # type: ignore[override]
        """f and ‖∇f‖ in H⁻¹."""
        if state.known is not None:
            return Measured(state.point.value, state.known.gradient_norm)
        return Measured(state.point.value, math.sqrt(max(state.begun.square, 0.0)))

    def stopped(self, objective: AnyObjective, state: MultinomialState) -> MultinomialState:  # type: ignore[override]
        """With a certificate of the point where a callback ended the run."""
        last = self._last(state, state.shares, self.tol)
        gap = last.gap + max(state.point.value - last.point.value, 0.0)
        return state.ended(Status.STOPPED, gap, last.kind)

    def solution(self, objective: AnyObjective, state: MultinomialState) -> tuple[FloatArray, Any]:  # type: ignore[override]
        """(W, b) for raw columns, shapes (K, d) and (K,)."""
        return state.problem.raw(state.point.x)


def _solved(
    state: MultinomialState, shares: RowVector, enough: Callable[[NewtonStep], bool] | None = None
) -> NewtonStep:
    """Newton's equations until it is enough, or as far as they are worth it on the way."""
    problem, solve_with, value = state.problem, state.preconditioner.solve, state.scale(state.point.value)
    if state.is_exact and (enough is None or (state.dear and state.attempts < 2)):
        return exact_step(state.point, solve_with)
    newton = state.begun
    loose = min(0.1, 0.5 * newton.square / value) * newton.square
    most = LONGEST if enough or state.iteration > 1 else SHORTEST // 2
    while not newton.ended and newton.iterations < most:
        newton = advanced(problem, shares, newton, solve_with, enough or _never)
        if enough is None and (newton.square <= loose or newton.decrement > value):
            break
    return newton


def is_dear(problem: Multinomial) -> bool:
    """Whether the Hessian as a matrix takes no longer than the readings of conjugate gradients."""
    design, K, d = problem.design, problem.classes, problem.n_features
    small = K * (d + 1) <= LARGEST_GRAM // 2 and d <= problem.n_samples
    return (
        small and design.read_cost > 1.0 and K * (K + 1) * design.gram_work <= 2 * LONGEST * design.read_cost
    )


def _first_rows(problem: Multinomial) -> int:
    """How many rows are solved first; all where that would be half of them."""
    size, n = rows_of_sample(problem), problem.n_samples
    return size if 2 * size <= n else n


def _curved(problem: Multinomial, x: FloatArray) -> tuple[DataPoint, Preconditioner | None]:
    """The point at x with H = ∇²f, in one reading; None where that has no factor."""
    point, H = problem.curved(x)
    try:
        return point, JointPreconditioner(problem, H, of=point.shares)
    except FloatingPointError:
        return point, None


def _apart(new: DataPoint, old: DataPoint) -> RowVector:
    """The change of the margins."""
    return new.objective.design.rows.combine((1.0, new.margins), (-1.0, old.margins))


def _read(state: MultinomialState, x: FloatArray) -> MultinomialState:
    """The state at x, with H from the same reading; without it where that has no factor."""
    point, found = _curved(state.problem, x)
    point.renewed = not state.attempts  # after a proof that failed the next step hangs on more than its point
    if found is None:
        return replace(state, point=point, dear=False)
    return replace(state, point=point, preconditioner=found)


def _never(_: NewtonStep) -> bool:
    return False


def _renewed(state: MultinomialState, shares: RowVector, *, damped: bool) -> MultinomialState:
    """The state with H of its point, `damped` by more than before or not at all."""
    damping = max(DAMPING, state.damping / DAMPING) if damped else 0.0
    if damping > 1.0:
        return replace(state, damping=damping)
    before = state.problem.cost.passes
    try:
        new = made_for_classes(state.problem, shares, damping)
    except FloatingPointError:
        return replace(state, damping=1.0)
    return replace(
        state, preconditioner=new, damping=damping, due=state.problem.cost.passes - before, spent=0.0
    )


def _without_minimiser(state: MultinomialState, gap: float) -> MultinomialState:
    """The end of a run whose last step left a direction of recession possible."""
    found, known = class_separation(state.problem), state.known
    assert known is not None
    if found.direction is None:
        return replace(state, known=replace(known, separation=found.kind))
    columns = _columns_of(state.problem, found.direction)
    if found.kind == "complete":
        return without_minimiser(state, "complete", math.inf, columns)
    return without_minimiser(state, "partial", gap, columns)


def _columns_of(problem: Multinomial, p: FloatArray) -> tuple[int, ...]:
    """The columns that a direction moves, of the class that it moves most first."""
    order = np.argsort(-np.abs(p).max(axis=0), kind="stable")
    return tuple(dict.fromkeys(j for k in order for j in columns_of(problem, p[:, k])))


def _mass(factor: FloatArray, y: Labels, s: FloatArray | None, out: FloatArray) -> list[Any]:
    """Nothing; s times a factor of the class is written."""
    np.multiply(factor[y], 1.0 if s is None else s, out=out)
    return []


def _mass_of_classes(problem: Multinomial) -> tuple[RowVector, FloatArray]:
    """What rows are drawn by: half their weight, half as if classes weighed alike; and factors."""
    mass, factor = problem.design.rows.empty(), 0.5 + 0.5 / (problem.classes * problem.shares)
    problem.of_rows(partial(_mass, factor), writes=(mass,))
    return mass, factor


def _choice(problem: Multinomial) -> Choice:
    """The rows that are solved first, all where these are few."""
    n, size = problem.n_samples, _first_rows(problem)
    if size == n:
        return Choice(np.arange(n), n)
    return problem.design.rows.sample(_mass_of_classes(problem)[0], size)


def _of_sample(problem: Multinomial, size: int, solve: Callable[[Multinomial], Any]) -> Any:
    """What `solve` makes of the problem on so many rows, where they are."""
    mass, factor = _mass_of_classes(problem)
    return on_drawn(problem, mass, size, solve, partial(_by_class, factor))


def _by_class(factor: FloatArray, y: Labels, _: Any) -> FloatArray:
    return np.asarray(1.0 / factor[y])


def _solved_roughly(tol: float, part: Multinomial) -> FloatArray:
    x = _two_steps(part)
    if part.n_samples >= 2 * x.size or tol < ROUGH:
        x = solve(part, tol=tol, begin=Begin(x), prove=False, kind=MultinomialNewton).state.point.x
    return x


def _two_steps(problem: Multinomial) -> FloatArray:
    """x with the directions of discriminant analysis and their best common length.

    With m_k the mean of class k and π_k its share, -∇f at the constant prediction is π_k (m_k - m).
    """
    point = problem.constant
    shares = np.exp(point.x[-1]) / np.exp(point.x[-1]).sum()
    apart = -point.x_gradient[:-1] / shares
    within = covariance(problem).scatter - (apart * shares) @ apart.T
    diagonal = np.einsum("ii->i", within)
    diagonal += problem.coordinates.ridge + ROUGH * len(within) / problem.n_samples
    try:
        factor = cholesky(within, float(np.max(diagonal, initial=0.0)))
    except FloatingPointError:
        return point.x
    move = np.zeros_like(point.x)
    move[:-1] = lapack.dpotrs(factor, apart, lower=1)[0]
    move -= move.mean(axis=1, keepdims=True)
    slope = float(np.vdot(move, point.x_gradient))
    found = step_along(point, Direction(move, problem.slope(move)), slope)
    return point.x if found is None else found.x
