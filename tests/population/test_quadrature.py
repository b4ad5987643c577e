"""The rule for a Gaussian against mpmath, at any length and far out in a tail."""

import math
from dataclasses import dataclass

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdnp.losses import LOSSES, Loss
from gdnp.population.quadrature import gaussian_rule, panels_of

LENGTHS = [1e-3, 1.0, 3.3, 10.0, 1e3, 1e6]


COSINES = [-0.7, 0.2, 0.95]


def expectation(h, a, v, decays):
    """E h(ξ) by tanh-sinh in 20 digits on panels of its own: the bulk, cut to |ξ| <= 150 where h `decays`."""
    with mp.workdps(20):
        a, sd = mp.mpf(a), mp.sqrt(mp.mpf(v))
        cuts = [a + sd * k for k in range(-14, 15, 2)] + [mp.mpf(x) for x in (-150, -40, -10, 0, 10, 40, 150)]
        lower, upper = a - 14 * sd, a + 14 * sd
        if decays:
            lower, upper = max(lower, mp.mpf(-150)), min(upper, mp.mpf(150))
        inner = sorted({x for x in cuts if lower < x < upper})
        return mp.quad(lambda x: h(x) * mp.npdf(x, a, sd), [lower, *inner, upper])


def softplus_moments(a, v):
    """E φ, E φ', E φ'' for φ = log(1 + e^ξ): the kink max(ξ, 0) in closed form, the rest decays."""
    with mp.workdps(20):
        a_, sd = mp.mpf(a), mp.sqrt(mp.mpf(v))
        z = a_ / sd
        relu, step = a_ * mp.ncdf(z) + sd * mp.npdf(z), mp.ncdf(z)
        value = relu + expectation(lambda x: mp.log1p(mp.exp(-abs(x))), a, v, True)
        gradient = step - expectation(lambda x: mp.sign(x) / (1 + mp.exp(abs(x))), a, v, True)
        curvature = expectation(lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2, a, v, True)
        return value, gradient, curvature


def probit_moments(a, v):
    """E Φ(ξ) = Φ(gm/√(1 + g²(1 - m²))) and its derivatives in a, since ξ plus its noise is Gaussian."""
    with mp.workdps(20):
        a_, total = mp.mpf(a), 1 + mp.mpf(v)
        density = mp.npdf(a_, 0, mp.sqrt(total))
        return mp.ncdf(a_ / mp.sqrt(total)), density, -a_ / total * density


@pytest.mark.parametrize("g", LENGTHS)
@pytest.mark.parametrize("m", COSINES)
def test_rule_matches_mpmath_for_softplus_and_sigmoid(g, m):
    a, v = g * m, g * g * (1.0 - m * m)
    nodes, weights = gaussian_rule(a, v)
    softplus, sigmoid = LOSSES["log_loss"], LOSSES["sigmoid"]
    value, gradient, curvature = softplus_moments(a, v)
    assert weights @ softplus.value(nodes) == pytest.approx(float(value), rel=1e-12, abs=0.0)
    assert weights @ sigmoid.value(nodes) == pytest.approx(float(gradient), rel=1e-12, abs=0.0)
    assert weights @ sigmoid.gradient(nodes) == pytest.approx(float(curvature), rel=1e-12, abs=0.0)
    # φ'' of the sigmoid is odd: what is left after cancellation is smaller than the terms by a factor g.
    odd = expectation(lambda x: -mp.sinh(x / 2) / (4 * mp.cosh(x / 2) ** 3), a, v, True)
    terms = float(weights @ np.abs(sigmoid.curvature(nodes)))
    assert weights @ sigmoid.curvature(nodes) == pytest.approx(float(odd), rel=1e-10, abs=1e-15 * terms)


