"""The kinds of metric, each with what its next one costs and how it becomes sharper."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners.full import Curvature, DiagonalCurvature, FullCurvature, KernelCurvature
from gdnp.newton.preconditioners.low_rank import LowRankCurvature
from gdnp.newton.preconditioners.row_space import RowSpaceCurvature
from gdnp.newton.sampling import draw
from gdnp.standardized import Shared, Standardized, dense_rows, diagonal, gram, kernel_matrix

__all__ = [
    "DIAGONAL_COST",
    "GROWTH",
    "LARGEST_MATRIX",
    "Diagonal",
    "Full",
    "Kernel",
    "Kind",
    "LowRank",
    "hides_ridge",
]

LARGEST_MATRIX = 2048
"""Columns (or rows) up to which a metric is held as a matrix."""
ROWS_PER_COLUMN, ROWS_PER_COLUMN_ROUGH = 16, 4
"""Rows of the first metric for each column: H is then within about a half, or the whole, of that of all rows,
which is as near as it comes to ∇²f where the loss is not convex."""
AFFORDABLE, EXACT = 0.5, 5.0
"""Passes that the first may take; where f is quadratic, with all rows or at least half of them, so that it is
∇²f and there is one step to make."""
SMALLEST_SAMPLE, SMALLEST_SAMPLE_ROUGH = 1024, 256
GROWTH = 3
"""How many times more rows, or directions, each next metric is made from."""
NEGLIGIBLE = 0.1
"""Rows whose φ'' is below this share of the mean are left out of a metric."""
SMALLEST_RIDGE, SMALLEST_RIDGE_OF_ROWS = 1e-13, 1e-31
"""The least ridge beside the largest curvature that a kernel metric can hold, which cancels all but their
ratio, and that one from a basis of the rows can, which cancels all but the root of it."""
LARGEST_BASIS, LONGEST_BASIS = 1 << 24, LARGEST_MATRIX**3
"""Numbers in a basis of the rows, as many as in the last matrix, and the multiplications that it may take, as
many as of the largest matrix."""
SMALLEST_RANK = 16
FLAT = 4.0
"""A metric of low rank gets more directions while the least of its eigenvalues is so many times the mean of
the unseen. Where the largest is not, a diagonal serves as well."""
DIAGONAL_COST = 20.0
"""Passes that the memory lost with a diagonal metric is worth."""
ORTHOGONAL_WORK = 0.9
"""Time of making d x k directions orthonormal, in units of d k² entries of a pass."""
CHOLESKY_WORK = 0.01
"""Time of a Cholesky factor of side k, in units of k³ entries of a pass."""
LEAST_OF_KERNEL = 2.0
"""Passes that the memory lost with a kernel metric is worth."""
OVERHEAD = 4e4
"""Entries that could be read in the time of one pass over nothing."""


class Kind(Protocol):
    """Makes metrics of one kind for one problem."""

    @property
    def cost(self) -> float:
        """Passes that the next metric takes the time of; of a cheap one, that the memory lost is worth."""
        ...

    def make(self, c: FloatArray, ridge: FloatArray) -> Curvature:
        """The metric of curvature c >= 0, shape (n,), and a ridge of shape (d,)."""
        ...

    def grow(self) -> None:
        """Let the next metric be sharper than the last."""
        ...


class Full:
    """A matrix from the rows that count, or from as many of them as are affordable.

    Parameters
    ----------
    problem : Standardized
    rough : bool
        Whether few rows will do.
    """

    def __init__(self, problem: Standardized, *, rough: bool = False) -> None:
        self._problem = problem
        passes = EXACT if problem.loss.quadratic else AFFORDABLE
        affordable = problem.n * passes / problem.design.gram_work
        least = SMALLEST_SAMPLE, ROWS_PER_COLUMN * problem.d
        if rough or not problem.loss.convex:
            least = SMALLEST_SAMPLE_ROUGH, ROWS_PER_COLUMN_ROUGH * problem.d
        self._limit(int(max(*least, affordable)))

    def _limit(self, rows: int) -> None:
        self._rows = rows if rows < 0.5 * self._problem.n else self._problem.n

    @property
    def cost(self) -> float:  # noqa: D102
        problem = self._problem
        return _passes(problem, problem.design.gram_work * self._rows / problem.n, side=problem.d)

    def make(self, c: FloatArray, ridge: FloatArray) -> Curvature:  # noqa: D102
        index = _that_count(c, self._problem.d)
        if index is not None:
            c = c[index]
        if self._rows < min(len(c), self._problem.n):
            drawn, c = draw(c, self._rows)
            index = drawn if index is None else index[drawn]
        return FullCurvature(gram(self._problem, c, index), ridge)

    def grow(self) -> None:  # noqa: D102
        self._limit(GROWTH * self._rows)


class Diagonal:
    """The diagonal alone."""

    cost = DIAGONAL_COST

    def __init__(self, problem: Standardized) -> None:
        self._problem = problem

    def make(self, c: FloatArray, ridge: FloatArray) -> Curvature:  # noqa: D102
        return DiagonalCurvature(diagonal(self._problem, c), ridge)

    def grow(self) -> None:
        """A diagonal is what it is."""


class LowRank:
    """Directions beside a diagonal, for d too large for a matrix; a diagonal where none stands out."""

    def __init__(self, problem: Standardized) -> None:
        self._problem = problem
        self._rank, self._repeated = SMALLEST_RANK, 0
        self._last: LowRankCurvature | None = None

    @property
    def _largest_rank(self) -> int:
        """No more numbers than the largest matrix has, nor than take as long to read as X."""
        d = max(1, self._problem.d)
        return min(d, LARGEST_MATRIX**2 // d, self._problem.design.n_entries // (2 * d))

    @property
    def worthwhile(self) -> bool:
        """Whether X is large enough for directions beside it."""
        return self._largest_rank >= SMALLEST_RANK

    @property
    def _flat(self) -> bool:
        return self._last is not None and self._last.values[0] < FLAT * self._last.rest

    @property
    def settled(self) -> bool:
        """Whether it has been tried again with no more directions, because there were no more to be had."""
        return self._repeated > 1

    @property
    def cost(self) -> float:  # noqa: D102
        if self._flat:
            return DIAGONAL_COST
        design = self._problem.design
        orthogonal = ORTHOGONAL_WORK * self._problem.d * self._rank**2 / max(1, design.n_entries)
        return _passes(self._problem, self._rank * design.column_work + orthogonal)

    def make(self, c: FloatArray, ridge: FloatArray) -> Curvature:  # noqa: D102
        if self._flat:
            return DiagonalCurvature(diagonal(self._problem, c), ridge)
        basis = None if self._last is None else self._last.basis
        self._last = LowRankCurvature(self._problem, c, _that_count(c), ridge, self._rank, basis)
        return self._last

    def grow(self) -> None:  # noqa: D102
        last, rank = self._last, min(GROWTH * self._rank, self._largest_rank)
        if last is None or self._flat or last.values[-1] < FLAT * last.rest or rank == self._rank:
            self._repeated += 1
        else:
            self._rank = rank


class Kernel:
    """For n < d, through the kernel of the rows, which serves until the floor of the ridge moves.

    A basis of the rows does where the kernel would lose the ridge.
    """

    def __init__(self, problem: Standardized) -> None:
        self._problem = problem
        self._kept = Shared() if problem.shared is None else problem.shared
        self._graded = False

    @property
    def cost(self) -> float:  # noqa: D102
        if self._graded:
            return 0.5 * self._problem.n
        work = self._problem.design.kernel_work if self._kept.kernel is None else 0.0
        return max(LEAST_OF_KERNEL, _passes(self._problem, work, side=self._problem.n))

    def make(self, c: FloatArray, ridge: FloatArray) -> Curvature:  # noqa: D102
        problem, largest = self._problem, float(c.max(initial=0.0))
        self._graded = hides_ridge(problem, largest)
        if self._graded:
            return RowSpaceCurvature(dense_rows(problem), ridge, c, fit_intercept=problem.fit_intercept)
        held = np.maximum(problem.ridge, SMALLEST_RIDGE * _power_of_ten(problem.d * largest) + 1e-300)
        kept = self._kept.kernel
        if kept is None or (kept[0] != held).any():
            self._kept.kernel = kept = held, kernel_matrix(problem, 1.0 / held)
        return KernelCurvature(problem, kept[1], held, c)

    def grow(self) -> None:
        """It has all rows."""


def _power_of_ten(value: float) -> float:
    """The next one, so that what hangs on it is made anew once in a decade; 0 of 0."""
    return float(10.0 ** np.ceil(np.log10(value))) if value > 0.0 else 0.0


def hides_ridge(problem: Standardized, largest: float) -> bool:
    """Whether a kernel would lose the ridge of a column that a basis of the rows would not.

    In classification φ'' falls with the ridge: the larger the columns, the longer the margins.

    Parameters
    ----------
    problem : Standardized
    largest : float
        Curvature of a row; rows have about d times the variance of a column.
    """
    size = problem.n * problem.d
    if problem.loss.task == "classification" or size > LARGEST_BASIS or problem.n * size > LONGEST_BASIS:
        return False
    ridge = float(np.min(problem.ridge, initial=np.inf, where=problem.ridge > 0.0))
    unit = problem.d * largest
    return SMALLEST_RIDGE_OF_ROWS * unit <= ridge < SMALLEST_RIDGE * unit


def _passes(problem: Standardized, work: float, *, side: int = 0) -> float:
    """`work`, in units of what reading X takes, and a Cholesky factor, in passes with their overhead."""
    entries = 1.5 * problem.design.n_entries
    whole = entries * work + CHOLESKY_WORK * float(side) ** 3
    return (OVERHEAD + whole) / (OVERHEAD + entries + 12.0 * problem.n)


def _that_count(c: FloatArray, least: int = 1) -> NDArray[np.intp] | None:
    """The rows without those that hardly curve f, where these are many: φ'' falls far from the boundary."""
    keep = c > NEGLIGIBLE * float(c.mean())
    return np.flatnonzero(keep) if least <= np.count_nonzero(keep) <= 0.6 * len(c) else None
