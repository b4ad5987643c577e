"""The population objectives: quadrature against mpmath, and the identities of section 3 to rounding."""

import math

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdnp.losses import LOSSES
from gdnp.population import Halfspace, LeastSquares
from gdnp.population.quadrature import gaussian_rule

CLASSIFICATION = [name for name, loss in LOSSES.items() if loss.task == "classification"]
LENGTHS = [1e-3, 1.0, 3.3, 10.0, 1e3, 1e6]
COSINES = [-0.7, 0.2, 0.95]
every_loss = pytest.mark.parametrize("loss", CLASSIFICATION)


def problem(rng, d=5, r=0.6, condition=30.0):
    """U and S with uᵀS⁻¹u = r and the condition number asked for."""
    q, _ = np.linalg.qr(rng.standard_normal((d, d)))
    S = (q * np.geomspace(1.0, 1.0 / condition, d)) @ q.T
    S = 0.5 * (S + S.T)
    u = rng.standard_normal(d)
    return u * math.sqrt(r / (u @ np.linalg.solve(S, u))), S


def objectives(rng, **kwargs):
    u, S = problem(rng)
    yield LeastSquares(u, S, **kwargs)
    for loss in CLASSIFICATION:
        yield Halfspace(u, S, loss, **kwargs)


def length_derivative(f, w, g):
    """∂_g f(g w/‖w‖_S), by the jet along the ray."""
    ray = f.at(np.zeros_like(w)).line(w / math.sqrt(w @ f.S @ w))
    return ray.jet(g).gradient[0]


# --- quadrature ---------------------------------------------------------------------------------------------


def expectation(h, a, v, decays):
    """E h(ξ) by tanh-sinh in 30 digits on panels of its own: the bulk, cut to |ξ| <= 150 where h `decays`."""
    with mp.workdps(30):
        a, sd = mp.mpf(a), mp.sqrt(mp.mpf(v))
        cuts = [a + sd * k for k in range(-14, 15, 2)] + [mp.mpf(x) for x in (-150, -40, -10, 0, 10, 40, 150)]
        lower, upper = a - 14 * sd, a + 14 * sd
        if decays:
            lower, upper = max(lower, mp.mpf(-150)), min(upper, mp.mpf(150))
        inner = sorted({x for x in cuts if lower < x < upper})
        return mp.quad(lambda x: h(x) * mp.npdf(x, a, sd), [lower, *inner, upper])


def softplus_moments(a, v):
    """E φ, E φ', E φ'' for φ = log(1 + e^ξ): the kink max(ξ, 0) in closed form, the rest decays."""
    with mp.workdps(30):
        a_, sd = mp.mpf(a), mp.sqrt(mp.mpf(v))
        z = a_ / sd
        relu, step = a_ * mp.ncdf(z) + sd * mp.npdf(z), mp.ncdf(z)
        value = relu + expectation(lambda x: mp.log1p(mp.exp(-abs(x))), a, v, True)
        gradient = step - expectation(lambda x: mp.sign(x) / (1 + mp.exp(abs(x))), a, v, True)
        curvature = expectation(lambda x: mp.exp(-abs(x)) / (1 + mp.exp(-abs(x))) ** 2, a, v, True)
        return value, gradient, curvature


def probit_moments(a, v):
    """E Φ(ξ) = Φ(gm/√(1 + g²(1 - m²))) and its derivatives in a, since ξ plus its noise is Gaussian."""
    with mp.workdps(30):
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
    with mp.workdps(30):
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


@pytest.mark.parametrize(
    "arguments", [(np.nan, 1.0), (np.inf, 1.0), (0.0, -1.0), (0.0, np.nan), (0.0, np.inf), (0.0, 1.0, 0.0)]
)
def test_rule_refuses_what_is_no_gaussian(arguments):
    with pytest.raises(ValueError, match=r"finite mean, a finite variance >= 0 and a finite scale > 0\. Got"):
        gaussian_rule(*arguments)


# --- values and derivatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_least_squares_is_equation_10(rng, alpha):
    u, S = problem(rng)
    f = LeastSquares(u, S, alpha=alpha)
    w = rng.standard_normal(5)
    point = f.at(w)
    assert point.value == pytest.approx(2 * u @ w + w @ S @ w + alpha / 2 * w @ w, rel=1e-14)
    assert point.gradient == pytest.approx(2 * (u + S @ w) + alpha * w, rel=1e-13, abs=1e-14)
    assert point.mean_gradient == pytest.approx(2 * (1 + u @ w), rel=1e-14)
    assert f.stein_coefficient(point) == point.mean_curvature == 2.0
    assert point.mean_gradient - (u @ w) * point.mean_curvature == pytest.approx(2.0, rel=1e-14)


