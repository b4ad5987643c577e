"""Rows on the workers of a Dask cluster: what is asked travels there, and only sums come back.

Rows and row vectors stay in parts where they are. A round sends the jobs to every part; the sums of the parts
of a lane are added on a worker, in their order, and the lanes here. So a result depends on the parts alone,
not on who works on them. Every piece of a row vector is the result of a task on pieces that were there
before: what is lost with a worker Dask makes again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.base import Job
from gdnp.design.dense import DenseBlock, DenseDesign
from gdnp.design.rows import Choice, Rows, RowVector, add
from gdnp.design.threads import LANES, lane_edges, single_threaded_blas

__all__ = ["ClusterDesign", "ClusterRows", "Parts", "client_of", "is_collection", "parts_of", "vector_of"]

ROUND_COST = 10.0
"""Time of a round, with the scheduler's, in passes: what makes few of them worth their while."""


@dataclass(frozen=True)
class Parts:
    """The rows of X on the workers.

    Attributes
    ----------
    client : distributed.Client
    futures : tuple of Future
        An array for each part.
    edges : tuple of int
        First row of each part, and n.
    shape, dtype
        Of X.
    """

    client: Any
    futures: tuple[Any, ...]
    edges: tuple[int, ...]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("rows on a cluster are not pulled here: a fit reads them where they are.")


