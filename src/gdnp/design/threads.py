"""Threads over row blocks, with a single-threaded BLAS inside each, so that a sum never depends on either."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, reduce
from itertools import count, pairwise
from typing import Any, TypeVar

import scipy.linalg  # noqa: F401  SciPy brings its own BLAS, which must be loaded to be found
from threadpoolctl import ThreadpoolController

from gdnp._cached import cached_property
from gdnp.design.costs import SERIAL_WORK

T = TypeVar("T")
R = TypeVar("R")

LANES = 16
"""Partial sums of a reduction. Fixed, so that results repeat bit for bit on any number of threads."""
LANE_FLOATS = 1 << 23
"""Partial sums together hold at most about this many numbers, at least two of them."""


def available_cores() -> int:
    """Cores this process may use: by its affinity, its container's quota, and what loky was told.

    joblib counts all of these but one: in a worker of loky, ``OMP_NUM_THREADS`` is its share of the cores.
    """
    from joblib import cpu_count  # slow to import, and only who asks for all cores needs it

    cores = cpu_count()
    if "loky" in type(multiprocessing.current_process()).__module__:
        share = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        cores = min(cores, int(share)) if share.isdigit() and int(share) > 0 else cores
    return int(cores)


@dataclass(frozen=True)
class Threads:
    """As many threads as joblib has for `asked`: a negative number counts down from all cores."""

    asked: int

    @cached_property
    def number(self) -> int:
        """At least 1; cores are counted, which takes as long as a small sum, when it is first used."""
        return self.asked if self.asked > 0 else max(1, available_cores() + 1 + self.asked)


@cache
def _pool(n_jobs: int, pid: int) -> ThreadPoolExecutor:
    """One pool for each size and process: threads do not survive a fork."""
    return ThreadPoolExecutor(n_jobs, thread_name_prefix="gdnp")


class _Held:
    """Libraries that are held at one thread while `depth` is not 0."""

    def __init__(self, libraries: Sequence[Any]) -> None:
        self.libraries, self.depth, self.before = libraries, 0, [1] * len(libraries)

    def hold(self) -> None:
        """Once more."""
        if self.depth == 0:
            self.before = [library.num_threads for library in self.libraries]
            for library, number in zip(self.libraries, self.before, strict=True):
                if number != 1:
                    _set_threads(library, 1)
        self.depth += 1

    def release(self, times: int = 1) -> None:
        """As often as it was held; a number that somebody else has set meanwhile stays."""
        self.depth -= times
        if self.depth == 0:
            for library, number in zip(self.libraries, self.before, strict=True):
                if number != 1 and library.num_threads == 1:
                    _set_threads(library, number)


def _set_threads(library: Any, number: int) -> None:
    """Past threadpoolctl, which lets only the thread that first limits OpenBLAS change it while that lives.

    Here the last to leave need not be the first to come, and no thread of ours may keep others from it.
    """
    getattr(library, "_real_set_num_threads", library.set_num_threads)(number)


def _limits_each_thread(library: Any) -> bool:
    name, layer = library.internal_api, getattr(library, "threading_layer", None)
    return bool(name == "mkl" or (name == "openblas" and layer == "openmp"))


# Looks through all loaded libraries, so not in the first fit.
_BLAS = [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


class _HeldHere(threading.local, _Held):
    """Libraries whose limit is that of a thread, and how often this one holds all."""

    def __init__(self) -> None:
        super().__init__([library for library in _BLAS if _limits_each_thread(library)])


_lock = threading.Lock()
_everywhere = _Held([library for library in _BLAS if not _limits_each_thread(library)])
_here = _HeldHere()


def _after_fork() -> None:
    """In the child only the thread that forked lives on."""
    global _lock
    _lock = threading.Lock()
    others = _everywhere.depth - (_here.depth > 0)
    if others > 0:
        _everywhere.release(others)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class single_threaded_blas:
    """Hold every BLAS at one thread; re-entrant, and shared by concurrent fits."""

    def __enter__(self) -> None:
        if _here.depth == 0:
            with _lock:
                _everywhere.hold()
        _here.hold()

    def __exit__(self, *_: object) -> None:
        _here.release()
        if _here.depth == 0:
            with _lock:
                _everywhere.release()


def ordered_map(function: Callable[[T], R], items: Iterable[T], n_jobs: int) -> Iterable[R]:
    """``map(function, items)`` on `n_jobs` threads, results in the order of the items.

    The calling thread takes items like any other, and a helper that has not started when none is left is
    called off: where cores are busy elsewhere, nothing waits for them. Where helpers are refused, as they are
    while the interpreter shuts down, the calling thread does the work.
    """
    if n_jobs == 1:
        return map(function, items)
    todo = list(items)
    done: list[Any] = [None] * len(todo)
    turns = count()  # next() on it is atomic

    def work() -> None:
        while (turn := next(turns)) < len(todo):
            done[turn] = function(todo[turn])

    def help_with(turn: Future[None]) -> None:
        if not turn.set_running_or_notify_cancel():
            return
        try:
            with single_threaded_blas():
                work()
            turn.set_result(None)
        except BaseException as error:
            turn.set_exception(error)

    helpers: list[Future[None]] = []
    with suppress(RuntimeError):
        pool = _pool(n_jobs, os.getpid())
        for _ in range(min(n_jobs, len(todo)) - 1):
            helpers.append(Future())  # not the pool's own: what it has refused it may keep, and start later
            pool.submit(help_with, helpers[-1])
    try:
        work()
    finally:
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()
    return done


def lane_edges(count: int, partial_size: int) -> list[int]:
    """Where the lanes of so many parts begin, and the end."""
    lanes = min(LANES, count, max(2, LANE_FLOATS // partial_size))
    return [count * lane // lanes for lane in range(lanes + 1)]


def ordered_sum(
    part: Callable[[int], R],
    count: int,
    merge: Callable[[R, R], R],
    n_jobs: int | Threads,
    work: float,
    partial_size: int = 1,
) -> R:
    """part(0) + ... + part(count - 1): consecutive parts within a lane, then the lanes in order.

    `work` is that of all parts, in units of reading an entry of dense X, and `partial_size` the numbers in a
    term. The result does not depend on threads.
    """
    if count == 1:
        with single_threaded_blas():
            return part(0)
    lanes = list(pairwise(lane_edges(count, partial_size)))

    def lane_sum(ends: tuple[int, int]) -> R:
        return reduce(merge, map(part, range(*ends)))

    jobs = 1
    if len(lanes) > 1 and work >= SERIAL_WORK:
        jobs = n_jobs.number if isinstance(n_jobs, Threads) else n_jobs
    with single_threaded_blas():
        return reduce(merge, ordered_map(lane_sum, lanes, jobs))
