"""Times of operations: they grow with the work, and one pass is one pass."""

import numpy as np
import pytest

from gdnp.design import costs


def test_a_pass_takes_one_pass_where_rows_are_long():
    assert costs.passes(10, 10**9, 1.0) == pytest.approx(1.0, rel=1e-4)
    assert costs.passes(10, 10, 1.0) == pytest.approx(1.0, rel=0.01)  # nothing but the overhead


@pytest.mark.parametrize("entries", [10**3, 10**8])
def test_more_work_takes_more_time(entries):
    times = [costs.passes(1000, entries, work) for work in (0.5, 1.0, 10.0, 1000.0)]
    assert (np.diff(times) > 0.0).all()
    assert costs.passes(1000, entries, 1.0, side=5000) > times[1]


def test_a_gram_takes_longer_with_more_columns_and_never_less_than_a_reading():
    dense = [costs.dense_gram(d) for d in (1, 10, 100, 1000)]
    assert (np.diff(dense) > 0.0).all()
    assert min(dense) >= 1.0
    assert [costs.dense_kernel(d) for d in (1, 10, 100, 1000)] == dense
    assert costs.sparse_gram(1000, 1, 1.0, 1.0) >= 1.0


def test_a_sparse_gram_goes_the_shorter_way():
    """Through dense pieces at most, and in proportion to Σ nnz² where rows are thin."""
    n, d, entries = 10_000, 500, 50_000.0
    thin, twice, thrice = (costs.sparse_gram(n, d, entries, k * 50.0 * entries) for k in (1.0, 2.0, 3.0))
    assert thrice - twice == pytest.approx(twice - thin)  # the rest is for the matrix itself
    full = costs.sparse_gram(n, d, float(n * d), float(n * d * d))
    assert full == pytest.approx(costs.dense_gram(d) / costs.SPARSE_ENTRY)


def test_many_columns_at_once_take_less_time_than_one_after_another():
    assert 0.0 < costs.DENSE_COLUMNS < 1.0
    assert 0.0 < costs.SPARSE_COLUMNS < 1.0


def test_a_kernel_of_sparse_rows_grows_with_them():
    assert costs.sparse_kernel(200, 1000, 1e4) == pytest.approx(2.0 * costs.sparse_kernel(100, 1000, 1e4))
