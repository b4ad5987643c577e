"""The one way to touch data: a sum over row blocks, added up in an order that threads do not change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

import gdnp.design.compiled as compiled
from gdnp._typing import FloatArray
from gdnp.design.block import Block
from gdnp.design.rows import Choice, Rows, RowVector, add
from gdnp.design.threads import Threads, lane_edges, ordered_sum, single_threaded_blas

__all__ = ["DesignMatrix", "Job"]


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
        return (
            None if self._offset is None else self._offset[index],
            None if self._factor is None else self._factor[index],
        )

    @abstractmethod
    def transformed(self, offset: FloatArray | None, factor: FloatArray | None) -> DesignMatrix:
        """(X - offset) · factor, worked out as blocks are read; None leaves columns as they are."""

    @cached_property
    def rows(self) -> Rows:
        """Where vectors of n numbers live."""
        return Rows(self.n_samples, self._threads)

    @property
    def rounding(self) -> float:
        """Relative rounding of the entries as they are stored; whole numbers have that of float64."""
        dtype = getattr(getattr(self, "_X", None), "dtype", np.dtype(np.float64))
        return float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)

    @property
    def read_cost(self) -> float:
        """Time of reading X once, in passes: 1 in memory."""
        return 1.0

    def gather(self, choice: Choice) -> DesignMatrix:
        """The design of some rows, copied to memory."""
        return self._taken(choice.index)

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
        if chosen is not None:
            return self._map_chosen(verb, state, reads, merge, partial_size, chosen)
        part, count = self._parts((Job(verb, state, reads, writes, partial_size),))
        if count == 1:
            with single_threaded_blas():
                return part(0)[0]
        work = self.entry_work * self.n_entries
        return ordered_sum(lambda k: part(k)[0], count, merge, self._threads, work, partial_size)

    def several(self, *jobs: Job) -> list[Any]:
        """The sums of several verbs, in ONE reading of X."""
        partial_size = max(job.partial_size for job in jobs)
        part, count = self._parts(jobs)

        def merge(a: list[Any], b: list[Any]) -> list[Any]:
            return [add(x, y) for x, y in zip(a, b, strict=True)]

        work = self.entry_work * self.n_entries
        return ordered_sum(part, count, merge, self._threads, work, partial_size)

    def _parts(self, jobs: Sequence[Job]) -> tuple[Callable[[int], list[Any]], int]:
        """k -> the k-th partial sum of every job, and how many there are.

        Compiled verbs read the rows of a lane at once, NumPy's those of a block.
        """
        partial_size = max(job.partial_size for job in jobs) if len(jobs) > 1 else jobs[0].partial_size
        design, piece = self.in_blocks_for(partial_size), self.rows.piece
        bounds = design.bounds
        X = self._compiled_for(jobs)

        def arguments(job: Job, low: int, high: int) -> list[Any]:
            return [job.state, *[piece(v, low, high) for v in job.reads + job.writes]]

        def of_block(k: int) -> list[Any]:
            block, (low, high) = design.block(k), bounds[k]
            return [getattr(block, job.verb)(*arguments(job, low, high)) for job in jobs]

        if X is None:
            return of_block, len(bounds)
        by_block = any(job.verb in compiled.BY_BLOCK for job in jobs)
        edges = range(len(bounds) + 1) if by_block else lane_edges(len(bounds), partial_size)

        def of_lane(k: int) -> list[Any]:
            low, high = bounds[edges[k]][0], bounds[edges[k + 1] - 1][1]
            return [compiled.run(job.verb, X, low, high, *arguments(job, low, high)) for job in jobs]

        return of_lane, len(edges) - 1

    def _compiled_for(self, jobs: Sequence[Job]) -> Any:
        """X to be read in C++, or None where some job is not done there."""
        array = self.rows.array
        for job in jobs:
            vectors = [None if v is None else array(v) for v in job.reads + job.writes]
            if not (compiled.serves(job.verb, job.state, vectors) and self._compiles(job.verb)):
                return None
        return self._compiled

    @cached_property
    def _compiled(self) -> Any:
        """X to be read in C++; None where it cannot be."""
        return None

    def _compiles(self, verb: str) -> bool:
        """Whether a verb is better done in C++; a Gram of dense X is not."""
        return verb != "gram"

    def __getstate__(self) -> dict[str, Any]:
        """Without what C++ holds, which is made anew where it is needed."""
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def _map_chosen(
        self,
        verb: str,
        state: Any,
        reads: tuple[RowVector | None, ...],
        merge: Callable[[Any, Any], Any],
        partial_size: int,
        chosen: Choice,
    ) -> Any:
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
