"""Where the production solver begins: the paper's two steps, on a sample of the rows where there are many."""

import math

from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import Event, Facts, Kind, Seen, Stage, cost_of_matrix, next_stage
from gdnp.newton.preconditioners.making import made_at_constant
from gdnp.newton.search import step_along, step_in_plane
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint, Direction, intercept_direction

LEFT = 1e-6
"""What of the decrease may be left to be had from the length and the intercept."""
SKEWED = 5.0
"""pᵀ∇²f p/pᵀH p of the first direction p, in units of what chance makes of it, beyond which the columns are
too correlated for a diagonal H."""


def decoupled_start(
    problem: Objective, point: DataPoint, facts: Facts, stage: Stage
) -> tuple[DataPoint, Preconditioner, Stage]:
    """The best length and intercept on -H⁻¹∇f at the constant prediction, H, and the stage it was made at.

    With equal φ'' in every row H is S up to a factor, and the direction S⁻¹u. A diagonal H gives way to a
    matrix where f curves much more along that direction than H says.
    """
    most = SKEWED * (1.0 + facts.d / facts.n)  # of columns that are independent it is up to 1 + d/n
    while True:
        preconditioner = made_at_constant(problem, stage, point)
        p = -preconditioner.solve(point.x_gradient)
        slope = float(p @ point.x_gradient)
        if not slope < 0.0:
            return point, preconditioner, stage
        direction = Direction(p, problem.slope(p))
        if stage.kind is not Kind.DIAGONAL or math.isinf(cost_of_matrix(facts, stage)):
            break
        if not point.along(direction).expansion(0.0).f_tt > most * -slope:
            break
        stage = next_stage(facts, stage, Seen(Event.UNSOLVED))
    found = None
    if problem.fit_intercept:
        found = step_in_plane(point, direction, intercept_direction(problem), LEFT)
    if found is None:
        found = step_along(point, direction, slope)
    return (point if found is None else found), preconditioner, stage
