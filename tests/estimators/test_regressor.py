"""Regression: exact solutions, and targets that have no squares."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, LinearRegression

from gdnp import GDNPRegressor
from gdnp.losses import LOSSES, Huber, PseudoHuber
from gdnp.solvers import Status
from problems import draw


@pytest.mark.parametrize("solver", ["gdnp_metric", "newton"])
def test_regressor_solvers_agree(rng, solver):
    X, y = draw(rng, loss=LOSSES["squared_error"])
    model = GDNPRegressor(alpha=1e-3, solver=solver).fit(X, y)
    exact = np.linalg.solve(
        np.cov(X.T, bias=True) + 1e-3 * np.eye(8), (X - X.mean(0)).T @ (y - y.mean()) / len(y)
    )
    np.testing.assert_allclose(model.coef_, exact, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_predictions_are_those_of_the_coefficients(rng, loss):
    X, y = draw(rng, loss=LOSSES[loss])
    model = GDNPRegressor(loss).fit(X, y)
    np.testing.assert_allclose(model.predict(X), X @ model.coef_ + model.intercept_, rtol=1e-12)
    assert model.coef_.shape == (8,)
    assert np.ndim(model.intercept_) == 0
    shifted = GDNPRegressor(loss).fit(X, y + 100.0)  # an intercept follows the targets
    np.testing.assert_allclose(shifted.coef_, model.coef_, rtol=1e-3, atol=1e-5)
    assert shifted.intercept_ - model.intercept_ == pytest.approx(100.0, abs=1e-2)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_several_targets_are_as_many_fits(rng, loss, fit_intercept):
    """In the shapes of ``LinearRegression``, one column included."""
    X, y = draw(rng, loss=LOSSES[loss])
    Y, s = np.column_stack([y, y**2 - 3.0, -y]), rng.random(len(y))
    options = {"alpha": 1e-3, "fit_intercept": fit_intercept}
    model = GDNPRegressor(loss, **options).fit(X, Y, sample_weight=s)
    for k in range(3):
        single = GDNPRegressor(loss, **options).fit(X, Y[:, k], sample_weight=s)
        np.testing.assert_allclose(model.coef_[k], single.coef_, rtol=1e-10)
        np.testing.assert_allclose(model.predict(X)[:, k], single.predict(X), rtol=1e-10)
        assert model.certificate_[k].objective == pytest.approx(single.certificate_.objective, rel=1e-12)
    assert set(model.history_["target"]) == {0, 1, 2}
    one = GDNPRegressor(loss, **options).fit(X, Y[:, :1])
    peer = LinearRegression().fit(X, Y[:, :1])
    for ours, theirs in ((one.coef_, peer.coef_), (one.intercept_, peer.intercept_)):
        assert ours.shape == theirs.shape
    assert one.predict(X).shape == peer.predict(X).shape == (len(X), 1)


def test_the_message_of_several_targets_counts_them(rng):
    X, y = draw(rng, loss=LOSSES["pseudo_huber"])
    with pytest.warns(ConvergenceWarning, match=r"for 2 of 2 targets .*raise max_iter"):
        GDNPRegressor("pseudo_huber", max_iter=1).fit(X, np.column_stack([y, y + X[:, 0] ** 2]))


def test_each_of_several_targets_has_the_digits_of_its_own_fit(rng):
    """Without a ridge, also where their units are far apart, of few rows and of many."""
    for n in (40, 3000):
        X = np.vander(np.linspace(1.0, 3.0, n), 7)[:, :-1]
        Y = np.column_stack((1e8 * rng.standard_normal(n), 1e-3 * np.sin(5.0 * X[:, -1]), X @ np.ones(6)))
        both = GDNPRegressor(alpha=0.0).fit(X, Y)
        for k in range(3):
            single = GDNPRegressor(alpha=0.0).fit(X, Y[:, k])
            np.testing.assert_allclose(both.coef_[k], single.coef_, rtol=1e-15 if n == 40 else 1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_an_automatic_delta_takes_rounding_for_nothing(rng, unit):
    X = rng.standard_normal((80, 3)) + 100.0
    y = unit * (X @ [1.0, -2.0, 3.0] + 5.0)
    model = GDNPRegressor("huber", delta="auto", alpha=0.0).fit(X, y)
    assert model.delta_ == pytest.approx(1.345 * y.std())
    np.testing.assert_allclose(model.coef_, unit * np.array([1.0, -2.0, 3.0]), rtol=1e-6)
    y[:8] += unit * rng.standard_normal(8)
    model.fit(X, y)
    assert 1e-3 * unit < model.delta_ < unit
    assert model.certificate_.status is Status.CONVERGED


def test_regressor_has_no_class_weight(rng):
    X, y = draw(rng)
    with pytest.raises(ValueError, match="class_weight must be None"):
        GDNPRegressor(class_weight="balanced").fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_targets_without_a_finite_square_are_refused(loss):
    X = np.arange(8.0).reshape(-1, 1)
    with pytest.raises(ValueError, match=r"y must be 0 or from 1e-150 to 1e\+150 in size.* Got 7e\+200"):
        GDNPRegressor(loss).fit(X, X[:, 0] * 1e200)


# δ


def skewed(rng, n=400, unit=1.0):
    X = rng.standard_normal((n, 3))
    return X, unit * (X @ [1.0, -2.0, 0.5] + np.exp(rng.standard_normal(n)))


@pytest.mark.parametrize("name", ["huber", "pseudo_huber"])
def test_delta_is_that_of_the_loss(rng, name):
    X, y = skewed(rng)
    kind = {"huber": Huber, "pseudo_huber": PseudoHuber}[name]
    model = GDNPRegressor(name, delta=0.3).fit(X, y)
    np.testing.assert_array_equal(model.coef_, GDNPRegressor(kind(0.3)).fit(X, y).coef_)
    assert model.delta_ == 0.3
    assert clone(model).get_params()["delta"] == 0.3
    own = GDNPRegressor(kind(0.7), delta=0.3).fit(X, y)  # a loss of one's own brings its own
    assert own.delta_ == 0.7
    assert not hasattr(GDNPRegressor(delta=0.3).fit(X, y), "delta_")


@pytest.mark.parametrize("name", ["huber", "pseudo_huber"])
@pytest.mark.parametrize("unit", [1e-9, 1.0, 3e7])
def test_an_automatic_delta_is_in_the_units_of_the_targets(rng, name, unit):
    X, y = skewed(rng)
    model = GDNPRegressor(name, delta="auto", alpha=0.0).fit(X, unit * y)
    squares = GDNPRegressor(alpha=0.0).fit(X, y)
    residuals = np.sort(y - squares.predict(X))
    size = np.sort(np.abs(residuals - residuals[199]))
    assert model.delta_ == pytest.approx(1.345 * 1.4826 * unit * size[199], rel=1e-6)
    one = GDNPRegressor(name, delta="auto", alpha=0.0).fit(X, y)
    np.testing.assert_allclose(model.coef_, unit * one.coef_, rtol=1e-6)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_an_automatic_delta_takes_a_weight_of_two_for_a_row_twice(rng, form):
    X, y = skewed(rng, n=80)
    s = rng.integers(0, 3, 80)
    model = GDNPRegressor("huber", delta="auto", alpha=0.1).fit(form(X), y, sample_weight=s)
    twice = GDNPRegressor("huber", delta="auto", alpha=0.1).fit(
        form(np.repeat(X, s, axis=0)), np.repeat(y, s)
    )
    assert model.delta_ == pytest.approx(twice.delta_, rel=1e-9)
    np.testing.assert_allclose(model.coef_, twice.coef_, rtol=1e-6)


def test_an_automatic_delta_where_most_residuals_are_0():
    X = np.zeros((9, 1))
    y = np.array([0.0] * 7 + [1.0, -1.0])
    model = GDNPRegressor("huber", delta="auto").fit(X, y)
    assert model.delta_ == pytest.approx(1.345 * 2.0 / 9.0)
    assert GDNPRegressor("huber", delta="auto").fit(X, np.ones(9)).delta_ > 0.0


def test_a_default_delta_that_fits_nothing_has_a_word(rng):
    X, y = skewed(rng, unit=1e5)
    with pytest.warns(UserWarning, match=r"residuals are about .*e\+05 times delta=1.*delta=\"auto\""):
        GDNPRegressor("pseudo_huber", alpha=0.0).fit(X, y)
    GDNPRegressor("pseudo_huber", alpha=0.0, delta=2.0).fit(X, y)  # chosen: a warning is an error
    GDNPRegressor("pseudo_huber", alpha=0.0).fit(X, 1e-3 * y)


@pytest.mark.parametrize("delta", [0, -1.0, np.nan, np.inf, "automatic", None, True])
def test_a_delta_that_is_no_scale_is_refused(rng, delta):
    with pytest.raises(ValueError, match="delta"):
        GDNPRegressor("huber", delta=delta).fit(*skewed(rng, n=20))


@pytest.mark.parametrize("epsilon", [1.1, 1.35, 3.0])
@pytest.mark.parametrize("alpha", [1e-4, 10.0])
def test_huber_is_scikit_learns_at_its_scale(rng, epsilon, alpha):
    """Its criterion is 2/σ times ours, with δ = epsilon σ and our ridge alpha σ/n, where σ is held."""
    X, y = skewed(rng)
    y[:20] += 30.0
    theirs = HuberRegressor(epsilon=epsilon, alpha=alpha, max_iter=10_000, tol=1e-10).fit(X, y)
    sigma, n = theirs.scale_, len(y)
    ours = GDNPRegressor("huber", delta=epsilon * sigma, alpha=alpha * sigma / n).fit(X, y)

    def criterion(model):
        z = np.abs(y - model.predict(X)) / sigma
        loss = np.where(z < epsilon, z * z, 2.0 * epsilon * z - epsilon**2)
        return n * sigma + sigma * loss.sum() + alpha * float(model.coef_ @ model.coef_)

    assert criterion(ours) <= criterion(theirs) * (1.0 + 1e-9)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-3, atol=1e-3)
    assert ours.intercept_ == pytest.approx(theirs.intercept_, abs=1e-3)


def test_coefficients_that_single_precision_does_not_hold_are_refused(rng):
    X = rng.standard_normal((50, 1)).astype(np.float32) * np.float32(1e-30)
    with pytest.raises(ValueError, match="must be finite in float32"):
        GDNPRegressor(alpha=0.0).fit(X, 1e10 * rng.standard_normal(50))


def test_rounding_to_single_precision_is_in_the_status(rng):
    X = (rng.standard_normal((60, 3)) + 1e6).astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="the arithmetic allows no better"):
        certificate = GDNPRegressor(alpha=1e-4).fit(X, X[:, 0] - 1e6).certificate_
    assert certificate.status.name == "STALLED"
    assert certificate.gap > 1e-8


def test_targets_whose_squares_underflow_are_refused(rng):
    with pytest.raises(ValueError, match="y must be 0 or from 1e-150"):
        GDNPRegressor().fit(rng.standard_normal((5, 2)), 1e-165 * rng.standard_normal(5))


def test_delta_goes_with_the_loss_that_had_it(rng):
    X, y = rng.standard_normal((30, 2)), rng.standard_normal(30)
    model = GDNPRegressor("huber").fit(X, y)
    assert model.delta_ == 1.0
    assert not hasattr(model.set_params(loss="squared_error").fit(X, y), "delta_")
