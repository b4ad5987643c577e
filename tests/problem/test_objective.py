"""The objective on data against its definition, over losses, storage, weights, intercept and ridge."""

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp.design.base as base
import gdnp.design.dense as dense
import gdnp.objective as objective_module
from gdnp import Objective
from gdnp.design import DenseDesign
from gdnp.losses import LOSSES

N, D = 300, 5


@pytest.fixture
def data(rng):
    X = rng.standard_normal((N, D)) * (rng.random((N, D)) < 0.6) + np.array([0.0, 2.0, 0.0, -1.0, 0.0])
    return X, np.where(rng.random(N) < 0.4, 1.0, -1.0), rng.integers(0, 3, N).astype(float)


def naive(X, y, loss, s, alpha, center, coef, intercept):
    """f as one writes it down."""
    s = s / s.sum()
    eta = (X - s @ X if center else X) @ coef + intercept
    t = -y * eta if loss.task == "classification" else y - eta
    return s @ loss.value(t) + 0.5 * alpha * coef @ coef


def numeric_gradient(f, x, h=1e-6):
    return np.array([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("center", "weighted", "alpha"), [(True, True, 0.3), (False, False, 0.0)])
def test_value_and_derivatives(data, rng, form, loss, center, weighted, alpha):
    X, y, s = data
    s = s if weighted else np.ones(N)
    objective = Objective(
        form(X),
        y,
        loss,
        alpha=alpha,
        center=center,
        fit_intercept=True,
        sample_weight=s if weighted else None,
    )
    coef, d = rng.standard_normal((2, D))

    def f(x):
        return naive(X, y, LOSSES[loss], s, alpha, center, x[:D], x[D])

    x = np.append(coef, 0.4)
    point = objective.at(coef, 0.4)
    expected = numeric_gradient(f, x)
    np.testing.assert_allclose(point.value, f(x), rtol=1e-12)
    np.testing.assert_allclose(np.append(point.gradient, point.intercept_gradient), expected, atol=1e-8)

    line = point.line(d)
    t, c = 0.7, -0.2
    there = x + np.append(t * d, c)
    jet, moved = line.jet(t, c), line.point(t, c)
    across = np.stack([np.append(d, 0.0), np.eye(D + 1)[D]])
    np.testing.assert_allclose([jet.value, moved.value, line.values(t, c)[0]], f(there), rtol=1e-12)
    np.testing.assert_allclose(jet.gradient, across @ numeric_gradient(f, there), atol=1e-8)
    h = 1e-5
    along_t = line.jet(t + h, c).gradient - line.jet(t - h, c).gradient
    along_c = line.jet(t, c + h).gradient - line.jet(t, c - h).gradient
    np.testing.assert_allclose(jet.hessian, np.stack([along_t, along_c]) / (2 * h), atol=1e-7)
    np.testing.assert_allclose(
        moved.gradient, objective.at(there[:D], there[D]).gradient, rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(moved.coef, there[:D])
    assert moved.intercept == pytest.approx(there[D])


@pytest.mark.parametrize("center", [True, False])
def test_moments_of_equation_1(data, center):
    X, y, _ = data
    objective = Objective(X, y, center=center)
    z = X - X.mean(axis=0) if center else X
    np.testing.assert_allclose(objective.u, np.mean(-y[:, None] * z, axis=0), atol=1e-14)
    np.testing.assert_allclose(objective.covariance.S, z.T @ z / N, atol=1e-13)
    regression = Objective(X, 3.0 * y + 1.0, "squared_error", center=center)
    np.testing.assert_allclose(regression.u, -(3.0 * y + 1.0) @ z / N, atol=1e-13)


def test_norm_in_S_is_matrix_free(data, rng):
    """Eq. 7: wᵀSw is the mean square of the centred predictions."""
    X, y, _ = data
    objective = Objective(X, y)
    w = rng.standard_normal(D)
    predictions = -y * objective.origin.line(w).slope
    np.testing.assert_allclose(np.mean(predictions**2), objective.covariance.norm(w) ** 2, rtol=1e-12)
    np.testing.assert_allclose(objective._covariance_product(w), objective.covariance.apply(w), rtol=1e-10)


def test_wide_data_never_forms_S(data, monkeypatch):
    X, y, s = data
    expected = Objective(X, y, sample_weight=s).covariance
    monkeypatch.setattr(objective_module, "LARGEST_GRAM", D - 1)
    objective = Objective(X, y, sample_weight=s)
    v = np.arange(1.0, D + 1)
    assert objective.gram_passes == 0.0
    np.testing.assert_allclose(objective.covariance.apply(v), expected.apply(v), rtol=1e-12)
    np.testing.assert_allclose(objective.covariance.dual_norm(v), expected.dual_norm(v), rtol=1e-6)
    np.testing.assert_allclose(objective.covariance.largest, expected.largest, rtol=1e-3)
    assert objective.cost.passes > 0.0


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_weights_are_repeated_rows(data, rng, loss):
    X, y, s = data
    weighted = Objective(X, y, loss, alpha=0.1, sample_weight=s)
    repeated = Objective(np.repeat(X, s.astype(int), axis=0), np.repeat(y, s.astype(int)), loss, alpha=0.1)
    coef = rng.standard_normal(D)
    a, b = weighted.at(coef), repeated.at(coef)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-12)
    np.testing.assert_allclose(a.gradient, b.gradient, atol=1e-13)
    np.testing.assert_allclose(
        [a.mean_gradient, a.mean_curvature], [b.mean_gradient, b.mean_curvature], rtol=1e-12
    )
    np.testing.assert_allclose(weighted.covariance.S, repeated.covariance.S, atol=1e-13)


def test_float32_is_read_exactly(data, rng):
    X, y, _ = data
    coef = rng.standard_normal(D)
    single = X.astype(np.float32)
    a, b = Objective(single, y).at(coef), Objective(single.astype(np.float64), y).at(coef)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-14)
    np.testing.assert_allclose(a.value, Objective(X, y).at(coef).value, rtol=1e-6)
    np.testing.assert_allclose(a.gradient, b.gradient, rtol=1e-10)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_do_not_change_a_bit(data, rng, monkeypatch, n_jobs):
    monkeypatch.setattr(dense, "BLOCK_FLOATS", 100)
    monkeypatch.setattr(base, "SERIAL_WORK", 1.0)
    monkeypatch.setattr(base, "ROWS", 64)
    X, y, s = data
    coef = rng.standard_normal(D)
    one, many = (Objective(X, y, sample_weight=s, n_jobs=jobs) for jobs in (1, n_jobs))
    a, b = one.at(coef), many.at(coef)
    assert (a.value, a.mean_curvature) == (b.value, b.mean_curvature)
    assert a.gradient.tobytes() == b.gradient.tobytes()
    assert one.covariance.S.tobytes() == many.covariance.S.tobytes()
    assert a.line(coef).jet(0.5).hessian.tobytes() == b.line(coef).jet(0.5).hessian.tobytes()


