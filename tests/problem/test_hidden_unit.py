"""A hidden unit as a loss of its own: on data."""

import numpy as np
import pytest

from definition import Definition, any_scale, numeric_gradient
from gdnp import Objective
from gdnp.losses import LOSSES
from gdnp.problem.hidden_unit import UnitLoss, unit_derivatives

NAMES = ("log_loss", "sigmoid", "probit")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("theta", [0.7, -1.3])
def test_a_unit_is_a_loss_like_any_other(rng, name, theta):
    """In an objective on data, in either coordinates."""
    X, y, _, weight = any_scale(rng)
    loss = UnitLoss(LOSSES[name].derivatives, theta, abs(theta))
    raw = Objective(X, y, loss, alpha=0.01, fit_intercept=True, sample_weight=weight)
    problem, x = raw.standardised, rng.standard_normal(7)
    coef, b = problem.raw(x)
    f = Definition(X, y, loss, 0.01, weight, center=False)
    point = problem.point(x)
    assert point.value == pytest.approx(f.value(np.append(coef, b)), rel=2e-14)
    numeric = numeric_gradient(lambda x: problem.point(x).value, x)
    np.testing.assert_allclose(point.x_gradient, numeric, atol=1e-8)
    inner = LOSSES[name].value(theta * np.tanh(point.margins))
    np.testing.assert_allclose(loss.value(point.margins), inner, rtol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_other_units_only_shift_the_outer_loss(name):
    """ψ depends on the rest through ℓ(rest + ·): shifting both sides is the same function."""
    outer, t = LOSSES[name].derivatives, np.linspace(-3.0, 3.0, 25)
    rest = np.linspace(-2.0, 2.0, 7)[:, None]
    whole = unit_derivatives(outer, 0.9, rest, t)
    for k, shift in enumerate(rest[:, 0]):
        alone = unit_derivatives(lambda f, shift=shift: outer(f + shift), 0.9, 0.0, t)
        for found, expected in zip(whole, alone, strict=True):
            np.testing.assert_allclose(found[k], expected, rtol=1e-13, atol=1e-16)


def test_a_unit_without_weight_is_constant():
    t = np.linspace(-3.0, 3.0, 25)
    psi = unit_derivatives(LOSSES["log_loss"].derivatives, 0.0, 0.4, t)
    np.testing.assert_array_equal(psi.value, LOSSES["log_loss"].value(np.full(25, 0.4)))
    assert not any(np.any(part) for part in psi[1:])


def test_a_unit_is_odd_in_its_sign():
    """θ tanh t = (-θ) tanh(-t): slopes change sign, curvatures do not."""
    outer, t = LOSSES["sigmoid"].derivatives, np.linspace(-3.0, 3.0, 25)
    one, other = unit_derivatives(outer, 0.8, 0.2, t), unit_derivatives(outer, -0.8, 0.2, -t)
    np.testing.assert_array_equal(one.value, other.value)
    np.testing.assert_array_equal(one.slope, -other.slope)
    np.testing.assert_array_equal(one.curvature, other.curvature)
    np.testing.assert_array_equal(one.cross, -other.cross)
