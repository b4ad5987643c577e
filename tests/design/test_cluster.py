"""Rows on a cluster: every verb and every operation on row vectors against the same rows in memory."""

import pickle
from functools import partial
from operator import add

import numpy as np
import pytest

from clusters import cluster
from gdnp.design import DenseDesign, Job
from gdnp.design.block import Affine, Scatter
from gdnp.problem.empirical import sum_of

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's own making

from gdnp.design.cluster import _done, parts_of  # noqa: E402

N, D = 1000, 4
CHUNKS = 300, 1, 499, 200


@pytest.fixture(scope="module")
def client():
    with cluster() as found:
        yield found


@pytest.fixture(scope="module")
def X():
    return np.random.default_rng(0).standard_normal((N, D))


@pytest.fixture(scope="module")
def design(client, X):
    da = pytest.importorskip("dask.array")
    return parts_of(client, da.from_array(X, chunks=(CHUNKS, -1)))[0]


def test_sums_are_those_of_the_rows_in_memory(design, X, rng):
    memory, r = DenseDesign(X, 1), rng.standard_normal(N)
    v = design.rows.hold(r)
    here = memory.map("transpose", reads=(r,), partial_size=D)
    np.testing.assert_allclose(design.map("transpose", reads=(v,), partial_size=D)[0], here[0], rtol=1e-12)
    state = Scatter(np.zeros(D))
    there = design.map("gram", state, reads=(v,), partial_size=D * D)
    here = memory.map("gram", state, reads=(r,), partial_size=D * D)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    largest = design.map("column_max", merge=np.maximum)
    np.testing.assert_array_equal(largest, np.abs(X).max(axis=0))


def test_what_a_verb_writes_stays_on_the_workers(design, X, rng):
    w, out = rng.standard_normal(D), design.rows.empty()
    design.map("margins", Affine(w, 0.5), reads=(None, None), writes=(out,))
    assert not isinstance(out, np.ndarray)
    np.testing.assert_allclose(design.rows.gather(out), X @ w + 0.5, rtol=1e-12)


def test_row_vectors_behave_as_arrays_do(design, rng):
    rows, a, b = design.rows, rng.standard_normal(N), rng.standard_normal(N)
    v, w = rows.hold(a), rows.hold(b)
    made = rows.combine((2.0, v), (-1.0, w))
    np.testing.assert_allclose(rows.gather(made), 2.0 * a - b, rtol=1e-12)
    rows.combine((0.5, made), (1.0, v), out=made)
    np.testing.assert_allclose(rows.gather(made), a - 0.5 * b + a, rtol=1e-12)
    np.testing.assert_allclose(rows.gather(v), a)  # nothing else has changed
    assert rows.total(partial(sum_of, np.positive), v, w)[0] == pytest.approx(a @ b)
    np.testing.assert_array_equal(rows.extremes(v)[0], [a.min(), a.max(), np.abs(a).max()])
    assert rows.gather(rows.hold(np.broadcast_to(0.25, N))).tolist() == [0.25] * N
    levels = np.array([0.25, 0.5, 0.75])
    np.testing.assert_allclose(rows.quantiles(v, levels), np.quantile(a, levels), atol=0.02)


def test_rows_are_drawn_in_proportion_to_their_mass_and_gathered_in_order(design, X):
    rows = design.rows
    mass = np.zeros(N)
    mass[[5, 300, 999]] = 1.0, 2.0, 1.0
    choice = rows.sample(rows.hold(mass), 4000)
    found, counts = np.unique(choice.index, return_counts=True)
    assert found.tolist() == [5, 300, 999]
    np.testing.assert_allclose(counts / 4000, [0.25, 0.5, 0.25], atol=0.03)
    few = design.gather(type(choice)(np.array([999, 3, 300, 3]), 4))
    np.testing.assert_array_equal(few.block(0).dense(0, 4), X[[999, 3, 300, 3]])


def test_columns_and_labels(design, client, X):
    da = pytest.importorskip("dask.array")
    few = design.columns(np.array([2, 0]))
    np.testing.assert_array_equal(few.map("column_max", merge=np.maximum), np.abs(X[:, [2, 0]]).max(axis=0))
    words = np.where(X[:, 0] > 0.0, "up", np.where(X[:, 1] > 0.0, "left", "down"))
    arrays = da.from_array(X, chunks=(CHUNKS, -1)), da.from_array(words, chunks=(CHUNKS,))
    _, (v,) = parts_of(client, arrays[0], y=arrays[1])
    classes, codes = design.rows.labels(v)
    assert classes.tolist() == ["down", "left", "up"]
    np.testing.assert_array_equal(classes[design.rows.gather(codes)], words)


def test_a_piece_that_lies_between_addresses_has_the_same_sums(X, rng):
    def between(array):
        moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        moved[...] = array
        return moved

    jobs = [Job("transpose", None, (1,), (), D)]
    homes = [(0, None, (D,), X.dtype, None), (1, None, (), X.dtype, None)]
    work, v = pickle.dumps(([(jobs, add, 0, {})], homes, [])), rng.standard_normal(N)
    (expected, *_), *_ = _done(N, X, v, work=work)
    (found, *_), *_ = _done(N, between(X), between(v), work=work)
    np.testing.assert_array_equal(found[0], expected[0])


def test_sums_that_nobody_asks_for_are_not_kept_for_ever(design, rng):
    rows = design.rows
    v = rows.hold(rng.standard_normal(N))
    for k in range(30):
        for j in range(5):
            rows.foresee(partial(sum_of, partial(np.multiply, 5.0 * k + j)), v, v)
        rows.total(partial(sum_of, np.positive), v, v)
    before = rows.rounds
    assert len(rows._known) == 64
    rows.total(partial(sum_of, partial(np.multiply, 149.0)), v, v)
    assert rows.rounds == before


def test_a_result_depends_on_the_parts_alone(design, client, X, rng):
    v = design.rows.hold(rng.standard_normal(N))
    first = design.map("transpose", reads=(v,), partial_size=D)[0]
    client.rebalance()
    np.testing.assert_array_equal(design.map("transpose", reads=(v,), partial_size=D)[0], first)