def test_columns_far_from_zero_are_centred_before_products(rng):
    """Offsets of 1e3 beside scales of 1e-8: predictions keep ten digits more than Xw - E[x]w has."""
    Z = rng.integers(-100, 100, (N, 3)).astype(float)
    Z -= Z.mean(axis=0)
    y = np.where(rng.random(N) < 0.5, 1.0, -1.0)
    scale = np.array([2.0**-27, 1.0, 1.0])
    X = Z * scale + np.array([1024.0, 0.0, 7.0])
    coef = rng.standard_normal(3)
    objective = Objective(X, y)
    assert isinstance(objective.design, DenseDesign)
    np.testing.assert_allclose(objective.at(coef / scale).value, Objective(Z, y).at(coef).value, rtol=1e-7)
    np.testing.assert_allclose(objective.column_mean, X.mean(axis=0), rtol=1e-12, atol=1e-13)
    naive_eta = X @ (coef / scale) - X.mean(axis=0) @ (coef / scale)
    assert np.abs(naive_eta - Z @ coef).max() > 1e-6


def test_raw_intercept_predicts_on_raw_columns(data, rng):
    X, y, _ = data
    objective = Objective(X, y, fit_intercept=True)
    coef = rng.standard_normal(D)
    t = objective.at(coef, 0.3).margins
    np.testing.assert_allclose(-y * (X @ coef + objective.raw_intercept(coef, 0.3)), t, atol=1e-12)


