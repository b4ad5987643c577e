"""X that is read from files, piece by piece in their order, and never held as a whole."""

import queue
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial, reduce
from itertools import repeat
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import gdnp.design.compiled as compiled
from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design.base import Job, merge_each, merged
from gdnp.design.costs import SERIAL_WORK
from gdnp.design.dense import DenseBlock, DenseDesign
from gdnp.design.rows import Choice, Rows, ScratchRows
from gdnp.design.streams import Stream
from gdnp.design.threads import single_threaded_blas

T = TypeVar("T")
R = TypeVar("R")
Piece = tuple[int, int, int]
"""Lane, first block, and the block after the last."""


class Meter:
    """What all designs of one source share: readings so far, their bytes, row vectors, and rows picked up."""

    counts = "readings", "bytes"

    def __init__(self, rows: Rows) -> None:
        self.rows, self.readings, self.bytes = rows, 0.0, 0
        self.wanted: NDArray[np.intp] | None = None
        self.kept: tuple[NDArray[np.intp], NDArray[Any]] | None = None
        self.buffers: dict[tuple[int, int], queue.SimpleQueue[NDArray[Any]]] = {}


class StreamDesign(DenseDesign):
    """X as a stream of rows; sums are those of the same X in memory, to the last bit.

    Parameters
    ----------
    X : Stream
    n_jobs, offset, factor, block_rows
        See ``DenseDesign``; one more thread reads ahead.
    shared : Meter, path or None
        What designs of the same source share; or a folder for row vectors, which else stay in memory.
    """

    _X: Any

    def __init__(
        self,
        X: Any,
        n_jobs: int | None = None,
        *,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
        block_rows: int | None = None,
        shared: Any = None,
    ) -> None:
        super().__init__(X, n_jobs, offset=offset, factor=factor, block_rows=block_rows)
        if not isinstance(shared, Meter):
            n, threads = self.n_samples, self._threads
            shared = Meter(Rows(n, threads) if shared is None else ScratchRows(n, threads, shared or None))
        self.meter: Meter = shared

    @cached_property
    def rows(self) -> Rows:  # noqa: D102
        return self.meter.rows

    @property
    def stream(self) -> Stream:
        """Where rows come from."""
        return self._X  # type: ignore[no-any-return]

    @property
    def read_cost(self) -> float:  # noqa: D102
        return self.stream.read_cost

    @property
    def _compiled(self) -> Any:
        return None

    @property
    def _own(self) -> dict[str, Any]:
        return {"shared": self.meter}

    def columns(self, index: NDArray[np.intp]) -> DenseDesign:
        """The design of some columns, which are read anew."""
        return self._like(self.stream.columns(index), *self._transformation_of(index))

    def block(self, k: int) -> DenseBlock:  # noqa: D102
        return DenseBlock(self._read(np.arange(*self._bounds[k])), self._offset, self._factor)

    def _read(self, index: NDArray[np.intp]) -> NDArray[Any]:
        found, size = self.stream.take(index)
        self._count(size)
        return found

    def _count(self, size: int) -> None:
        self.meter.bytes += size
        self.meter.readings += size / self.stream.nbytes * (self.stream.width / self.stream.all)

    @property
    def collects(self) -> bool:
        """Whether a reading picks up rows that are wanted: where it is dear."""
        return self.read_cost > 1.0

    def want(self, choice: Choice) -> None:
        """Let the next reading of all columns pick up some rows, which are gathered later."""
        self.meter.wanted = choice.index

    def gather(self, choice: Choice) -> DenseDesign:
        """The design of some rows, copied to memory: those that a reading has picked up already, or read."""
        kept = self.meter.kept
        if kept is not None and self._is_whole and np.array_equal(kept[0], choice.index):
            return self._in_memory(kept[1], self._offset, self._factor)
        return self._taken(choice.index)

    @property
    def _is_whole(self) -> bool:
        return self.n_features == self.stream.all and self.stream.chosen is None

    def _summed(self, jobs: Sequence[Job], merge: Callable[[Any, Any], Any]) -> list[Any]:
        partial_size = max(job.partial_size for job in jobs)
        design = self.in_blocks_for(partial_size)
        bounds, lanes = design.bounds, design.lanes(partial_size)
        pieces = [(lane, *piece) for lane, some in enumerate(lanes) for piece in some]
        edges = [(bounds[first][0], bounds[last - 1][1]) for _, first, last in pieces]
        most = max(high - low for low, high in edges)
        threads = self._threads.number if self.entry_work * self.n_entries >= SERIAL_WORK else 0
        buffers = self.meter.buffers.setdefault((most, self.n_features), queue.SimpleQueue())
        for _ in range(threads + 2 - buffers.qsize()):
            buffers.put(np.empty((most, self.n_features), self.dtype))
        pick = self._picked()

        def read() -> Iterator[tuple[Piece, NDArray[Any], NDArray[Any]]]:
            filled = self.stream.filled(edges, (buffers.get() for _ in pieces))
            for piece, (low, _), (rows, buffer) in zip(pieces, edges, filled, strict=True):
                pick(low, rows)
                yield piece, rows, buffer

        def work(item: tuple[Piece, NDArray[Any], NDArray[Any]]) -> tuple[int, list[list[Any]]]:
            (lane, first, last), rows, buffer = item
            some, low, frame = bounds[first:last], bounds[first][0], (self._offset, self._factor)

            def blocks() -> Iterator[DenseBlock]:
                return (DenseBlock(rows[begin - low : end - low], *frame) for begin, end in some)

            try:
                return lane, self._sums_of_piece(jobs, compiled.dense(rows, *frame), some, blocks, low)
            finally:
                buffers.put(buffer)

        totals: list[list[Any]] = [[] for _ in lanes]
        with single_threaded_blas():
            for lane, sums in ahead(read(), work, threads):
                totals[lane] = merged(totals[lane], sums, merge)
        self._count(self.stream.nbytes)
        return reduce(partial(merge_each, repeat(merge)), totals)

    def _picked(self) -> Callable[[int, NDArray[Any]], None]:
        """What picks the wanted rows up from a reading."""
        index = self.meter.wanted
        if index is None or not self._is_whole:
            return lambda low, rows: None
        order = np.argsort(index, kind="stable")
        ordered, kept = index[order], np.empty((len(index), self.n_features), self.dtype)
        self.meter.wanted, self.meter.kept = None, (index, kept)

        def pick(low: int, rows: NDArray[Any]) -> None:
            begin, end = np.searchsorted(ordered, (low, low + len(rows)))
            kept[order[begin:end]] = rows[ordered[begin:end] - low]

        return pick


def ahead(items: Iterable[T], work: Callable[[T], R], threads: int) -> Generator[R]:
    """work(item) of each item, in their order, on some threads, while another makes the next item.

    At most `threads` + 2 items are alive; with no threads all is done here.
    """
    if not threads:
        yield from map(work, items)
        return
    source, end = iter(items), object()

    def held(item: T) -> R:
        with single_threaded_blas():
            return work(item)

    pool = ThreadPoolExecutor(threads + 1, thread_name_prefix="gdnp-stream")
    try:
        waiting: deque[Future[R]] = deque()
        coming: Future[Any] = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            waiting.append(pool.submit(held, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
