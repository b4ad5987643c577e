"""Which metric of the curvature a problem gets, and what the next one would cost."""

from __future__ import annotations

import numpy as np

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners.expectation import expected_curvature
from gdnp.newton.preconditioners.full import Curvature, DiagonalCurvature, FullCurvature
from gdnp.newton.preconditioners.stages import (
    DIAGONAL_COST,
    LARGEST_MATRIX,
    Diagonal,
    Full,
    Kernel,
    Kind,
    LowRank,
    hides_ridge,
)
from gdnp.standardized import Gram, Standardized, covariance

__all__ = ["Metrics"]

LAST_MATRIX, LARGEST_LAST_MATRIX = 4096, 8192
"""Columns (or rows) up to which a matrix follows where even directions beside a diagonal are too slow: the
first in any case, the second where it takes no more than twice the memory of X."""
CHEAP, CHEAP_FOR_GOOD = 1.0, 20.0
"""Passes that a matrix may take to be made at once, and not only where the diagonal is too slow: the second
where f is quadratic, so that it is the last."""
WITHOUT_DIRECTIONS = 250.0
"""Passes that a matrix may take to be tried before directions beside a diagonal, where f is quadratic, so
that it is made once."""
SMALL = 16
"""Columns up to which a matrix is always cheap."""
SMALLEST_DAMPING, LARGEST_DAMPING = 1e-8, 1.0
"""Multiples of the identity (columns have unit curvature) that make a step safe where the metric's is not."""


class Metrics:
    """Makes metrics of curvature for one problem, a sharper kind where one is too slow.

    Parameters
    ----------
    problem : Standardized
    rough : bool
        Whether few rows will do; where the loss is not convex they do in any case.
    sure : bool
        Whether what the metric says of the distance to the minimum is relied on: of a diagonal it may be
        wrong by orders of magnitude.
    """

    def __init__(self, problem: Standardized, *, rough: bool = False, sure: bool = False) -> None:
        self.problem = problem
        self._kinds = _kinds(problem, rough, sure)
        self._renewed = problem.loss.quadratic  # or might as well be
        self.damping = 0.0

    @property
    def is_matrix(self) -> bool:
        """Whether the first metric is of the full kind."""
        return isinstance(self._kinds[0], Full)

    @property
    def hessian_fits(self) -> bool:
        """Whether ∇²f is small enough, and cheap enough beside products with it, to be held as a matrix."""
        return self.problem.d <= min(LARGEST_MATRIX, max(SMALL, 2 * self.problem.n))

    @property
    def cost(self) -> float:
        """Passes that the next metric takes the time of; of a cheap one, that the memory lost is worth."""
        return self._kinds[1 if self._due() else 0].cost

    @property
    def sharper_cost(self) -> float:
        """Passes that a sharper metric takes the time of; infinite where there is none."""
        match self._kinds:
            case [Diagonal()]:
                return np.inf
        return self.cost

    @property
    def _next_is_matrix(self) -> bool:
        match self._kinds:
            case [Diagonal(), Full(), *_]:
                return True
        return False

    @property
    def matrix_cost(self) -> float:
        """Passes that a matrix in place of a diagonal takes the time of; infinite where none follows."""
        return self._kinds[1].cost if self._next_is_matrix else np.inf

    def at(self, margins: FloatArray) -> Curvature:
        """The metric where the margins are these; the next one is sharper."""
        metric = self._made(margins)
        self._kinds[0].grow()
        return metric

    def _made(self, margins: FloatArray) -> Curvature:
        problem = self.problem
        c = problem.curvature(margins) if problem.loss.convex else expected_curvature(problem, margins)
        return self._kinds[0].make(c, problem.ridge + self.damping)

    def sharpen(self, *, force: bool = False) -> None:
        """Go on to the next kind where that is due; with `force`, if there is one."""
        if self._due(force):
            del self._kinds[0]
        self._renewed = True

    def follow(self, metric: Curvature) -> None:
        """Go on from a metric that is there already: a diagonal is not to come after a sharper one."""
        if not isinstance(metric, DiagonalCurvature) and isinstance(self._kinds[0], Diagonal):
            self._kinds = self._kinds[1:] or self._kinds

    def to_matrix(self) -> None:
        """Leave the diagonal for the matrix after it, where one follows."""
        if self._next_is_matrix:
            del self._kinds[0]

    def _due(self, force: bool = False) -> bool:
        """Whether the next kind is: after one more of the first if that is cheaper."""
        if len(self._kinds) == 1:
            return False
        now, then = self._kinds[:2]
        if isinstance(now, LowRank):
            return now.settled
        return force or self._renewed or then.cost <= DIAGONAL_COST

    def damp(self) -> bool:
        """Make the next metrics larger by ever more of the identity; False when that is enough."""
        if self.damping >= LARGEST_DAMPING:
            return False
        self.damping = max(SMALLEST_DAMPING, 1e4 * self.damping)
        return True

    def at_constant(self, margins: FloatArray) -> Curvature:
        """The metric of the constant prediction; where φ'' is the same in every row, moments will do."""
        problem, kind = self.problem, self._kinds[0]
        ends = problem.loss.curvature(margins[[np.argmin(margins), np.argmax(margins)]])
        if ends[0] == ends[1] > 0.0:
            variance = problem.coordinates.variance
            if isinstance(kind, Diagonal) and variance is not None:
                unit = Gram(1.0, np.zeros(problem.d), variance)
                return DiagonalCurvature(unit.times(float(ends[0])), problem.ridge)
            if isinstance(kind, Full) and problem.shared is not None:
                return FullCurvature(covariance(problem).times(float(ends[0])), problem.ridge)
        return self._made(margins)


def _kinds(problem: Standardized, rough: bool, sure: bool) -> list[Kind]:
    """The kinds of metric that are tried one after the other."""
    n, d = problem.n, problem.d
    # near interpolation the residuals of a regression are rounding, which a kernel blows up
    few = n < (d if problem.loss.task == "classification" else d // 2)
    graded = n < d and hides_ridge(problem, problem.loss.max_curvature / n)
    if n <= LARGEST_MATRIX and (few or graded):
        first: Kind = Diagonal(problem) if few or d > LARGEST_MATRIX else Full(problem, rough=rough)
        return [first, Kernel(problem)]
    if d <= LARGEST_MATRIX:
        matrix = Full(problem, rough=rough)
        cheap = CHEAP_FOR_GOOD if problem.loss.quadratic else CHEAP
        at_once = sure or not problem.loss.convex or matrix.cost <= cheap
        return [matrix] if at_once else [Diagonal(problem), matrix]
    directions = LowRank(problem)
    if not directions.worthwhile:
        return [Diagonal(problem)]
    last: list[Kind] = []
    if _affordable(n if few else d, problem):
        last = [Kernel(problem) if few else Full(problem)]
    if problem.loss.quadratic and last and last[0].cost <= WITHOUT_DIRECTIONS:
        return [Diagonal(problem), *last]
    return [Diagonal(problem), directions, *last]


def _affordable(side: int, problem: Standardized) -> bool:
    """Whether a matrix of so many rows may be held in the end."""
    return side <= LAST_MATRIX or (side <= LARGEST_LAST_MATRIX and side**2 <= 2 * problem.design.n_entries)