@pytest.mark.parametrize("g", LENGTHS)
@pytest.mark.parametrize("m", COSINES)
def test_rule_matches_the_closed_form_of_the_probit(g, m):
    a, v = g * m, g * g * (1.0 - m * m)
    nodes, weights = gaussian_rule(a, v)
    probit = LOSSES["probit"]
    value, gradient, curvature = map(float, probit_moments(a, v))
    assert weights @ probit.value(nodes) == pytest.approx(value, rel=1e-12, abs=0.0)
    assert weights @ probit.gradient(nodes) == pytest.approx(gradient, rel=1e-12, abs=0.0)
    terms = float(weights @ np.abs(probit.curvature(nodes)))
    assert weights @ probit.curvature(nodes) == pytest.approx(curvature, rel=1e-12, abs=1e-15 * terms)


@pytest.mark.parametrize(("a", "v"), [(-20.0, 1.0), (-30.0, 25.0), (-300.0, 100.0), (15.0, 0.5)])
def test_rule_keeps_relative_accuracy_where_the_loss_is_tiny_over_the_bulk(a, v):
    nodes, weights = gaussian_rule(a, v)
    value, gradient, curvature = map(float, probit_moments(a, v))
    probit = LOSSES["probit"]
    assert weights @ probit.value(nodes) == pytest.approx(value, rel=1e-12, abs=0.0)
    assert weights @ probit.gradient(nodes) == pytest.approx(gradient, rel=1e-12, abs=0.0)
    assert weights @ probit.curvature(nodes) == pytest.approx(curvature, rel=1e-12, abs=0.0)


@pytest.mark.parametrize("delta", [1e-3, 1.0, 1e3])
def test_rule_is_refined_at_the_scale_asked_for(delta):
    nodes, weights = gaussian_rule(3.0, 50.0, scale=delta)
    with mp.workdps(20):
        exact = expectation(lambda x: mp.hypot(1, x / mp.mpf(delta)) ** -3, 3.0, 50.0, False)
    assert weights @ np.hypot(1.0, nodes / delta) ** -3.0 == pytest.approx(float(exact), rel=1e-11)


@settings(derandomize=True, database=None, deadline=None)
@given(
    st.floats(-1e6, 1e6, allow_subnormal=False),
    st.floats(0.0, 1e12, allow_subnormal=False),
    st.floats(0.1, 10),
)
def test_rule_has_the_moments_of_its_gaussian(mean, variance, scale):
    nodes, weights = gaussian_rule(mean, variance, scale)
    sd = math.sqrt(variance)
    assert (weights >= 0.0).all()
    assert nodes.size < 3000
    assert weights.sum() == pytest.approx(1.0, abs=1e-13)
    assert weights @ (nodes - mean) == pytest.approx(0.0, abs=1e-13 * (sd + abs(mean)))
    # Nodes are rounded like the mean, and a point mass stands for what is below its rounding.
    assert weights @ (nodes - mean) ** 2 == pytest.approx(
        variance, rel=1e-11, abs=1e-15 * abs(mean) * sd + (3e-16 * mean) ** 2
    )


@pytest.mark.parametrize("sd", [1e-8, 1e-3, 1.0])
def test_rule_far_from_zero_resolves_a_narrow_gaussian(sd):
    nodes, weights = gaussian_rule(1e6, sd * sd)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert weights @ (nodes - 1e6) ** 2 == pytest.approx(sd * sd, abs=1e-10 * sd)


def test_rule_of_a_point_mass_is_one_node():
    nodes, weights = gaussian_rule(1.5, 0.0)
    assert (nodes.tolist(), weights.tolist()) == ([1.5], [1.0])


@dataclass(frozen=True)
class Bend(Loss):
    """φ(t) = √(δ² + (t - b)²), whose slope turns within δ of b."""

    at: float
    width: float

    name = "bend"
    task = "classification"
    convex = True
    max_gradient = 1.0

    @property
    def max_curvature(self):
        return 1.0 / self.width

    def value(self, t):
        return np.hypot(self.width, t - self.at)

    def gradient(self, t):
        return (t - self.at) / self.value(t)

    def curvature(self, t):
        return self.width**2 * self.value(t) ** -3.0


