"""Decoupled descent: any metric fits its slot, and the guard never cuts the path of the theorem."""

import numpy as np
import pytest

import gdnp
from gdnp import Objective, Status, methods
from gdnp.datasets import gaussian_parameters
from gdnp.population import Halfspace
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import NewtonLength
from gdnp.solvers.step_sizes import AdaptiveStep
from problems import minimum, noisy_rows


@pytest.fixture(scope="module")
def noisy():
    return noisy_rows()


def test_any_metric_fits_the_slot(noisy):
    """Between Weight and Batch Normalization lies diag(S)."""
    objective = Objective(*noisy)
    method = DecoupledDescent("between", "diagonal", AdaptiveStep("curvature"), NewtonLength())
    result = gdnp.minimize(objective, method, max_iter=2000)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.coef, minimum(objective), atol=1e-6)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "probit"])
def test_the_guard_never_cuts_the_path_of_the_theorem(loss):
    """On the population every step of Eq. 17 is taken whole, down to where f only rounds."""
    objective = Halfspace(*gaussian_parameters(6, kappa=20.0, r=0.4, seed=2), loss)
    method, fractions = methods.gdnp(), []
    state = method.init(objective, np.random.default_rng(1).standard_normal(6))
    for _ in range(400):
        state = method.step(objective, state)
        fractions.append(state.fraction)
        assert not state.stalled
    assert set(fractions) == {1.0}


def test_weight_normalisation_is_safe_by_default_on_columns_of_any_size(rng):
    X = 10.0 * rng.standard_normal((2000, 5))
    y = np.where(X[:, 0] + 10.0 * rng.standard_normal(2000) > 0.0, 1.0, -1.0)
    wn, gd = (gdnp.minimize(Objective(X, y), m, max_iter=500).objective for m in ("weight_norm_gd", "gd"))
    assert wn == pytest.approx(gd, rel=1e-3)


def test_a_ridge_enters_the_metric_in_units_of_the_curvature_there(noisy):
    """S + α/c I is ∇²f/c, c the mean curvature where the length fits; sup φ'' would be too large a c."""
    alpha = 0.5
    objective = Objective(*noisy, alpha=alpha)
    method = methods.gdnp()
    bare = method.init(Objective(*noisy), None)
    length = method.length.fit(objective, objective.origin.line(bare.direction), bare)
    there = objective.origin.line(bare.direction).point(length.g, length.intercept)
    shift = method.init(objective, None).metric.S - objective.covariance.S
    np.testing.assert_allclose(shift, alpha / there.mean_curvature * np.eye(len(shift)), atol=1e-12)
    assert there.mean_curvature < 0.99 * objective.loss.max_curvature


@pytest.mark.parametrize("alpha", [1.0, 100.0])
@pytest.mark.parametrize("method", ["weight_norm_gd", "batch_norm_gd"])
def test_a_ridge_larger_than_the_curvature_keeps_a_default_step_safe(rng, method, alpha):
    X = rng.standard_normal((200, 2))
    objective = Objective(X, np.where(X[:, 0] > 0.0, 1.0, -1.0), alpha=alpha)
    found = gdnp.minimize(objective, method, max_iter=500)
    assert found.objective == pytest.approx(gdnp.minimize(objective, "newton").objective, rel=1e-6)


def test_two_step_is_exact_on_the_population_and_says_when_it_is_not():
    halfspace = Halfspace(*gaussian_parameters(5, kappa=50.0, r=0.4, seed=1), "log_loss")
    exact = gdnp.minimize(halfspace, "two_step")
    assert (exact.status, exact.n_iter) == (Status.CONVERGED, 1)
    np.testing.assert_allclose(
        exact.coef, -2.0 * halfspace.optimal_direction / (1.0 - halfspace.r), rtol=1e-8
    )
    rough = gdnp.minimize(Objective(*noisy_rows()), "two_step")
    assert rough.status is Status.STALLED
