"""Sums that do not depend on threads, and a BLAS that is held at one thread meanwhile."""

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import gdnp.design.dense as dense
import gdnp.design.threads as threads
from designs import BACKENDS, shrink_blocks
from gdnp.design import as_design
from gdnp.design.block import Scatter
from gdnp.design.threads import LANES, ordered_map, ordered_sum, single_threaded_blas


def blas_threads():
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


def test_blas_limit_is_reentrant_and_restored():
    before = blas_threads()
    with single_threaded_blas(), single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == before


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