class Vector:
    """A row vector in pieces on the workers, or one number for every row."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, pieces: Sequence[Any] | None) -> None:
        self.shape, self.dtype, self.pieces = shape, np.dtype(dtype), pieces
        self.value: Any = None


class ClusterRows(Rows):
    """Row vectors on the workers, part by part as the rows of X are.

    Parameters
    ----------
    client : distributed.Client
    edges : sequence of int
    """

    counts = "readings", "rounds", "bytes"
    """What the history of a fit says of it; bytes are those of sums that came back, and of vectors sent."""

    def __init__(self, client: Any, edges: Sequence[int]) -> None:
        super().__init__(edges[-1], 1)
        self.client, self.edges = client, tuple(edges)
        self.readings, self.bytes, self.rounds = 0.0, 0.0, 0.0
        bounds = lane_edges(len(edges) - 1, 1)
        self._lanes = list(pairwise(bounds))[:LANES]

    @property
    def sizes(self) -> list[int]:
        """Rows of each part."""
        return [high - low for low, high in pairwise(self.edges)]

    # Rounds

    def each(self, task: Callable[..., Any], *lists: Sequence[Any], **same: Any) -> list[Any]:
        """A future of task(*entries, **same) for every part."""
        return list(self.client.map(task, *lists, pure=False, **same))

    def round(
        self,
        jobs: Sequence[Job],
        merge: Callable[[Any, Any], Any] = add,
        rows_of: Sequence[Any] | None = None,
        sums_back: bool = True,
        **design: Any,
    ) -> list[Any]:
        """The sums of every job over all parts; what jobs write replaces the pieces of its vector.

        Where nobody wants sums nothing is waited for.
        """
        known = (v for job in jobs for v in job.reads + job.writes if v is not None)
        vectors: list[Any] = list({id(v): v for v in known}.values())
        place = {id(v): k for k, v in enumerate(vectors)}
        plain = [
            (
                job.verb,
                job.state,
                tuple(None if v is None else place[id(v)] for v in job.reads),
                tuple(place[id(v)] for v in job.writes),
                job.partial_size,
            )
            for job in jobs
        ]
        written = sorted({k for *_, writes, _ in plain for k in writes})
        made = [(v.shape[1:], v.dtype, v.value) for v in vectors]
        pieces = [_pieces(v, len(self.sizes)) for v in vectors]
        found = self.each(
            _summed,
            self.sizes,
            [None] * len(self.sizes) if rows_of is None else rows_of,
            list(zip(*pieces, strict=True)) if pieces else [()] * len(self.sizes),
            jobs=plain,
            made=made,
            written=written,
            merge=merge,
            design=design,
        )
        sums = self.each(_entry, found, which=0) if written else found
        for number, k in enumerate(written, 1):
            vectors[k].pieces, vectors[k].value = self.each(_entry, found, which=number), None
        if not sums_back:
            return [[] for _ in jobs]
        lanes = [
            self.client.submit(_lane, sums[low:high], merge=merge, pure=False) for low, high in self._lanes
        ]
        gathered = self.client.gather(lanes)
        self.rounds += 1.0
        self.bytes += sum(_size(part) for part in gathered)
        total: list[Any] = reduce(
            lambda a, b: [merge(x, y) for x, y in zip(a, b, strict=True)], map(_unpacked, gathered)
        )
        return total

    # Rows

    def hold(self, values: Any) -> RowVector:
        """A vector of these numbers; one number that stands for all travels as one."""
        if isinstance(values, Vector):
            return values
        array = np.asarray(values)
        v = Vector(array.shape, array.dtype, None)
        if array.strides[0] == 0:
            v.value = array[0]
            return v
        v.pieces = [
            self.client.submit(np.asarray, array[low:high], pure=False) for low, high in pairwise(self.edges)
        ]
        self.bytes += array.nbytes
        return v

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:
        """A vector to be written to."""
        return Vector((self.n,) if k is None else (self.n, k), dtype, None)

    def array(self, v: RowVector) -> NDArray[Any]:
        """All of it, here: for few rows."""
        return self.gather(v)

    def combine(self, *terms: tuple[float, RowVector], out: RowVector | None = None) -> RowVector:
        """See ``Rows.combine``."""
        made = self.empty_like(terms[0][1]) if out is None else out
        kernel = _Combine(tuple(float(a) for a, _ in terms))
        self.round([Job("rows", kernel, tuple(v for _, v in terms), (made,))], sums_back=False)
        return made

    def total(
        self, kernel: Callable[..., list[Any]], *reads: RowVector | None, writes: Sequence[RowVector] = ()
    ) -> list[Any]:
        """See ``Rows.total``."""
        found: list[Any] = self.round([Job("rows", kernel, reads, tuple(writes))])[0]
        return found

    def _asked(
        self, function: Callable[..., Any], v: RowVector, *lists: Sequence[Any], **same: Any
    ) -> list[Any]:
        """function(piece, *entries) of every part, here."""
        assert isinstance(v, Vector)
        pieces = _pieces(v, len(self.sizes))
        spec = (v.shape[1:], v.dtype, v.value)
        found = self.client.gather(
            self.each(_on_piece, pieces, self.sizes, *lists, function=function, spec=spec, **same)
        )
        self.rounds += 1.0
        self.bytes += sum(_size(part) for part in found)
        return list(found)

    def extremes(self, *vectors: RowVector) -> FloatArray:
        """See ``Rows.extremes``."""
        each = [np.array(self._asked(_ends, v)) for v in vectors]
        ends = [(float(found[:, 0].min()), float(found[:, 1].max())) for found in each]
        return np.array([(low, high, max(high, -low)) for low, high in ends])

    def quantiles(self, v: RowVector, levels: FloatArray) -> FloatArray:
        """See ``Rows.quantiles``."""
        step = max(1, self.n // 4096)
        first = [-low % step for low in self.edges[:-1]]
        ordered = np.sort(np.concatenate(self._asked(_every, v, first, step=step)))
        return np.asarray(ordered[np.minimum((levels * len(ordered)).astype(np.intp), len(ordered) - 1)])

    def above(self, v: RowVector, level: float) -> Choice:
        """See ``Rows.above``."""
        found = self._asked(_above, v, level=level)
        index = np.concatenate([rows + low for rows, low in zip(found, self.edges, strict=False)])
        return Choice(index, len(index))

    def sample(self, mass: RowVector, count: int, seed: int = 0, *, level: float = -np.inf) -> Choice:
        """See ``Rows.sample``: first how much each part weighs, then where in its part a draw falls."""
        totals = np.array(self._asked(_mass, mass, level=level))
        ends = np.cumsum(totals)
        last = int(np.searchsorted(ends, ends[-1]))
        points = np.sort(np.random.default_rng(seed).random(count)) * ends[-1]
        chosen = np.minimum(np.searchsorted(ends, points, side="right"), last)
        within = [
            np.maximum(points[chosen == k] - (ends[k] - totals[k]), 0.0) for k in range(len(self.sizes))
        ]
        found = self._asked(_drawn, mass, within, level=level)
        index = np.concatenate([rows + low for rows, low in zip(found, self.edges, strict=False)])
        return Choice(index, count, float(ends[-1]) / count)

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:
        """See ``Rows.gather``."""
        if not isinstance(v, Vector):
            return np.asarray(v) if choice is None else np.asarray(v)[choice.index]
        return self.picked(_taken, v, np.arange(self.n) if choice is None else choice.index)

    def picked(self, function: Callable[..., Any], v: Any, index: NDArray[np.intp]) -> NDArray[Any]:
        """function(piece, its rows among `index`) of every part, put in the order of `index`."""
        order = np.argsort(index, kind="stable")
        cuts = np.searchsorted(index[order], self.edges)
        own = [index[order[a:b]] - low for (a, b), low in zip(pairwise(cuts), self.edges, strict=False)]
        found = np.concatenate(self._asked(function, v, own))
        out = np.empty_like(found)
        out[order] = found
        return out

    def labels(self, v: RowVector) -> tuple[NDArray[Any], RowVector]:
        """The different values in their order, and a vector of the number of each row's."""
        classes = np.unique(np.concatenate(self._asked(_unique, v)))
        assert isinstance(v, Vector)
        codes = Vector(
            (self.n,), np.int16, self.each(_numbered, _pieces(v, len(self.sizes)), classes=classes)
        )
        return classes, codes