def test_passes_are_charged_where_X_is_read(data):
    X, y, _ = data
    objective = Objective(X, y)
    start = objective.cost.passes
    assert start == 0.0
    point = objective.at(np.ones(D))
    assert (point.value, point.gradient is not None, objective.cost.passes) == (point.value, True, 1.0)
    line = point.line(np.ones(D))
    line.jet(0.5)
    moved = line.point(0.5)
    assert (moved.value, objective.cost.passes) == (moved.value, 1.5)
    assert moved.gradient.shape == (D,)
    assert objective.cost.passes == 2.0
    with objective.cost.free():
        objective.at(np.ones(D))
    assert objective.cost.passes == 2.0
    assert objective.gram_passes == D / 2


def test_separation(rng):
    X = rng.standard_normal((60, 2))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    objective = Objective(X, y, center=False)
    assert objective.at(np.array([1.0, 0.0])).separates
    assert not objective.at(np.array([-1.0, 0.0])).separates
    assert not objective.origin.separates
    flipped = y.copy()
    flipped[0] *= -1.0
    s = np.ones(60)
    s[0] = 0.0
    assert not Objective(X, flipped, center=False).at(np.array([1.0, 0.0])).separates
    assert Objective(X, flipped, center=False, sample_weight=s).at(np.array([1.0, 0.0])).separates


X_OK, Y_OK = np.arange(8.0).reshape(4, 2), np.array([1.0, -1.0, 1.0, -1.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": Y_OK[:3]}, r"y must have one entry per row of X, shape \(4,\). Got shape \(3,\)"),
        ({"y": Y_OK[:, None]}, r"Got shape \(4, 1\)"),
        ({"y": [1.0, np.nan, 1.0, -1.0]}, "y must be finite"),
        ({"y": ["a", "b", "a", "b"]}, "y must hold numbers. Got dtype <U1"),
        ({"y": [0, 1, 0, 1]}, r"-1 or \+1 for log_loss. Got 0, 1; map"),
        ({"y": np.ones(4)}, "rows of both classes for log_loss. Got 1 alone"),
        ({"sample_weight": [1.0, 0.0, 2.0, 0.0]}, "rows of both classes"),
        ({"sample_weight": [1.0, -1.0, 1.0, 1.0]}, "non-negative with a positive sum. Got minimum -1"),
        ({"sample_weight": np.zeros(4)}, "positive sum"),
        ({"sample_weight": np.ones(3)}, r"one entry per row, \(4,\). Got shape \(3,\)"),
        ({"alpha": -1.0}, "alpha must be finite and non-negative. Got -1.0"),
        ({"alpha": np.nan}, "Got nan"),
        ({"loss": "logistic"}, "loss must be one of"),
        ({"X": np.array([[1.0, np.inf]] * 4)}, r"NaN or infinity in 1 column\(s\), the first being \[1\]"),
        ({"X": np.arange(4.0)}, "two dimensions"),
    ],
)
def test_bad_input_is_one_sentence(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Objective(**{"X": X_OK, "y": Y_OK, **arguments})
    assert "\n" not in str(caught.value)


def test_coef_of_the_wrong_length():
    with pytest.raises(ValueError, match=r"one entry per column of X, 2. Got \(3,\)"):
        Objective(X_OK, Y_OK).at(np.ones(3))
