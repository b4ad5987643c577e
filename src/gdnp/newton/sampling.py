"""Rows drawn in proportion to what they weigh in f: a small problem near the large one."""

from __future__ import annotations

from functools import partial

import numpy as np

from gdnp.design import Choice
from gdnp.newton.preconditioners.choice import ROWS_PER_COLUMN
from gdnp.problem.objective import Objective, pull

__all__ = ["drawn", "sample", "sample_size"]

SMALLEST = 4096
"""Rows of a sample at least."""
SAMPLE_TOL = 0.1
"""How far a sample is solved, in units of d/n of it, the distance of its minimum from that of f."""
LEAST_PULL = 1e-3
"""|φ'| that every row is taken to have at least, in units of its mean."""


def sample_size(problem: Objective) -> int | None:
    """How many rows to solve first; None where all of them are not many more."""
    size = max(SMALLEST, 2 * ROWS_PER_COLUMN * problem.n_features)
    return size if 2 * size <= problem.n_samples else None


def sample(problem: Objective, size: int, *, shrunk: bool = False) -> Objective:
    """The problem on rows drawn in proportion to |φ'| at the constant prediction.

    Half of them are then of one class, however rare it is; weights make up for the draw. If `shrunk`, every
    column gets a further ridge of d/n of its curvature there. Without it a bounded loss fits the few rows too
    well, and they lead to minima of f that are up to a tenth higher.
    """
    choice, least = drawn(problem, size)
    constant = problem.constant
    margins = problem.design.rows.gather(constant.margins, choice)
    weight = 1.0 / (np.abs(problem.loss.gradient(margins)) + least)
    ridge = problem.n_features / size * constant.mean_curvature if shrunk else 0.0
    return problem.on_rows(choice, weight / weight.sum(), ridge=ridge)


def drawn(problem: Objective, size: int) -> tuple[Choice, float]:
    """The rows of a sample, and the |φ'| that each has at least; no look at X."""
    rows, margins = problem.design.rows, problem.constant.margins
    mass = rows.empty()
    whole = rows.total(partial(pull, problem.loss, 0.0), margins, None, writes=(mass,))[0]
    least = max(LEAST_PULL * whole / problem.n_samples, 1e-300)  # rows that fit exactly count too
    rows.total(partial(pull, problem.loss, least), margins, problem.weight, writes=(mass,))
    return rows.sample(mass, size), least