class ClusterDesign(DenseDesign):
    """X in parts on the workers of a cluster.

    Parameters
    ----------
    X : Parts
    n_jobs : int or None
        Not used: workers have threads of their own.
    offset, factor, block_rows
        See ``DenseDesign``.
    rows : ClusterRows or None
        Shared by all designs of the same parts.
    """

    _X: Any

    def __init__(
        self,
        X: Parts,
        n_jobs: int | None = None,
        *,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
        block_rows: int | None = None,
        rows: ClusterRows | None = None,
    ) -> None:
        array: Any = X
        super().__init__(array, n_jobs, offset=offset, factor=factor, block_rows=block_rows)
        self._rows = ClusterRows(X.client, X.edges) if rows is None else rows
        self.meter = self._rows
        step = self._bounds[0][1]  # each worker cuts its parts into blocks
        self._bounds = [
            (first, min(first + step, high))
            for low, high in pairwise(X.edges)
            for first in range(low, high, step)
        ]

    @property
    def rows(self) -> ClusterRows:
        """Where vectors of n numbers live."""
        return self._rows

    @property
    def read_cost(self) -> float:
        """Time of a round, in passes."""
        return ROUND_COST

    @property
    def _compiled(self) -> Any:
        return None

    def _like(
        self, X: Any, offset: FloatArray | None, factor: FloatArray | None, block_rows: int | None = None
    ) -> DenseDesign:
        if isinstance(X, np.ndarray):
            return DenseDesign(X, self._threads.asked, offset=offset, factor=factor)
        return ClusterDesign(X, self._threads.asked, offset=offset, factor=factor, rows=self._rows)

    def in_blocks_for(self, partial_size: int) -> DenseDesign:
        """The same: each worker cuts its parts into blocks."""
        return self

    def block(self, k: int) -> DenseBlock:  # noqa: D102
        return DenseBlock(self._picked(np.arange(*self._bounds[k])), self._offset, self._factor)

    def columns(self, index: NDArray[np.intp]) -> DenseDesign:
        """The design of some columns, which are copied on the workers."""
        X = self._X
        few = tuple(self._rows.each(_columns, X.futures, index=index))
        parts = Parts(X.client, few, X.edges, (X.shape[0], len(index)), X.dtype)
        return self._like(parts, *self._transformation_of(index))

    def _taken(self, index: NDArray[np.intp]) -> DenseDesign:
        return self._like(self._picked(index), self._offset, self._factor)

    def _picked(self, index: NDArray[np.intp]) -> NDArray[Any]:
        X = self._X
        return self._rows.picked(_taken, Vector(X.shape, X.dtype, X.futures), index)

    def _summed(self, jobs: Sequence[Job], merge: Callable[[Any, Any], Any]) -> list[Any]:
        self._rows.readings += 1.0
        return self._rows.round(jobs, merge, self._X.futures, offset=self._offset, factor=self._factor)


def is_collection(X: Any) -> bool:
    """Whether X is an array or a frame of Dask."""
    return hasattr(X, "__dask_graph__") and (hasattr(X, "npartitions") or hasattr(X, "chunks"))


def client_of(client: Any) -> Any:
    """The client that is given, or the one that is there.

    Raises
    ------
    ValueError
        Without one: a cluster is not started silently.
    """
    if client is not None and not isinstance(client, str):
        return client
    try:
        from distributed import Client, get_client
    except ImportError as error:
        raise ImportError('rows on a cluster need Dask: pip install "gdnp[dask]".') from error
    if isinstance(client, str):
        connected: Any = Client
        return connected(client)
    try:
        return get_client()
    except ValueError:
        raise ValueError(
            "a Dask collection needs a client: make one with distributed.Client(), or give client= the "
            "address of a scheduler. Got none."
        ) from None


