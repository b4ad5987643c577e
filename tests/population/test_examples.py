"""Losses of a user's own, against differences, and the population on which Eq. 14 is an equality."""

import numpy as np
import pytest

from gdnp import theory
from gdnp.datasets import gaussian_parameters
from gdnp.metric import Covariance
from gdnp.population import Halfspace
from gdnp.population.examples import DoubleWell, Target, Welsch, critical_points, slow_population, whitening


@pytest.mark.parametrize("loss", [Target(), Target(3.0), Welsch(), DoubleWell()], ids=lambda loss: loss.name)
def test_losses_have_their_derivatives_and_bounds(loss):
    t, h = np.linspace(-8.0, 8.0, 161), 1e-5
    slope = (loss.value(t + h) - loss.value(t - h)) / (2.0 * h)
    second = (loss.gradient(t + h) - loss.gradient(t - h)) / (2.0 * h)
    np.testing.assert_allclose(loss.gradient(t), slope, atol=1e-9)
    np.testing.assert_allclose(loss.curvature(t), second, atol=1e-9)
    assert np.abs(loss.gradient(t)).max() <= loss.max_gradient * (1.0 + 1e-12)
    assert np.abs(loss.curvature(t)).max() <= loss.max_curvature * (1.0 + 1e-12)
    assert loss.convex == (loss.curvature(t) >= 0.0).all()


def test_the_slow_population_attains_the_rate_of_eq_14():
    u, S, w = slow_population(10.0, 0.5)
    metric, gap = Covariance(S), theory.directional_gap(u, Covariance(S), w)
    for _ in range(30):
        w = theory.rayleigh_step(u, metric, w)
    assert theory.directional_gap(u, metric, w) == pytest.approx(0.9**60 * gap, rel=0.02)


def test_whitened_coordinates_have_the_norm(rng):
    X = rng.standard_normal((30, 3)) @ np.diag([1.0, 10.0, 0.1])
    S = X.T @ X / len(X)
    T = whitening(S)
    np.testing.assert_allclose(T.T @ S @ T, np.eye(3), atol=1e-10)


def test_the_critical_point_of_the_log_loss_is_found():
    u, S = gaussian_parameters(3, kappa=4.0, r=0.5, seed=0)
    f = Halfspace(u, S, "log_loss")
    found = critical_points(f, 2)
    assert len(found) == 2
    for coef in found:
        np.testing.assert_allclose(coef, -4.0 * np.linalg.solve(S, u), rtol=1e-8)  # -2 S⁻¹u/(1 - r)
