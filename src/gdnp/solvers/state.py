"""What a method carries from one iteration to the next, and what it ends with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective, Point

__all__ = ["Method", "State", "Status"]


class Status(Enum):
    """How a run ended; the value is a sentence for people."""

    CONVERGED = "the tolerance is met"
    MAX_ITER = "the iterations ran out before the tolerance was met; raise max_iter or tol"
    LENGTH_DIVERGES = (
        "the loss has no finite minimiser along this direction (separable data, or a bounded loss that "
        "prefers the 0-1 limit); the direction stands, and a ridge alpha > 0 gives a finite length"
    )
    STALLED = "no step improves the objective beyond rounding although the tolerance is not met"
    NON_FINITE = "a step gave NaN or infinity and was undone; use a smaller step or scale the data"

    @property
    def message(self) -> str:
        """The sentence."""
        return self.value

    def __reduce__(self) -> tuple[type[Status], tuple[str]]:
        """As pickle has it anyway; skops, which saves models safely, needs it said."""
        return Status, (self.value,)


@dataclass(frozen=True, kw_only=True)
class State:
    """Base of every method's state.

    Attributes
    ----------
    point : Point
        The handle of the current (w̃, γ).
    stalled : bool
        The method cannot move any more.
    length_diverges : bool
        The length search found no finite minimiser along the current direction.
    """

    point: Point
    stalled: bool = False
    length_diverges: bool = False

    @property
    def directional_gap(self) -> float:
        """How far the direction is from stationary, free of the length; infinite where it is not known."""
        return float("inf")


class Method(Protocol):
    """A solver: pure steps on explicit state. ``gdnp.minimize`` is the one loop that drives them."""

    @property
    def name(self) -> str:
        """The name in ``gdnp.methods.METHODS``."""
        ...

    def init(self, objective: Objective, start: FloatArray | None) -> State:
        """The state at `start`, shape (d,), or at the method's own start."""
        ...

    def step(self, objective: Objective, state: State) -> State:
        """One iteration."""
        ...