def vector_of(parts: Parts, values: Any, role: str) -> Vector:
    """One value a row, from a Dask array or a column of a frame whose parts are those of X, or from an array.

    Raises
    ------
    ValueError
        For parts that do not fit those of X.
    """
    rows = ClusterRows(parts.client, parts.edges)
    if not is_collection(values):
        array = np.asarray(values)
        if array.shape != (parts.shape[0],):
            raise ValueError(f"{role} must have shape ({parts.shape[0]},). Got {array.shape}.")
        made = rows.hold(array)
        assert isinstance(made, Vector)
        return made
    if values.ndim != 1:
        raise ValueError(f"{role} must have one value a row on a cluster. Got {values.ndim} dimensions.")
    client, blocks = parts.client, values.to_delayed()
    arrays = client.map(_as_values, client.compute(np.ravel(blocks).tolist()), pure=False)
    sizes = client.gather(client.map(len, arrays, pure=False))
    pieces = [array for array, size in zip(arrays, sizes, strict=True) if size]
    sizes = [size for size in sizes if size]
    if sizes != rows.sizes:
        raise ValueError(
            f"{role} must be in the parts of X, of {rows.sizes[:5]} rows and so on. Got {sizes[:5]}; "
            "rechunk it."
        )
    dtype = client.submit(_dtype, pieces[0], pure=False).result()
    return Vector((parts.shape[0],), dtype, pieces)


def parts_of(client: Any, X: Any, columns: Sequence[str] | None = None) -> Parts:
    """The parts of a Dask array or frame, kept on the workers; parts without rows are left out.

    Raises
    ------
    ValueError
        For columns that are not numbers, and for no rows at all.
    """
    if hasattr(X, "npartitions") and hasattr(X, "columns"):
        names = list(X.columns if columns is None else columns)
        blocks = client.compute(list(X[names].to_delayed()))
        shape, dtype = (-1, len(names)), np.result_type(*X[names].dtypes)
    else:
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions, rows by columns. Got {X.ndim}.")
        X = X.rechunk({1: -1})
        blocks = client.compute(list(X.to_delayed().ravel()))
        shape, dtype = X.shape, X.dtype
    futures = list(client.map(_as_array, blocks, range(len(blocks)), pure=False))
    sizes = client.gather(client.map(len, futures, pure=False))
    kept = [k for k, size in enumerate(sizes) if size]
    if not kept:
        raise ValueError("X must have at least one row. Got parts without any.")
    edges = np.concatenate([[0], np.cumsum([sizes[k] for k in kept])])
    whole = (int(edges[-1]), int(shape[1]))
    return Parts(client, tuple(futures[k] for k in kept), tuple(map(int, edges)), whole, np.dtype(dtype))


# What runs on a worker


@dataclass(frozen=True)
class _Combine:
    factors: tuple[float, ...]

    def __call__(self, *arrays: Any) -> list[Any]:
        *terms, out = arrays
        made = self.factors[0] * terms[0]
        for a, v in zip(self.factors[1:], terms[1:], strict=True):
            made += v if a == 1.0 else a * v
        out[:] = made
        return []


def _as_array(block: Any, number: int) -> NDArray[Any]:
    """A part as an array of numbers in the order of C."""
    values = np.ascontiguousarray(block.to_numpy() if hasattr(block, "to_numpy") else block)
    if values.dtype.kind not in "fiub":
        raise ValueError(f"part {number} of X must hold numbers. Got {values.dtype}; encode them first.")
    return values


def _as_values(block: Any) -> NDArray[Any]:
    return np.asarray(block.to_numpy() if hasattr(block, "to_numpy") else block).ravel()


def _dtype(values: NDArray[Any]) -> np.dtype[Any]:
    return values.dtype


def _made(piece: Any, size: int, spec: tuple[Any, Any, Any]) -> NDArray[Any]:
    """The numbers of a piece, which may be one for all rows or not written yet."""
    if piece is not None:
        return np.asarray(piece)
    shape, dtype, value = spec
    if value is None:
        return np.empty((size, *shape), dtype)
    return np.broadcast_to(np.asarray(value, dtype), (size, *shape))


