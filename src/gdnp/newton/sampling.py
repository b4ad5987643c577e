"""Rows drawn in proportion to what they weigh in f: a small problem near the large one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.standardized import Standardized

__all__ = ["draw", "sample", "sample_size"]

SMALLEST = 4096
"""Rows of a sample at least, of a convex loss."""
ROWS_PER_COLUMN = 32
"""Rows of a sample for each column: what is left of the suboptimality is about d/n of it."""
ROUGHER = 3
"""A loss that is not convex is followed on so many times fewer rows for each column: its path is longer."""
LEAST = 1e-3
"""|φ'| that every row is taken to have at least, in units of its mean."""
FEW = 3
"""A sample is solved first when there are this many times more rows than it has."""


def sample_size(problem: Standardized) -> int | None:
    """How many rows to solve first; None where all of them are not many more."""
    n, d = problem.n, problem.d
    if problem.loss.convex:
        size = max(SMALLEST, ROWS_PER_COLUMN * d, min(n // 16, 2 * n // d))
    else:
        size = max(SMALLEST // ROUGHER, ROWS_PER_COLUMN * d // ROUGHER, n // 16)
    return size if FEW * size <= n else None


def sample(problem: Standardized, size: int, *, shrink: float = 0.0) -> Standardized:
    """The problem on rows drawn in proportion to |φ'| at the constant prediction.

    Half of them are then of one class, however rare it is; weights make up for the draw. Every column gets a
    further ridge of `shrink` d/n of its curvature there, against what is due to the few rows alone.
    """
    _, margins = problem.constant()
    index, weight = _weighted_rows(problem, margins, size)
    ridge = shrink * problem.d / size * float(problem.curvature(margins).sum()) if shrink > 0.0 else 0.0
    del margins  # before rows are copied
    return problem.rows(index, weight, ridge=ridge)


def _weighted_rows(
    problem: Standardized, margins: FloatArray, size: int
) -> tuple[NDArray[np.intp], FloatArray]:
    mass = np.abs(problem.loss.gradient(margins))
    least = max(LEAST * float(mass.mean()), 1e-300)
    mass += least  # rows that fit exactly count too
    if problem.weight is not None:
        mass *= problem.weight
    index, share = draw(mass, size)
    weight = share / (np.abs(problem.loss.gradient(margins[index])) + least)
    return index, weight / weight.sum()


def draw(mass: FloatArray, count: int) -> tuple[NDArray[np.intp], FloatArray]:
    """`count` rows drawn with replacement in proportion to `mass` (used up), and the mass each stands for."""
    edges = np.cumsum(mass, out=mass)
    points = np.random.default_rng(0).random(count)
    points.sort()
    index = np.searchsorted(edges, points * edges[-1])
    return np.minimum(index, len(mass) - 1), np.full(count, edges[-1] / count)
