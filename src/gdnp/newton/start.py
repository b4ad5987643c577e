"""Where the production solver begins: the paper's two steps, on a sample of the rows where there are many."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, RowVector
from gdnp.losses import Loss
from gdnp.newton.preconditioners import choice
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.making import made_at_constant
from gdnp.newton.search import step_along, step_in_plane
from gdnp.problem.empirical import sum_of
from gdnp.problem.objective import Objective, pull
from gdnp.problem.points import DataPoint, Direction, intercept_direction, size_of_slope

LEFT = 1e-6
"""What of the decrease may be left to be had from the length and the intercept."""
SKEWED = 5.0
"""pᵀ∇²f p/pᵀH p of the first direction p, in units of what chance makes of it, beyond which the columns are
too correlated for a diagonal H."""
SMALLEST = 4096
"""Rows of a sample at least."""
SAMPLE_TOL = 0.1
"""How far a sample is solved, in units of d/n of it, the distance of its minimum from that of f."""
LEAST_PULL = 1e-3
"""|φ'| that every row is taken to have at least, in units of its mean."""


def decoupled_start(
    problem: Objective, point: DataPoint, facts: choice.Facts, stage: choice.Stage
) -> tuple[DataPoint, Preconditioner, choice.Stage]:
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
        if stage.kind is not choice.Kind.DIAGONAL or math.isinf(choice.cost_of_matrix(facts, stage)):
            break
        if not point.along(direction).expansion(0.0).f_tt > most * -slope:
            break
        stage = choice.next_stage(facts, stage, choice.Seen(choice.Event.UNSOLVED))
    found = None
    if problem.fit_intercept:
        found = step_in_plane(point, direction, intercept_direction(problem), LEFT)
    if found is None:
        found = step_along(point, direction, slope)
    return (point if found is None else found), preconditioner, stage


def sample_size(problem: Objective) -> int | None:
    """How many rows to solve first; None where all of them are not many more."""
    size = max(SMALLEST, 2 * choice.ROWS_PER_COLUMN * problem.n_features)
    return size if 2 * size <= problem.n_samples else None


def _solved(
    problem: Objective,
    weigh: Callable[[Any, Any], FloatArray],
    solve: Callable[[Any], Any],
    part: DesignMatrix,
    sigma: Any,
    base: Any,
    margins: Any,
) -> tuple[Any, float]:
    """What `solve` makes of the problem on rows that were drawn, and its passes over them.

    Weights make up for the draw; see ``DesignMatrix.on_sample``.
    """
    weight = weigh(sigma, margins)
    drawn = problem.of(part, sigma, base, weight / weight.sum())
    return solve(drawn), drawn.cost.passes


def on_drawn(
    problem: Objective,
    mass: RowVector,
    size: int,
    solve: Callable[[Any], Any],
    weigh: Callable[[Any, Any], FloatArray],
    *,
    margins: RowVector | None = None,
    ridge: float = 0.0,
) -> Any:
    """What `solve` makes of the problem on rows drawn in proportion to `mass`, where they are.

    `weigh` makes weights of their targets and margins; `ridge` is a further one.
    """
    made = partial(_solved, problem.without_rows(ridge), weigh, solve)
    found, passes = problem.design.on_sample(made, mass, size, problem.sigma, problem.base, margins)
    problem.cost.charge(passes * size / problem.n_samples)
    return found


def _by_pull(loss: Loss, least: float, _: Any, margins: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (np.abs(loss.gradient(margins)) + least))


def sample(
    problem: Objective,
    size: int,
    solve: Callable[[Objective], Any],
    *,
    constant: DataPoint | None = None,
    shrunk: bool = False,
) -> Any:
    """What `solve` makes of the problem on rows drawn in proportion to |φ'| at the constant prediction.

    Half of them are then of one class, however rare it is; weights make up for the draw. If `shrunk`, every
    column gets a further ridge of d/n of its curvature there. Without it a bounded loss fits the few rows too
    well, and they lead to minima of f that are up to a tenth higher. It is made where the rows are.
    """
    constant = problem.constant if constant is None else constant
    mass, least = drawn_from(problem, constant)
    ridge = problem.n_features / size * constant.mean_curvature if shrunk else 0.0
    weigh = partial(_by_pull, problem.loss, least)
    return on_drawn(problem, mass, size, solve, weigh, margins=constant.margins, ridge=ridge)


def drawn_from(problem: Objective, constant: DataPoint) -> tuple[RowVector, float]:
    """What the rows of a sample are drawn in proportion to, and the |φ'| that each has at least."""
    rows, margins = problem.design.rows, constant.margins
    whole = rows.total(partial(sum_of, partial(size_of_slope, problem.loss)), margins, None)[0]
    least = max(LEAST_PULL * whole / problem.n_samples, 1e-300)  # rows that fit exactly count too
    mass = rows.empty()
    rows.total(partial(pull, problem.loss, least), margins, problem.weight, writes=(mass,))
    return mass, least