def _summed(
    size: int,
    X: Any,
    pieces: Sequence[Any],
    *,
    jobs: Sequence[Any],
    made: Sequence[Any],
    written: Sequence[int],
    merge: Callable[[Any, Any], Any],
    design: dict[str, Any],
) -> Any:
    """The sums of all jobs on one part, and the pieces that they wrote; nothing that is given is changed."""
    arrays = [_made(piece, size, spec) for piece, spec in zip(pieces, made, strict=True)]
    for k in written:
        arrays[k] = np.array(arrays[k])
    rows = Rows(size, 1) if X is None else None
    local = None if X is None else DenseDesign(X, 1, **design)
    sums = []
    with single_threaded_blas(), np.errstate(all="ignore"):
        for verb, state, reads, writes, partial_size in jobs:
            r = tuple(None if k is None else arrays[k] for k in reads)
            w = tuple(arrays[k] for k in writes)
            if local is None:
                assert rows is not None
                sums.append(rows.total(state, *r, writes=w))
            else:
                sums.append(local.map(verb, state, reads=r, writes=w, merge=merge, partial_size=partial_size))
    return (sums, *(arrays[k] for k in written)) if written else sums


def _entry(found: Any, *, which: int) -> Any:
    return found[which]


def _lane(sums: list[Any], *, merge: Callable[[Any, Any], Any]) -> Any:
    first, *others = sums
    total = [_own(of_job) for of_job in first]
    for other in others:
        total = [merge(a, b) for a, b in zip(total, other, strict=True)]
    return _packed(total)


def _own(of_job: Any) -> Any:
    """A sum that may be added to."""
    if isinstance(of_job, list):
        return [np.array(term) if isinstance(term, np.ndarray) else term for term in of_job]
    return np.array(of_job)


def _packed(value: Any) -> Any:
    """Symmetric matrices as their lower halves: a Gram is half as many bytes."""
    if isinstance(value, list):
        return [_packed(entry) for entry in value]
    square = isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] == value.shape[1] > 1
    if square and np.array_equal(value, value.T):
        return _Half(value[np.tril_indices(len(value))], len(value))
    return value


@dataclass(frozen=True)
class _Half:
    values: NDArray[Any]
    size: int


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(entry) for entry in value]
    if isinstance(value, _Half):
        whole = np.empty((value.size, value.size), value.values.dtype)
        low = np.tril_indices(value.size)
        whole[low] = value.values
        whole.T[low] = value.values
        return whole
    return np.array(value) if isinstance(value, np.ndarray) else value


def _size(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    if isinstance(value, _Half):
        return int(value.values.nbytes)
    return int(value.nbytes) if isinstance(value, np.ndarray) else 8


def _pieces(v: Any, count: int) -> Sequence[Any]:
    return [None] * count if v.pieces is None else v.pieces


def _on_piece(
    piece: Any,
    size: int,
    *entries: Any,
    function: Callable[..., Any],
    spec: tuple[Any, Any, Any],
    **same: Any,
) -> Any:
    return function(_made(piece, size, spec), *entries, **same)


def _ends(piece: NDArray[Any]) -> tuple[float, float]:
    return float(piece.min()), float(piece.max())


def _every(piece: NDArray[Any], first: int, *, step: int) -> NDArray[Any]:
    return piece[first::step]


def _above(piece: NDArray[Any], *, level: float) -> NDArray[np.intp]:
    return np.flatnonzero(piece > level)


def _heavy(piece: NDArray[Any], level: float) -> NDArray[Any]:
    return piece if level < 0.0 else np.where(piece > level, piece, 0.0)


def _mass(piece: NDArray[Any], *, level: float) -> float:
    return float(_heavy(piece, level).sum())


def _drawn(piece: NDArray[Any], points: FloatArray, *, level: float) -> NDArray[np.intp]:
    if not len(points):
        return np.empty(0, dtype=np.intp)
    within = np.cumsum(_heavy(piece, level))
    last = int(np.searchsorted(within, within[-1]))
    return np.minimum(np.searchsorted(within, points, side="right"), last)


def _taken(piece: NDArray[Any], index: NDArray[np.intp]) -> NDArray[Any]:
    return piece[index]


def _columns(X: NDArray[Any], *, index: NDArray[np.intp]) -> NDArray[Any]:
    return np.ascontiguousarray(X[:, index])


def _unique(piece: NDArray[Any]) -> NDArray[Any]:
    return np.unique(piece)


def _numbered(piece: NDArray[Any], *, classes: NDArray[Any]) -> NDArray[np.int16]:
    return np.searchsorted(classes, piece).astype(np.int16)
