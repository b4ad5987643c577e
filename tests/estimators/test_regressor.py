"""Regression: exact solutions, and targets that have no squares."""

import numpy as np
import pytest

from gdnp import GDNPRegressor
from gdnp.losses import LOSSES
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


def test_regressor_has_no_class_weight(rng):
    X, y = draw(rng)
    with pytest.raises(ValueError, match="class_weight must be None"):
        GDNPRegressor(class_weight="balanced").fit(X, y)


@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_targets_without_a_finite_square_are_refused(loss):
    X = np.arange(8.0).reshape(-1, 1)
    with pytest.raises(ValueError, match=r"y must be at most 1e\+150 in size.* Got 7e\+200; divide y"):
        GDNPRegressor(loss).fit(X, X[:, 0] * 1e200)
