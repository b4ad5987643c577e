"""The one way to touch data: a sum over row blocks, added up in an order that threads do not change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial, reduce
from itertools import pairwise, repeat
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gdnp.design.compiled as compiled
from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design.block import Block, Through
from gdnp.design.costs import DENSE_COLUMNS, dense_gram, dense_kernel
from gdnp.design.rows import Choice, Rows, RowVector, add
from gdnp.design.threads import Threads, lane_edges, ordered_sum, single_threaded_blas

PIECE_ENTRIES = 1 << 19
"""Entries of a piece, about: what is read, or handed to C++, at a time."""


class Job(NamedTuple):
    """A verb, its state, and the row vectors that it reads and writes, in that order.

    Attributes
    ----------
    verb : str
        A method of ``Block``.
    state : object
        Whatever the verb takes; it can be pickled.
    reads, writes : tuple of RowVector or None
    partial_size : int
        Numbers in one partial result: large ones get fewer partial sums, to keep memory bounded.
    """

    verb: str
    state: Any = None
    reads: tuple[RowVector | None, ...] = ()
    writes: tuple[RowVector, ...] = ()
    partial_size: int = 1


def _slices(arrays: list[Any], low: int, high: int) -> list[Any]:
    return [None if a is None else a[low:high] for a in arrays]


def merged(found: list[Any], sums: list[list[Any]], merge: Callable[[Any, Any], Any]) -> list[Any]:
    """The sums of every job so far with those of one more piece."""
    if not found:
        found, sums = [of_job[0] for of_job in sums], [of_job[1:] for of_job in sums]
    return [reduce(merge, of_job, total) for total, of_job in zip(found, sums, strict=True)]


def merge_each(merges: Iterable[Callable[[Any, Any], Any]], a: list[Any], b: list[Any]) -> list[Any]:
    """The sums of every job, each merged in its own way."""
    return [merge(x, y) for merge, x, y in zip(merges, a, b, strict=False)]


class DesignMatrix(ABC):
    """X (n x d), owned by one backend and seen by everyone else as a sum over row blocks.

    What a backend does not say of its costs is that of dense X.

    Parameters
    ----------
    shape : (int, int)
        (n, d).
    n_jobs : int or None
        Threads of a pass; None means all available cores. Results do not depend on it.
    offset, factor : ndarray of shape (d,) or None
        What blocks take off the columns of X, and then multiply them by.
    """

    entry_work: ClassVar[float] = 1.0
    """Time of a stored entry in units of one of dense X."""

    column_work: ClassVar[float] = DENSE_COLUMNS
    """Time of Xᵀ X V for each column of V, where they are many, in units of a pass, as measured."""

    in_rounds: ClassVar[bool] = False
    """Whether each sum takes a round over a network."""

    known_row: FloatArray | None = None
    """A row that is known without a reading, shape (d,)."""

    meter: Any = None
    """What was read of a source; None in memory."""

    def __init__(
        self,
        shape: tuple[int, int],
        n_jobs: int | None = None,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
    ) -> None:
        self.n_samples, self.n_features = shape
        self._offset, self._factor = offset, factor
        jobs: Any = -1 if n_jobs is None else n_jobs
        if isinstance(jobs, bool) or not isinstance(jobs, Integral) or jobs == 0:
            raise ValueError(
                "n_jobs must be a positive whole number of threads, a negative one as in joblib, "
                f"or None for all cores. Got {n_jobs!r}."
            )
        self._threads = Threads(int(jobs))

    @property
    def n_jobs(self) -> int:
        """Threads of a pass."""
        return self._threads.number

    @n_jobs.setter
    def n_jobs(self, number: int) -> None:
        self._threads = Threads(number)

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
        offset, factor = (None if v is None else v[index] for v in (self._offset, self._factor))
        return offset, factor

    @abstractmethod
    def transformed(self, offset: FloatArray | None, factor: FloatArray | None) -> DesignMatrix:
        """(X - offset) · factor, worked out as blocks are read; None leaves columns as they are."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.n_samples, self.n_features

    @cached_property
    def rows(self) -> Rows:
        """Where vectors of n numbers live."""
        return Rows(self.n_samples, self._threads)

    @property
    def rounding(self) -> float:
        """Relative rounding of the entries as they are stored; whole numbers have that of float64."""
        return float(np.finfo(self.dtype if self.dtype.kind == "f" else np.float64).eps)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of the entries as they are stored."""
        return getattr(getattr(self, "_X", None), "dtype", np.dtype(np.float64))

    @property
    def read_cost(self) -> float:
        """Time of reading X once, in passes: 1 in memory."""
        return 1.0

    @property
    def collects(self) -> bool:
        """Whether a reading picks up rows that are wanted."""
        return False

    def want(self, choice: Choice) -> None:
        """Some rows will be gathered: where reading is dear the next one picks them up."""
        del choice

    def gather(self, choice: Choice) -> DesignMatrix:
        """The design of some rows, copied to memory."""
        return self._taken(choice.index)

    def on_sample(
        self, function: Callable[..., Any], mass: RowVector, count: int, *vectors: RowVector | None
    ) -> Any:
        """What a function makes of `count` rows drawn in proportion to `mass`, where the rows are.

        It gets their design and the entries of each vector; it and what it makes can be pickled.
        """
        choice, taken = self.rows.sample(mass, count), self.rows.gather
        return function(self.gather(choice), *(None if v is None else taken(v, choice) for v in vectors))

    @abstractmethod
    def _taken(self, index: NDArray[np.intp]) -> DesignMatrix:
        """The design of the rows of `index`, copied."""

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
    def n_entries(self) -> int:
        """Stored entries: what a pass reads."""
        return self.n_samples * self.n_features

    @property
    def gram_passes(self) -> float:
        """Multiplications of a Gram XᵀX in units of a pass."""
        return self.n_features / 2.0

    @property
    def gram_work(self) -> float:
        """Time of a Gram in units of a pass, as measured: blocked products run near the peak of a core."""
        return dense_gram(self.n_features)

    @property
    def kernel_work(self) -> float:
        """Time of X Xᵀ in units of a pass, as measured."""
        return dense_kernel(self.n_samples)

    def map(
        self,
        verb: str,
        state: Any = None,
        *,
        reads: tuple[RowVector | None, ...] = (),
        writes: tuple[RowVector, ...] = (),
        merge: Callable[[Any, Any], Any] = add,
        partial_size: int = 1,
        chosen: Choice | None = None,
    ) -> Any:
        """Sum of ``block.verb(state, *slices)`` over the blocks, in one reading of X.

        Parameters
        ----------
        verb : str
            A method of ``Block``.
        state : object
            Its first argument; it can be pickled.
        reads, writes : tuple of RowVector or None
            Slices of them follow the state; None is passed on as None.
        merge : callable
            Adds two partial results; by default lists of numbers and arrays, in place.
        partial_size : int
            Numbers in one partial result.
        chosen : Choice or None
            Rows to sum over instead of all, each block copied when its turn comes. They write nothing.
        """
        if chosen is None:
            return self._summed((Job(verb, state, reads, writes, partial_size),), merge)[0]
        index, array = chosen.index, self.rows.array
        count = -(-len(index) * len(self.in_blocks_for(partial_size).bounds) // self.n_samples)

        def part(k: int) -> Any:
            some = index[k * len(index) // count : (k + 1) * len(index) // count]
            few = self._taken(some)
            few.n_jobs = 1
            slices = tuple(None if v is None else array(v)[some] for v in reads)
            return few.map(verb, state, reads=slices, merge=merge, partial_size=partial_size)

        work = self.entry_work * self.n_entries * self.gram_work * len(index) / self.n_samples
        return ordered_sum(part, count, merge, self._threads, work, partial_size)

    def several(self, *jobs: Job) -> list[Any]:
        """The sums of several verbs in ONE reading of X; each may read what those before it wrote."""
        return self._summed(jobs, add)

    def _summed(self, jobs: Sequence[Job], merge: Callable[[Any, Any], Any]) -> list[Any]:
        """The sums of every job: pieces of a lane in their order, then the lanes in theirs."""
        partial_size = max(job.partial_size for job in jobs) if len(jobs) > 1 else jobs[0].partial_size
        design, X = self.in_blocks_for(partial_size), self._compiled
        bounds = design.bounds
        if len(bounds) == 1:
            with single_threaded_blas():
                made = partial(map, design.block, range(1))
                return [one for (one,) in self._sums_of_piece(jobs, X, bounds, made)]
        lanes = design.lanes(partial_size)

        def of_lane(k: int) -> list[Any]:
            found: list[Any] = []
            for first, last in lanes[k]:
                made = partial(map, design.block, range(first, last))
                found = merged(found, self._sums_of_piece(jobs, X, bounds[first:last], made), merge)
            return found

        work = self.entry_work * self.n_entries
        if isinstance(jobs[0].state, Through):
            work *= partial_size / max(1, self.n_features)  # of each column
        add_lanes = partial(merge_each, repeat(merge))
        return ordered_sum(of_lane, len(lanes), add_lanes, self._threads, work, partial_size)

    def lanes(self, partial_size: int) -> list[list[tuple[int, int]]]:
        """The pieces of every lane, each the numbers of its first block and of the one after its last."""
        bounds = self.bounds
        edges = lane_edges(len(bounds), partial_size)
        entries = self.n_entries // max(1, len(bounds))
        step = max(1, PIECE_ENTRIES // max(1, entries))
        return [
            [(first, min(first + step, end)) for first in range(begin, end, step)]
            for begin, end in pairwise(edges)
        ]

    def _sums_of_piece(
        self,
        jobs: Sequence[Job],
        X: Any,
        bounds: Sequence[tuple[int, int]],
        made: Callable[[], Iterable[Block]],
        origin: int = 0,
    ) -> list[list[Any]]:
        """What each job makes of a piece: one sum where it is compiled, else one for each of its blocks.

        X is read in C++, or None; its first row is `origin`. `bounds` are those of what is `made`.
        """
        rows, found = self.rows, []
        low, high = bounds[0][0], bounds[-1][1]
        blocks: list[Block] = []
        for job in jobs:
            arrays = [None if v is None else rows.array(v) for v in job.reads + job.writes]
            if X is not None and compiled.serves(job.verb, job.state, arrays) and self._compiles(job.verb):
                parts = bounds if compiled.by_block(job.verb, job.state) else ((low, high),)
                found.append(
                    [
                        compiled.VERBS[job.verb](X, i - origin, j - origin, job.state, *_slices(arrays, i, j))
                        for i, j in parts
                    ]
                )
                continue
            blocks = blocks or list(made())
            each = zip(bounds, blocks, strict=True)
            found.append([getattr(one, job.verb)(job.state, *_slices(arrays, *ends)) for ends, one in each])
        if rows.gives_back:
            rows.release(low, high, *(v for job in jobs for v in job.reads + job.writes))
        return found

    @cached_property
    def _compiled(self) -> Any:
        """X to be read in C++; None where it cannot be."""
        return None

    def _compiles(self, verb: str) -> bool:
        """Whether a verb is better done in C++; Grams of dense X are not, nor their diagonals by classes."""
        return verb not in ("gram", "diagonals")

    def __getstate__(self) -> dict[str, Any]:
        """Without what C++ holds, which is made anew where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}
