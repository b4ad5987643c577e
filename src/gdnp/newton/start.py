"""The paper's two steps: the direction H⁻¹u, then the length, here together with the intercept."""

from __future__ import annotations

import math

from gdnp.newton.line_search import search
from gdnp.newton.plane_search import step_in_plane
from gdnp.newton.preconditioners.choice import Metrics
from gdnp.newton.preconditioners.full import Curvature
from gdnp.standardized import Place, Standardized, intercept_ray, line_jet

__all__ = ["decoupled_start"]

ENOUGH = 1e-6
"""What of the decrease may be left to be had from the length and the intercept."""
SKEWED = 5.0
"""pᵀ∇²f p/pᵀH p of the first direction p, in units of what chance makes of it, beyond which the columns are
too correlated for a diagonal H."""


def decoupled_start(problem: Standardized, metrics: Metrics) -> tuple[Place, Curvature]:
    """The best length and intercept on -H⁻¹∇f at the constant prediction, and the metric H.

    With equal φ'' in every row H is S up to a factor, and the direction S⁻¹u. A diagonal H gives way to a
    matrix where f curves much more along that direction than H says.
    """
    x, margins = problem.constant()
    place = problem.place(x, margins)
    most = SKEWED * (1.0 + problem.d / problem.n)  # of columns that are independent it is up to 1 + d/n
    while True:
        metric = metrics.at_constant(margins)
        direction = -metric.solve(place.gradient)
        slope = float(direction @ place.gradient)
        if not slope < 0.0:
            return place, metric
        q = problem.slope(direction)
        line = line_jet(problem, place, direction, q)
        if math.isinf(metrics.matrix_cost) or not line(0.0)[2] > most * -slope:
            break
        metrics.to_matrix()
    if problem.fit_intercept:
        found = step_in_plane(problem, place, (direction, q), intercept_ray(problem), ENOUGH)
        if found is not None:
            return found[1], metric
    t = search(line, place.value, slope)
    return problem.place(x + t * direction, margins + t * q), metric
