"""Sums that do not depend on threads, and a BLAS that is held at one thread meanwhile."""

import io
import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import Parallel, delayed, parallel_config
from joblib.externals.loky.backend import context as loky
from threadpoolctl import threadpool_info, threadpool_limits

import gdnp.design.dense as dense
import gdnp.design.threads as threads
from designs import BACKENDS, shrink_blocks
from gdnp.design import as_design
from gdnp.design.block import Scatter
from gdnp.design.threads import LANES, available_cores, ordered_map, ordered_sum, single_threaded_blas


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_limit_is_reentrant_and_restored():
    before = blas_threads()
    with single_threaded_blas(), single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == before


@pytest.fixture
def two_blas_threads():
    with threadpool_limits(2, user_api="blas"):
        if blas_threads() != {2}:
            pytest.skip("this BLAS cannot be given two threads")
        yield


@pytest.mark.usefixtures("two_blas_threads")
def test_the_last_of_several_threads_gives_blas_its_threads_back():
    """Though the first one, which set the limit, lives on."""
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        one, other = single_threaded_blas(), single_threaded_blas()
        first.submit(one.__enter__).result()
        second.submit(other.__enter__).result()
        first.submit(one.__exit__).result()
        assert blas_threads() == {1}
        second.submit(other.__exit__).result()
        assert blas_threads() == {2}


def test_other_threads_may_limit_blas_afterwards():
    held, before = single_threaded_blas(), blas_threads()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(held.__enter__).result()
        pool.submit(held.__exit__).result()
        for number in (1, 2):
            with threadpool_limits(number, user_api="blas"):
                assert blas_threads() == {number}
        assert blas_threads() == before


@pytest.mark.usefixtures("two_blas_threads")
def test_a_limit_that_another_ends_meanwhile_is_not_put_back():
    with ThreadPoolExecutor(1) as pool:
        limit = threadpool_limits(3, user_api="blas")
        held = single_threaded_blas()
        pool.submit(held.__enter__).result()
        limit.restore_original_limits()
        pool.submit(held.__exit__).result()
        assert blas_threads() == {2}


def _in_child(queue):
    with single_threaded_blas():
        inside = blas_threads()
    queue.put((inside, blas_threads()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("two_blas_threads")
def test_a_fork_while_another_thread_fits_leaves_no_limit_in_the_child():
    fork = multiprocessing.get_context("fork")
    queue, held = fork.SimpleQueue(), single_threaded_blas()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(held.__enter__).result()
        child = fork.Process(target=_in_child, args=(queue,))
        child.start()
        assert queue.get() == ({1}, {2})
        child.join()
        pool.submit(held.__exit__).result()
    assert blas_threads() == {2}


class Library:
    """A BLAS whose limit is that of a thread."""

    internal_api = "mkl"

    def __init__(self):
        self.numbers = threading.local()

    @property
    def num_threads(self):
        return getattr(self.numbers, "it", 4)

    def set_num_threads(self, number):
        self.numbers.it = number


def test_a_limit_of_each_thread_is_set_in_each_thread(monkeypatch):
    library = Library()
    monkeypatch.setattr(threads, "_BLAS", [library])
    monkeypatch.setattr(threads, "_here", threads._HeldHere())
    both = threading.Barrier(2, timeout=20)

    def seen(k):
        both.wait()
        return library.num_threads

    with single_threaded_blas():
        assert list(ordered_map(seen, range(2), 2)) == [1, 1]
    assert library.num_threads == 4
    both.reset()
    assert list(ordered_map(seen, range(2), 2)).count(4) == 1  # the helper is held at one, this thread is not


CFS = {"quota": "800000", "period": "100000"}


def test_cores_are_those_of_the_affinity_the_quota_and_loky(monkeypatch):
    files = {}
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(48)), raising=False)
    monkeypatch.setattr(loky.os.path, "exists", files.__contains__)
    monkeypatch.setattr(loky, "open", lambda name: io.StringIO(files[name]), raising=False)
    monkeypatch.delenv("LOKY_MAX_CPU_COUNT", raising=False)
    assert available_cores() == 48
    files["/sys/fs/cgroup/cpu.max"] = "250000 100000"
    assert available_cores() == 3
    files.clear()
    files |= {f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us": text for name, text in CFS.items()}
    assert available_cores() == 8
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "5")
    assert available_cores() == 5
    assert as_design(np.ones((2, 1)), -2).n_jobs == 4