def test_least_squares_needs_no_distribution(rng):
    u, S = problem(rng, r=4.0)
    f = LeastSquares(u, S)
    assert f.r == pytest.approx(4.0)
    assert f.at(-f.optimal_direction).value == pytest.approx(f.rho_star)
    assert f.origin.line(-f.optimal_direction).jet(1.0).gradient[0] == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("length", [0.0, 0.5, 4.0])
def test_gradient_matches_central_differences(rng, alpha, length):
    for f in objectives(rng, alpha=alpha):
        w, h = length * rng.standard_normal(5), 1e-5
        difference = [(f.at(w + h * e).value - f.at(w - h * e).value) / (2 * h) for e in np.eye(5)]
        assert f.at(w).gradient == pytest.approx(difference, abs=2e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("start", ["anywhere", "origin", "on the line"])
def test_jet_agrees_with_points_and_differences(rng, alpha, start):
    for f in objectives(rng, alpha=alpha):
        d = rng.standard_normal(5)
        w = {"anywhere": rng.standard_normal(5), "origin": np.zeros(5), "on the line": 2.5 * d}[start]
        line = f.at(w).line(d)
        for t in (-2.5, -0.4, 0.0, 0.7, 3.0):
            jet, point, h = line.jet(t), f.at(w + t * d), 1e-5
            assert jet.value == pytest.approx(point.value, rel=1e-12, abs=1e-13)
            assert jet.gradient[0] == pytest.approx(d @ point.gradient, rel=1e-10, abs=1e-12)
            difference = (line.jet(t + h).gradient[0] - line.jet(t - h).gradient[0]) / (2 * h)
            assert jet.hessian[0, 0] == pytest.approx(difference, abs=2e-8)
            assert jet.gradient[1] == 0.0
            assert not jet.hessian.ravel()[1:].any()


@every_loss
@pytest.mark.parametrize("g", LENGTHS)
def test_jet_along_a_ray_keeps_its_digits_at_any_length(rng, loss, g):
    u, S = problem(rng)
    f = Halfspace(u, S, loss)
    w = rng.standard_normal(5)
    w /= math.sqrt(w @ S @ w)
    m = float(u @ w)
    nodes, weights = gaussian_rule(g * m, g * g * (1 - m * m))
    curvature = f.loss.curvature(nodes) * (nodes / g) ** 2
    exact, terms = weights @ curvature, weights @ np.abs(curvature)
    for line, t in (
        (f.origin.line(w), g),
        (f.at(g * w).line(w), 0.0),
        (f.at(3.0 * w).line(-w), 3.0 - g),
    ):
        assert line.jet(t).hessian[0, 0] == pytest.approx(exact, abs=1e-9 * terms)


@every_loss
def test_curvature_at_the_origin_is_that_of_a_point_mass(rng, loss):
    u, S = problem(rng)
    f, d = Halfspace(u, S, loss), rng.standard_normal(5)
    curvature = float(f.loss.curvature(np.zeros(1))[0]) * (d @ S @ d)
    assert f.origin.line(d).jet(0.0).hessian[0, 0] == pytest.approx(curvature, rel=1e-13, abs=1e-15)
    assert f.origin.line(np.zeros(5)).jet(2.0).hessian[0, 0] == 0.0


def test_probit_has_its_closed_form(rng):
    u, S = problem(rng)
    f = Halfspace(u, S, "probit")
    for g in (0.1, 2.0, 50.0):
        w = rng.standard_normal(5)
        w *= g / math.sqrt(w @ S @ w)
        m = u @ w / g
        exact = float(mp.ncdf(g * m / math.sqrt(1 + g * g * (1 - m * m))))
        assert f.at(w).value == pytest.approx(exact, rel=1e-12)


def test_values_are_those_of_the_jets_and_points(rng):
    for f in objectives(rng, alpha=0.1):
        line = f.at(rng.standard_normal(5)).line(rng.standard_normal(5))
        t = np.array([[-1.0, 0.0], [0.5, 2.0]])
        values = line.values(t)
        assert values.shape == t.shape
        assert values.ravel() == pytest.approx([line.jet(step).value for step in t.ravel()], rel=1e-15)
        assert values.ravel() == pytest.approx([line.point(step).value for step in t.ravel()], rel=1e-12)


@every_loss
def test_stein_coefficients_match_a_sample(rng, loss):
    u, S = problem(rng, d=3)
    f, w = Halfspace(u, S, loss), np.array([1.0, -2.0, 0.5])
    z = rng.multivariate_normal(u, S - np.outer(u, u), size=200_000)
    sample = z * f.loss.gradient(z @ w)[:, None]
    error = sample.std(axis=0) / math.sqrt(len(z))
    assert (np.abs(f.at(w).gradient - sample.mean(axis=0)) < 5.0 * error).all()


# --- the theory of section 3 --------------------------------------------------------------------------------


@pytest.mark.parametrize("r", [0.05, 0.6, 0.98])
def test_log_loss_is_linear_discriminant_analysis(rng, r):
    u, S = problem(rng, r=r)
    f = Halfspace(u, S, "log_loss")
    for _ in range(10):
        w = rng.standard_normal(5)
        m = u @ w / math.sqrt(w @ S @ w)
        assert length_derivative(f, w, -2 * m / (1 - m * m)) == pytest.approx(0.0, abs=1e-10)
    assert f.at(-2 * f.optimal_direction / (1 - f.r)).gradient == pytest.approx(np.zeros(5), abs=1e-10)


def test_sigmoid_has_no_best_length(rng):
    u, S = problem(rng)
    f = Halfspace(u, S, "sigmoid")
    lengths = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 61)])
    for w in rng.standard_normal((5, 5)):
        for g in np.concatenate([lengths, -lengths]):
            assert np.sign(length_derivative(f, w, g)) == np.sign(u @ w)


