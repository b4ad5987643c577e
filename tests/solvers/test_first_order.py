"""Gradient descent and its acceleration against their closed forms on quadratics."""

import numpy as np
import pytest

import gdnp
from gdnp import Objective, methods
from gdnp.population import LeastSquares


def test_gradient_descent_on_a_quadratic(rng):
    """On f = 2uᵀw + wᵀSw, w_T = (I - (I - 2ηS)^T)(-S⁻¹u)."""
    S, u = np.diag([1.0, 0.3, 0.01]), np.array([0.3, 0.2, 0.05])
    result = gdnp.minimize(LeastSquares(u, S), methods.gd(step=0.4), max_iter=25, tol=0.0)
    expected = -(1.0 - (1.0 - 0.8 * np.diagonal(S)) ** 25) * u / np.diagonal(S)
    np.testing.assert_allclose(result.coef, expected, rtol=1e-12)


@pytest.mark.parametrize("momentum", [0.0, 0.5, "convex"])
def test_acceleration_is_nesterovs_recursion(momentum):
    S, u = np.diag([1.0, 0.05]), np.array([0.3, 0.1])
    objective, eta = LeastSquares(u, S), 0.3
    x = y = np.zeros(2)
    for k in range(1, 13):
        beta = k / (k + 3) if momentum == "convex" else momentum
        new = y - eta * 2.0 * (u + S @ y)
        x, y = new, new + beta * (new - x)
    result = gdnp.minimize(objective, methods.agd(step=eta, momentum=momentum), max_iter=12, tol=0.0)
    np.testing.assert_allclose(result.coef, y, rtol=1e-12)


@pytest.mark.parametrize("method", ["gd", "agd", "batch_norm_gd", "weight_norm_gd", "rayleigh_gd", "gdnp"])
def test_default_steps_are_safe_on_equation_10(method):
    """The Hessian of f = 2uᵀw + wᵀSw is 2S."""
    objective = LeastSquares(np.array([0.3, 0.2]), np.diag([1.0, 0.2]))
    result = gdnp.minimize(objective, method, np.ones(2), max_iter=500)
    assert result.status is gdnp.Status.CONVERGED
    np.testing.assert_allclose(result.coef, -objective.optimal_direction, atol=1e-7)


def test_safe_steps_and_constant_momentum_come_from_the_spectrum(rng):
    X, w = rng.standard_normal((200, 3)) * [1.0, 0.3, 0.1], rng.standard_normal(3)
    y = np.where(X @ w + rng.standard_normal(200) > 0.0, 1.0, -1.0)
    objective = Objective(X, y, alpha=0.01)
    mu, L = objective.covariance.smallest / 4 + 0.01, objective.covariance.largest / 4 + 0.01
    state = methods.agd(momentum="constant").init(objective, None)
    root = np.sqrt(mu / L)
    assert (state.step, state.momentum) == pytest.approx((1.0 / L, (1 - root) / (1 + root)))
    assert objective.cost.passes == objective.gram_passes + 1.0
    values = gdnp.minimize(objective, "gd", max_iter=50).history["objective"]
    assert (np.diff(values) <= 0.0).all()


def test_intercept_is_a_coordinate(rng):
    X = rng.standard_normal((100, 2))
    y = np.where(rng.random(100) < 0.2, 1.0, -1.0)
    result = gdnp.minimize(Objective(X, y, fit_intercept=True), "agd", max_iter=2000)
    assert result.status is gdnp.Status.CONVERGED
    p = 1.0 / (1.0 + np.exp(-(X @ result.coef + result.intercept)))
    assert p.mean() == pytest.approx(np.mean(y == 1.0), abs=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: methods.gd(step=-1.0), "gd: step must be finite and positive. Got -1.0"),
        (lambda: methods.agd(momentum="heavy"), r"agd: momentum must be .* Got 'heavy'"),
        (lambda: methods.agd(momentum=1.5), r"agd: momentum must be .* Got 1.5"),
        (lambda: methods.agd(momentum=-0.5), r"agd: momentum must be .* Got -0.5"),
        (lambda: methods.agd(momentum=1.0), r"in \[0, 1\). Got 1.0"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()