@dataclass(frozen=True)
class Bump(Loss):
    """φ(t) = exp(-(t - b)²/2), which is 0 everywhere else."""

    at: float

    name = "bump"
    task = "classification"
    convex = False
    max_gradient = math.exp(-0.5)
    max_curvature = 1.0

    def value(self, t):
        return np.exp(-0.5 * (t - self.at) ** 2)

    def gradient(self, t):
        return (self.at - t) * self.value(t)

    def curvature(self, t):
        return ((t - self.at) ** 2 - 1.0) * self.value(t)


class Exponential(Loss):
    """φ(t) = eᵗ, as of boosting: no number holds it at t = 710."""

    name = "exponential"
    task = "classification"
    convex = True
    max_gradient = max_curvature = math.inf

    def value(self, t):
        return np.exp(t)

    gradient = curvature = value


@pytest.mark.parametrize(("at", "width"), [(-50.0, 1.0), (3.0, 1e-3), (700.0, 0.1), (-3e4, 1.0), (2e5, 10.0)])
@pytest.mark.parametrize("sd", [1.0, 30.0, 1e4])
def test_rule_knows_where_a_loss_bends(at, width, sd):
    loss = Bend(at, width)
    mean = at + 3.0 * sd
    nodes, weights = gaussian_rule(mean, sd * sd, panels=panels_of(loss, min(1.0, width)))
    # Trapezoids in x with ξ = b + δ sinh x: analytic in x and even in scale, so that they are exact.
    x = np.linspace(-40.0, 40.0, 200_001)
    density = np.exp(-0.5 * (width / sd * np.sinh(x) - 3.0) ** 2) / (math.sqrt(2.0 * math.pi) * sd)
    mass = density * (x[1] - x[0]) * width * np.cosh(x)
    gradient, curvature = mass @ np.tanh(x), mass @ (np.cosh(x) ** -3.0 / width)
    assert weights @ loss.gradient(nodes) == pytest.approx(gradient, rel=1e-11)
    assert weights @ loss.curvature(nodes) == pytest.approx(curvature, rel=1e-11)


def test_a_bend_that_the_rule_is_not_told_of_is_missed():
    loss = Bend(-50.0, 1.0)
    means = [
        weights @ loss.curvature(nodes)
        for nodes, weights in (
            gaussian_rule(-45.0, 2264.0 - 45.0**2),
            gaussian_rule(-45.0, 2264.0 - 45.0**2, panels=panels_of(loss)),
        )
    ]
    assert abs(means[0] / means[1] - 1.0) > 1e-4


def test_a_narrow_bump_is_found_as_far_out_as_is_searched():
    centre, panels = 1234.5, panels_of(Bump(1234.5))
    nodes, weights = gaussian_rule(1200.0, 900.0, panels=panels)
    # E exp(-(ξ-c)²/2) in closed form.
    exact = math.exp(-0.5 * (1200.0 - centre) ** 2 / 901.0) / math.sqrt(901.0)
    assert weights @ np.exp(-0.5 * (nodes - centre) ** 2) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("name", ["log_loss", "sigmoid", "probit"])
def test_the_losses_of_the_registry_need_few_panels(name):
    assert len(panels_of(LOSSES[name]).breaks) <= 60


def test_a_loss_that_overflows_keeps_its_panels():
    nodes, weights = gaussian_rule(0.0, 1.0, panels=panels_of(Exponential()))
    assert weights @ np.exp(nodes) == pytest.approx(math.exp(0.5), rel=1e-13)


class Coarse(Bend):
    """A bend whose rounding is that of single precision."""

    def value(self, t):
        return super().value(t).astype(np.float32).astype(np.float64)


def test_a_loss_of_single_precision_has_a_finite_number_of_panels():
    assert len(panels_of(Coarse(-50.0, 1.0)).breaks) < 5000
