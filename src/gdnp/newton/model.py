"""The quadratic model of f: a metric of the curvature, the steps since, and when to make it anew."""

from __future__ import annotations

import math

from gdnp._typing import FloatArray
from gdnp.newton.lbfgs import Memory
from gdnp.newton.preconditioners.choice import Metrics
from gdnp.newton.preconditioners.full import Curvature
from gdnp.standardized import Place, Standardized

__all__ = ["Model"]

PAID, PAID_NOT_CONVEX = 0.5, 2.0
"""Steps in units of its cost after which a metric has paid for itself: valleys are slow in any."""
FEWEST_PAIRS, MOST_PAIRS = 3, 10
"""Steps remembered; between these as many as take no longer to apply, 4 d operations each, than X to read."""


class Model:
    """B of f(x + p) ≈ f + ∇fᵀp + ½ pᵀB p: the metric H with the secant equations of the last steps.

    Attributes
    ----------
    metric : Curvature
        H.
    metrics : Metrics
        Where it came from.
    """

    metric: Curvature

    def __init__(self, problem: Standardized, *, rough: bool = False, sure: bool = False) -> None:
        self.metrics = Metrics(problem, rough=rough, sure=sure)
        self._paid = PAID if problem.loss.convex else PAID_NOT_CONVEX
        affordable = problem.design.n_entries // max(1, 2 * problem.d)
        self._memory = Memory(min(max(FEWEST_PAIRS, affordable), MOST_PAIRS))
        self._decrements: list[float] = []
        self._fresh = False

    def begin(self, margins: FloatArray, metric: Curvature | None) -> None:
        """Take a metric that is there already, or else that of the curvature at these margins."""
        if metric is not None:
            self.metrics.follow(metric)
        self.metric = self.metrics.at(margins) if metric is None else metric

    def solve(self, g: FloatArray) -> FloatArray:
        """B⁻¹ g."""
        return self._memory.solve(g, self.metric.solve)

    def add(self, old: Place, new: Place) -> None:
        """Learn from a step."""
        self._memory.add(new.x - old.x, new.gradient - old.gradient)
        self._fresh = False

    def stale(self, decrement: float, target: float) -> bool:
        """Whether at the rate seen lately a new metric is the shorter way to `target`."""
        self._decrements.append(decrement)
        cost, seen = self.metrics.cost, self._decrements
        if len(seen) < 2 or len(seen) < self._paid * cost + 1.0:
            return False
        last = min(2, len(seen) - 1)
        rate = (seen[-1] / seen[-1 - last]) ** (1.0 / last)
        if rate >= 1.0:
            return True
        remaining = math.log(max(target, 1e-300) / decrement) / math.log(rate)
        return remaining > cost + 2.0

    def refresh(self, margins: FloatArray, *, sharper: bool = False, force: bool = False) -> bool:
        """Take the metric of the curvature at these margins; False when there is nothing new.

        With `sharper` it is of the sharpest kind. With `force` a fresh metric that gave no step is replaced
        by a larger one, whose steps are shorter.
        """
        if not force:
            self.metrics.damping = 0.0
        elif self._fresh and not self.metrics.damp():
            return False
        if sharper or force:
            self.metrics.sharpen(force=force)
        try:
            self.metric = self.metrics.at(margins)
        except FloatingPointError:  # φ'' has underflowed in all rows that counted
            return False
        self._memory.clear()
        self._decrements.clear()
        self._fresh = True
        return True
