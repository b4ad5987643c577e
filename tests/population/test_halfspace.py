"""The population objectives: derivatives, closed forms and the identities of section 3 to rounding."""

import math

import mpmath as mp
import numpy as np
import pytest

from gdnp.losses import LOSSES
from gdnp.population import Halfspace, LeastSquares
from gdnp.population.examples import Target
from gdnp.population.quadrature import gaussian_rule
from gdnp.theory import rayleigh_quotient

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
    """∂_g f(g w/‖w‖_S), by the expansion along the ray."""
    ray = f.at(np.zeros_like(w)).line(w / math.sqrt(w @ f.S @ w))
    return ray.expansion(g).gradient[0]


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
    assert f.at(-f.optimal_direction).value == pytest.approx(-f.r)
    assert f.origin.line(-f.optimal_direction).expansion(1.0).gradient[0] == pytest.approx(0.0, abs=1e-13)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("length", [0.0, 0.5, 4.0])
def test_gradient_matches_central_differences(rng, alpha, length):
    for f in objectives(rng, alpha=alpha):
        w, h = length * rng.standard_normal(5), 1e-5
        difference = [(f.at(w + h * e).value - f.at(w - h * e).value) / (2 * h) for e in np.eye(5)]
        assert f.at(w).gradient == pytest.approx(difference, abs=2e-9)


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("start", ["anywhere", "origin", "on the line"])
def test_expansion_agrees_with_points_and_differences(rng, alpha, start):
    for f in objectives(rng, alpha=alpha):
        d = rng.standard_normal(5)
        w = {"anywhere": rng.standard_normal(5), "origin": np.zeros(5), "on the line": 2.5 * d}[start]
        line = f.at(w).line(d)
        for t in (-2.5, -0.4, 0.0, 0.7, 3.0):
            second, point, h = line.expansion(t), f.at(w + t * d), 1e-5
            assert second.value == pytest.approx(point.value, rel=1e-12, abs=1e-13)
            assert second.gradient[0] == pytest.approx(d @ point.gradient, rel=1e-10, abs=1e-12)
            difference = (line.expansion(t + h).gradient[0] - line.expansion(t - h).gradient[0]) / (2 * h)
            assert second.hessian[0, 0] == pytest.approx(difference, abs=2e-8)
            assert second.gradient[1] == 0.0
            assert not second.hessian.ravel()[1:].any()


@every_loss
@pytest.mark.parametrize("g", LENGTHS)
def test_expansion_along_a_ray_keeps_its_digits_at_any_length(rng, loss, g):
    u, S = problem(rng)
    f = Halfspace(u, S, loss)
    w = rng.standard_normal(5)
    w /= math.sqrt(w @ S @ w)
    m = float(u @ w)
    nodes, weights = gaussian_rule(g * m, g * g * (1 - m * m))
    curvature = f.loss.curvature(nodes) * (nodes / g) ** 2
    exact, terms = weights @ curvature, weights @ np.abs(curvature)
    for line, t in ((f.origin.line(w), g), (f.at(g * w).line(w), 0.0), (f.at(3.0 * w).line(-w), 3.0 - g)):
        assert line.expansion(t).hessian[0, 0] == pytest.approx(exact, abs=1e-9 * terms)


@every_loss
def test_curvature_at_the_origin_is_that_of_a_point_mass(rng, loss):
    u, S = problem(rng)
    f, d = Halfspace(u, S, loss), rng.standard_normal(5)
    curvature = float(f.loss.curvature(np.zeros(1))[0]) * (d @ S @ d)
    assert f.origin.line(d).expansion(0.0).hessian[0, 0] == pytest.approx(curvature, rel=1e-13, abs=1e-15)
    assert f.origin.line(np.zeros(5)).expansion(2.0).hessian[0, 0] == 0.0


def test_probit_has_its_closed_form(rng):
    u, S = problem(rng)
    f = Halfspace(u, S, "probit")
    for g in (0.1, 2.0, 50.0):
        w = rng.standard_normal(5)
        w *= g / math.sqrt(w @ S @ w)
        m = u @ w / g
        exact = float(mp.ncdf(g * m / math.sqrt(1 + g * g * (1 - m * m))))
        assert f.at(w).value == pytest.approx(exact, rel=1e-12)


def test_values_are_those_of_the_expansions_and_points(rng):
    for f in objectives(rng, alpha=0.1):
        line = f.at(rng.standard_normal(5)).line(rng.standard_normal(5))
        for t in (-1.0, 0.0, 0.5, 2.0):
            assert line.expansion(t).value == pytest.approx(line.point(t).value, rel=1e-12)


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
            rho = rayleigh_quotient(u, f.covariance, w)
            gap = (w @ Sw) * (gradient @ np.linalg.solve(S, gradient)) / abs(4 * rho)
            assert gap == pytest.approx(rho + f.r, rel=1e-12, abs=1e-13)


@pytest.mark.parametrize("g", [-3.0, 0.01, 1.0, 20.0])
def test_gradient_splits_into_direction_and_length(rng, g):
    for f in objectives(rng):
        for w in rng.standard_normal((5, 5)):
            point = f.at(g * w / math.sqrt(w @ f.S @ w))
            squared = point.gradient @ np.linalg.solve(f.S, point.gradient)
            direction = f.stein_coefficient(point) ** 2 * (rayleigh_quotient(f.u, f.covariance, w) + f.r)
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
        assert f.r == pytest.approx(0.4)
        assert f.optimal_direction == pytest.approx(np.linalg.solve(S, u))
        np.testing.assert_array_equal(f.covariance.apply(u), f.S @ u)
        assert (f.n_features, f.alpha, f.fit_intercept) == (5, 0.0, False)
        f.at(u).line(f.at(u).gradient).expansion(1.0)
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
        assert math.isnan(f.origin.line(np.ones(5)).expansion(np.nan).value)


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
        for call in (f.at, point.line(np.ones(5)).point):
            argument = np.ones(5) if call == f.at else 1.0
            with pytest.raises(ValueError, match=r"no intercept: it must be 0\. Got 0\.5"):
                call(argument, 0.5)


def test_expectations_hold_for_a_loss_that_bends_away_from_zero():
    # A dense rule of 20 000 trapezoids in units of the standard deviation, which knows of no panels.
    S, u = np.diag([1.0, 1e-4]), math.sqrt(0.9) * np.array([math.sqrt(0.9), 1e-2 * math.sqrt(0.1)])
    f = Halfspace(u, S, Target(50.0))
    point = f.at(f.covariance.join(np.array([0.99090909, 30.00030303]), -47.58))
    t = np.linspace(-12.0, 12.0, 20_001)
    xi = point.a + math.sqrt(point.q - point.a**2) * t
    weight = np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi) * (t[1] - t[0])
    assert point.mean_curvature == pytest.approx(weight @ f.loss.curvature(xi), rel=1e-12)
    assert point.mean_gradient == pytest.approx(weight @ f.loss.gradient(xi), rel=1e-12)
