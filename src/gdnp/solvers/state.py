"""What a method carries from one iteration to the next, and what it ends with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.metric import Metric
from gdnp.problem.interface import Objective, Point

ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""Relative change of f that is rounding."""
TRIALS = 40
"""Trials of a search at most, where what it looks for may not be there."""

Frozen = TypeVar("Frozen")


def replace(state: Frozen, **changes: Any) -> Frozen:
    """``dataclasses.replace`` without a call of ``__init__``, which would take as long as a small pass."""
    held, new = state.__dict__, object.__new__(type(state))
    new.__dict__.update({name: held[name] for name in state.__dataclass_fields__})  # type: ignore[attr-defined]
    if not changes.keys() <= new.__dict__.keys():
        raise TypeError(f"{type(state).__name__} must have what is changed. Got {sorted(changes)}.")
    new.__dict__.update(changes)
    return new


class Status(Enum):
    """How a run ended; the value is a sentence for people."""

    CONVERGED = "the tolerance is met"
    MAX_ITER = "the iterations ran out before the tolerance was met; raise max_iter or tol"
    LENGTH_DIVERGES = (
        "the loss has no finite minimiser along this direction (data separable wholly or in part, or a "
        "bounded loss that prefers the 0-1 limit); the direction stands, and a ridge alpha > 0 gives a "
        "finite length"
    )
    STALLED = "no step improves the objective beyond rounding although the tolerance is not met"
    STOPPED = "a callback or Ctrl-C ended the run"
    NON_FINITE = "a step gave NaN or infinity and was undone; use a smaller step or scale the data"

    @property
    def message(self) -> str:
        """The sentence."""
        return self.value

    @classmethod
    def _missing_(cls, name: object) -> Status | None:
        return cls.__members__.get(str(name))

    def __reduce__(self) -> tuple[type[Status], tuple[str]]:
        """For skops, which saves models: by name, so that the sentence may change."""
        return Status, (self.name,)


@dataclass(frozen=True, kw_only=True)
class State:
    """Base of every method's state."""

    point: Point  # the handle of the current (w̃, γ)
    stalled: bool = False  # the method cannot move any more
    length_diverges: bool = False  # the length search found no finite minimiser along the current direction

    @property
    def directional_gap(self) -> float:
        """How far the direction is from stationary, free of the length; infinite where it is not known."""
        return float("inf")


GapKind = Literal["duality_gap", "newton_decrement"]
"""How a gap is known: the first proves it, the other estimates it."""


@dataclass(frozen=True)
class Certificate:
    """How good a fit is, and how that is known.

    Attributes
    ----------
    status : Status
        How the run ended.
    gap : float
        Bound or estimate of (f - min f)/min f, never below the rounding of f. Near interpolation it is
        relative to what is rounding of the targets: 1e-15 of f at the constant prediction c, or where that is
        more φ(3.7e-11 c), in classification the largest φ'' times (3.7e-11 c)²/2. Of a bounded loss min f is
        the least that is had without moving a margin by more than 1.
    gradient_norm : float
        ‖∇f‖ in the inverse of the metric the solver ended with.
    kind : {"duality_gap", "newton_decrement"}
        "duality_gap" proves `gap`; the other estimates it.
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
    separation : {"complete", "partial", "none", "not decided"} or None
        Increasing convex losses without a ridge: whether a hyperplane has all rows strictly on their sides,
        or some, the others lying on it; f then has no minimum, and `gap` is relative to its infimum. None
        where the last Newton step shows that there is no such hyperplane, or nobody asked.
    diverging : tuple of int
        Columns whose coefficients grow for ever as f falls to its infimum, those that move f most first.
    """

    status: Status
    gap: float
    gradient_norm: float
    kind: GapKind
    objective: float
    smallest_curvature: float | None = None
    zero_one_error: float | None = None
    smoothing_gap: float | None = None
    separation: Literal["complete", "partial", "none", "not decided"] | None = None
    diverging: tuple[int, ...] = ()

    @property
    def proved(self) -> bool:
        """Whether ``gap`` is a proof rather than an estimate."""
        return self.kind == "duality_gap"


class Measured(NamedTuple):
    """What the history says of a state."""

    objective: float
    gradient_norm: float  # ‖∇f‖ in the norm that the method measures it in


