"""Moments against exact arithmetic, on columns that break uncentred sums, and as a commutative monoid."""

import io
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.dense as dense
import gdnp.design.sparse as sparse
from gdnp.design import as_design, source
from gdnp.moments import SUMS, Moments
from gdnp.problem import Objective


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
    for name in (*SUMS, "scale"):
        got, expected = getattr(a, name), getattr(b, name)
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


def test_saved_moments_are_the_same_and_sum_as_those_of_all_rows(rng, tmp_path):
    """Through a file and through bytes, of a table: names come along, and other columns are refused."""
    pa = pytest.importorskip("pyarrow")
    X, s = rng.standard_normal((300, 2)) * [1.0, 1e160], rng.random(300)
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "y": X[:, 0] > 0.0, "s": s})
    found = Moments.of(source(table, y="y", weight="s"))
    assert_moments_close(found, Moments.of(as_design(X), (X[:, 0] > 0.0).astype(float), s))
    found.save(tmp_path / "m.npz")
    opened = io.BytesIO()
    found.save(opened)
    opened.seek(0)
    for again in (Moments.load(tmp_path / "m.npz"), Moments.load(opened)):
        for name in (*SUMS, "scale", "names"):
            assert np.array_equal(getattr(again, name), getattr(found, name))
            assert type(getattr(again, name)) is type(getattr(found, name))
    assert found.names == ("a", "b")
    with pytest.raises(ValueError, match=r"same columns in their order, a, b. Got b, a"):
        again + Moments.of(source(table, y="y", weight="s", columns=["b", "a"]))
    with pytest.raises(ValueError, match="weights must be non-negative"):
        Moments.of(source(table, y="y", weight="a", columns=["b"]))


@pytest.mark.parametrize("size", [0, 1, 700, -5])
def test_a_file_that_is_not_whole_is_refused(data, tmp_path, size):
    Moments.of(as_design(data[0]), data[1]).save(tmp_path / "m.npz")
    whole = (tmp_path / "m.npz").read_bytes()
    (tmp_path / "m.npz").write_bytes(whole[:size])
    with pytest.raises(ValueError, match=r"m.npz must hold moments that were saved whole"):
        Moments.load(tmp_path / "m.npz")
    np.savez(tmp_path / "m.npz", weight=1.0, S=np.eye(2), U=np.ones((3, 1)))
    with pytest.raises(ValueError, match=r"m.npz must hold moments that were saved whole"):
        Moments.load(tmp_path / "m.npz")


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_least_squares_are_those_of_the_rows(rng, alpha, fit_intercept):
    X = rng.standard_normal((200, 3)) * [1.0, 1e-3, 50.0] + [0.0, 1.0, 20.0]
    X, Y = np.column_stack([X, X[:, 0] - 2.0 * X[:, 2]]), X @ rng.standard_normal((3, 2)) + 3.0
    s = rng.random(200)
    W, b = Moments.of(as_design(X), Y, s).least_squares(alpha, fit_intercept=fit_intercept)
    A, p = np.column_stack([X, np.full(200, fit_intercept)]), s / s.sum()
    ridge = np.diag([alpha] * 4 + [0.0])
    expected = np.linalg.pinv(A.T @ (A * p[:, None]) + ridge, 1e-13) @ (A.T @ (Y * p[:, None]))
    fitted = X @ W.T + b
    np.testing.assert_allclose(fitted, A @ expected, rtol=1e-6)
    if alpha:
        np.testing.assert_allclose(W, expected[:4].T, rtol=1e-6)
    else:  # of those that fit as well the least
        assert np.linalg.norm(W) <= (1.0 + 1e-8) * np.linalg.norm(np.linalg.lstsq(X, X @ W.T, 1e-10)[0])
    one = Moments.of(as_design(X), Y[:, 1], s).least_squares(alpha, fit_intercept=fit_intercept)
    np.testing.assert_allclose(one[0], W[1], rtol=1e-9)
    assert isinstance(one[1], float)


def test_the_direction_is_that_of_the_paper(rng):
    X = rng.standard_normal((500, 3)) * [1.0, 1e-3, 30.0]
    y = np.where(X @ [1.0, -500.0, 0.01] + rng.logistic(size=500) > 0.0, 1.0, -1.0)
    objective, found = Objective(X, y, "log_loss", fit_intercept=True), Moments.of(as_design(X), y)
    w = found.direction()
    expected = -objective.covariance.solve(objective.u)
    np.testing.assert_allclose(w, expected / objective.covariance.norm(expected), rtol=1e-9)
    other = Moments.of(as_design(X), np.column_stack([y > 0.0, np.ones(500)]).astype(float)).direction()
    np.testing.assert_allclose(other, [w, np.zeros(3)], rtol=1e-9)


def test_what_least_squares_need_is_said(data):
    X, Y, _ = data
    for moments in (Moments.of(as_design(X)), Moments.of(as_design(X), Y, second="diagonal")):
        with pytest.raises(ValueError, match=r"least squares need the moments of a target.*Got S \(4,"):
            moments.least_squares()
    with pytest.raises(ValueError, match="alpha must be finite and non-negative"):
        Moments.of(as_design(X), Y).least_squares(-1.0)
