"""Row vectors: numbers that belong to the rows of X, kept where the rows are and opaque to everyone else.

A solver holds them, adds multiples of them and asks for sums over them. It never reads one, so they may lie
in memory, in a file, on workers or on a device.
"""

import math
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.costs import ROW_WORK
from gdnp.design.threads import Threads, ordered_sum, single_threaded_blas

ROWS = 1 << 14
"""Rows of a sum that does not look at X. On fewer, many small array operations would spend their time handing
the interpreter lock from thread to thread."""
STRIP = 1 << 16
"""Rows that vectors are combined or looked through at a time: they stay in a core's cache."""
ROWS_FOR_QUANTILES = 4096
"""Rows, about, that say where quantiles lie."""
FEW = 256
"""Rows that are gathered at a time."""


class RowVector(Protocol):
    """n numbers, or n rows of K: opaque but to the ``Rows`` they come from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,) or (n, K)."""


@dataclass(frozen=True)
class Choice:
    """Some rows, with repeats where they were drawn.

    Attributes
    ----------
    index : object
        Opaque, as row vectors are.
    count : int
        How many.
    mass : float or None
        What each drawn row stands for; None where rows were not drawn.
    """

    index: Any
    count: int
    mass: float | None = None


def add(total: Any, part: Any) -> Any:
    """Add up lists of numbers and arrays in place."""
    for k, term in enumerate(part):
        total[k] += term
    return total


def drawn_parts(ends: FloatArray, count: int, seed: int) -> tuple[FloatArray, NDArray[np.intp]]:
    """`count` points on the mass of all parts, which end at `ends`, and the part that each falls on."""
    last = int(np.searchsorted(ends, ends[-1]))  # what has no mass at the end is never drawn
    points = np.sort(np.random.default_rng(seed).random(count)) * ends[-1]
    return points, np.minimum(np.searchsorted(ends, points, side="right"), last)


def drawn_rows(mass: FloatArray, points: FloatArray) -> NDArray[np.intp]:
    """The rows of a part that points on its mass fall on."""
    within = np.cumsum(mass)
    last = int(np.searchsorted(within, within[-1]))
    return np.minimum(np.searchsorted(within, np.maximum(points, 0.0), side="right"), last)


