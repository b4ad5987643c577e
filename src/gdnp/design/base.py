"""The one way to touch data: a sum over row blocks, added up in an order that threads do not change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.threads import available_cores, ordered_map, single_threaded_blas

P = TypeVar("P")
Second = Literal["full", "diagonal"]

__all__ = ["Block", "DesignMatrix", "Second"]

LANES = 16
"""Partial sums of a reduction. Fixed, so that results repeat bit for bit on any number of threads."""
LANE_FLOATS = 1 << 23
"""Partial sums together hold at most about this many numbers, at least two of them."""
ROWS = 1 << 14
"""Rows of a sum that does not look at X."""
ROW_WORK = 8.0
"""Time of such a sum for a row, in units of reading an entry of dense X."""
SERIAL_WORK = float(1 << 21)
"""Below this much work, in those units, a thread costs more than it saves: waking it takes 0.1 to 0.2 ms."""


class Block(ABC):
    """Some consecutive rows of X in float64, read only when a product asks for them."""

    @abstractmethod
    def dot(self, v: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """X_b v for v of shape (d,) or (d, k), written to `out` where that is given."""

    @abstractmethod
    def tdot(self, r: FloatArray) -> FloatArray:
        """X_bᵀ r for r of shape (rows,) or (rows, k)."""

    @abstractmethod
    def gram(self, weight: FloatArray, centre: FloatArray | None = None) -> FloatArray:
        """(X_b - centre)ᵀ diag(weight) (X_b - centre), shape (d, d); None is 0."""

    @abstractmethod
    def squares(self, weight: FloatArray | None, centre: FloatArray | None = None) -> FloatArray:
        """The diagonal of ``gram``, shape (d,); no weight is 1 for each row."""

    @abstractmethod
    def sums(self) -> FloatArray:
        """X_bᵀ 1, shape (d,)."""

    @abstractmethod
    def centred_moments(
        self, weight: FloatArray, targets: FloatArray, scale: FloatArray | None, second: Second
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weighted means, covariance and covariance with targets, nothing summed uncentred.

        Parameters
        ----------
        weight : ndarray of shape (rows,)
            Non-negative, summing to one over the block.
        targets : ndarray of shape (rows, k)
            Centred already.
        scale : ndarray of shape (d,) or None
            Powers of two that the columns are multiplied by first.
        second : {"full", "diagonal"}
            Whether the covariance is a matrix or its diagonal.

        Returns
        -------
        mean : ndarray of shape (d,)
        S : ndarray of shape (d, d) or (d,)
            (X_b - mean)ᵀ diag(weight) (X_b - mean).
        U : ndarray of shape (d, k)
            (X_b - mean)ᵀ diag(weight) targets.
        """

    @abstractmethod
    def dense(self, low: int, high: int) -> FloatArray:
        """Rows `low` to `high` as an array of shape (high - low, d) to be read."""

    @abstractmethod
    def column_max(self) -> FloatArray:
        """max |x| of each column of the block, shape (d,)."""


def _add(total: Any, part: Any) -> Any:
    for k, term in enumerate(part):
        total[k] += term
    return total


def _pieces(rows: Sequence[FloatArray | None], low: int, high: int) -> list[FloatArray | None]:
    return [None if row is None else row[low:high] for row in rows]


