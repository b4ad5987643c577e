"""The last step: Newton's equations solved far enough that the place they lead to can be certified."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdnp.newton.certificates import Kind, duality_gap, provable
from gdnp.newton.conjugate import NewtonStep, newton_step
from gdnp.newton.model import Model
from gdnp.standardized import Place, Standardized

FloatArray = NDArray[np.float64]

__all__ = ["LastStep", "last_step"]

RESIDUAL = 0.3
"""Share of the tolerance that the residual may take of a duality gap; the loss's own gap comes on top."""
INEXACT = 0.02
"""Decrement of the residual, in units of the step's, that ends a step without a proof."""
SHORTEST, LONGEST = 20, 100
"""Conjugate gradient iterations that a metric is given; between these as many as a matrix instead of it costs
passes."""


@dataclass(frozen=True)
class LastStep:
    """A Newton step, the place it leads to, the gap there, and how that is known."""

    newton: NewtonStep
    place: Place
    gap: float
    kind: Kind


def last_step(problem: Standardized, place: Place, model: Model, gap: float) -> LastStep:
    """Newton's equations at `place` by conjugate gradients in the model, until a proof of `gap` is in sight.

    Where the loss and the ridge allow no proof, the decrement of the step stands for the gap.
    """
    proof = provable(problem)

    def proving(residual: FloatArray, _: float) -> bool:
        return 0.5 * float(residual[:-1] @ (residual[:-1] / problem.ridge)) <= RESIDUAL * gap

    def solving(residual: FloatArray, decrement: float) -> bool:
        return float(residual @ model.metric.solve(residual)) <= INEXACT * decrement

    newton = newton_step(
        problem,
        place,
        problem.curvature(place.margins),
        model.solve,
        proving if proof else solving,
        max_iter=int(np.clip(model.metrics.matrix_cost, SHORTEST, LONGEST)),
    )
    if not newton.solved:  # the metric's idea of the distance was wrong, too
        model.metrics.to_matrix()
    if proof:
        return LastStep(newton, *duality_gap(problem, place, newton), "duality_gap")
    return LastStep(newton, problem.at(place.x + newton.step), newton.decrement, "newton_decrement")