class Method(ABC):
    """A solver: pure steps on explicit state. ``gdnp.minimize`` is the one loop that drives them.

    What a subclass must say is ``init`` and ``step``. The rest has defaults: the gradient is measured in S⁻¹,
    and a run has converged where it is `tol` times what it is at w̃ = 0.

    Attributes
    ----------
    name : str
        What the method is called in messages and in ``gdnp.methods.METHODS``.
    """

    name: str

    @abstractmethod
    def init(self, objective: Objective, start: FloatArray | None) -> State:
        """The state at `start`, w̃ of shape (d,) or (w̃, γ) of shape (d + 1,), or at the method's own start."""

    @abstractmethod
    def step(self, objective: Objective, state: Any) -> State:
        """One iteration."""

    def aimed(self, tol: float, max_iter: int) -> Method:
        """The method with a goal in view; most need none."""
        return self

    def scale(self, objective: Objective) -> float:
        """The gradient norm that `tol` is relative to."""
        origin = objective.origin
        at_zero = self._gradient_norm(objective, origin)
        # Where 0 itself is stationary its gradient is no yardstick; that of a unit step is.
        return at_zero if at_zero > ROUNDING else objective.loss.max_curvature

    def measure(self, objective: Objective, state: Any) -> Measured:
        """f and the gradient norm at a state; measuring is not charged for."""
        return Measured(state.point.value, self._gradient_norm(objective, state.point))

    def terminate(
        self, objective: Objective, state: Any, measured: Measured, scale: float, tol: float
    ) -> Status | None:
        """The status that ends the run at a state, if any."""
        unbounded = self.unbounded(objective, state)
        gap = state.directional_gap if state.length_diverges else measured.gradient_norm / scale
        if gap <= tol:
            return Status.LENGTH_DIVERGES if unbounded else Status.CONVERGED
        if state.stalled:
            return Status.LENGTH_DIVERGES if unbounded else Status.STALLED
        return None

    def unfinished(self, objective: Objective, state: Any) -> Status:
        """The status of a run whose iterations ran out."""
        return Status.LENGTH_DIVERGES if self.unbounded(objective, state) else Status.MAX_ITER

    def unbounded(self, objective: Objective, state: State) -> bool:
        """Whether the length has no finite minimiser, so that a small gradient means nothing.

        It was capped, or every row is on the right side, or a bounded loss is in its 0-1 limit.
        """
        loss, point = objective.loss, state.point
        if state.length_diverges or objective.alpha != 0.0:
            return state.length_diverges
        separated = loss.increasing and point.separates
        return separated or (not loss.convex and objective.covariance.norm(point.coef) > objective.length_cap)

    def stopped(self, objective: Objective, state: Any) -> State:
        """The state of a run that a callback ended, with whatever the method says at an end."""
        assert isinstance(state, State)
        return state

    def solution(self, objective: Objective, state: Any) -> tuple[FloatArray, float]:
        """(w̃, b) of xᵀw̃ + b for raw columns."""
        point = state.point
        return point.coef, objective.raw_intercept(point.coef, point.intercept)

    def length_of(self, objective: Objective, state: Any) -> float:
        """‖w̃‖_S."""
        return objective.covariance.norm(state.point.coef)

    def certificate(self, state: Any) -> Certificate | None:
        """How good a state is, where the method knows."""
        return None

    def _gradient_norm(self, objective: Objective, point: Point) -> float:
        return float(np.hypot(objective.covariance.dual_norm(point.gradient), point.intercept_gradient))


def parted(start: FloatArray, d: int) -> tuple[FloatArray, float]:
    """w̃, shape (d,), and γ of a start; 0 where it has none."""
    return start[:d], float(start[d]) if len(start) > d else 0.0


@dataclass(frozen=True)
class Length:
    """A length g, the intercept γ found with it, and whether g ran into the cap."""

    g: float
    intercept: float = 0.0
    diverges: bool = False


@dataclass(frozen=True, kw_only=True)
class DecoupledState(State):
    """w and g of w̃ = g w/‖w‖ (Eq. 9), beside the point they make."""

    metric: Metric  # M of ‖·‖; never changes within a run
    direction: FloatArray  # w, not normalised, shape (d,)
    length: Length
    fraction: float = 1.0  # of the rule's step that a guarded method took last

    @cached_property
    def norm(self) -> float:
        """‖w‖."""
        return self.metric.norm(self.direction)

    @cached_property
    def projected_gradient(self) -> FloatArray:
        """(I - M w wᵀ/‖w‖²) ∇f(w̃): the gradient less its part that only changes the length."""
        gradient, w = self.point.gradient, self.direction
        return np.asarray(gradient - (float(gradient @ w) / self.norm**2) * self.metric.apply(w))

    @cached_property
    def direction_gradient(self) -> FloatArray:
        """∇_w f(w, g) = (g/‖w‖)(I - M w wᵀ/‖w‖²) ∇f(w̃)."""
        return (self.length.g / self.norm) * self.projected_gradient

    @cached_property
    def length_gradient(self) -> float:
        """∂f/∂g = wᵀ∇f(w̃)/‖w‖."""
        return float(self.point.gradient @ self.direction) / self.norm

    @cached_property
    def directional_gap(self) -> float:
        """‖projected gradient‖ in M⁻¹ over |E φ' |: √Δρ of Theorem 2 up to a factor, whatever the length."""
        scale = abs(self.point.mean_gradient)
        gap = self.metric.dual_norm(self.projected_gradient)
        return gap / scale if scale > 0.0 else 0.0 if gap == 0.0 else float("inf")
