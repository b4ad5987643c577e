"""Rows on the workers of a Dask cluster: what is asked travels there, and only sums come back.

Rows and row vectors stay in parts where they are. A round is one task a part, which does the jobs of all
readings since the last round, and one that takes the sums out where it wrote something. The sums of the parts
of a lane are added on a worker, in their order, and the lanes here. So a result depends on the parts alone,
not on who works on them. Every piece of a row vector is in the result of a task on pieces that were there
before: what is lost with a worker Dask makes again.
"""

import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy, deepcopy
from functools import partial, reduce
from itertools import accumulate, pairwise
from operator import getitem
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.base import Job, merge_each
from gdnp.design.dense import DenseBlock, DenseDesign
from gdnp.design.rows import ROWS_FOR_QUANTILES, Choice, Rows, RowVector, add, drawn_parts, drawn_rows
from gdnp.design.threads import LANES, lane_edges, single_threaded_blas
from gdnp.validation import check_weights

ROUND_COST = 10.0
"""Time of a round, with the scheduler's, in passes: what makes few of them worth their while."""
FEW_LABELS, LOOKED_AT = 100, 1000
"""Labels are listed at the first look where at most so many are among the first so many of a part."""
FORESEEN = 64
"""Sums that nobody has asked for yet are kept, the latest, so many."""

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
    """A row vector in pieces: what futures hold, or entry `at` of that; without any `value` is all."""

    value: Any = None

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, futures: Sequence[Any] = (), seen: Sequence[Seen] = ()
    ) -> None:
        self.shape, self.dtype, self.futures, self.at = shape, np.dtype(dtype), futures, None
        self.version, self.seen = object(), seen

    def renewed(self) -> None:
        """It has other numbers now, of which nothing is known."""
        self.version, self.seen = object(), ()


