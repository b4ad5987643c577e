"""Gradient descent and Nesterov's accelerated gradient descent in the original coordinates."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gdnp.interface import Objective
from gdnp.solvers.state import State

FloatArray = NDArray[np.float64]

__all__ = ["GradientDescent", "GradientState", "curvature_range"]


@dataclass(frozen=True, kw_only=True)
class GradientState(State):
    """The point at which the gradient is known, and where momentum comes from.

    Attributes
    ----------
    step, momentum : float
        η and, for a constant momentum, β; never change within a run.
    base : ndarray of shape (d + 1,)
        (w̃, γ) before the extrapolation that led to the point.
    iteration : int
    """

    step: float
    momentum: float
    base: FloatArray
    iteration: int = 0


@dataclass(frozen=True)
class GradientDescent:
    """x ← y - η ∇f(y), y ← x + β (x - x₋₁); β = 0 is plain gradient descent.

    The history is taken at y, where the gradient is known: both sequences have the same limit and order.

    Parameters
    ----------
    name : str
    step_length : float or None
        η; None is the safe step 1/(L sup φ'' + α).
    momentum : float or {"convex", "constant"}
        β: a number in [0, 1); "convex", k/(k + 3) at iteration k; "constant", (1 - √q)/(1 + √q) with
        q = (μ sup φ'' + α)/(L sup φ'' + α), which is Nesterov's for strong convexity.
    """

    name: str
    step_length: float | None = None
    momentum: float | Literal["convex", "constant"] = 0.0

    def __post_init__(self) -> None:
        if self.step_length is not None and not (math.isfinite(self.step_length) and self.step_length > 0.0):
            raise ValueError(
                f"{self.name}: step must be finite and positive, or None. Got {self.step_length!r}."
            )
        if isinstance(self.momentum, str):
            valid = self.momentum in ("convex", "constant")
        else:
            valid = 0.0 <= self.momentum < 1.0
        if not valid:
            raise ValueError(
                f"{self.name}: momentum must be 'convex', 'constant' or in [0, 1). Got {self.momentum!r}."
            )

    def init(self, objective: Objective, start: FloatArray | None) -> GradientState:
        """The state at w̃₀ = `start`, by default 0."""
        coef = np.zeros(objective.n_features) if start is None else start
        step = self.step_length
        if step is None or self.momentum == "constant":
            objective.cost.charge(objective.gram_passes)
            largest, smallest = curvature_range(objective)
            step = 1.0 / (largest or 1.0) if step is None else step
        beta = 0.0
        if self.momentum == "constant":
            q = math.sqrt(smallest / (largest or 1.0))
            beta = (1.0 - q) / (1.0 + q)
        elif not isinstance(self.momentum, str):
            beta = self.momentum
        return GradientState(point=objective.at(coef), step=step, momentum=beta, base=np.append(coef, 0.0))

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


def curvature_range(objective: Objective) -> tuple[float, float]:
    """Bounds on the largest and smallest curvature of f over (w̃, γ)."""
    metric, sup, alpha = objective.covariance, objective.loss.max_curvature, objective.alpha
    largest, smallest = sup * metric.largest + alpha, sup * metric.smallest + alpha
    if objective.fit_intercept:  # γ is orthogonal to centred columns and has second moment 1
        largest, smallest = max(largest, sup), min(smallest, sup)
    return largest, smallest
