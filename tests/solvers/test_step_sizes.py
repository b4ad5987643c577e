"""The step of the direction: what Theorem 1 and Eq. 17 say it is."""

import numpy as np
import pytest

from gdnp import Objective, methods
from gdnp.datasets import gaussian_parameters
from gdnp.population import Halfspace, LeastSquares
from gdnp.solvers.step_sizes import AdaptiveStep, ConstantStep
from problems import noisy_rows


def start(objective, w0, method=None):
    method = methods.gdnp() if method is None else method
    return method.init(objective, w0)


def test_the_step_is_that_of_theorem_1_on_least_squares(rng):
    """At the exact length, s = wᵀSw/(2L |ρ|) with ρ = -(uᵀw)²/wᵀSw, of f = 2uᵀw̃ + w̃ᵀSw̃."""
    S, u = np.diag([1.0, 0.4, 0.1]), np.array([0.3, 0.2, 0.1])
    objective, w = LeastSquares(u, S), rng.standard_normal(3)
    state = start(objective, w, methods.rayleigh_gd())
    rho = (u @ w) ** 2 / (w @ S @ w)
    expected = (w @ S @ w) / (2.0 * 1.0 * rho)
    assert AdaptiveStep()(objective, state, 1.0) == pytest.approx(expected, rel=1e-9)


def test_forms_of_h_agree_where_they_must(rng):
    """On Gaussian data Stein's form is that of the curvature at an exact length; the printed is another."""
    objective = Halfspace(*gaussian_parameters(4, kappa=20.0, r=0.4, seed=3), "log_loss")
    state = start(objective, rng.standard_normal(4))
    stein, curvature, printed = (
        AdaptiveStep(h)(objective, state, 1.0) for h in ("stein", "curvature", "printed")
    )
    assert stein == pytest.approx(curvature, rel=1e-6)
    assert abs(printed / stein - 1.0) > 1e-3


def test_the_step_scales_as_it_says(rng):
    objective = Halfspace(*gaussian_parameters(4, kappa=20.0, r=0.4, seed=3), "log_loss")
    state = start(objective, rng.standard_normal(4))
    whole = AdaptiveStep()(objective, state, 1.0)
    assert AdaptiveStep(multiple=0.25)(objective, state, 1.0) == pytest.approx(0.25 * whole)
    assert AdaptiveStep()(objective, state, 2.0) == pytest.approx(0.5 * whole)


def test_with_an_intercept_neither_u_nor_stein_is_asked(monkeypatch, rng):
    objective = Objective(*noisy_rows(), fit_intercept=True)
    state = start(objective, rng.standard_normal(4))
    known = AdaptiveStep("curvature")(objective, state, 1.0)
    monkeypatch.setattr(Objective, "stein_coefficient", None)
    assert AdaptiveStep("stein")(objective, state, 1.0) == known > 0.0


def test_a_constant_step_is_safe_where_it_is_not_given():
    objective = Objective(*noisy_rows())
    state = start(objective, np.ones(4))
    assert ConstantStep(0.3)(objective, state, 1.0) == 0.3
    assert ConstantStep()(objective, state, 1.0) == pytest.approx(4.0 / objective.covariance.largest)
    assert not ConstantStep(0.3).needs_spectrum
    assert ConstantStep().needs_spectrum
    assert AdaptiveStep().needs_spectrum
    flat = Objective(np.zeros((4, 1)), [1.0, -1.0, 1.0, -1.0])
    assert ConstantStep()(flat, state, 1.0) == 1.0