class Rows:
    """Row vectors as arrays in memory.

    Parameters
    ----------
    n : int
    n_jobs : int or Threads
        Of a sum.
    """

    strip = STRIP
    gives_back = False
    """Whether ``release`` does anything."""

    def __init__(self, n: int, n_jobs: int | Threads) -> None:
        self.n, self._threads = n, n_jobs if isinstance(n_jobs, Threads) else Threads(n_jobs)

    def array(self, v: RowVector) -> NDArray[Any]:
        """What is behind a vector: for backends alone."""
        return v  # type: ignore[return-value]

    def release(self, low: int, high: int, *vectors: RowVector | None) -> None:
        """Nobody looks at these rows for a while. For backends alone."""

    def _strips(self, *vectors: RowVector) -> Iterator[list[NDArray[Any]]]:
        """Slices of some vectors, strip by strip."""
        for low in range(0, self.n, self.strip):
            high = min(low + self.strip, self.n)
            yield [self.array(v)[low:high] for v in vectors]
            self.release(low, high, *vectors)

    def piece(self, v: RowVector | None, low: int, high: int) -> NDArray[Any] | None:
        """The rows from `low` to `high`; None stays None. For backends alone."""
        return None if v is None else self.array(v)[low:high]

    def hold(self, values: NDArray[Any]) -> RowVector:
        """A vector of these numbers, shape (n,) or (n, K)."""
        return values

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:
        """A vector to be written to."""
        return self.hold(np.empty(self.n if k is None else (self.n, k), dtype=dtype))

    def combine(self, *terms: tuple[float, RowVector], out: RowVector | None = None) -> RowVector:
        """Σ a v of the terms (a, v), written to `out` where that is given; `out` may be among them, first."""
        (a, first), *others = terms
        made = self.empty_like(first) if out is None else out
        for target, values, *slices in self._strips(made, first, *(v for _, v in others)):
            np.multiply(values, a, out=target)
            for (b, _), other in zip(others, slices, strict=True):
                target += other if b == 1.0 else b * other
        return made

    def empty_like(self, v: RowVector) -> RowVector:
        """A vector of the shape of `v`, to be written to."""
        return self.empty(None if len(v.shape) == 1 else v.shape[1])

    def total(
        self, kernel: Callable[..., list[Any]], *reads: RowVector | None, writes: Sequence[RowVector] = ()
    ) -> list[Any]:
        """Sum of ``kernel(*slices of reads, *slices of writes)`` over the rows, without a look at X.

        A kernel can be pickled. It returns a list of numbers and arrays that nobody else holds, and writes to
        the slices of `writes` alone.
        """
        vectors = (*reads, *writes)
        count = -(-self.n // ROWS)
        if count == 1:
            with single_threaded_blas():
                return kernel(*(None if v is None else self.array(v) for v in vectors))

        def part(k: int) -> list[Any]:
            low, high = k * self.n // count, (k + 1) * self.n // count
            found = kernel(*(self.piece(v, low, high) for v in vectors))
            self.release(low, high, *vectors)
            return found

        return ordered_sum(part, count, add, self._threads, ROW_WORK * self.n)

    def foresee(self, kernel: Callable[..., list[Any]], *reads: RowVector | None) -> None:
        """``total`` will be asked this soon: where each sum takes a round, the next round brings it along.

        Whatever a job of that round writes is written before. A kernel can be compared.
        """

    def dealt(self, count: int) -> RowVector:
        """The number of each row modulo `count`."""
        return self.hold(np.arange(self.n) % count)

    def columns(self, v: RowVector) -> list[RowVector]:
        """The columns of a vector of shape (n, K), each a vector."""
        return list(np.ascontiguousarray(self.array(v).T))

    def extremes(self, *vectors: RowVector) -> FloatArray:
        """The least, the largest and the largest absolute entry of each vector, shape (k, 3)."""
        each = [[(part.min(), part.max()) for (part,) in self._strips(v)] for v in vectors]
        ends = [(float(min(lows)), float(max(highs))) for lows, highs in (zip(*e, strict=True) for e in each)]
        return np.array([(low, high, max(high, -low)) for low, high in ends])

    def quantiles(self, v: RowVector, levels: FloatArray) -> FloatArray:
        """The quantiles of a vector at `levels`, from evenly spaced rows."""
        ordered = np.sort(self.array(v)[:: max(1, self.n // ROWS_FOR_QUANTILES)])
        self.release(0, self.n, v)
        index = np.minimum((levels * len(ordered)).astype(np.intp), len(ordered) - 1)
        return np.asarray(ordered[index])

    def above(self, v: RowVector, level: float, most: float = np.inf) -> Choice:
        """The rows whose entry is larger than `level`; where they are more than `most` their count alone."""
        count = int(sum(np.count_nonzero(part > level) for (part,) in self._strips(v)))
        if count > most:
            return Choice(None, count)
        index, end = np.empty(count, dtype=np.intp), 0
        for k, (part,) in enumerate(self._strips(v)):
            found = np.flatnonzero(part > level)
            begin, end = end, end + len(found)
            np.add(found, k * self.strip, out=index[begin:end])
        return Choice(index, count)

    def sample(self, mass: RowVector, count: int, seed: int = 0, *, level: float = -np.inf) -> Choice:
        """`count` rows drawn with replacement in proportion to `mass` >= 0, those up to `level` left out.

        In two stages, so that no sum runs over more than a part of the rows: first how much each part weighs,
        then where in its part a draw falls.
        """
        weights = self.array(mass)
        parts = -(-self.n // ROWS)
        edges = [k * self.n // parts for k in range(parts + 1)]

        def heavy(k: int) -> FloatArray:
            piece = weights[edges[k] : edges[k + 1]]
            return piece if level < 0.0 else np.where(piece > level, piece, 0.0)

        totals = np.empty(parts)
        for k in range(parts):
            totals[k] = heavy(k).sum()
            self.release(edges[k], edges[k + 1], mass)
        ends = np.cumsum(totals)
        points, chosen = drawn_parts(ends, count, seed)
        index = np.empty(count, dtype=np.intp)
        for k in np.unique(chosen):
            here = chosen == k
            index[here] = edges[k] + drawn_rows(heavy(k), points[here] - (ends[k] - totals[k]))
            self.release(edges[k], edges[k + 1], mass)
        return Choice(index, count, float(ends[-1]) / count)

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:
        """The numbers themselves, of all rows or of some: for few rows."""
        found = self.array(v) if choice is None else self.array(v)[choice.index]
        self.release(0, self.n, v)
        return found


class _Mapped:
    """A vector in a file that has no name any more: it goes with the last that holds it."""

    __slots__ = ("map", "shape", "values")

    def __init__(self, values: NDArray[Any], mapping: mmap.mmap | None) -> None:
        self.values, self.map, self.shape = values, mapping, values.shape


class ScratchRows(Rows):
    """Row vectors in files of a folder, mapped; pages that nobody looks at are left to the system.

    No folder is that of temporary files.
    """

    gives_back = True

    def __init__(self, n: int, n_jobs: int | Threads, folder: str | os.PathLike[str] | None = None) -> None:
        super().__init__(n, n_jobs)
        self._folder = folder

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:
        """A vector to be written to, with room for all of it on the disk."""
        shape = (self.n,) if k is None else (self.n, k)
        size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)
        try:
            with TemporaryFile(dir=self._folder, prefix="gdnp-") as file:
                if hasattr(os, "posix_fallocate"):  # a page that finds no room later would end the process
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                mapping = mmap.mmap(file.fileno(), size)
        except OSError as error:
            where = Path(self._folder) if self._folder is not None else "the folder of temporary files"
            raise OSError(
                f"a scratch file needs {size / 1e6:.0f} MB in {where}. Got: {error.strerror}; "
                "free some, choose another folder with scratch=, or allow more memory."
            ) from error
        values = np.frombuffer(mapping, dtype=dtype, count=math.prod(shape)).reshape(shape)
        return _Mapped(values, mapping)

    def hold(self, values: NDArray[Any]) -> RowVector:  # noqa: D102
        if isinstance(values, _Mapped):
            return values
        if values.strides[0] == 0:  # one number that stands for all takes no room
            return _Mapped(values, None)
        made = self.empty(None if values.ndim == 1 else values.shape[1], values.dtype)
        for (strip,), low in zip(self._strips(made), range(0, self.n, self.strip), strict=True):
            strip[:] = values[low : low + len(strip)]
        return made

    def array(self, v: RowVector) -> NDArray[Any]:
        """What is behind a vector; arrays of a design in memory pass."""
        return v.values if isinstance(v, _Mapped) else v  # type: ignore[return-value]

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:
        """The numbers themselves; a row brings pages along, which are given back before there are many."""
        if choice is None:
            return super().gather(v)
        some = np.array_split(choice.index, 1 + len(choice.index) // FEW)
        return np.concatenate(
            [super(ScratchRows, self).gather(v, Choice(index, len(index))) for index in some]
        )

    def release(self, low: int, high: int, *vectors: RowVector | None) -> None:
        """Give the pages back; what is written to them is in the file."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        for v in vectors:
            if isinstance(v, _Mapped) and v.map is not None and high > low:
                row = v.values.nbytes // max(1, self.n)
                begin = low * row // mmap.PAGESIZE * mmap.PAGESIZE
                v.map.madvise(mmap.MADV_DONTNEED, begin, min(high * row, v.values.nbytes) - begin)
