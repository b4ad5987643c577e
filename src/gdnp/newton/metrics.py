"""Which metric of the curvature a problem gets, from which rows, and what the next one would cost."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gdnp.newton.curvature import Curvature, DiagonalCurvature, FullCurvature, KernelCurvature
from gdnp.newton.expectation import expected_curvature
from gdnp.newton.row_space import RowSpaceCurvature
from gdnp.newton.sampling import draw
from gdnp.standardized import (
    Gram,
    Shared,
    Standardized,
    covariance,
    dense_rows,
    diagonal,
    gram,
    kernel_matrix,
)

FloatArray = NDArray[np.float64]

__all__ = ["Metrics"]

LARGEST_MATRIX = 2048
"""Columns (or rows) up to which a metric is held as a matrix."""
ROWS_PER_COLUMN, ROWS_PER_COLUMN_ROUGH = 16, 4
"""Rows of the first metric for each column: H is then within about a half, or the whole, of that of all rows,
which is as near as it comes to ∇²f where the loss is not convex."""
SMALLEST_SAMPLE, SMALLEST_SAMPLE_ROUGH = 1024, 256
GROWTH = 3
"""How many times more rows each next metric is made from."""
NEGLIGIBLE = 0.1
"""Rows whose φ'' is below this share of the mean are left out of a metric."""
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-8, 1.0
"""Multiples of the identity (columns have unit curvature) that make a step safe where the metric's is not."""
SMALLEST_RIDGE, SMALLEST_RIDGE_OF_ROWS = 1e-13, 1e-31
"""The least ridge beside the largest curvature that a kernel metric can hold, which cancels all but their
ratio, and that one from a basis of the rows can, which cancels all but the root of it."""
DIAGONAL_COST = 20.0
"""Passes that the memory lost with a diagonal metric is worth."""
OVERHEAD = 4e4
"""Entries that could be read in the time of one pass over nothing."""


