"""Rows on the workers of a Dask cluster: what is asked travels there, and only sums come back.

Rows and row vectors stay in parts where they are. A round sends the jobs to every part; the sums of the parts
of a lane are added on a worker, in their order, and the lanes here. So a result depends on the parts alone,
not on who works on them. Every piece of a row vector is the result of a task on pieces that were there
before: what is lost with a worker Dask makes again.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial, reduce
from itertools import accumulate, pairwise
from operator import getitem
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.base import Job
from gdnp.design.dense import DenseBlock, DenseDesign
from gdnp.design.rows import ROWS_FOR_QUANTILES, Choice, Rows, RowVector, add
from gdnp.design.threads import LANES, lane_edges, single_threaded_blas

__all__ = [
    "ClusterDesign",
    "ClusterRows",
    "client_of",
    "connected",
    "is_collection",
    "is_frame",
    "parts_of",
    "read_there",
]

ROUND_COST = 10.0
"""Time of a round, with the scheduler's, in passes: what makes few of them worth their while."""
FEW_LABELS, LOOKED_AT = 100, 1000
"""Labels are listed at the first look where at most so many are among the first so many of a part."""

Merge = Callable[[Any, Any], Any]


class Seen(NamedTuple):
    """What a first look says: how many rows, of what kind, their ends and sum, and values, all if `few`."""

    rows: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    ends: tuple[float, float] | None = None
    total: float = 0.0
    values: Any = ()
    few: bool = True


class Vector:
    """A row vector in pieces on the workers, with what is known of it."""

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, pieces: Sequence[Any] = (), seen: Sequence[Seen] = ()
    ) -> None:
        self.shape, self.dtype, self.pieces, self.seen = shape, np.dtype(dtype), pieces, seen
        self.known: dict[Any, Any] = {}

    def write(self, pieces: Sequence[Any]) -> None:
        """Take other numbers, of which nothing is known."""
        self.pieces, self.seen, self.known = pieces, (), {}


