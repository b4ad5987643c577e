"""Sparse X: its memory is shared, its zeros stay, and Grams go either way."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.sparse as sparse
from designs import shrink_blocks
from gdnp import GDNPClassifier
from gdnp.design import SparseDesign, as_design


def test_columns_in_any_order_stay_what_they_are(rng):
    """SciPy sorts the indices of a matrix where it takes absolute values: blocks share them with others."""
    X = sp.random_array((50, 7), density=0.6, rng=rng, format="csr")
    order = np.array([5, 0, 6, 2])
    few = as_design(X).columns(order)
    scaled = few.transformed(None, np.array([2.0, 1.0, 4.0, 1.0]))
    largest = scaled.map("column_max", merge=np.maximum)
    np.testing.assert_array_equal(largest, [2.0, 1.0, 4.0, 1.0] * abs(X.toarray()[:, order]).max(axis=0))
    np.testing.assert_array_equal(few.block(0).dense(0, 50), X.toarray()[:, order])


@pytest.mark.parametrize("density", [0.02, 0.6])
@pytest.mark.parametrize("centred", [False, True])
def test_both_sparse_gram_methods_agree(rng, density, centred):
    X = sp.random_array((400, 30), density=density, rng=rng, format="csr")
    weight = rng.standard_normal(400)
    block, centre = SparseDesign(X).block(0), rng.standard_normal(30) if centred else None
    assert sparse._is_thin(X, sparse.SPARSE_PRODUCT) == (density < 0.1)
    full = X.toarray() if centre is None else X.toarray() - centre
    np.testing.assert_allclose(
        block.weighted_gram(weight, centre), full.T @ (full * weight[:, None]), atol=1e-11
    )


def test_gram_cost_in_passes():
    X = sp.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    assert SparseDesign(X).gram_passes == (4 + 1) / (2 * 3)


def test_empty_sparse_matrix_is_one_block():
    design = SparseDesign(sp.csr_array((5, 2)))
    assert design.bounds == [(0, 5)]
    product, total = design.map("transpose", reads=(np.ones(5),))
    assert (product.tolist(), total) == ([0.0, 0.0], 5.0)


def test_blocks_hold_about_as_many_entries_each(rng, monkeypatch):
    shrink_blocks(monkeypatch)
    X = sp.random_array((2000, 8), density=0.3, rng=rng, format="csr")
    design = as_design(X)
    stored = np.diff(X.indptr[[low for low, _ in design.bounds] + [2000]])
    assert len(stored) % 2 == 0  # an even share for two threads
    assert stored.max() <= 300 + 8
    assert stored.min() >= 250 - 8


def test_an_offset_is_taken_off_full_columns_alone(rng):
    X = rng.integers(1, 9, (50, 3)).astype(float)
    X[3, 1] = 0.0
    for form in (sp.csr_array, sp.csc_array):
        design = as_design(form(X)).transformed(np.ones(3), np.array([2.0, 4.0, 8.0]))
        np.testing.assert_array_equal(design.offset, [1.0, 0.0, 1.0])
        expected = (X - [1.0, 0.0, 1.0]) * [2.0, 4.0, 8.0]
        np.testing.assert_array_equal(design.block(0).dense(0, 50), expected)
        assert design.n_entries == 149


@pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix])
def test_sparse_blocks_share_the_memory_of_the_matrix(form, monkeypatch):
    shrink_blocks(monkeypatch)
    X = form(sp.random(600, 8, 0.5, random_state=0))
    design = as_design(X, 1)
    assert len(design.bounds) == 8
    for k in range(len(design.bounds)):
        block = design.block(k)
        for matrix in (block._rows, block._transposed):
            assert np.shares_memory(matrix.data, X.data)
            assert np.shares_memory(matrix.indices, X.indices)


def test_a_fit_of_sparse_data_does_not_copy_it():
    X = sp.random(60_000, 50, 0.3, "csr", random_state=0)
    y = np.where(X @ np.random.default_rng(0).standard_normal(50) > 0.0, 1.0, -1.0)
    GDNPClassifier().fit(X[:100], y[:100])
    tracemalloc.start()
    GDNPClassifier(alpha=1e-4).fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * (X.data.nbytes + X.indices.nbytes)