class ClusterRows(Rows):
    """Row vectors on the workers, in parts that begin and end at `edges` as those of X do."""

    counts = "readings", "rounds", "bytes"
    """What the history of a fit says of it; bytes are those that came back, and those of jobs and vectors."""

    def __init__(self, client: Any, edges: Sequence[int]) -> None:
        super().__init__(edges[-1], 1)
        self.client, self.edges = client, tuple(edges)
        self.sizes = [high - low for low, high in pairwise(edges)]
        self.readings, self.bytes, self.rounds = 0.0, 0.0, 0.0
        self._lanes = list(pairwise(lane_edges(len(self.sizes), 1)))[:LANES]
        self._waiting: list[tuple[Sequence[Job], Merge, Any, dict[str, Any]]] = []
        self._foreseen: list[Job] = []
        self._known: dict[Any, list[Any]] = {}

    # Rounds

    def each(self, task: Callable[..., Any], *lists: Any, **same: Any) -> list[Any]:
        """A future of task(*entries, **same) for every part; those of a vector are its pieces."""
        count = len(self.sizes)
        vectors = [v for v in lists if isinstance(v, Vector)]
        for v in vectors:
            if v.value is not None and not v.futures:
                v.futures = self.each(_held, [v.value] * count, self.sizes, tail=v.shape[1:])
        if vectors and self._waiting:
            self._sent()
        if any(v.at is not None for v in vectors):
            task = partial(_at, task, [v.at if isinstance(v, Vector) else None for v in lists])
        with _scheduler(self.client):
            given = ([None] * count if v is None else getattr(v, "futures", v) for v in lists)
            return list(self.client.map(task, *given, pure=False, **same))

    def fetched(self, futures: Any) -> Any:
        """What tasks made, here: one round."""
        with _scheduler(self.client):
            found = self.client.gather(futures)
        self.rounds += 1.0
        self.bytes += _size(found)
        return found

    def round(self, jobs: Sequence[Job], merge: Merge = add, X: Any = None, **design: Any) -> list[Any]:
        """The sums of every job over all parts; X, if any, is read by a design.

        Where jobs have no sums they wait for the next round. What was foreseen comes along with that.
        """
        self._waiting.append((jobs, merge, X, design))
        for v in (v for job in jobs for v in job.writes):
            v.renewed()  # type: ignore[attr-defined]
        if all(map(_has_no_sums, jobs)):
            return [[] for _ in jobs]
        skipped = sum(len(before) for before, *_ in self._waiting[:-1])
        extra, self._foreseen = self._foreseen, []
        self._waiting.append((extra, add, None, {}))
        merges = [merge] * len(jobs) + [add] * len(extra)
        found = self._sent()
        if len(self._lanes) < len(found):  # row vectors are not to travel with the sums
            found = self.each(getitem, found, [slice(1)] * len(found))
        parts = [found[low:high] for low, high in self._lanes]
        sums = self.fetched(self.each(_lane, parts, skipped=skipped, merges=merges))
        total = reduce(partial(merge_each, merges), map(_unpacked, sums))
        foreseen = zip(map(_key, extra), total[len(jobs) :], strict=True)
        self._known = dict([*self._known.items(), *foreseen][-FORESEEN:])
        return list(total[: len(jobs)])

    def _sent(self) -> list[Any]:
        """Futures of the sums of all that waits, and of what was written, part by part."""
        readings, self._waiting = self._waiting, []
        jobs = [job for some, *_ in readings for job in some]
        known = (*(X for *_, X, _ in readings), *(v for job in jobs for v in job.reads + job.writes))
        vectors: list[Any] = list({id(v): v for v in known if v is not None}.values())
        place: dict[int, Any] = {id(v): k for k, v in enumerate(vectors)} | {id(None): None}

        def placed(job: Job) -> Job:
            reads, writes = (tuple(place[id(v)] for v in some) for some in (job.reads, job.writes))
            return job._replace(reads=reads, writes=writes)

        sent = [(list(map(placed, some)), m, place[id(X)], design) for some, m, X, design in readings]
        written: list[Any] = sorted({place[id(v)] for job in jobs for v in job.writes})
        sources = list({id(v.futures): v.futures for v in vectors if len(v.futures)}.values())
        number = {id(futures): k for k, futures in enumerate(sources)}
        homes = [(number.get(id(v.futures)), v.at, v.shape[1:], v.dtype, v.value) for v in vectors]
        work = _pickled((sent, homes, written))
        self.bytes += len(work)
        found = self.each(_done, self.sizes, *sources, work=work)
        for k, v in enumerate(written, 1):
            vectors[v].futures, vectors[v].at = found, k
        return found

    def foresee(self, kernel: Callable[..., list[Any]], *reads: RowVector | None) -> None:  # noqa: D102
        self._foreseen.append(Job("rows", kernel, reads))

    # Rows

    def hold(self, values: Any) -> RowVector:
        """A vector of these numbers; one number that stands for all travels as one."""
        if isinstance(values, Vector):
            return values
        array = np.asarray(values)
        v = Vector(array.shape, array.dtype)
        if array.strides[0] == 0:
            v.value = array[0]
            return v
        given = [array[low:high] for low, high in pairwise(self.edges)]
        v.futures, v.seen = self.each(_held, given, self.sizes, tail=array.shape[1:]), (_seen(array, 0, "y"),)
        self.bytes += array.nbytes
        return v

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:  # noqa: D102
        return Vector((self.n,) if k is None else (self.n, k), dtype)

    def array(self, v: RowVector) -> NDArray[Any]:  # noqa: D102
        return self.gather(v)

    def dealt(self, count: int) -> RowVector:  # noqa: D102
        return Vector((self.n,), np.intp, self.each(_dealt, self.edges[:-1], self.sizes, count=count))

    def columns(self, v: Any) -> list[RowVector]:  # noqa: D102
        each = (self.each(np.take, v, indices=k, axis=1) for k in range(v.shape[1]))
        return [Vector(v.shape[:1], v.dtype, futures) for futures in each]

    def combine(self, *terms: tuple[float, RowVector], out: RowVector | None = None) -> RowVector:  # noqa: D102
        made = self.empty_like(terms[0][1]) if out is None else out
        kernel = partial(_combined, tuple(float(a) for a, _ in terms))
        self.total(kernel, *(v for _, v in terms), writes=(made,))
        return made

    def total(  # noqa: D102
        self, kernel: Callable[..., list[Any]], *reads: RowVector | None, writes: Sequence[RowVector] = ()
    ) -> list[Any]:
        job = Job("rows", kernel, reads, tuple(writes))
        try:
            found = None if writes else self._known.get(_key(job))
        except TypeError:  # of a kernel that cannot be compared
            found = None
        return list(self.round([job])[0] if found is None else found)

    def _asked(self, function: Callable[..., Any], v: Any, *lists: Sequence[Any], **same: Any) -> list[Any]:
        """function(piece, *entries) of every part, here."""
        return list(self.fetched(self.each(function, v, *lists, **same)))

    def extremes(self, *vectors: RowVector) -> FloatArray:  # noqa: D102
        asked = [self.each(_ends, v) for v in vectors if not _known_ends(v)]
        found = iter(self.fetched(asked) if asked else ())
        each = [_known_ends(v) or next(found) for v in vectors]
        ends = ((float(np.min(e, axis=0)[0]), float(np.max(e, axis=0)[1])) for e in each)  # NaN is both
        return np.array([(low, high, max(high, -low)) for low, high in ends])

    def quantiles(self, v: RowVector, levels: FloatArray) -> FloatArray:  # noqa: D102
        step = max(1, self.n // ROWS_FOR_QUANTILES)
        every = [slice(-low % step, None, step) for low in self.edges[:-1]]
        ordered = np.sort(np.concatenate(self._asked(getitem, v, every)))
        return np.asarray(ordered[np.minimum((levels * len(ordered)).astype(np.intp), len(ordered) - 1)])

    def draws(self, mass: RowVector, count: int, seed: int = 0, *of: Any) -> tuple[list[Any], Any]:
        """Futures of the rows drawn in each part, with their entries `of` vectors; and of the parts' ends."""
        weights = self.each(np.sum, mass)
        ends = self.each(np.cumsum, [weights]) * len(weights)
        return self.each(_drawn, mass, range(len(weights)), ends, *of, count=count, seed=seed), ends[0]

    def sample(self, mass: RowVector, count: int, seed: int = 0, *, level: float = -np.inf) -> Choice:
        """See ``Rows.sample``: first how much each part weighs, then where in its part a draw falls."""
        assert level < 0.0  # rows that hardly count are not looked for in rounds
        drawn, ends = self.draws(mass, count, seed)
        *found, ends = self.fetched([*drawn, ends])
        index = np.concatenate([rows + low for (rows,), low in zip(found, self.edges, strict=False)])
        return Choice(index, len(index), float(ends[-1]) / len(index))

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:  # noqa: D102
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

    def floats(self, v: Any) -> Any:
        """The same numbers in float64."""
        if v.dtype == np.float64:
            return v
        made: Any = self.combine((1.0, v))
        made.seen = v.seen
        return made

    def shares(self, v: Any) -> RowVector:
        """Weights of sum one."""
        least, whole = self.extremes(v)[0, 0], sum(one.total for one in v.seen)
        check_weights(least, whole)
        return self.combine((1.0 / whole, v))

    def labels(self, v: Any) -> tuple[NDArray[Any], RowVector]:
        """The different values in their order, and a vector of the number of each row's."""
        known = [one.values for one in v.seen if one.few]
        listed = known and len(known) == len(v.seen)
        classes = np.unique(np.concatenate(known if listed else self._asked(np.unique, v)))
        codes = self.empty(dtype=np.int16)
        self.total(partial(_numbered, classes), v, writes=(codes,))
        return classes, codes


class ClusterDesign(DenseDesign):
    """X in parts on the workers of a cluster; all designs of the same parts share their rows."""

    _X: Any
    in_rounds = True

    def __init__(self, X: Any, n_jobs: int | None = None, *, rows: ClusterRows, **others: Any) -> None:
        super().__init__(X, n_jobs, **others)
        self._rows = self.meter = rows
        self._bounds = list(pairwise(rows.edges))  # each worker cuts its parts into blocks
        if X.seen and len(X.seen[0].values):
            self.known_row = (X.seen[0].values - self.offset) * self.factor

    @property
    def rows(self) -> ClusterRows:  # noqa: D102
        return self._rows

    @property
    def read_cost(self) -> float:  # noqa: D102
        return ROUND_COST

    @property
    def _own(self) -> dict[str, Any]:
        return {"rows": self._rows}

    def in_blocks_for(self, partial_size: int) -> DenseDesign:
        """The same: each worker cuts its parts into blocks."""
        return self

    def block(self, k: int) -> DenseBlock:  # noqa: D102
        return DenseBlock(self._read(np.arange(*self._bounds[k])), self._offset, self._factor)

    def columns(self, index: NDArray[np.intp]) -> DenseDesign:
        """The design of some columns, which are copied on the workers."""
        futures = self._rows.each(np.take, self._X, indices=index, axis=1)
        few = Vector((self.n_samples, len(index)), self._X.dtype, futures)
        return self._like(few, *self._transformation_of(index))

    def _read(self, index: NDArray[np.intp]) -> NDArray[Any]:
        return self._rows.picked(self._X, index)

    def on_sample(
        self, function: Callable[..., Any], mass: RowVector, count: int, *vectors: RowVector | None
    ) -> Any:
        """See ``DesignMatrix.on_sample``: on one worker, and what comes back is what it makes of them."""
        rows = self._rows
        drawn, _ = rows.draws(mass, count, 0, self._X, *vectors)
        call = _pickled((function, {"offset": self._offset, "factor": self._factor}))
        rows.bytes += len(call)
        return rows.fetched(rows.each(_on_rows, [drawn], [call]))[0]

    def asked(self, function: Callable[..., Any], *vectors: Any, **same: Any) -> list[Any]:
        """function(X, *pieces) of every part, here."""
        return self._rows._asked(function, self._X, *vectors, **same)

    def _summed(self, jobs: Sequence[Job], merge: Merge) -> list[Any]:
        self._rows.readings += 1.0
        return self._rows.round(jobs, merge, self._X, offset=self._offset, factor=self._factor)


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
    """The client given, one of an address, or the one that is there: none is started silently."""
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
        if known is None or known.scheduler.address != client:
            known = connected(client)
            known.closes_with_rows = True
        return known
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
        if isinstance(error, RuntimeError) and getattr(client, "status", "") == "running":
            raise
        raise ConnectionError(
            "the scheduler must stay, and its client open, for as long as a fit takes. "
            f"Got {type(error).__name__}; connect and fit again, with checkpoint= from the last point."
        ) from error


def named(frame: Any, names: Sequence[str] = ()) -> Any:
    """A frame whose columns are called by text, once each; `names` must be among them."""
    frame = frame.rename(columns=str)
    known = list(frame.columns)
    if twice := [name for name in known if known.count(name) > 1]:
        raise ValueError(f"columns of X must have names of their own. Got two of {twice[0]!r}; rename one.")
    if lost := [name for name in names if name not in known]:
        raise ValueError(f"X must have the column {lost[0]!r}. Got {', '.join(known[:8])}.")
    return frame


def parts_of(
    client: Any, X: Any, columns: Sequence[str] | None = None, **values: Any
) -> tuple[ClusterDesign, list[Any]]:
    """The design of a Dask array or frame, kept on the workers, and vectors of values in the same parts.

    A value is a column of X by its name, a collection, an array in memory or None. Parts without rows are
    left out. A single round looks at all.
    """
    names = {role: v for role, v in values.items() if isinstance(v, str)}
    given = {role: v for role, v in values.items() if is_collection(v)}
    X = _of_numbers(X, columns, list(names.values()))
    # Dask reads a column alone in larger parts, where it may
    blocks = {role: _blocks(client, v, whole=not given) for role, v in ({"X": X} | given).items()}
    blocks |= dict.fromkeys(names, blocks["X"])
    wanted: dict[str, Any] = {"X": None if columns is None else list(columns), **names}
    arrays, seen = _looked_at(client, blocks, wanted)
    kept = [k for k, one in enumerate(seen["X"]) if one.rows]
    if not kept:
        raise ValueError("X must have at least one row. Got parts without any.")
    rows = ClusterRows(client, [0, *accumulate(seen["X"][k].rows for k in kept)])
    rows.rounds, rows.bytes = 1.0, float(_size(list(seen.values())))
    if getattr(client, "closes_with_rows", False):
        weakref.finalize(rows, client.close)
    pieces: dict[str, Any] = {}
    for role, some in arrays.items():
        of_role = [seen[role][k] for k in kept]
        kind = np.result_type(*(one.dtype for one in of_role))
        pieces[role] = Vector((rows.n, *of_role[0].shape), kind, [some[k] for k in kept], of_role)
    for role, v in values.items():
        if role not in pieces and v is not None:
            if np.shape(v)[:1] != (rows.n,):
                raise ValueError(f"{role} must have shape ({rows.n},). Got {np.shape(v)}.")
            pieces[role] = rows.hold(v)
    return ClusterDesign(pieces["X"], rows=rows), [pieces.get(role) for role in values]


def _of_numbers(X: Any, columns: Sequence[str] | None, others: list[str]) -> Any:
    """X of two dimensions, or its columns, which must be numbers, and the others."""
    if columns is None:
        if X.ndim != 2:
            raise ValueError(f"X must have two dimensions, rows by columns. Got {X.ndim}.")
        return X
    X = X[list(dict.fromkeys([*columns, *others]))]
    for name in columns:
        if getattr(X.dtypes[name], "kind", "O") not in "fiub":
            raise ValueError(
                f"columns of X must hold numbers. Got {X.dtypes[name]} in {str(name)!r}; encode it, say by "
                "dask.dataframe.get_dummies of categorize()."
            )
    return X


def _looked_at(client: Any, blocks: dict[str, list[Any]], names: dict[str, Any]) -> tuple[Any, Any]:
    """Futures of the parts as arrays, of columns where these have names, and what they are like."""
    arrays, looks = {}, {}
    for role, some in blocks.items():
        numbers, same = range(len(some)), {"role": role, "pure": False}
        arrays[role] = client.map(_as_array, some, numbers, names=names.get(role), **same)
        looks[role] = client.map(_seen, arrays[role], numbers, **same)
    try:
        with _scheduler(client):
            seen = client.gather(looks)
    except Exception as error:
        for role, some in blocks.items():
            for k, future in enumerate(some):
                if future.status == "error":
                    raise ValueError(f"part {k} of {role} must be there. Got {error}; look at it.") from error
        raise
    own = [one.rows for one in seen["X"]]
    for role, some in seen.items():
        got = [one.rows for one in some]
        if len(got) != len(own):
            said = f"{len(own)} of them. Got {len(got)}"
        elif got != own:
            k = next(k for k in range(len(own)) if own[k] != got[k])
            said = f"of {own[k]} rows in part {k}. Got {got[k]}"
        else:
            continue
        raise ValueError(f"{role} must be in the parts of X, {said}; rechunk it.")
    return arrays, seen


def _blocks(client: Any, collection: Any, *, whole: bool) -> list[Any]:
    """Futures of its parts, whole rows each; as Dask likes to make them where it is the `whole`."""
    if hasattr(collection, "chunks") and collection.ndim > 1:
        collection = collection.rechunk({1: -1})
    return list(client.compute(list(np.ravel(collection.to_delayed(optimize_graph=whole)))))


# What runs on a worker


def _combined(factors: tuple[float, ...], *arrays: Any) -> list[Any]:
    """See ``Rows.total``: the sum of multiples of all arrays but the last, written to that."""
    made = factors[0] * arrays[0]
    for a, v in zip(factors[1:], arrays[1:], strict=False):
        made += v if a == 1.0 else a * v
    arrays[-1][:] = made
    return []


def _as_array(block: Any, number: int, *, role: str, names: Any) -> NDArray[Any]:
    """A part, or columns of it, as an array in the order of C; X has numbers alone."""
    block = block if names is None else block[names]
    values = np.ascontiguousarray(block.to_numpy() if hasattr(block, "to_numpy") else block)
    if role == "X" and values.dtype.kind not in "fiub":
        raise ValueError(f"part {number} of X must hold numbers. Got {values.dtype}; encode them first.")
    return values


def _seen(values: NDArray[Any], number: int, role: str) -> Seen:
    count, shape, dtype = len(values), values.shape[1:], values.dtype
    if role == "X" or not count:
        row = values[0].astype(np.float64) if count and not number else np.empty(0)
        return Seen(count, shape, dtype, values=row)
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


def _at(task: Callable[..., Any], places: Sequence[int | None], *entries: Any, **same: Any) -> Any:
    """A task on entries of what other tasks made."""
    return task(*(e if k is None else e[k] for e, k in zip(entries, places, strict=True)), **same)


def _done(size: int, *given: Any, work: bytes) -> tuple[Any, ...]:
    """The sums of all jobs on one part, and the pieces that they wrote; nothing that is given is changed."""
    readings, homes, written = pickle.loads(work)
    arrays: list[Any] = []
    for k, (source, at, shape, dtype, value) in enumerate(homes):
        if source is None and value is None:
            arrays.append(np.empty((size, *shape), dtype))
            continue
        piece = _held(value, size, tail=shape) if source is None else given[source]
        piece = piece if at is None or source is None else piece[at]
        # What came over a network may lie between addresses, and then would be summed in another order.
        arrays.append(np.array(piece) if k in written else np.require(piece, requirements="A"))

    def filled(places: tuple[int | None, ...]) -> tuple[Any, ...]:
        return tuple(None if k is None else arrays[k] for k in places)

    sums: list[Any] = []
    with single_threaded_blas(), np.errstate(all="ignore"):
        for jobs, merge, X, design in readings:
            jobs = [job._replace(reads=filled(job.reads), writes=filled(job.writes)) for job in jobs]
            if X is None:
                total = Rows(size, 1).total
                sums += [total(job.state, *job.reads, writes=job.writes) for job in jobs]
            else:
                sums += DenseDesign(arrays[X], 1, **design)._summed(jobs, merge)
    return sums, *(arrays[k] for k in written)


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
    return _comparable(job.state), tuple(v and v.version for v in job.reads)  # type: ignore[attr-defined]


def _lane(parts: list[Any], *, skipped: int, merges: Sequence[Merge]) -> Any:
    """The sums of some parts that somebody waits for."""
    first, *others = (sums[skipped:] for sums, *_ in parts)
    return _packed(reduce(partial(merge_each, merges), others, deepcopy(first)))


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


def _known_ends(v: Any) -> list[tuple[float, float]]:
    return [one.ends for one in v.seen if one.ends is not None]


def _ends(piece: NDArray[Any]) -> tuple[float, float]:
    return float(piece.min()), float(piece.max())


def _drawn(
    mass: FloatArray, number: int, ends: FloatArray, *of: Any, count: int, seed: int
) -> list[NDArray[Any] | None]:
    """The rows of a part that some of `count` points on the mass of all parts fall on, and entries there."""
    points, part = drawn_parts(ends, count, seed)
    here = points[part == number] - (ends[number] - mass.sum())
    index = drawn_rows(mass, here) if len(here) else np.empty(0, dtype=np.intp)
    return [index, *(None if array is None else array[index] for array in of)]


def _on_rows(drawn: list[list[Any]], call: bytes) -> Any:
    """A function of rows that came from all parts."""
    function, design = pickle.loads(call)
    found: Any = [some[0] if some[0] is None else np.concatenate(some) for some in zip(*drawn, strict=True)]
    with single_threaded_blas(), np.errstate(all="ignore"):
        return function(DenseDesign(found[1], 1, **design), *found[2:])


def _numbered(classes: NDArray[Any], labels: NDArray[Any], out: NDArray[np.int16]) -> list[Any]:
    """See ``Rows.total``: writes the number of each label."""
    out[:] = np.searchsorted(classes, labels)
    return []
