"""Moments against exact arithmetic, on columns that break uncentred sums, and as a commutative monoid."""

from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.dense as dense
import gdnp.design.sparse as sparse
from gdnp.design import as_design
from gdnp.moments import Moments


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 256)
    monkeypatch.setattr(sparse, "BLOCK_ENTRIES", 100)


@pytest.fixture
def data(rng):
    X = rng.standard_normal((500, 4)) * (rng.random((500, 4)) < 0.5) + np.array([0.0, 0.0, 3.0, 0.0])
    return X, rng.standard_normal((500, 2)), rng.integers(0, 4, 500).astype(float)


def assert_moments_close(a, b, rtol=1e-12):
    b = b.rescaled(a.scale)
    for field in fields(Moments):
        got, expected = getattr(a, field.name), getattr(b, field.name)
        np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * (1 + np.abs(expected).max()))


def reference(X, Y, s):
    p = s / s.sum()
    mean, mean_y = p @ X, p @ Y
    Xc, Yc = X - mean, Y - mean_y
    S, U = Xc.T @ (Xc * p[:, None]), Xc.T @ (Yc * p[:, None])
    return Moments(s.sum(), mean, S, U, mean_y, p @ Yc**2, np.ones(X.shape[1]))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_numpy(data, form, weighted):
    X, Y, s = data
    found = Moments.of(as_design(form(X)), Y, s if weighted else None)
    assert_moments_close(found, reference(X, Y, s if weighted else np.ones(500)))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_diagonal_alone(data, form):
    X, Y, s = data
    design = as_design(form(X))
    full, diagonal = Moments.of(design, Y, s), Moments.of(design, Y, s, second="diagonal")
    np.testing.assert_allclose(diagonal.S, np.diagonal(full.S), rtol=1e-12)
    np.testing.assert_allclose(diagonal.U, full.U, atol=1e-14)
    np.testing.assert_allclose(diagonal.second_moment(), np.diagonal(full.second_moment()), rtol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_small_variance_far_from_zero(form):
    """An offset of 1e3, a scale of 1e-8: an uncentred sum has no correct digit, often not even the sign."""
    steps = np.tile([-1.0, 0.0, 2.0, 1.0], 100)
    column = 1e3 + 1e-8 * steps
    exact = [Fraction(float(x)) for x in column]
    mean = sum(exact) / len(exact)
    variance = float(sum((x - mean) ** 2 for x in exact) / len(exact))
    found = Moments.of(as_design(form(column[:, None])), steps)
    np.testing.assert_allclose(found.S[0, 0], variance, rtol=1e-5)
    uncentred = np.mean(column**2) - np.mean(column) ** 2
    assert uncentred < 0.0 or uncentred > 10.0 * variance


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_extreme_columns_have_squares(rng, form):
    X = rng.standard_normal((200, 4))
    scales = np.array([1e150, 1e-160, 1.0, 0.0])
    found = Moments.of(as_design(form(X * scales)), X[:, 0])
    unit = Moments.of(as_design(form(X * (scales != 0.0))), X[:, 0])
    np.testing.assert_array_equal(np.log2(found.scale) % 1.0, 0.0)
    sd, unit_sd = np.sqrt(found.variance), np.sqrt(unit.variance)
    np.testing.assert_allclose(sd / found.scale, unit_sd * scales, rtol=1e-12)
    correlation = found.S[:3, :3] / np.outer(sd[:3], sd[:3])
    np.testing.assert_allclose(correlation, unit.S[:3, :3] / np.outer(unit_sd[:3], unit_sd[:3]), rtol=1e-10)


@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, sp.csr_array])
@pytest.mark.parametrize("constant", [0.1, 1.0 / 3.0, np.pi, 1000.1, 1e9 / 3.0])
@pytest.mark.parametrize("n", [7, 569, 5000])
@pytest.mark.parametrize("weighted", [False, True])
def test_constant_columns_have_no_variance_at_all(rng, monkeypatch, weighted, n, constant, form):
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 1 << 18)
    X = np.column_stack([np.full(n, constant), rng.standard_normal((n, 2))])
    s = rng.random(n) if weighted else None
    found = Moments.of(as_design(form(X)), X[:, 1], s)
    assert found.mean[0] == constant
    np.testing.assert_array_equal(found.S[0], 0.0)
    np.testing.assert_array_equal(found.U[0], 0.0)
    assert (found.variance[1:] > 0.0).all()


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("constant", [0.0, 1.0 / 3.0, 1e9 / 3.0])
def test_columns_that_are_constant_where_rows_count_have_no_variance(rng, form, constant):
    """Rows of weight 0 come first, last and between, and hold a zero that sparse X leaves out."""
    X = np.column_stack([np.full(300, constant), rng.standard_normal(300)])
    s = rng.random(300)
    for k, value in ((0, 5.0), (17, 0.0), (299, -2.0)):
        X[k, 0], s[k] = value, 0.0
    found = Moments.of(as_design(form(X)), X[:, 1], s)
    assert found.mean[0] == constant
    assert found.S[0, 0] == 0.0
    assert_moments_close(found, Moments.of(as_design(X[s > 0.0]), X[s > 0.0, 1], s[s > 0.0]))


def test_additive_in_any_split(data):
    X, Y, s = data
    whole = Moments.of(as_design(X), Y, s)
    for cut in (1, 137, 499):
        a = Moments.of(as_design(X[:cut]), Y[:cut], s[:cut] + 1e-3)
        b = Moments.of(as_design(X[cut:]), Y[cut:], s[cut:] + 1e-3)
        assert_moments_close(a + b, Moments.of(as_design(X), Y, s + 1e-3))
        assert_moments_close(a + b, b + a)
    a = Moments.of(as_design(X[:137]), Y[:137], s[:137])
    assert_moments_close(whole - a, Moments.of(as_design(X[137:]), Y[137:], s[137:]), rtol=1e-10)


def test_parts_of_different_scale_add(rng):
    X = rng.standard_normal((60, 2))
    big = Moments.of(as_design(X * [1e155, 1.0]), X[:, 0])
    small = Moments.of(as_design(X * [1e100, 1.0]), X[:, 0])
    assert big.scale[0] != small.scale[0]
    total = big + small
    assert np.isfinite(total.S).all()
    np.testing.assert_allclose(total.mean[0] / total.scale[0], 0.5 * X[:, 0].mean() * 1e155, rtol=1e-10)


def test_weights_are_repeated_rows(data):
    X, Y, s = data
    counts = s.astype(int)
    assert_moments_close(
        Moments.of(as_design(X), Y, s),
        Moments.of(as_design(np.repeat(X, counts, axis=0)), np.repeat(Y, counts, axis=0)),
    )


def test_taking_away_what_was_not_there_is_refused(data):
    X, Y, _ = data
    whole = Moments.of(as_design(X), Y)
    with pytest.raises(ValueError, match=r"must be positive semidefinite. Got an eigenvalue of -"):
        whole - Moments.of(as_design(10.0 * X[:200]), Y[:200])
    with pytest.raises(ValueError, match=r"must weigh less than the whole, 500. Got 500"):
        whole - whole
    with pytest.raises(ValueError, match="same columns and targets"):
        whole + Moments.of(as_design(X[:, :2]), Y)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_not_finite_is_refused_naming_the_column(data, form, bad):
    X, Y, _ = data
    X[77, 1] = bad
    with pytest.raises(
        ValueError, match=r"X must be finite. Got NaN or infinity in 1 column\(s\), the first being \[1\]"
    ):
        Moments.of(as_design(form(X)), Y)
