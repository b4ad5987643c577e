"""What claims are checked on, against differences and against what is known."""

import numpy as np
import pytest

from gdnp import methods
from gdnp.datasets import DataNotFoundError, gaussian_parameters
from gdnp.metric import Covariance
from gdnp.paper.claims import run_claims
from gdnp.paper.claims.problems import (
    DoubleWell,
    Target,
    Welsch,
    a9a,
    critical_points,
    populations,
    relative,
    solved,
    states,
    whitening,
)
from gdnp.population import Halfspace, LeastSquares


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


def test_populations_are_as_wide_as_said_and_repeat():
    found = list(populations(60))
    for (u, S), (v, T) in zip(found, populations(60), strict=True):
        np.testing.assert_array_equal(u, v)
        np.testing.assert_array_equal(S, T)
        assert 0.02 <= u @ solved(S, u) <= 0.98 + 1e-6
    assert {len(u) for u, _ in found} >= {2, 20}
    largest = [np.linalg.eigvalsh(S)[-1] for _, S in found]
    assert max(largest) / min(largest) > 1e4
    for _, S in populations(5, kappa=10.0):
        assert np.linalg.cond(S) == pytest.approx(10.0)


def test_states_are_those_of_the_steps(rng):
    u, S = gaussian_parameters(3, kappa=4.0, seed=0)
    f, w = LeastSquares(u, S), rng.standard_normal(3)
    method = methods.rayleigh_gd()
    first, second, third = states(method, f, w, 2)
    np.testing.assert_array_equal(first.direction, method.init(f, w).direction)
    np.testing.assert_array_equal(third.direction, method.step(f, second).direction)
    assert relative(third.direction, second.direction) > 0.0


def test_whitened_coordinates_have_the_norm(rng):
    X = rng.standard_normal((30, 4)) @ np.diag([1.0, 10.0, 0.1, 0.0])  # one column is constant
    S = X.T @ X / len(X)
    T = whitening(Covariance(S))
    assert T.shape == (4, 3)
    np.testing.assert_allclose(T.T @ S @ T, np.eye(3), atol=1e-10)


def test_the_critical_point_of_the_log_loss_is_found():
    u, S = gaussian_parameters(3, kappa=4.0, r=0.5, seed=0)
    f = Halfspace(u, S, "log_loss")
    found = critical_points(f, 2)
    assert len(found) == 2
    for coef in found:
        np.testing.assert_allclose(coef, -4.0 * solved(S, u), rtol=1e-8)  # -2 S⁻¹u/(1 - r)


def test_a9a_is_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="a9a is not on this machine"):
        a9a()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["assumption-1-a9a", "gdnp-accelerates-a9a"])
def test_missing_data_is_never_a_verdict(name, monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    (result,) = run_claims([name])
    assert result.outcome == "NOT RUN: data missing"
    assert result.agrees is None
    assert "a9a is not on this machine" in result.reason
