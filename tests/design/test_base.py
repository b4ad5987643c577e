"""What any design offers beside its verbs, and which one is taken for X."""

import numpy as np
import pytest
import scipy.sparse as sp

from designs import BACKENDS, shrink_blocks, whole_numbers
from gdnp.design import Choice, DenseDesign, SparseDesign, as_design
from gdnp.design.block import Affine
from gdnp.design.threads import available_cores


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8, np.uint8, np.int64, bool])
def test_other_dtypes_are_read_in_float64_and_stored_as_they_are(rng, dtype):
    X = (rng.standard_normal((50, 3)) * 3).astype(dtype)
    design = as_design(X)
    w, out = rng.standard_normal(3), np.empty(50)
    assert design.map("margins", Affine(w), reads=(None, None), writes=(out,)) == []
    np.testing.assert_allclose(out, X.astype(np.float64) @ w, rtol=1e-14)
    assert design._X is X


def test_entries_in_two_parts_are_one_number():
    X = sp.coo_array(([1.0, 2.0, 5.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    for form in (X, sp.csr_array(([1.0, 2.0, 5.0], [1, 1, 0], [0, 2, 3]), shape=(2, 2))):
        design = as_design(form)
        np.testing.assert_array_equal(design.map("diagonal", reads=(None,))[2], [25.0, 9.0])


def test_n_jobs_as_in_joblib():
    X = np.ones((2, 2))
    assert as_design(X).n_jobs == available_cores()
    assert as_design(X, -1).n_jobs == available_cores()
    assert as_design(X, -10_000).n_jobs == 1
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


@pytest.mark.parametrize(
    "kind", [lambda: DenseDesign(np.ones((2, 2))), lambda: SparseDesign(sp.eye_array(2).tocsr())]
)
def test_a_design_passes_through(kind):
    design = kind()
    assert as_design(design) is design


@pytest.mark.parametrize("backend", BACKENDS)
def test_columns_are_those_of_the_design(rng, backend):
    index = np.array([2, 5, 0])
    offset = np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0])
    factor = np.array([1.0, 2.0, 4.0, 1.0, 0.5, 1.0])
    plain = BACKENDS[backend](whole_numbers(rng))
    for design in (plain, plain.transformed(offset, factor)):
        few = design.columns(index)
        v = np.array([1.0, -2.0, 0.5])
        whole = np.zeros(6)
        whole[index] = v
        product, total = few.map("product", Affine(v), reads=(None,))
        expected, of_all = design.map("product", Affine(whole), reads=(None,))
        assert total == pytest.approx(of_all)
        np.testing.assert_allclose(product, expected[index])
        np.testing.assert_array_equal(few.offset, design.offset[index])
        np.testing.assert_array_equal(few.factor, design.factor[index])


@pytest.mark.parametrize("backend", BACKENDS)
def test_gathered_rows_keep_the_transformation(rng, backend, monkeypatch):
    shrink_blocks(monkeypatch)
    X = whole_numbers(rng)
    offset, factor = np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0]), np.array([1.0, 2.0, 4.0, 1.0, 0.5, 1.0])
    design = BACKENDS[backend](X, 1).transformed(offset, factor)
    index = np.array([699, 3, 3, 250])  # in any order, some twice
    few = design.gather(Choice(index, 4))
    np.testing.assert_array_equal(few.block(0).dense(0, 4), ((X - offset) * factor)[index])
    np.testing.assert_array_equal(few.offset, offset)
    np.testing.assert_array_equal(few.factor, factor)
    assert few.rows.n == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_design_says_it_costs(rng, backend):
    """Times are positive, a reading in memory is a pass, and entries are those stored."""
    X = whole_numbers(rng)
    design = BACKENDS[backend](X)
    assert design.read_cost == 1.0
    assert design.n_entries == (np.count_nonzero(X) if isinstance(design, SparseDesign) else X.size)
    for cost in (design.gram_passes, design.gram_work, design.column_work, design.kernel_work):
        assert 0.0 < cost < np.inf
    assert design.rows.n == 700
