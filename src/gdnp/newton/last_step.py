"""The last step: Newton's equations solved far enough that the place they lead to can be certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gdnp._typing import FloatArray
from gdnp.newton.model import Model
from gdnp.solvers.certificates import Kind, duality_gap, provable
from gdnp.solvers.conjugate import NewtonStep, newton_step
from gdnp.standardized import Place, Standardized

__all__ = ["LastStep", "last_is_first", "last_step"]

RESIDUAL = 0.3
"""Share of the tolerance that the residual may take of a duality gap; the loss's own gap comes on top."""
INEXACT = 0.02
"""Decrement of the residual, in units of the step's, that ends a step without a proof."""
SHORTEST, LONGEST, LONGEST_QUADRATIC = 20, 100, 1000
"""Conjugate gradient iterations that a metric is given; between these as many as a matrix instead of it costs
passes, or where the last step is the first, any sharper metric."""


@dataclass(frozen=True)
class LastStep:
    """A Newton step, the place it leads to, the gap there, and how that is known."""

    newton: NewtonStep
    place: Place
    gap: float
    kind: Kind


def last_is_first(problem: Standardized) -> bool:
    """Whether Newton's equations are the whole problem, and their solution can be proved to be one."""
    return problem.loss.quadratic and provable(problem)


def last_step(
    problem: Standardized,
    place: Place,
    model: Model,
    allowed: Callable[[float], float],
    max_iter: int = LONGEST_QUADRATIC,
    watch: Callable[[FloatArray, float, float], object] | None = None,
) -> LastStep:
    """Newton's equations at `place` by conjugate gradients in the model, until a proof is in sight.

    Where the loss and the ridge allow no proof, the decrement of the step stands for the gap.

    Parameters
    ----------
    problem : Standardized
    place : Place
    model : Model
    allowed : callable
        min f, about -> the gap that is to be proved.
    max_iter : int
        Conjugate gradient iterations at most, where the last step is the first.
    watch : callable or None
        See ``newton_step``; called there.
    """
    proof, first = provable(problem), last_is_first(problem)

    def proving(residual: FloatArray, decrement: float) -> bool:
        left = 0.5 * float(residual[:-1] @ (residual[:-1] / problem.ridge))
        return left <= RESIDUAL * allowed(place.value - decrement)

    def solving(residual: FloatArray, decrement: float) -> bool:
        left = float(residual @ model.metric.solve(residual))
        return left <= INEXACT * decrement

    metrics = model.metrics
    if first:
        limit = int(min(np.clip(metrics.sharper_cost, SHORTEST, LONGEST_QUADRATIC), max(1, max_iter)))
    else:
        limit = int(np.clip(metrics.matrix_cost, SHORTEST, LONGEST))
    newton = newton_step(
        problem,
        place,
        problem.curvature(place.margins),
        model.solve,
        proving if proof else solving,
        limit,
        watch if first else None,
    )
    if not newton.solved:
        if first:
            model.refresh(place.margins, sharper=True)
        else:  # the metric's idea of the distance was wrong, too
            metrics.to_matrix()
    if proof:
        return LastStep(newton, *duality_gap(problem, place, newton), "duality_gap")
    return LastStep(newton, problem.at(place.x + newton.step), newton.decrement, "newton_decrement")