@every_loss
@pytest.mark.parametrize("c", [-50.0, -1.0, 0.0, 0.3, 10.0])
def test_lemma_1_gradients_on_the_optimal_line_stay_parallel_to_u(rng, loss, c):
    u, S = problem(rng)
    f = Halfspace(u, S, loss)
    gradient = f.at(c * f.optimal_direction).gradient
    across = gradient - (gradient @ u) / (u @ u) * u
    assert across == pytest.approx(np.zeros(5), abs=1e-14)


def test_identity_15(rng):
    u, S = problem(rng)
    for f in (LeastSquares(u, S), Halfspace(u, S, "sigmoid")):
        for w in rng.standard_normal((20, 5)):
            Sw = S @ w
            gradient = -2 * (u @ w) / (w @ Sw) * (u - (u @ w) / (w @ Sw) * Sw)
            gap = (w @ Sw) * (gradient @ np.linalg.solve(S, gradient)) / abs(4 * f.rho(w))
            assert gap == pytest.approx(f.rho(w) - f.rho_star, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("g", [-3.0, 0.01, 1.0, 20.0])
def test_gradient_splits_into_direction_and_length(rng, g):
    for f in objectives(rng):
        for w in rng.standard_normal((5, 5)):
            point = f.at(g * w / math.sqrt(w @ f.S @ w))
            squared = point.gradient @ np.linalg.solve(f.S, point.gradient)
            direction = f.stein_coefficient(point) ** 2 * (f.rho(w) - f.rho_star)
            assert squared == pytest.approx(direction + length_derivative(f, w, g) ** 2, rel=1e-10)


def test_ridge_moves_the_optimal_line(rng):
    """∇f = 0 on the line of (S + (α/c₂) I)⁻¹u; checked at the minimiser that Newton on that line finds."""
    u, S = problem(rng)
    f = Halfspace(u, S, "log_loss", alpha=0.2)
    w = np.zeros(5)
    for _ in range(200):
        point = f.at(w)
        c1, c2 = f.stein_coefficient(point), point.mean_curvature
        w = 0.5 * (w - np.linalg.solve(c2 * S + 0.2 * np.eye(5), c1 * u))
    assert f.at(w).gradient == pytest.approx(np.zeros(5), abs=1e-12)


# --- the interface ------------------------------------------------------------------------------------------


def test_objectives_know_their_moments(rng):
    u, S = problem(rng, r=0.4)
    for f in (LeastSquares(u, S), Halfspace(u, S, "probit")):
        assert f.r == -f.rho_star == pytest.approx(0.4)
        assert f.optimal_direction == pytest.approx(np.linalg.solve(S, u))
        assert f.rho(3.0 * f.optimal_direction) == pytest.approx(f.rho_star)
        np.testing.assert_array_equal(f.covariance.apply(u), f.S @ u)
        assert (f.n_features, f.alpha, f.fit_intercept) == (5, 0.0, False)
        f.at(u).line(f.at(u).gradient).jet(1.0)
        assert f.cost.passes == f.gram_passes == 0.0
        assert f.origin.coef.tolist() == [0.0] * 5
        assert f.raw_intercept(u, 0.0) == 0.0
        assert not f.at(u).separates
        assert f.at(u).intercept == f.at(u).intercept_gradient == 0.0
    assert (LeastSquares(u, S).loss.name, LeastSquares(u, S).loss.max_curvature) == ("squared_error", 2.0)
    assert Halfspace(u, S, "probit").loss is LOSSES["probit"]


def test_objectives_copy_what_they_are_given(rng):
    u, S = problem(rng)
    f = Halfspace(u, S, "log_loss")
    w = rng.standard_normal(5)
    point = f.at(w)
    expected = f.at(w.copy()).value
    u[:], S[:], w[:] = 0.0, 0.0, 0.0
    assert point.value == expected
    with pytest.raises(ValueError, match="read-only"):
        f.u[0] = 1.0


def test_diverged_points_have_the_value_nan(rng):
    for f in objectives(rng):
        point = f.at(np.full(5, np.nan))
        assert math.isnan(point.value)
        assert np.isnan(point.gradient).all()
        assert math.isnan(f.origin.line(np.ones(5)).jet(np.nan).value)


@pytest.mark.parametrize(
    ("u", "S", "message"),
    [
        ([[0.1]], [[1.0]], r"u must have shape \(d,\)\. Got \(1, 1\)"),
        ([], [[]], r"u must have shape \(d,\)\. Got \(0,\)"),
        ([0.1, 0.2], [1.0, 1.0], r"S must have shape \(2, 2\) to match u\. Got \(2,\)"),
        ([np.nan, 0.0], np.eye(2), r"u must be finite\. Got nan or infinity"),
        ([0.1, 0.0], np.full((2, 2), np.inf), r"S must be finite\. Got nan or infinity"),
        ([0.1, 0.0], [[1.0, 0.5], [0.0, 1.0]], r"S must be symmetric\. Got entries that differ"),
        ([0.1, 0.0], [[1.0, 1.0], [1.0, 1.0]], r"S must be positive definite\. Got"),
    ],
)
def test_moments_are_checked(u, S, message):
    for make in (LeastSquares, lambda u, S: Halfspace(u, S, "log_loss")):
        with pytest.raises(ValueError, match=message):
            make(u, S)


def test_halfspace_refuses_moments_no_gaussian_has():
    with pytest.raises(ValueError, match=r"uᵀS⁻¹u < 1\. Got 1\.44: S is the second moment"):
        Halfspace([1.2, 0.0], np.eye(2), "log_loss")


def test_halfspace_refuses_a_regression_loss():
    with pytest.raises(ValueError, match=r"Halfspace needs a classification loss\. Got 'pseudo_huber'"):
        Halfspace([0.1], [[1.0]], "pseudo_huber")


@pytest.mark.parametrize(("name", "value"), [("alpha", -1.0), ("alpha", np.nan), ("scale", 0.0)])
def test_options_are_checked(name, value):
    with pytest.raises(ValueError, match=rf"{name}.* must be finite and >.*Got"):
        Halfspace([0.1], [[1.0]], "log_loss", **{name: value})


def test_points_are_checked(rng):
    for f in objectives(rng):
        point = f.at(np.ones(5))
        with pytest.raises(ValueError, match=r"coef must have shape \(5,\)\. Got \(4,\)"):
            f.at(np.ones(4))
        with pytest.raises(ValueError, match=r"direction must have shape \(5,\)\. Got \(6,\)"):
            point.line(np.ones(6))
        for call in (f.at, point.line(np.ones(5)).jet, point.line(np.ones(5)).point):
            argument = np.ones(5) if call == f.at else 1.0
            with pytest.raises(ValueError, match=r"no intercept: it must be 0\. Got 0\.5"):
                call(argument, 0.5)
