"""What the production solver carries from one iteration to the next."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.design.block import EPS
from gdnp.newton.lbfgs import Memory
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import Event, Facts, Seen, Stage, next_stage
from gdnp.newton.preconditioners.making import made, seen_of
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint
from gdnp.solvers.certificates import LAST_DIGITS, margin_rounding
from gdnp.solvers.conjugate import NewtonStep
from gdnp.solvers.state import Certificate, GapKind, State, Status, replace

TINY = 1 << 12
"""Entries of X below which neither a further Newton step nor the rows of a Gram are worth saving."""

DAMPING = 1e-4
"""The multiple of the identity that makes a step safe where that of H is not; the next and last is 1."""


@dataclass(frozen=True)
class Begin:
    """Where to begin, in standardised coordinates, instead of the method's own start."""

    x: FloatArray  # (v, γ), shape (d + 1,)
    margins: RowVector | None = None  # where they are known, shape (n,)
    preconditioner: Preconditioner | None = None  # to begin with; None takes that of the curvature there


@dataclass(frozen=True, kw_only=True)
class CertifiedState(State):
    """What a run has that ends with a certificate."""

    point: DataPoint
    problem: Objective  # in standardised coordinates; never changes
    floor: float  # f below which there is only rounding of the targets; never changes
    preconditioner: Preconditioner  # H
    iteration: int = 0
    status: Status | None = None  # how the run ended
    known: Certificate | None = None  # with the status

    def scale(self, value: float) -> float:
        """What suboptimality is relative to."""
        return max(value, self.floor)

    def within(self, gap: float, tol: float) -> bool:
        """Whether a gap at the point is within a relative tolerance."""
        gap = self.known_gap(gap)
        return gap <= tol * self.scale(self.point.value - gap)

    def known_gap(self, gap: float) -> float:
        """A gap, or as much of it as two values of f can tell."""
        return max(gap, LAST_DIGITS * self.point.value)

    def ended(self, status: Status, gap: float, kind: GapKind, smallest: float | None = None) -> Self:
        """The state at the point that is returned, with its certificate."""
        point, loss, x = self.point, self.problem.loss, self.problem.returned(self.point.x)
        if not np.array_equal(x, point.x):
            before, point = point.value, self.problem.point(x)
            gap += max(point.value - before, 0.0)
        f = point.value
        if self.problem.coordinates.combinations is not None:
            # Columns that others make up, but for rounding, change f, and the best, in the first order.
            there = self.problem.on_all_columns(*self.problem.raw(point.x))
            rounding, f = margin_rounding(there.objective, there.x, EPS / len(x)), there.value
            gap += 2.0 * abs(f - point.value) + there.steepness * rounding + LAST_DIGITS * f
        error = point.error if loss.task == "classification" else None
        smoothing = None
        if error is not None and not loss.convex:
            smoothing = point.value - self.problem.penalty(point.x) - error
            if self.problem.alpha == 0.0 and status in (Status.STALLED, Status.MAX_ITER):
                gap = max(gap, smoothing)  # f comes down to the error as the length grows
        gap = self.known_gap(gap)
        g = point.x_gradient
        square = float(np.vdot(g, self.preconditioner.solve(g)))
        norm = math.sqrt(square) if 0.0 < square < math.inf else 0.0
        best = self.scale(point.value - gap)
        relative = 0.0 if gap <= 0.0 else gap / best if best > 0.0 else math.inf
        if not math.isfinite(point.value):
            status, relative = Status.NON_FINITE, math.inf
        certificate = Certificate(status, relative, norm, kind, f, smallest, error, smoothing)
        return replace(self, point=point, status=status, known=certificate)


@dataclass(frozen=True, kw_only=True)
class NewtonState(CertifiedState):
    """Everything that moves."""

    facts: Facts  # what the choice of preconditioners depends on; never changes
    stage: Stage  # where in the sequence of preconditioners the next one is
    memory: Memory  # the steps since H was made
    fresh: bool = False  # whether there was none
    damping: float = 0.0  # the multiple of the identity in H
    decrements: tuple[float, ...] = ()  # decreases in sight at the points since H was made
    attempts: int = 0  # proofs tried
    lowest: float = math.inf  # the least f that they led to
    stuck: bool = False  # whether no other way of going down is left
    newton: NewtonStep | None = None  # a Newton step on its way, where f is quadratic
    open: tuple[DataPoint, NewtonStep] | None = None  # a step that ``leaves_open`` a direction, and its start
    dual: RowVector | None = None  # the slopes a of ``primal_dual``, while it is at work, shape (n,)
    width: float = 1.0  # k there
    gap: float = math.inf  # the relative suboptimality there
    spare: float = 0.0  # passes that H took there; 0 where the next step takes another H
    exact: DataPoint | None = None  # where ∇²f is H, all rows being in it

    @cached_property
    def direction(self) -> FloatArray:
        """p = -B⁻¹∇f, B being H with the secant equations of the memory."""
        return -self.memory.solve(self.point.x_gradient)

    @cached_property
    def slope(self) -> float:
        """∇fᵀp."""
        return float(self.direction @ self.point.x_gradient)

    @property
    def decrement(self) -> float:
        """-½ ∇fᵀp, the decrease in sight; 0 where it is not positive."""
        return -0.5 * self.slope if self.slope <= 0.0 else 0.0


def renewed(state: NewtonState, event: Event) -> NewtonState | None:
    """The state with a new H at its point; None where there is nothing new to be had.

    STALE moves on to a sharper kind. After NO_STEP a fresh H is replaced by a larger one, whose steps are
    shorter. MADE takes the same kind again.
    """
    facts, stage, damping = state.facts, state.stage, 0.0
    if event is Event.NO_STEP:
        if state.fresh and state.damping >= 1.0:
            return None
        damping = max(DAMPING, state.damping / DAMPING) if state.fresh else state.damping
    if event is not Event.MADE:
        stage = next_stage(facts, stage, Seen(event))
    try:
        new = made(
            state.problem,
            stage,
            state.point.margins,
            damping=damping,
            previous=state.preconditioner,
            whole=event is Event.MADE and facts.entries <= TINY,
        )
    except FloatingPointError:  # φ'' has underflowed in all rows that counted
        return None
    return replace(
        state,
        preconditioner=new,
        stage=next_stage(facts, stage, seen_of(new)),
        memory=state.memory.about(new.solve),
        fresh=True,
        damping=damping,
        decrements=(),
        exact=state.point if facts.dear and damping == 0.0 else None,
    )