class Metrics:
    """Makes metrics of curvature for one problem, and knows what the next one costs in passes.

    Parameters
    ----------
    problem : Standardized
    rough : bool
        Whether few rows will do; where the loss is not convex they do in any case.
    """

    def __init__(self, problem: Standardized, *, rough: bool = False) -> None:
        self.problem = problem
        n, d = problem.n, problem.d
        self.kind: Literal["full", "kernel", "diagonal"] = "full"
        # near interpolation the residuals of a regression are rounding, which a kernel blows up
        few = n < (d if problem.loss.task == "classification" else d // 2)
        self.wide = n <= LARGEST_MATRIX and (
            few or (n < d and self._hides_ridge(problem.loss.max_curvature / n))
        )
        if d > LARGEST_MATRIX or (self.wide and few):
            self.kind = "diagonal"
        self.rows = n
        if self.kind == "full":
            affordable = 0.5 * n / problem.design.gram_work
            least = SMALLEST_SAMPLE, ROWS_PER_COLUMN * d
            if rough or not problem.loss.convex:
                least = SMALLEST_SAMPLE_ROUGH, ROWS_PER_COLUMN_ROUGH * d
            self._limit(int(max(*least, affordable)))
        self._kept = Shared() if problem.shared is None else problem.shared
        self.damping = 0.0
        self._renewed = self._graded = False

    def _limit(self, rows: int) -> None:
        self.rows = rows if rows < 0.5 * self.problem.n else self.problem.n

    @property
    def hessian_fits(self) -> bool:
        """Whether ∇²f is small enough, and cheap enough beside products with it, to be held as a matrix."""
        return self.problem.d <= min(LARGEST_MATRIX, 2 * self.problem.n)

    @property
    def cost(self) -> float:
        """Passes that the next metric takes the time of; of a cheap one, that the memory lost is worth."""
        if self.kind == "full":
            return self._passes(self.problem.design.gram_work * self.rows / self.problem.n)
        if self.kind == "kernel":
            return 0.5 * self.problem.n if self._graded else 2.0
        if not self.wide:
            return DIAGONAL_COST
        return self._kernel_cost if self._renewed else min(DIAGONAL_COST, self._kernel_cost)

    @property
    def _kernel_cost(self) -> float:
        return 2.0 if self._kept.kernel is not None else self._passes(self.problem.design.kernel_work)

    def _passes(self, work: float) -> float:
        """`work`, in units of what reading X takes, in passes with their overhead."""
        entries = 1.5 * self.problem.design.n_entries
        return (OVERHEAD + entries * work) / (OVERHEAD + entries + 12.0 * self.problem.n)

    def at(self, margins: FloatArray) -> Curvature:
        """The metric where the margins are these. The next one is made from ``GROWTH`` times more rows."""
        problem = self.problem
        c = problem.curvature(margins) if problem.loss.convex else expected_curvature(problem, margins)
        if self.kind == "diagonal":
            return DiagonalCurvature(diagonal(problem, c), self._ridge)
        if self.kind == "kernel":
            return self._kernel_metric(c)
        return FullCurvature(gram(problem, *self._chosen(c)), self._ridge)

    def sharpen(self, *, force: bool = False) -> None:
        """Where n < d and the metric is too slow: one more diagonal if that is cheaper, then the kernel's."""
        if self.wide and (force or self._renewed or self._kernel_cost <= DIAGONAL_COST):
            self.kind = "kernel"
        self._renewed = True

    def damp(self) -> bool:
        """Make the next metrics larger by ever more of the identity; False when that is enough."""
        if self.damping >= LARGEST_DAMPING:
            return False
        self.damping = max(SMALLEST_DAMPING, 1e4 * self.damping)
        return True

    @property
    def _ridge(self) -> FloatArray:
        return self.problem.ridge + self.damping

    def at_constant(self, margins: FloatArray) -> Curvature:
        """The metric of the constant prediction; where φ'' is the same in every row, moments will do."""
        problem, rows = self.problem, self.rows
        ends = problem.loss.curvature(margins[[np.argmin(margins), np.argmax(margins)]])
        if ends[0] == ends[1] > 0.0:
            variance = problem.coordinates.variance
            if self.kind == "diagonal" and variance is not None:
                unit = Gram(1.0, np.zeros(problem.d), variance)
                return DiagonalCurvature(unit.times(float(ends[0])), problem.ridge)
            if self.kind == "full" and problem.shared is not None:
                return FullCurvature(covariance(problem).times(float(ends[0])), problem.ridge)
        metric = self.at(margins)
        self.rows = rows
        return metric

    def _chosen(self, c: FloatArray) -> tuple[FloatArray, NDArray[np.intp] | None]:
        """The curvature that each row of a metric stands for, and which rows these are, None for all.

        Rows that hardly curve f are left out, where those are many: far from the boundary φ'' is near 0. Of
        more rows than are affordable, some are drawn in proportion to c.
        """
        problem, index = self.problem, None
        keep = c > NEGLIGIBLE * float(c.mean())
        kept = int(np.count_nonzero(keep))
        if problem.d <= kept <= 0.6 * problem.n:
            index = np.flatnonzero(keep)
            c = c[index]
        if self.rows < min(len(c), problem.n):
            drawn, c = draw(c, self.rows)
            index = drawn if index is None else index[drawn]
        self._limit(GROWTH * self.rows)
        return c, index

    def _hides_ridge(self, largest: float) -> bool:
        """Whether a kernel would lose the ridge of a column that a basis of the rows would not.

        In classification φ'' falls with the ridge: the larger the columns, the longer the margins.

        Parameters
        ----------
        largest : float
            Curvature of a row; rows have about d times the variance of a column.
        """
        problem = self.problem
        if problem.loss.task == "classification" or problem.n * problem.d > LARGEST_MATRIX**2:
            return False
        ridge = float(np.min(problem.ridge, initial=np.inf, where=problem.ridge > 0.0))
        unit = problem.d * largest
        return SMALLEST_RIDGE_OF_ROWS * unit <= ridge < SMALLEST_RIDGE * unit

    def _kernel_metric(self, c: FloatArray) -> Curvature:
        """H through the kernel, which serves until the floor of the ridge moves, or a basis of the rows."""
        problem, largest = self.problem, float(c.max(initial=0.0))
        self._graded = self._hides_ridge(largest)
        if self._graded:
            return RowSpaceCurvature(dense_rows(problem), self._ridge, c, fit_intercept=problem.fit_intercept)
        ridge = np.maximum(problem.ridge, SMALLEST_RIDGE * (problem.d * largest) + 1e-300)
        kept = self._kept.kernel
        if kept is None or (kept[0] != ridge).any():
            self._kept.kernel = kept = ridge, kernel_matrix(problem, 1.0 / ridge)
        return KernelCurvature(problem, kept[1], ridge, c)
