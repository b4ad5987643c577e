"""The paper's two steps: the direction H⁻¹u, then the length, here together with the intercept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gdnp.solvers.curvature import Curvature
from gdnp.solvers.line_search import search
from gdnp.solvers.metrics import Metrics
from gdnp.standardized import Place, Standardized

FloatArray = NDArray[np.float64]

__all__ = ["decoupled_start"]

REFINEMENTS = 3
"""Newton steps on (length, intercept) after the length alone has been searched."""


def decoupled_start(problem: Standardized, metrics: Metrics) -> tuple[Place, Curvature]:
    """The best length and intercept on -H⁻¹∇f at the constant prediction, and the metric H.

    With equal φ'' in every row H is S up to a factor, and the direction S⁻¹u.
    """
    x, margins = problem.constant()
    place = problem.place(x, margins)
    metric = metrics.at_constant(margins)
    direction = -metric.solve(place.gradient)
    slope = float(direction @ place.gradient)
    if not slope < 0.0:
        return place, metric
    q = problem.slope(direction)
    t = search(lambda t: problem.line(place, direction, q, t), place.value, slope)
    t, c = _refined(problem, place, direction, q, t)
    margins = margins + t * q
    x = x + t * direction
    if c != 0.0:
        margins += c * problem.sigma
        x[-1] += c
    return problem.place(x, margins), metric


def _refined(
    problem: Standardized, place: Place, direction: FloatArray, q: FloatArray, t: float
) -> tuple[float, float]:
    """(t, c) near (t, 0) with a lower f at `place` + t `direction` + c in the intercept, in O(n)."""
    best = np.array([t, 0.0])
    if not problem.fit_intercept:
        return t, 0.0
    value, gradient, hessian = problem.plane(place, direction, q, *best)
    for _ in range(REFINEMENTS):
        if not np.linalg.det(hessian) > 0.0 or not hessian[0, 0] > 0.0:
            break
        trial = best - np.linalg.solve(hessian, gradient)
        found = problem.plane(place, direction, q, *trial)
        if not found[0] < value:
            break
        best, (value, gradient, hessian) = trial, found
    return float(best[0]), float(best[1])
