"""Threads over row blocks, with a single-threaded BLAS inside each, so that a sum never depends on either."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from itertools import count
from typing import Any, TypeVar

import scipy.linalg  # noqa: F401  SciPy brings its own BLAS, which must be loaded to be found
from threadpoolctl import ThreadpoolController

from gdnp.design.costs import SERIAL_WORK

T = TypeVar("T")
R = TypeVar("R")

__all__ = ["available_cores", "ordered_map", "ordered_sum", "single_threaded_blas"]

LANES = 16
"""Partial sums of a reduction. Fixed, so that results repeat bit for bit on any number of threads."""
LANE_FLOATS = 1 << 23
"""Partial sums together hold at most about this many numbers, at least two of them."""

_lock = threading.Lock()
_depth = 0
_limiter: Any = None
_controller = ThreadpoolController()  # looks through all loaded libraries, so not in the first fit


def available_cores() -> int:
    """Cores this process may run on (its affinity, where the system has one)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _pool(n_jobs: int, pid: int) -> ThreadPoolExecutor:
    """One pool for each size and process: threads do not survive a fork."""
    return ThreadPoolExecutor(n_jobs, thread_name_prefix="gdnp")


class single_threaded_blas:
    """Hold every BLAS at one thread; re-entrant, and shared by concurrent fits."""

    def __enter__(self) -> None:
        global _depth, _limiter
        with _lock:
            if _depth == 0:
                _limiter = _controller.limit(limits=1, user_api="blas")
            _depth += 1

    def __exit__(self, *_: object) -> None:
        global _depth, _limiter
        with _lock:
            _depth -= 1
            if _depth == 0:
                _limiter.restore_original_limits()
                _limiter = None


def ordered_map(function: Callable[[T], R], items: Iterable[T], n_jobs: int) -> Iterable[R]:
    """``map(function, items)`` on `n_jobs` threads, results in the order of the items.

    The calling thread takes items like any other, and a helper that has not started when none is left is
    called off: where cores are busy elsewhere, nothing waits for them.
    """
    if n_jobs == 1:
        return map(function, items)
    todo = list(items)
    done: list[Any] = [None] * len(todo)
    turns = count()  # next() on it is atomic

    def work() -> None:
        while (turn := next(turns)) < len(todo):
            done[turn] = function(todo[turn])

    pool = _pool(n_jobs, os.getpid())
    helpers = [pool.submit(work) for _ in range(min(n_jobs, len(todo)) - 1)]
    try:
        work()
    finally:
        started = [helper for helper in helpers if not helper.cancel()]
        wait(started)
    for helper in started:
        helper.result()
    return done


def ordered_sum(
    part: Callable[[int], R],
    count: int,
    merge: Callable[[R, R], R],
    n_jobs: int,
    work: float,
    partial_size: int = 1,
) -> R:
    """part(0) + ... + part(count - 1): consecutive parts within a lane, then the lanes in order.

    Parameters
    ----------
    part : callable
        k -> the k-th term.
    count : int
    merge : callable
        Adds two terms.
    n_jobs : int
        Threads; the result does not depend on them.
    work : float
        Of all parts, in units of reading an entry of dense X.
    partial_size : int
        Numbers in a term.
    """
    if count == 1:
        with single_threaded_blas():
            return part(0)
    lanes = min(LANES, count, max(2, LANE_FLOATS // partial_size))
    edges = [count * lane // lanes for lane in range(lanes + 1)]

    def lane_sum(lane: int) -> R:
        total = part(edges[lane])
        for k in range(edges[lane] + 1, edges[lane + 1]):
            total = merge(total, part(k))
        return total

    serial = n_jobs == 1 or lanes == 1 or work < SERIAL_WORK
    with single_threaded_blas():
        parts = iter(ordered_map(lane_sum, range(lanes), 1 if serial else n_jobs))
        total = next(parts)
        for other in parts:
            total = merge(total, other)
    return total
