"""Every design is the same X: reductions against plain NumPy, on any dtype, order, format and thread."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.base as base
import gdnp.design.dense as dense
import gdnp.design.sparse as sparse
from gdnp import GDNPClassifier
from gdnp.design import DESIGNS, DenseDesign, SparseDesign, as_design
from gdnp.design.threads import available_cores, single_threaded_blas


@pytest.fixture
def X(rng):
    X = rng.standard_normal((700, 6)) * (rng.random((700, 6)) < 0.4)
    X[:, 2] += 5.0  # a column without zeros
    X[:, 5] = 0.0
    return X


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 400)
    monkeypatch.setattr(sparse, "BLOCK_ENTRIES", 300)
    monkeypatch.setattr(sparse, "DENSE_ROWS_FLOATS", 100)
    monkeypatch.setattr(base, "SERIAL_WORK", 1.0)
    monkeypatch.setattr(base, "ROWS", 50)


def int64_csr(X):
    X = sp.csr_array(X)
    return sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)


FORMS = {
    "c_order": np.ascontiguousarray,
    "fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "read_only": lambda X: np.lib.stride_tricks.as_strided(X, writeable=False),
    "csr": sp.csr_array,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "csr_matrix": sp.csr_matrix,
    "int64_indices": int64_csr,
}


@pytest.mark.parametrize("n_jobs", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("small_blocks")
def test_reductions_equal_numpy(X, rng, form, n_jobs):
    design = as_design(FORMS[form](X), n_jobs)
    w, r, h = rng.standard_normal(6), rng.standard_normal(700), rng.standard_normal(700)
    out = np.empty(700)

    def kernel(block, r, h, out):
        out[:] = block.dot(w)
        return [block.tdot(r), block.gram(h), block.gram(h**2), float(r.sum())]

    products = design.reduce(kernel, r, h, out)
    np.testing.assert_allclose(out, X @ w, rtol=1e-12)
    for got, expected in zip(
        products, [X.T @ r, X.T @ (X * h[:, None]), X.T @ (X * h[:, None] ** 2), r.sum()], strict=True
    ):
        np.testing.assert_allclose(got, expected, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("small_blocks")
def test_rows_of_a_block_as_an_array(X, form):
    design = as_design(FORMS[form](X))
    for k, (low, high) in enumerate(design.bounds):
        np.testing.assert_array_equal(design.block(k).dense(1, high - low), X[low + 1 : high])


@pytest.mark.parametrize("form", ["c_order", "csr"])
@pytest.mark.usefixtures("small_blocks")
def test_sums_do_not_depend_on_threads(X, rng, form):
    r = rng.standard_normal(700)

    def sums(n_jobs):
        design = as_design(FORMS[form](X), n_jobs)
        rows = design.reduce_rows(lambda r: [float(np.exp(r).sum())], r)
        return design.reduce(lambda block, r: [block.tdot(r)], r)[0].tobytes(), rows

    assert sums(1) == sums(2) == sums(5)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8, np.int64, bool])
def test_other_dtypes_are_read_in_float64_and_stored_as_they_are(rng, dtype):
    X = (rng.standard_normal((50, 3)) * 3).astype(dtype)
    design = as_design(X)
    w = rng.standard_normal(3)
    out = np.empty(50)
    design.reduce(lambda block, out: [np.copyto(out, block.dot(w))][:0], out)
    np.testing.assert_allclose(out, X.astype(np.float64) @ w, rtol=1e-14)
    assert design._X is X


@pytest.mark.parametrize("density", [0.02, 0.6])
def test_both_sparse_gram_methods_agree(rng, density):
    X = sp.random_array((400, 30), density=density, rng=rng, format="csr")
    h = rng.random(400)
    block = SparseDesign(X).block(0)
    assert block._sparse_product_is_cheaper == (density < 0.1)
    full = X.toarray()
    np.testing.assert_allclose(block.gram(h), full.T @ (full * h[:, None]), atol=1e-12)


def test_offset_is_taken_off_entries(rng):
    X = 1e6 + 1e-6 * rng.integers(-100, 100, (300, 2))
    shifted = DenseDesign(X).shifted(X.mean(axis=0))
    np.testing.assert_array_equal(shifted.block(0).values, X - X.mean(axis=0))
    np.testing.assert_array_equal(shifted.offset, X.mean(axis=0))


def test_gram_cost_in_passes():
    assert DenseDesign(np.ones((10, 8))).gram_passes == 4.0
    X = sp.csr_array(np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]))
    for form in (X, X.tocsc()):
        assert SparseDesign(form).gram_passes == (4 + 1) / (2 * 3)


def test_a_row_may_be_longer_than_a_block():
    X = np.zeros((3, dense.BLOCK_FLOATS + 1), dtype=np.float32)
    X[:, -1] = 1.0, 2.0, 3.0
    assert DenseDesign(X).bounds == [(0, 3)]
    model = GDNPClassifier(alpha=0.1).fit(X, [0, 0, 1])
    assert model.certificate_.proved
    assert model.coef_[0, -1] > 0.0


def test_empty_sparse_matrix_is_one_block():
    design = SparseDesign(sp.csr_array((5, 2)))
    assert design.reduce(lambda block: [block.tdot(np.ones(block._rows.shape[0]))])[0].tolist() == [0.0, 0.0]


def test_blas_limit_is_reentrant_and_restored():
    from threadpoolctl import threadpool_info

    def threads():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = threads()
    with single_threaded_blas(), single_threaded_blas():
        assert set(threads()) == {1}
    assert threads() == before


def test_n_jobs_as_in_joblib():
    X = np.ones((2, 2))
    assert as_design(X).n_jobs == available_cores()
    assert as_design(X, -1).n_jobs == available_cores()
    assert as_design(X, 3).n_jobs == 3
    with pytest.raises(ValueError, match=r"n_jobs must be .* Got 0"):
        as_design(X, 0)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones(3), r"two dimensions.*Got shape \(3,\)"),
        (np.ones((0, 3)), r"at least one row and one column. Got shape \(0, 3\)"),
        (np.ones((3, 0)), r"at least one row and one column"),
        (np.array([["a", "b"]]), r"real numbers. Got dtype <U1"),
        (np.ones((2, 2), dtype=complex), r"real numbers. Got dtype complex128"),
        (np.array([[1, None]], dtype=object), r"real numbers. Got dtype object"),
    ],
)
def test_what_is_no_design_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        as_design(X)


def test_a_design_passes_through():
    design = DESIGNS["dense"](np.ones((2, 2)))
    assert as_design(design) is design


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.usefixtures("small_blocks")
def test_reductions_over_chosen_rows_equal_numpy(X, rng, form, n_jobs):
    design = as_design(FORMS[form](X), n_jobs)
    index = np.sort(rng.integers(0, 700, 320))
    c = rng.random(320)
    total, first, scatter = design.reduce_chosen(
        lambda block, c: [float(c.sum()), block.tdot(c), block.gram(c, np.ones(6))], index, c
    )
    rows = X[index]
    assert total == pytest.approx(c.sum())
    np.testing.assert_allclose(first, rows.T @ c, atol=1e-10)
    np.testing.assert_allclose(scatter, (rows - 1.0).T @ ((rows - 1.0) * c[:, None]), atol=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_columns_are_those_of_the_design(X, form):
    index = np.array([2, 5, 0])
    offset = np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0])
    factor = np.array([1.0, 2.0, 4.0, 1.0, 0.5, 1.0])
    for design in (as_design(FORMS[form](X)), as_design(FORMS[form](X)).transformed(offset, factor)):
        few = design.columns(index)
        v = np.array([1.0, -2.0, 0.5])
        whole = np.zeros(6)
        whole[index] = v
        product = [
            d.reduce(lambda block, w=w: [block.dot(w).sum()])[0] for d, w in ((few, v), (design, whole))
        ]
        assert product[0] == pytest.approx(product[1])
        np.testing.assert_array_equal(few.offset, design.offset[index])
        np.testing.assert_array_equal(few.factor, design.factor[index])


def test_lanes_of_several_blocks_add_up(rng, monkeypatch):
    """More blocks than partial sums, so that some are added up before they are merged."""
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 128)
    X, r = rng.standard_normal((5000, 2)), rng.standard_normal(5000)
    design = as_design(X, 2)
    assert len(design.bounds) > 2 * base.LANES
    found = design.reduce(lambda block, part: [block.tdot(part)], r)[0]
    np.testing.assert_allclose(found, X.T @ r, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gram_of_many_columns_is_added_up_from_larger_blocks(rng, small_blocks, dtype):
    X, weight = rng.standard_normal((1000, 80)).astype(dtype), rng.uniform(-1.0, 1.0, 1000)
    centre, factor = rng.standard_normal(80), 2.0 ** rng.integers(-2, 3, 80)
    design = as_design(X).transformed(X[0].astype(float), factor)
    coarse = design.in_blocks_for(400 * 80)
    assert len(coarse.bounds) == 6  # 200 rows in each would do with five; an even number of 167
    assert coarse.bounds[-1] == (835, 1000)
    assert len(design.bounds) > 2 * len(coarse.bounds)
    assert design.in_blocks_for(80) is design
    grams = []
    for jobs in 1, 2:
        design.n_jobs = jobs
        grams.append(design.reduce(lambda b, w: [b.gram(w, centre)], weight, partial_size=400 * 80)[0])
    np.testing.assert_array_equal(*grams)
    Z = (X - X[0].astype(float)) * factor - centre
    np.testing.assert_allclose(grams[0], Z.T @ (weight[:, None] * Z), rtol=1e-9, atol=1e-8)
    index = np.sort(rng.integers(0, 1000, 700))
    chosen = design.reduce_chosen(
        lambda b, w: [b.gram(w, centre)], index, weight[:700], partial_size=400 * 80
    )[0]
    Z = Z[index]
    np.testing.assert_allclose(chosen, Z.T @ (weight[:700, None] * Z), rtol=1e-9, atol=1e-8)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.csc_array])
def test_sparse_blocks_share_the_memory_of_the_matrix(rng, small_blocks, form):
    X = form(sp.random(600, 8, 0.5, random_state=0))
    design = as_design(X, 1)
    assert len(design.bounds) == (1 if X.format == "csc" else 8)
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