def test_a_worker_of_loky_keeps_to_its_share():
    with parallel_config(backend="loky", inner_max_num_threads=1):
        assert Parallel(n_jobs=2)(delayed(available_cores)() for _ in range(2)) == [1, 1]


LATE = """
import atexit, threading
from gdnp.design.threads import ordered_map
def work(name):
    print(name, list(ordered_map(lambda k: k * k, range(20), 2)) == [k * k for k in range(20)], flush=True)
def outlive():
    threading.main_thread().join()
    work("thread")
work("main")
threading.Thread(target=outlive).start()
atexit.register(work, "atexit")
"""


def test_the_work_is_done_while_the_interpreter_shuts_down():
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["main", "True", "thread", "True", "atexit", "True"], "")


def test_the_work_is_done_where_no_thread_can_be_started(monkeypatch):
    """And what the pool has kept of it does not start later."""
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        assert list(ordered_map(lambda k: k + 1, range(9), 11)) == list(range(1, 10))
    seen = []
    list(ordered_map(seen.append, range(9), 11))
    assert sorted(seen) == list(range(9))


def refused(thread):
    raise RuntimeError("can't start new thread")


def test_blas_is_held_at_one_thread_within_a_sum():
    seen = ordered_sum(lambda k: [blas_threads()], 1, lambda a, b: a + b, 2, 1e9)
    assert seen == [{1}]


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 3, 40])
def test_results_come_in_the_order_of_items(n_jobs, count):
    assert list(ordered_map(lambda k: k * k, range(count), n_jobs)) == [k * k for k in range(count)]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_a_thread_raises_reaches_the_caller(n_jobs):
    def fail(k):
        if k == 7:
            raise ValueError("no seventh")
        return k

    with pytest.raises(ValueError, match="no seventh"):
        list(ordered_map(fail, range(20), n_jobs))
    assert list(ordered_map(lambda k: k, range(3), n_jobs)) == [0, 1, 2]  # and the pool goes on


def test_the_calling_thread_works_too():
    both, seen = threading.Barrier(2, timeout=20), []

    def wait(k):
        seen.append(threading.get_ident())
        both.wait()

    list(ordered_map(wait, range(2), 2))
    assert len(set(seen)) == 2
    assert threading.get_ident() in seen


@pytest.mark.parametrize("count", [1, 2, LANES - 1, LANES, LANES + 1, 5 * LANES + 3])
def test_every_part_is_added_once_and_in_order(count):
    for n_jobs, work in ((1, 0.0), (2, 0.0), (2, 1e12), (4, 1e12)):
        found = ordered_sum(lambda k: [k], count, lambda a, b: a + b, n_jobs, work)
        assert found == list(range(count))


def test_large_partial_results_have_fewer_lanes(monkeypatch):
    """At least two, so that two threads have work; no more than the memory for them allows."""
    monkeypatch.setattr(threads, "LANE_FLOATS", 100)
    for size, lanes in ((1, LANES), (10, 10), (50, 2), (1000, 2)):
        merged = []

        def merge(a, b, merged=merged):
            merged.append(b)
            return a + b

        assert ordered_sum(lambda k: [k], 64, merge, 1, 1e12, size) == list(range(64))
        assert sum(len(b) > 1 for b in merged) == lanes - 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_do_not_depend_on_threads(rng, backend, monkeypatch):
    shrink_blocks(monkeypatch)
    X, r = rng.integers(-9, 10, (700, 6)).astype(float), rng.standard_normal(700)
    about = Scatter(np.ones(6))
    seen = set()
    for n_jobs in (1, 2, 5):
        design = BACKENDS[backend](X, n_jobs)
        sums = design.map("gram", about, reads=(r,), partial_size=36)
        rows = design.rows.total(lambda r: [float(np.exp(r).sum())], r)
        seen.add((*(np.asarray(x).tobytes() for x in sums), *rows))
    assert len(seen) == 1


def test_lanes_of_several_blocks_add_up(rng, monkeypatch):
    """More blocks than partial sums, so that some are added up before they are merged."""
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 128)
    X, r = rng.standard_normal((5000, 2)), rng.standard_normal(5000)
    design = as_design(X, 2)
    assert len(design.bounds) > 2 * LANES
    found = design.map("transpose", reads=(r,))[0]
    np.testing.assert_allclose(found, X.T @ r, rtol=1e-10, atol=1e-10)