class DesignMatrix(ABC):
    """X (n x d), owned by one backend and seen by everyone else as a sum over row blocks.

    Parameters
    ----------
    n_jobs : int or None
        Threads of a pass; None means all available cores. Results do not depend on it.
    """

    n_samples: int
    n_features: int
    entry_work: ClassVar[float] = 1.0
    """Time of a stored entry in units of one of dense X."""

    _offset: FloatArray | None
    _factor: FloatArray | None

    def __init__(self, n_jobs: int | None = None) -> None:
        if n_jobs is not None and n_jobs == 0:
            raise ValueError(
                "n_jobs must be a positive number of threads, a negative one as in joblib, "
                "or None for all cores. Got 0."
            )
        cores = available_cores()
        self.n_jobs = cores if n_jobs is None else n_jobs if n_jobs > 0 else max(1, cores + 1 + n_jobs)

    @property
    def offset(self) -> FloatArray:
        """What the blocks already have taken off the columns of X, shape (d,)."""
        return np.zeros(self.n_features) if self._offset is None else self._offset

    @property
    def factor(self) -> FloatArray:
        """What the blocks have then multiplied the columns by, shape (d,)."""
        return np.ones(self.n_features) if self._factor is None else self._factor

    def _transformation_of(self, index: NDArray[np.intp]) -> tuple[FloatArray | None, FloatArray | None]:
        """The offset and the factor of some columns."""
        return (
            None if self._offset is None else self._offset[index],
            None if self._factor is None else self._factor[index],
        )

    @abstractmethod
    def transformed(self, offset: FloatArray | None, factor: FloatArray | None) -> DesignMatrix:
        """(X - offset) · factor, worked out as blocks are read; None leaves columns as they are."""

    @abstractmethod
    def rows(self, index: NDArray[np.intp]) -> DesignMatrix:
        """The design of some rows, copied."""

    @abstractmethod
    def columns(self, index: NDArray[np.intp]) -> DesignMatrix:
        """The design of some columns, copied."""

    @property
    @abstractmethod
    def bounds(self) -> Sequence[tuple[int, int]]:
        """First row and last row + 1 of every block; depends on the shape of X alone."""

    @abstractmethod
    def block(self, k: int) -> Block:
        """The k-th block."""

    def in_blocks_for(self, partial_size: int) -> DesignMatrix:
        """The same X in blocks with work enough for a partial result of so many numbers."""
        return self

    @property
    @abstractmethod
    def n_entries(self) -> int:
        """Stored entries: what a pass reads."""

    @property
    @abstractmethod
    def gram_passes(self) -> float:
        """Multiplications of a Gram XᵀX in units of a pass (d/2 for dense X)."""

    @property
    @abstractmethod
    def gram_work(self) -> float:
        """Time of a Gram in units of a pass, as measured: blocked products run near the peak of a core."""

    @property
    @abstractmethod
    def column_work(self) -> float:
        """Time of Xᵀ X V for each column of V, where they are many, in units of a pass, as measured."""

    @property
    @abstractmethod
    def kernel_work(self) -> float:
        """Time of X Xᵀ in units of a pass, as measured."""

    def reduce(
        self,
        kernel: Callable[..., P],
        *rows: FloatArray | None,
        merge: Callable[[P, P], P] = _add,
        partial_size: int = 1,
    ) -> P:
        """Sum of ``kernel(block, *row slices)`` over the blocks.

        Parameters
        ----------
        kernel : callable
            Given a ``Block`` and the matching slices of `rows`, to which it may write. Returns a list of
            arrays and floats that nobody else holds (they are added up in place), or whatever `merge` takes.
        *rows : ndarray of shape (n,) or (n, k), or None
            Row vectors; None is passed on as None.
        merge : callable
            Adds two partial results.
        partial_size : int
            Numbers in one partial result; large ones get fewer partial sums to keep memory bounded.
        """
        design = self.in_blocks_for(partial_size)
        bounds = design.bounds
        if len(bounds) == 1:
            with single_threaded_blas():
                return kernel(design.block(0), *rows)

        def part(k: int) -> P:
            low, high = bounds[k]
            return kernel(design.block(k), *_pieces(rows, low, high))

        return self._ordered_sum(part, len(bounds), merge, self.entry_work * self.n_entries, partial_size)

    def reduce_chosen(
        self,
        kernel: Callable[..., list[Any]],
        index: NDArray[np.intp],
        *rows: FloatArray | None,
        partial_size: int = 1,
    ) -> list[Any]:
        """``reduce`` over the rows of `index`, each block copied when its turn comes.

        `rows` are vectors of the length of `index`.
        """
        count = -(-len(index) * len(self.in_blocks_for(partial_size).bounds) // self.n_samples)

        def part(k: int) -> list[Any]:
            low, high = k * len(index) // count, (k + 1) * len(index) // count
            few = self.rows(index[low:high])
            few.n_jobs = 1
            return few.reduce(kernel, *_pieces(rows, low, high), partial_size=partial_size)

        work = self.entry_work * self.n_entries * len(index) / self.n_samples
        return self._ordered_sum(part, count, _add, work * self.gram_work, partial_size)

    def reduce_rows(self, kernel: Callable[..., list[Any]], *rows: NDArray[Any] | None) -> list[Any]:
        """Sum of ``kernel(*row slices)`` over the rows, without a look at X; see ``reduce``.

        The slices are longer than a block: a kernel of many small array operations would otherwise spend its
        time handing the interpreter lock from thread to thread.
        """
        n = self.n_samples
        count = -(-n // ROWS)
        if count == 1:
            with single_threaded_blas():
                return kernel(*rows)

        def part(k: int) -> list[Any]:
            return kernel(*_pieces(rows, k * n // count, (k + 1) * n // count))

        return self._ordered_sum(part, count, _add, ROW_WORK * n)

    def _ordered_sum(
        self,
        part: Callable[[int], P],
        count: int,
        merge: Callable[[P, P], P],
        work: float,
        partial_size: int = 1,
    ) -> P:
        """part(0) + ... + part(count - 1): consecutive parts within a lane, then the lanes in order."""
        if count == 1:
            with single_threaded_blas():
                return part(0)
        lanes = min(LANES, count, max(2, LANE_FLOATS // partial_size))
        edges = [count * lane // lanes for lane in range(lanes + 1)]

        def lane_sum(lane: int) -> P:
            total = part(edges[lane])
            for k in range(edges[lane] + 1, edges[lane + 1]):
                total = merge(total, part(k))
            return total

        serial = self.n_jobs == 1 or lanes == 1 or work < SERIAL_WORK
        with single_threaded_blas():
            parts = iter(ordered_map(lane_sum, range(lanes), 1 if serial else self.n_jobs))
            total = next(parts)
            for other in parts:
                total = merge(total, other)
        return total