class ClusterRows(Rows):
    """Row vectors on the workers, part by part as the rows of X are.

    Parameters
    ----------
    client : distributed.Client
    edges : sequence of int
    """

    counts = "readings", "rounds", "bytes"
    """What the history of a fit says of it; bytes are those that came back, and those of jobs and vectors."""

    def __init__(self, client: Any, edges: Sequence[int]) -> None:
        super().__init__(edges[-1], 1)
        self.client, self.edges = client, tuple(edges)
        self.sizes = [high - low for low, high in pairwise(edges)]
        self.readings, self.bytes, self.rounds = 0.0, 0.0, 0.0
        self._lanes = list(pairwise(lane_edges(len(self.sizes), 1)))[:LANES]
        self._foreseen: list[Job] = []

    # Rounds

    def each(self, task: Callable[..., Any], *lists: Sequence[Any], **same: Any) -> list[Any]:
        """A future of task(*entries, **same) for every part."""
        with _scheduler(self.client):
            return list(self.client.map(task, *lists, pure=False, **same))

    def fetched(self, futures: Any) -> Any:
        """What tasks made, here: one round."""
        with _scheduler(self.client):
            found = self.client.gather(futures)
        self.rounds += 1.0
        self.bytes += _size(found)
        return found

    def round(
        self, jobs: Sequence[Job], merge: Merge = add, X: Sequence[Any] | None = None, **design: Any
    ) -> list[Any]:
        """The sums of every job over all parts; what jobs write replaces the pieces of its vector.

        Where jobs have no sums nothing is waited for. Else what was foreseen comes along.
        """
        awaited = not all(map(_has_no_sums, jobs))
        extra, self._foreseen = (self._foreseen, []) if awaited else ([], self._foreseen)
        known = (v for job in (*jobs, *extra) for v in job.reads + job.writes if v is not None)
        vectors: list[Any] = list({id(v): v for v in known}.values())
        place: dict[int, Any] = {id(v): k for k, v in enumerate(vectors)} | {id(None): None}

        def placed(job: Job) -> Job:
            reads, writes = (tuple(place[id(v)] for v in some) for some in (job.reads, job.writes))
            return job._replace(reads=reads, writes=writes)

        own, others = list(map(placed, jobs)), list(map(placed, extra))
        written: list[Any] = sorted({place[id(v)] for job in jobs for v in job.writes})
        shapes = [(v.shape[1:], v.dtype) for v in vectors]
        work = _pickled((own, others, merge, shapes, written, design))
        self.bytes += len(work)
        count = len(self.sizes)
        pieces = list(zip(*(v.pieces or [None] * count for v in vectors), strict=True)) or [()] * count
        sent = self.each(bytes, [work]) * count  # on its way once, not with every part
        found = self.each(_summed, self.sizes, [None] * count if X is None else X, sent, pieces)
        sums = self.each(getitem, found, [0] * count) if written else found
        for number, k in enumerate(written, 1):
            vectors[k].write(self.each(getitem, found, [number] * count))
        if not awaited:
            return [[] for _ in jobs]
        merges = [merge] * len(jobs) + [add] * len(extra)
        lanes = self.each(_lane, [sums[low:high] for low, high in self._lanes], merges=merges)
        total: list[Any] = reduce(
            lambda a, b: [m(x, y) for m, x, y in zip(merges, a, b, strict=True)],
            map(_unpacked, self.fetched(lanes)),
        )
        for job, one in zip(extra, total[len(jobs) :], strict=True):  # as long as its first vector stays
            job.reads[0].known[_key(job)] = one, [v and v.pieces for v in job.reads]  # type: ignore[union-attr, attr-defined]
        return total[: len(jobs)]

    def foresee(self, kernel: Callable[..., list[Any]], *reads: RowVector | None) -> None:
        """See ``Rows.foresee``."""
        self._foreseen.append(Job("rows", kernel, reads))

    # Rows

    def hold(self, values: Any) -> RowVector:
        """A vector of these numbers; one number that stands for all travels as one."""
        if isinstance(values, Vector):
            return values
        array = np.asarray(values)
        constant = array.strides[0] == 0
        given = [array[0] if constant else array[low:high] for low, high in pairwise(self.edges)]
        v = Vector(array.shape, array.dtype, self.each(_held, given, self.sizes, tail=array.shape[1:]))
        self.bytes += 8.0 if constant else array.nbytes
        v.seen = () if constant else (_seen(array, "y"),)
        return v

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:
        """A vector to be written to."""
        return Vector((self.n,) if k is None else (self.n, k), dtype)

    def array(self, v: RowVector) -> NDArray[Any]:
        """All of it, here: for few rows."""
        return self.gather(v)

    def dealt(self, count: int) -> RowVector:
        """See ``Rows.dealt``."""
        return Vector((self.n,), np.intp, self.each(_dealt, self.edges[:-1], self.sizes, count=count))

    def columns(self, v: RowVector) -> list[RowVector]:
        """See ``Rows.columns``."""
        assert isinstance(v, Vector)
        each = (self.each(np.take, v.pieces, indices=k, axis=1) for k in range(v.shape[1]))
        return [Vector(v.shape[:1], v.dtype, pieces) for pieces in each]

    def combine(self, *terms: tuple[float, RowVector], out: RowVector | None = None) -> RowVector:
        """See ``Rows.combine``."""
        made = self.empty_like(terms[0][1]) if out is None else out
        kernel = _Combine(tuple(float(a) for a, _ in terms))
        self.round([Job("rows", kernel, tuple(v for _, v in terms), (made,))])
        return made

    def total(
        self, kernel: Callable[..., list[Any]], *reads: RowVector | None, writes: Sequence[RowVector] = ()
    ) -> list[Any]:
        """See ``Rows.total``."""
        job = Job("rows", kernel, reads, tuple(writes))
        found = None if writes else _kept(job)
        return list(self.round([job])[0] if found is None else found)

    def _asked(self, function: Callable[..., Any], v: Any, *lists: Sequence[Any], **same: Any) -> list[Any]:
        """function(piece, *entries) of every part, here."""
        return list(self.fetched(self.each(function, v.pieces, *lists, **same)))

    def extremes(self, *vectors: RowVector) -> FloatArray:
        """See ``Rows.extremes``."""
        each = [
            [one.ends for one in v.seen if one.ends is not None] or self._asked(_ends, v)  # type: ignore[attr-defined]
            for v in vectors
        ]
        ends = ((float(np.min(e, axis=0)[0]), float(np.max(e, axis=0)[1])) for e in each)  # NaN is both
        return np.array([(low, high, max(high, -low)) for low, high in ends])

    def quantiles(self, v: RowVector, levels: FloatArray) -> FloatArray:
        """See ``Rows.quantiles``."""
        step = max(1, self.n // ROWS_FOR_QUANTILES)
        every = [slice(-low % step, None, step) for low in self.edges[:-1]]
        ordered = np.sort(np.concatenate(self._asked(getitem, v, every)))
        return np.asarray(ordered[np.minimum((levels * len(ordered)).astype(np.intp), len(ordered) - 1)])

    def draws(self, mass: RowVector, count: int, seed: int = 0) -> tuple[list[Any], Any]:
        """Futures of the rows of each part that are drawn, and of where the parts end in the whole mass."""
        assert isinstance(mass, Vector)
        weights = self.each(np.sum, mass.pieces)
        ends = self.each(np.cumsum, [weights]) * len(weights)
        return self.each(_drawn, mass.pieces, range(len(weights)), ends, count=count, seed=seed), ends[0]

    def sample(self, mass: RowVector, count: int, seed: int = 0, *, level: float = -np.inf) -> Choice:
        """See ``Rows.sample``: first how much each part weighs, then where in its part a draw falls."""
        assert level < 0.0  # rows that hardly count are not looked for in rounds
        drawn, ends = self.draws(mass, count, seed)
        *found, ends = self.fetched([*drawn, ends])
        index = np.concatenate([rows + low for rows, low in zip(found, self.edges, strict=False)])
        return Choice(index, len(index), float(ends[-1]) / len(index))

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:
        """See ``Rows.gather``."""
        if not isinstance(v, Vector):
            return np.asarray(v) if choice is None else np.asarray(v)[choice.index]
        return self.picked(v, np.arange(self.n) if choice is None else choice.index)

    def picked(self, v: Any, index: NDArray[np.intp]) -> NDArray[Any]:
        """Some rows, in the order of `index`."""
        order = np.argsort(index, kind="stable")
        cuts = np.searchsorted(index[order], self.edges)
        own = [index[order[a:b]] - low for (a, b), low in zip(pairwise(cuts), self.edges, strict=False)]
        found = np.concatenate(self._asked(np.take, v, own, axis=0))
        out = np.empty_like(found)
        out[order] = found
        return out

    def floats(self, v: RowVector) -> RowVector:
        """The same numbers in float64."""
        assert isinstance(v, Vector)
        if v.dtype == np.float64:
            return v
        made = self.combine((1.0, v))
        made.seen = v.seen  # type: ignore[attr-defined]
        return made

    def shares(self, v: RowVector) -> RowVector:
        """Weights of sum one."""
        assert isinstance(v, Vector)
        least, whole = self.extremes(v)[0, 0], sum(one.total for one in v.seen)
        if least < 0.0:
            raise ValueError(f"sample_weight must be non-negative. Got a minimum of {least:g}.")
        if not 0.0 < whole < np.inf:
            raise ValueError(f"sample_weight must have a positive, finite sum. Got {whole:g}.")
        return self.combine((1.0 / whole, v))

    def labels(self, v: RowVector) -> tuple[NDArray[Any], RowVector]:
        """The different values in their order, and a vector of the number of each row's."""
        assert isinstance(v, Vector)
        known = [one.values for one in v.seen if one.few]
        listed = known and len(known) == len(v.seen)
        classes = np.unique(np.concatenate(known if listed else self._asked(np.unique, v)))
        return classes, Vector((self.n,), np.int16, self.each(_numbered, v.pieces, classes=classes))


class ClusterDesign(DenseDesign):
    """X in parts on the workers of a cluster.

    Parameters
    ----------
    X : Vector of shape (n, d)
    rows : ClusterRows
        Shared by all designs of the same parts.
    n_jobs : int or None
        Not used: workers have threads of their own.
    offset, factor
        See ``DenseDesign``.
    """

    _X: Any
    in_rounds = True

    def __init__(
        self,
        X: Any,
        rows: ClusterRows,
        n_jobs: int | None = None,
        *,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
    ) -> None:
        super().__init__(X, n_jobs, offset=offset, factor=factor)
        self._rows = self.meter = rows
        self._bounds = list(pairwise(rows.edges))  # each worker cuts its parts into blocks

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
        return ClusterDesign(X, self._rows, self._threads.asked, offset=offset, factor=factor)

    def in_blocks_for(self, partial_size: int) -> DenseDesign:
        """The same: each worker cuts its parts into blocks."""
        return self

    def block(self, k: int) -> DenseBlock:  # noqa: D102
        some = self._rows.picked(self._X, np.arange(*self._bounds[k]))
        return DenseBlock(some, self._offset, self._factor)

    def columns(self, index: NDArray[np.intp]) -> DenseDesign:
        """The design of some columns, which are copied on the workers."""
        pieces = self._rows.each(np.take, self._X.pieces, indices=index, axis=1)
        few = Vector((self.n_samples, len(index)), self._X.dtype, pieces)
        return self._like(few, *self._transformation_of(index))

    def _taken(self, index: NDArray[np.intp]) -> DenseDesign:
        return self._like(self._rows.picked(self._X, index), self._offset, self._factor)

    def on_sample(
        self, function: Callable[..., Any], mass: RowVector, count: int, *vectors: RowVector | None
    ) -> Any:
        """See ``DesignMatrix.on_sample``: on one worker, and what comes back is what it makes of them."""
        rows = self._rows
        drawn, _ = rows.draws(mass, count)
        reads: list[Any] = [v for v in vectors if v is not None]
        taken = rows.each(_rows_at, drawn, self._X.pieces, *(v.pieces for v in reads))
        present = [v is not None for v in vectors]
        call = _pickled((function, present, {"offset": self._offset, "factor": self._factor}))
        rows.bytes += len(call)
        return rows.fetched(rows.each(_on_rows, [taken], [call]))[0]

    def asked(self, function: Callable[..., Any], *vectors: Any, **same: Any) -> list[Any]:
        """function(X, *pieces) of every part, here."""
        pieces = [[None] * len(self._X.pieces) if v is None else v.pieces for v in vectors]
        return list(self._rows.fetched(self._rows.each(function, self._X.pieces, *pieces, **same)))

    def _summed(self, jobs: Sequence[Job], merge: Merge) -> list[Any]:
        self._rows.readings += 1.0
        return self._rows.round(jobs, merge, self._X.pieces, offset=self._offset, factor=self._factor)


def _pickled(value: Any) -> bytes:
    """Classes and functions of a script or a notebook included, a loss say."""
    import cloudpickle  # type: ignore[import-untyped]

    return bytes(cloudpickle.dumps(value))


def is_collection(X: Any) -> bool:
    """Whether X is an array or a frame of Dask."""
    return hasattr(X, "__dask_graph__") and (hasattr(X, "npartitions") or hasattr(X, "chunks"))


def is_frame(X: Any) -> bool:
    """Whether a collection has columns with names."""
    return hasattr(X, "npartitions") and hasattr(X, "columns")


def client_of(client: Any) -> Any:
    """The client that is given, or the one that is there.

    Raises
    ------
    ValueError
        Without one: a cluster is not started silently.
    OSError
        For an address where no scheduler is.
    """
    if client is not None and not isinstance(client, str):
        return client
    try:
        from distributed import get_client
    except ImportError as error:
        raise ImportError('rows on a cluster need Dask: pip install "gdnp[dask]".') from error
    try:
        known: Any = get_client()
    except ValueError:
        known = None
    if client is not None:
        return known if known is not None and known.scheduler.address == client else connected(client)
    if known is None:
        raise ValueError(
            "a Dask collection needs a client: make one with distributed.Client(), or give client= the "
            "address of a scheduler. Got none."
        )
    return known


def connected(address: str) -> Any:
    """A new client of a scheduler."""
    from distributed import Client

    made: Any = Client
    try:
        return made(address, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OSError(f"a scheduler must be at {address!r}. Got none: {error}; start it.") from error


def read_there(client: Any, path: str) -> tuple[Any, Any]:
    """The client, and a frame of CSV or Parquet that the workers see."""
    client = client_of(client)
    import dask.dataframe as frames

    read: Any = frames
    try:
        return client, (read.read_csv if ".csv" in path else read.read_parquet)(path)
    except OSError as error:
        raise FileNotFoundError(
            f"CSV or Parquet must be at {path}, as the workers see it. Got none."
        ) from error


@contextmanager
def _scheduler(client: Any) -> Iterator[None]:
    """One sentence where the cluster is gone, or its workers die of a task."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except KilledWorker as error:
        raise MemoryError(
            f"workers must survive their parts. Got several that died of one task, {error.task}; "
            "make parts smaller, or give workers more memory."
        ) from error
    except (CancelledError, CommClosedError, TimeoutError, RuntimeError) as error:
        lost = not isinstance(error, RuntimeError) or getattr(client, "status", "") != "running"
        if not lost:
            raise
        raise ConnectionError(
            "the scheduler must stay, and its client open, for as long as a fit takes. "
            f"Got {type(error).__name__}; connect and fit again, with checkpoint= from the last point."
        ) from error


def parts_of(
    client: Any, X: Any, columns: Sequence[str] | None = None, **values: Any
) -> tuple[ClusterDesign, list[Any]]:
    """The design of a Dask array or frame, kept on the workers, and vectors of values in the same parts.

    A value is a column of X by its name, a collection, an array in memory or None. Parts without rows are
    left out. A single round looks at all.

    Raises
    ------
    ValueError
        For columns that are not numbers, values in other parts than X, and for no rows at all.
    """
    named = {role: v for role, v in values.items() if isinstance(v, str)}
    given = {role: v for role, v in values.items() if is_collection(v)}
    names = None if columns is None else list(columns)
    if names is not None:
        X = X[list(dict.fromkeys([*names, *named.values()]))]
    _check_columns(X, names)
    # Dask reads a column alone in larger parts, where it may
    blocks = {role: _blocks(client, v, whole=not given) for role, v in ({"X": X} | given).items()}
    for role, some in blocks.items():
        if len(some) != len(blocks["X"]):
            raise ValueError(
                f"{role} must be in the parts of X, {len(blocks['X'])} of them. Got {len(some)}; rechunk it."
            )
    blocks |= dict.fromkeys(named, blocks["X"])
    arrays = {
        role: client.map(
            _as_array, some, range(len(some)), role=role, names={"X": names, **named}.get(role), pure=False
        )
        for role, some in blocks.items()
    }
    looks = {role: client.map(_seen, some, role=role, pure=False) for role, some in arrays.items()}
    with _scheduler(client), _named_parts(blocks):
        seen = client.gather(looks)
    for role, some in seen.items():
        for k, (own, one) in enumerate(zip(seen["X"], some, strict=True)):
            if own.rows != one.rows:
                raise ValueError(
                    f"{role} must be in the parts of X, of {own.rows} rows in part {k}. "
                    f"Got {one.rows}; rechunk it."
                )
    kept = [k for k, one in enumerate(seen["X"]) if one.rows]
    if not kept:
        raise ValueError("X must have at least one row. Got parts without any.")
    edges = [0, *accumulate(seen["X"][k].rows for k in kept)]
    pieces = {
        role: Vector(
            (edges[-1], *seen[role][kept[0]].shape),
            np.result_type(*(seen[role][k].dtype for k in kept)),
            [some[k] for k in kept],
            [seen[role][k] for k in kept],
        )
        for role, some in arrays.items()
    }
    rows = ClusterRows(client, edges)
    rows.rounds, rows.bytes = 1.0, float(_size(list(seen.values())))
    return ClusterDesign(pieces.pop("X"), rows), [
        pieces[role] if role in pieces else None if v is None else _in_memory(rows, v, role)
        for role, v in values.items()
    ]


def _check_columns(X: Any, names: Sequence[str] | None) -> None:
    """Refuse what is no table of numbers."""
    if names is None and X.ndim != 2:
        raise ValueError(f"X must have two dimensions, rows by columns. Got {X.ndim}.")
    kinds = {} if names is None else X.dtypes
    odd = [name for name in names or () if getattr(kinds[name], "kind", "O") not in "fiub"]
    if odd:
        raise ValueError(
            f"columns of X must hold numbers. Got {kinds[odd[0]]} in {str(odd[0])!r}; encode it, say by "
            "dask.dataframe.get_dummies of categorize()."
        )


def _in_memory(rows: ClusterRows, values: Any, role: str) -> RowVector:
    array = np.asarray(values)
    if array.shape[:1] != (rows.n,):
        raise ValueError(f"{role} must have shape ({rows.n},). Got {array.shape}.")
    return rows.hold(array)


def _blocks(client: Any, collection: Any, *, whole: bool) -> list[Any]:
    """Futures of its parts, whole rows each; as Dask likes to make them where it is the `whole`."""
    if hasattr(collection, "chunks") and collection.ndim > 1:
        collection = collection.rechunk({1: -1})
    return list(client.compute(list(np.ravel(collection.to_delayed(optimize_graph=whole)))))


@contextmanager
def _named_parts(blocks: dict[str, list[Any]]) -> Iterator[None]:
    """Name the part that could not be made."""
    try:
        yield
    except Exception as error:
        for role, some in blocks.items():
            for k, future in enumerate(some):
                if future.status == "error":
                    raise ValueError(f"part {k} of {role} must be there. Got {error}; look at it.") from error
        raise


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


def _as_array(block: Any, number: int, *, role: str, names: Any) -> NDArray[Any]:
    """A part, or columns of it, as an array in the order of C; X has numbers alone."""
    block = block if names is None else block[names]
    values = np.ascontiguousarray(block.to_numpy() if hasattr(block, "to_numpy") else block)
    if role == "X" and values.dtype.kind not in "fiub":
        raise ValueError(f"part {number} of X must hold numbers. Got {values.dtype}; encode them first.")
    return values


def _seen(values: NDArray[Any], role: str) -> Seen:
    count, shape, dtype = len(values), values.shape[1:], values.dtype
    if role == "X" or not count:
        return Seen(count, shape, dtype, values=np.empty(0, dtype))
    ends, total = None, 0.0
    if dtype.kind in "fiub":
        ends, total = (float(values.min()), float(values.max())), float(values.sum(dtype=np.float64))
    try:
        some = np.unique(values[:LOOKED_AT])[: FEW_LABELS + 1]
        few = len(shape) == 0 and len(some) <= FEW_LABELS
        some = np.unique(values) if few else some
    except TypeError:
        raise ValueError(f"{role} must hold values of one kind, without gaps. Got a mixture.") from None
    return Seen(count, shape, dtype, ends, total, some, few)


def _held(values: Any, size: int, *, tail: tuple[int, ...]) -> NDArray[Any]:
    return np.broadcast_to(values, (size, *tail))


def _summed(size: int, X: Any, work: bytes, pieces: Sequence[Any]) -> Any:
    """The sums of all jobs on one part, and the pieces that they wrote; nothing that is given is changed."""
    own, others, merge, shapes, written, design = pickle.loads(work)
    arrays = [
        np.empty((size, *shape), dtype) if piece is None else np.asarray(piece)
        for piece, (shape, dtype) in zip(pieces, shapes, strict=True)
    ]
    for k in written:
        arrays[k] = np.array(arrays[k])

    def filled(places: tuple[int | None, ...]) -> tuple[Any, ...]:
        return tuple(None if k is None else arrays[k] for k in places)

    own, others = (
        [job._replace(reads=filled(job.reads), writes=filled(job.writes)) for job in jobs]
        for jobs in (own, others)
    )
    with single_threaded_blas(), np.errstate(all="ignore"):
        if X is None:
            total = Rows(size, 1).total
            sums = [total(job.state, *job.reads, writes=job.writes) for job in (*own, *others)]
        else:
            local = DenseDesign(X, 1, **design)
            sums = local._summed(own, merge) + (local._summed(others, add) if others else [])
    return (sums, *(arrays[k] for k in written)) if written else sums


def _dealt(low: int, size: int, *, count: int) -> NDArray[np.intp]:
    return np.arange(low, low + size) % count


def _has_no_sums(job: Job) -> bool:
    """Whether a job only writes: margins, and kernels that make nothing of no rows."""
    if job.verb != "rows":
        return job.verb == "margins"
    vectors: tuple[Any, ...] = job.reads + job.writes
    none = [None if v is None else np.empty((0, *v.shape[1:]), v.dtype) for v in vectors]
    with np.errstate(all="ignore"):
        return bool(job.writes) and job.state(*none) == []


def _comparable(kernel: Any) -> Any:
    """The same for the same function of the same arguments."""
    if not isinstance(kernel, partial):
        return kernel
    return (kernel.func, *map(_comparable, kernel.args), *sorted(kernel.keywords.items()))


def _key(job: Job) -> Any:
    return _comparable(job.state), tuple(id(v and v.pieces) for v in job.reads)  # type: ignore[attr-defined]


def _kept(job: Job) -> Any:
    """The sums of a job that was foreseen."""
    first = job.reads[0] if job.reads else None
    try:
        return first.known[_key(job)][0] if isinstance(first, Vector) else None
    except (KeyError, TypeError):  # of a kernel that cannot be compared
        return None


def _lane(sums: list[Any], *, merges: Sequence[Merge]) -> Any:
    first, *others = sums
    total = deepcopy(first)
    for other in others:
        total = [merge(a, b) for merge, a, b in zip(merges, total, other, strict=True)]
    return _packed(total)


def _packed(value: Any) -> Any:
    """Symmetric matrices as their lower halves, in a tuple: a Gram is half as many bytes."""
    if isinstance(value, list):
        return [_packed(entry) for entry in value]
    square = isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[0] == value.shape[1] > 1
    half = square and np.array_equal(value, value.T)
    return (value[np.tril_indices(len(value))], len(value)) if half else value


def _unpacked(value: Any) -> Any:
    """What was packed, in arrays of its own."""
    if isinstance(value, list):
        return [_unpacked(entry) for entry in value]
    if not isinstance(value, tuple):
        return copy(value)
    half, size = value
    whole, low = np.empty((size, size), half.dtype), np.tril_indices(size)
    whole[low] = whole.T[low] = half
    return whole


def _size(value: Any) -> int:
    """Bytes of numbers."""
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return int(value.nbytes) if isinstance(value, np.ndarray) else 8


def _ends(piece: NDArray[Any]) -> tuple[float, float]:
    return float(piece.min()), float(piece.max())


def _drawn(piece: NDArray[Any], number: int, ends: FloatArray, *, count: int, seed: int) -> NDArray[np.intp]:
    """The rows of a part that some of `count` points on the mass of all parts fall on."""
    last = int(np.searchsorted(ends, ends[-1]))  # parts without mass at the end are never drawn
    points = np.sort(np.random.default_rng(seed).random(count)) * ends[-1]
    here = points[np.minimum(np.searchsorted(ends, points, side="right"), last) == number]
    if not len(here):
        return np.empty(0, dtype=np.intp)
    within = np.cumsum(piece)
    begin = ends[number] - within[-1]
    final = int(np.searchsorted(within, within[-1]))
    found: NDArray[np.intp] = np.searchsorted(within, np.maximum(here - begin, 0.0), side="right")
    return np.minimum(found, final)


def _rows_at(index: NDArray[np.intp], *arrays: NDArray[Any]) -> list[NDArray[Any]]:
    return [array[index] for array in arrays]


def _on_rows(taken: list[list[NDArray[Any]]], call: bytes) -> Any:
    """A function of rows that came from all parts."""
    function, present, design = pickle.loads(call)
    X, *others = map(np.concatenate, zip(*taken, strict=True))
    each = iter(others)
    with single_threaded_blas(), np.errstate(all="ignore"):
        return function(DenseDesign(X, 1, **design), *(next(each) if there else None for there in present))


def _numbered(piece: NDArray[Any], *, classes: NDArray[Any]) -> NDArray[np.int16]:
    return np.asarray(np.searchsorted(classes, piece), np.int16)
