"""The paper's two steps: the direction H⁻¹u, then the length, here together with the intercept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gdnp.newton.curvature import Curvature
from gdnp.newton.line_search import search
from gdnp.newton.metrics import Metrics
from gdnp.newton.plane_search import step_in_plane
from gdnp.standardized import Place, Standardized

FloatArray = NDArray[np.float64]

__all__ = ["decoupled_start"]

ENOUGH = 1e-6
"""What of the decrease may be left to be had from the length and the intercept."""


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
    if problem.fit_intercept:
        found = step_in_plane(problem, place, (direction, q), problem.intercept(), ENOUGH)
        if found is not None:
            return found[1], metric
    t = search(problem.line(place, direction, q), place.value, slope)
    return problem.place(x + t * direction, margins + t * q), metric
