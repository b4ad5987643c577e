"""Gradient descent and Nesterov's accelerated gradient descent in the original coordinates."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective
from gdnp.solvers.state import Method, State, parted
from gdnp.validation import checked_number


@dataclass(frozen=True, kw_only=True)
class GradientState(State):
    """The point at which the gradient is known, and where momentum comes from."""

    step: float  # η; never changes
    momentum: float  # β, where it is constant; never changes
    base: FloatArray  # (w̃, γ) before the extrapolation that led to the point, shape (d + 1,)
    iteration: int = 0


@dataclass(frozen=True)
class GradientDescent(Method):
    """x ← y - η ∇f(y), y ← x + β (x - x₋₁); β = 0 is plain gradient descent.

    The history is taken at y, where the gradient is known: both sequences have the same limit and order. β is
    a number in [0, 1); or "convex", k/(k + 3) at iteration k; or "constant", (1 - √q)/(1 + √q) with q = (μ
    sup φ'' + α)/(L sup φ'' + α), which is Nesterov's for strong convexity.
    """

    name: str
    step_length: float | None = None  # η; None is the safe step 1/(L sup φ'' + α)
    momentum: float | Literal["convex", "constant"] = 0.0  # β

    def __post_init__(self) -> None:
        if self.step_length is not None:
            checked_number(f"{self.name}: step", self.step_length, positive=True)
        if isinstance(self.momentum, str):
            valid = self.momentum in ("convex", "constant")
        else:
            valid = 0.0 <= self.momentum < 1.0
        if not valid:
            raise ValueError(
                f"{self.name}: momentum must be 'convex', 'constant' or in [0, 1). Got {self.momentum!r}."
            )

    def init(self, objective: Objective, start: FloatArray | None) -> GradientState:
        """The state at `start`, w̃₀ or (w̃₀, γ₀), by default 0."""
        coef, c = parted(np.zeros(objective.n_features) if start is None else start, objective.n_features)
        step, beta = self.step_length, 0.0
        if step is None or self.momentum == "constant":
            objective.cost.charge(objective.gram_passes)
            largest = largest_curvature(objective)
            step = 1.0 / largest if step is None else step
        if self.momentum == "constant":
            root = math.sqrt(smallest_curvature(objective) / largest)
            beta = (1.0 - root) / (1.0 + root)
        elif not isinstance(self.momentum, str):
            beta = self.momentum
        return GradientState(point=objective.at(coef, c), step=step, momentum=beta, base=np.append(coef, c))

    def step(self, objective: Objective, state: State) -> GradientState:
        """One gradient step and one extrapolation."""
        assert isinstance(state, GradientState)
        point, k = state.point, state.iteration + 1
        here = np.append(point.coef, point.intercept)
        base = here - state.step * np.append(point.gradient, point.intercept_gradient)
        beta = k / (k + 3.0) if self.momentum == "convex" else state.momentum
        target = base + beta * (base - state.base)
        moved = objective.at(target[:-1], float(target[-1]))
        return replace(state, point=moved, base=base, iteration=k, stalled=bool(np.array_equal(target, here)))


def largest_curvature(objective: Objective) -> float:
    """An upper bound on the curvature of f over (w̃, γ), positive."""
    sup = objective.loss.max_curvature
    largest = sup * objective.covariance.largest + objective.alpha
    return (max(largest, sup) if objective.fit_intercept else largest) or 1.0


def smallest_curvature(objective: Objective) -> float:
    """What the curvature of f would be at least if φ'' were sup φ'': γ has second moment 1."""
    sup = objective.loss.max_curvature
    smallest = sup * objective.covariance.smallest + objective.alpha
    return min(smallest, sup) if objective.fit_intercept else smallest
