"""gdnp.theory and the theorems of sections 3 and 4: identities to rounding, bounds at every iterate."""

import doctest
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdnp import Objective, methods, minimize, theory
from gdnp.datasets import gaussian_parameters
from gdnp.losses import LOSSES
from gdnp.metric import Covariance, Identity
from gdnp.paper.claims.problems import relative, states
from gdnp.population import Halfspace, LeastSquares
from gdnp.population.examples import EVERY_LOSS, FINITE_LENGTH, DoubleWell, Target, Welsch, critical_points
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection, FixedLength
from gdnp.solvers.state import DecoupledState, Length
from gdnp.solvers.step_sizes import AdaptiveStep

every_loss = pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
finite_length = pytest.mark.parametrize("loss", FINITE_LENGTH, ids=lambda loss: loss.name)
quick = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def problems(draw, log_kappa=4.0):
    """U, S and a direction w with uᵀw ≠ 0, of any size."""
    seed = draw(st.integers(0, 2**31))
    d, scale = draw(st.integers(2, 12)), 10.0 ** draw(st.floats(-3.0, 3.0))
    kappa, r = 10.0 ** draw(st.floats(0.0, log_kappa)), draw(st.floats(0.02, 0.98))
    u, S = gaussian_parameters(d, kappa=kappa, r=r, seed=seed)
    w = np.random.default_rng(seed).standard_normal(d) * 10.0 ** draw(st.floats(-3.0, 3.0))
    return scale * u, scale**2 * S, w


def population(seed=0, d=6, kappa=20.0, r=0.5):
    u, S = gaussian_parameters(d, kappa=kappa, r=r, seed=seed)
    return u, S, np.random.default_rng(seed).standard_normal(d)


# --- section 3 ----------------------------------------------------------------------------------------------


@quick
@given(problems())
def test_step_13_has_its_closed_form(problem):
    u, S, w = problem
    metric = Covariance(S)
    closed = w - S @ w / metric.largest + metric.norm(w) ** 2 / (metric.largest * (u @ w)) * u
    assert relative(theory.rayleigh_step(u, metric, w), closed) < 1e-11


@quick
@given(problems())
def test_bound_14_holds_at_every_iterate(problem):
    u, S, w = problem
    metric = Covariance(S)
    gaps = [theory.directional_gap(u, metric, w)]
    for _ in range(40):
        w = theory.rayleigh_step(u, metric, w)
        gaps.append(theory.directional_gap(u, metric, w))
    rounding = 1e-20 * theory.squared_signal(u, metric)
    assert (
        np.array(gaps) <= theory.rayleigh_bound(metric, gaps[0], np.arange(41)) * (1 + 1e-9) + rounding
    ).all()


def test_bound_14_is_reached_in_the_slowest_eigenvector():
    S = np.diag([1.0, 0.05])
    u, w = np.array([0.7, 0.0]), np.array([1e4, 1.0])
    metric = Covariance(S)
    first = theory.directional_gap(u, metric, w)
    after = theory.directional_gap(u, metric, theory.rayleigh_step(u, metric, w))
    assert after / first == pytest.approx((1 - 0.05) ** 2, rel=1e-6)


@quick
@given(problems())
def test_identity_15_and_the_angle(problem):
    u, S, w = problem
    metric = Covariance(S)
    best = np.linalg.solve(S, u)
    r, m = float(u @ best), (u @ w) ** 2 / (w @ S @ w)
    assert theory.squared_signal(u, metric) == pytest.approx(r, rel=1e-10)
    assert theory.rayleigh_quotient(u, metric, w) == pytest.approx(-m, rel=1e-12)
    assert theory.directional_gap(u, metric, w) == pytest.approx(r - m, abs=1e-11 * r)
    assert theory.identity_15(u, metric, w) == pytest.approx(theory.directional_gap(u, metric, w), rel=1e-11)
    assert theory.sin_squared(u, metric, w) == pytest.approx(1 - m / r, abs=1e-10)


def test_gradient_of_rho_is_its_derivative(rng):
    u, S, w = population(seed=1)  # that of rng would draw w again for d, along which the derivative is 0
    metric, d = Covariance(S), rng.standard_normal(6)
    ends = [theory.rayleigh_quotient(u, metric, w + sign * 1e-5 * d) for sign in (1, -1)]
    assert theory.rayleigh_gradient(u, metric, w) @ d == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)


def test_gap_keeps_its_digits_near_the_solution(rng):
    u, S, _ = population(kappa=100.0)
    metric = Covariance(S)
    best, d = metric.split(metric.solve(u))[0], rng.standard_normal(6)
    d -= metric.inner(d, best) * best
    tangent = metric.split(d)[0]
    for angle in (1e-2, 1e-5, 1e-9):
        w = math.cos(angle) * best + math.sin(angle) * tangent
        assert theory.sin_squared(u, metric, w) == pytest.approx(math.sin(angle) ** 2, rel=1e-4)


def test_best_length_of_least_squares():
    u, S, w = population()
    f, metric = LeastSquares(u, S), Covariance(S)
    g = theory.best_least_squares_length(u, metric, w)
    assert f.at(metric.join(w, g)).value == pytest.approx(theory.rayleigh_quotient(u, metric, w), rel=1e-12)
    for other in (g - 0.01, g + 0.01):
        assert f.at(metric.join(w, other)).value > f.at(metric.join(w, g)).value


def test_a_stationary_start_is_refused():
    u, metric = np.array([0.5, 0.0]), Covariance(np.eye(2))
    with pytest.raises(ValueError, match=r"ρ\(w\) ≠ 0\. Got uᵀw = 0"):
        theory.rayleigh_step(u, metric, np.array([0.0, 1.0]))
    np.testing.assert_array_equal(theory.rayleigh_step(u, metric, np.array([0.0, 1.0]), 1.0), [0.0, 1.0])


@pytest.mark.parametrize(
    "call", [theory.rayleigh_quotient, theory.directional_gap, theory.identity_15, theory.lda_length]
)
def test_no_direction_is_refused(call):
    with pytest.raises(ValueError, match=r"positive length in the metric\. Got ‖w‖_S = 0"):
        call(np.array([0.5, 0.0]), Covariance(np.eye(2)), np.zeros(2))


def test_a_singular_metric_is_read_on_its_range():
    S = np.diag([2.0, 0.5, 0.0])
    u, w = np.array([0.6, 0.3, 0.0]), np.array([1.0, -2.0, 7.0])
    full, part = Covariance(S), Covariance(S[:2, :2])
    assert theory.directional_gap(u, full, w) == pytest.approx(
        theory.directional_gap(u[:2], part, w[:2]), rel=1e-13
    )
    assert theory.rayleigh_bound(full, 1.0, 3) == pytest.approx((1 - 0.25) ** 6)


# --- section 4: the landscape -------------------------------------------------------------------------------


@quick
@given(problems(), st.sampled_from(EVERY_LOSS), st.floats(-5.0, 5.0))
def test_gradient_splits_exactly_and_certifies_the_gap(problem, loss, g):
    u, S, w = problem
    f, metric = Halfspace(u, S, loss), Covariance(S)
    point = f.at(metric.join(w, g))
    c1, slope = f.stein_coefficient(point), float(point.gradient @ w) / metric.norm(w)
    gap = theory.directional_gap(u, metric, w)
    squared = metric.dual_norm(point.gradient) ** 2
    assert theory.gradient_norm_squared(c1, gap, slope) == pytest.approx(squared, rel=1e-8)
    assert theory.directional_gap_from_gradient(point.gradient, metric, w, c1) == pytest.approx(gap, rel=1e-5)


@finite_length
def test_lemma_1_critical_points_lie_on_the_line(loss):
    count = 0
    for seed in range(3):
        u, S, _ = population(seed, d=4)
        for coef in critical_points(Halfspace(u, S, loss), 5, seed=seed):
            assert theory.sin_squared(u, Covariance(S), coef) < 1e-12
            count += 1
    assert count >= 3


def test_lemma_1_needs_curvature():
    """An even loss has critical points at a right angle to S⁻¹u, where c₁ = c₂ = 0."""
    u, S, _ = population()
    f = Halfspace(u, S, DoubleWell())
    for across in np.linalg.svd(u[None, :])[2][1:]:
        coef = f.covariance.join(across, math.sqrt(3.0))
        point = f.at(coef)
        assert f.covariance.dual_norm(point.gradient) < 1e-13
        assert abs(point.mean_curvature) < 1e-13
        assert theory.sin_squared(u, f.covariance, coef) == pytest.approx(1.0)
    off = f.at(f.covariance.join(across, 1.5))
    assert f.covariance.dual_norm(off.gradient) > 1e-2


@pytest.mark.parametrize(
    "loss", [Target(), Target(50.0), Welsch(), DoubleWell()], ids=lambda loss: repr(loss)
)
def test_losses_of_a_users_own_have_their_derivatives_and_bounds(loss):
    t, h = np.linspace(-60.0, 10.0, 20_001), 1e-6
    slope = (loss.value(t + h) - loss.value(t - h)) / (2 * h)
    curvature = (loss.gradient(t + h) - loss.gradient(t - h)) / (2 * h)
    np.testing.assert_allclose(loss.gradient(t), slope, atol=1e-7)
    np.testing.assert_allclose(loss.curvature(t), curvature, atol=1e-7)
    assert np.abs(loss.gradient(t)).max() <= loss.max_gradient * (1 + 1e-12)
    assert np.abs(loss.curvature(t)).max() <= loss.max_curvature * (1 + 1e-12)
    assert (loss.curvature(t) > 0).all() == loss.convex


def test_lda_oracle():
    u, S, w = population()
    f, metric = Halfspace(u, S, "log_loss"), Covariance(S)
    best = theory.lda_solution(u, metric)
    assert metric.dual_norm(f.at(best).gradient) < 1e-12
    np.testing.assert_allclose(best, -2 * np.linalg.solve(S - np.outer(u, u), u), rtol=1e-10)
    slope = f.origin.line(w / metric.norm(w)).expansion(theory.lda_length(u, metric, w)).gradient[0]
    assert slope == pytest.approx(0.0, abs=1e-12)
    assert theory.lda_length(u, metric, best) == pytest.approx(metric.norm(best), rel=1e-12)


@finite_length
def test_ridge_moves_the_line(loss):
    u, S, _ = population(d=4)
    f = Halfspace(u, S, loss, alpha=0.05)
    coef = critical_points(f, 6)[0]
    line = theory.ridge_direction(u, f.covariance, f.alpha, f.at(coef).mean_curvature)
    cosine = f.covariance.inner(*(f.covariance.split(v)[0] for v in (coef, line)))
    assert abs(cosine) == pytest.approx(1.0, abs=1e-13)
    assert theory.sin_squared(u, f.covariance, coef) > 1e-3
    np.testing.assert_allclose(
        theory.ridge_direction(u, f.covariance, 0.0, 1.0), f.optimal_direction, rtol=1e-10
    )


# --- section 4: the algorithm -------------------------------------------------------------------------------


@every_loss
def test_gdnp_takes_the_least_squares_steps(loss):
    u, S, w = population(kappa=50.0, r=0.7)
    metric = Covariance(S)
    for state in states(methods.gdnp(bisection_steps=45), Halfspace(u, S, loss), w, 15):
        assert relative(state.direction, w) < 1e-11
        w = theory.rayleigh_step(u, metric, w)


@quick
@given(problems(), st.sampled_from(EVERY_LOSS), st.floats(0.05, 5.0), st.sampled_from([-1.0, 1.0]))
def test_step_17_is_step_13_at_any_length(problem, loss, g, sign):
    u, S, w = problem
    f, metric = Halfspace(u, S, loss), Covariance(S)
    fixed = DecoupledDescent("fixed", "covariance", AdaptiveStep(), FixedLength(), guarded=False)
    point = f.at(metric.join(w, sign * g))  # g is not ‖w‖_S: there the printed h is right as well
    state = DecoupledState(point=point, metric=metric, direction=w, length=Length(sign * g))
    assert relative(fixed.step(f, state).direction, theory.rayleigh_step(u, metric, w)) < 1e-8


def test_least_squares_presets_agree():
    u, S, w = population()
    f, metric = LeastSquares(u, S), Covariance(S)
    for method in (methods.rayleigh_gd(), methods.gdnp()):
        expected = w
        for state in states(method, f, w, 10):
            assert relative(state.direction, expected) < 1e-11
            expected = theory.rayleigh_step(u, metric, expected)


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_printed_h_differs_and_depends_on_the_scale_of_w(scale):
    u, S, w = population(1, d=8, kappa=10.0)
    f, metric = Halfspace(u, S, "log_loss"), Covariance(S)
    w = metric.join(w, 1.0)
    right, printed = (
        [states(methods.gdnp(h=h, bisection_steps=40), f, c * w, 1)[1].direction / c for c in (0.1, scale)]
        for h in ("stein", "printed")
    )
    assert relative(right[1], right[0]) < 1e-11
    assert relative(printed[1], printed[0]) > 1e-2
    assert relative(printed[1], right[1]) > 1e-2


def test_printed_h_is_right_where_the_lengths_agree():
    u, S, w = population()
    f, metric = Halfspace(u, S, "log_loss"), Covariance(S)
    fixed = {
        h: DecoupledDescent("fixed", "covariance", AdaptiveStep(h), FixedLength(), guarded=False)
        for h in ("stein", "printed")
    }
    w = metric.join(w, 1.7)  # an unguarded method starts with g = ‖w‖_S
    stein, printed = (states(method, f, w, 1)[1].direction for method in fixed.values())
    assert relative(printed, stein) < 1e-12


@finite_length
def test_exact_length_forms(loss):
    u, S, w = population()
    f, metric = Halfspace(u, S, loss), Covariance(S)
    state = methods.gdnp().init(f, w)
    m = float(u @ w) / metric.norm(w)
    assert f.stein_coefficient(state.point) == pytest.approx(
        state.point.mean_gradient / (1 - m * m), rel=1e-6
    )
    forms = [AdaptiveStep(h)(f, state, metric.largest) for h in ("stein", "curvature")]
    assert forms[0] == pytest.approx(forms[1], rel=1e-6)
    assert forms[0] > 0.0


@quick
@given(problems(log_kappa=2.0), st.sampled_from(FINITE_LENGTH), st.integers(1, 25), st.integers(1, 30))
def test_corrected_bound_19(problem, loss, steps, halvings):
    u, S, w = problem
    f, metric = Halfspace(u, S, loss), Covariance(S)
    method = DecoupledDescent("run", "covariance", AdaptiveStep(), Bisection(halvings), guarded=False)
    last = states(method, f, metric.join(w, 1.0), steps)[-1]
    line, high = f.origin.line(last.direction / last.norm), 1.0
    while not line.expansion(-high).gradient[0] < 0.0 < line.expansion(high).gradient[0]:
        high *= 2.0
    bound = theory.gradient_bound(
        metric,
        f.r,
        theory.directional_gap(u, metric, w),
        steps,
        max_gradient=loss.max_gradient,
        smoothness=metric.largest * loss.max_curvature,
        bracket=2.0 * high,
        bisection_steps=halvings,
    )
    assert metric.dual_norm(last.point.gradient) ** 2 <= bound * (1 + 1e-9) + 1e-20


def test_bound_19_has_its_three_parts():
    metric = Covariance(np.diag([2.0, 1.0]))
    given = {"max_gradient": 3.0, "smoothness": 5.0, "bracket": 4.0}
    value = theory.gradient_bound(metric, 0.25, 0.1, [0, 2], **given, bisection_steps=3)
    expected = [9.0 / 0.25 * 0.1 * 0.5**k + 4.0**-3 * 25.0 * 16.0 for k in (0, 4)]
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"Assumption 2 needs 0 <= r = uᵀS⁻¹u < 1\. Got 1\.0"):
        theory.gradient_bound(metric, 1.0, 0.1, 1, **given, bisection_steps=3)


# --- invariances --------------------------------------------------------------------------------------------


@every_loss
def test_metric_steps_are_invariant_under_linear_maps(rng, loss):
    """On skewed data, where one step is not enough: w̃ᵀx is the same predictor before and after x → Ax."""
    X, A = rng.exponential(size=(300, 4)) ** 1.5, rng.standard_normal((4, 4)) + 2.0 * np.eye(4)
    y, w = np.where(rng.random(300) < 0.4, 1.0, -1.0), rng.standard_normal(4)
    ends = {}
    for method in (methods.gdnp_metric(), methods.weight_norm_gd(step=1.0), methods.gd()):
        before = minimize(Objective(X, y, loss), method, w, max_iter=3, tol=0.0).coef
        after = minimize(
            Objective(X @ A.T, y, loss), method, np.linalg.solve(A.T, w), max_iter=3, tol=0.0
        ).coef
        ends[method.name] = relative(A.T @ after, before)
    assert ends["gdnp_metric"] < 1e-6
    assert ends["weight_norm_gd"] > 1e-3
    assert ends["gd"] > 1e-3


@every_loss
def test_directions_are_equivariant_under_rotations_and_units(rng, loss):
    u, S, w = population()
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    plain = states(methods.gdnp(bisection_steps=40), Halfspace(u, S, loss), w, 5)
    for A in (rotation, 1e3 * rotation):
        moved = Halfspace(A @ u, A @ S @ A.T, loss)
        run = states(methods.gdnp(bisection_steps=40), moved, np.linalg.solve(A.T, w), 5)
        for before, after in zip(plain, run, strict=True):
            assert relative(A.T @ after.direction, before.direction) < 1e-9
            assert after.length.g == pytest.approx(before.length.g, rel=1e-9)


def test_normalised_objective_is_invariant_in_the_metric_s_only(rng):
    u, S, w = population()
    A = rng.standard_normal((6, 6))
    v = np.linalg.solve(A.T, w)
    before, after = Halfspace(u, S, "log_loss"), Halfspace(A @ u, A @ S @ A.T, "log_loss")
    values = [f.at(f.covariance.join(x, 1.5)).value for f, x in ((before, w), (after, v))]
    assert values[1] == pytest.approx(values[0], rel=1e-10)
    identity = [f.at(Identity(6).join(x, 1.5)).value for f, x in ((before, w), (after, v))]
    assert abs(identity[1] / identity[0] - 1.0) > 1e-3


@every_loss
def test_one_metric_step_finds_the_direction(loss):
    u, S, w = population(kappa=1e4)
    f = Halfspace(u, S, loss)
    start, after = states(methods.gdnp_metric(), f, w, 1)
    assert theory.sin_squared(u, f.covariance, start.direction) > 1e-3
    assert theory.sin_squared(u, f.covariance, after.direction) < 1e-12


@finite_length
def test_two_step_is_the_limit_of_gdnp(loss):
    u, S, w = population(kappa=5.0)
    f = Halfspace(u, S, loss)
    once = minimize(f, "two_step", max_iter=2)
    slow = minimize(f, "gdnp", w, max_iter=200, tol=1e-9)
    assert once.gradient_norm < 1e-9
    np.testing.assert_allclose(slow.coef, once.coef, rtol=1e-5, atol=1e-8)


def test_length_diverges_for_sigmoid_and_probit():
    u, S, w = population()
    for name in ("sigmoid", "probit"):
        f = Halfspace(u, S, LOSSES[name])
        line = f.origin.line(w / f.covariance.norm(w))
        assert {np.sign(line.expansion(g).gradient[0]) for g in np.linspace(-50.0, 50.0, 41)} == {
            np.sign(u @ w)
        }
        state = methods.gdnp().init(f, w)
        assert state.length_diverges


# --- how many iterations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kappa", [1.0, 3.0, 40.0, 900.0])
def test_predicted_iterations_suffice(kappa):
    u, S, w = population(d=12, kappa=kappa)
    metric, epsilon = Covariance(S), 1e-6
    predicted = theory.predicted_iterations(metric.condition, epsilon)
    first = theory.directional_gap(u, metric, w)
    for _ in range(predicted.gradient):
        w = theory.rayleigh_step(u, metric, w)
    assert theory.directional_gap(u, metric, w) <= epsilon * first * (1 + 1e-9)
    v, residual = np.zeros(12), u
    p = residual
    for _ in range(predicted.conjugate_gradient):
        if residual @ residual < 1e-28:
            break
        step = (residual @ residual) / (p @ S @ p)
        v, new = v + step * p, residual - step * (S @ p)
        p, residual = new + (new @ new) / (residual @ residual) * p, new
    assert theory.directional_gap(u, metric, v) <= epsilon * theory.squared_signal(u, metric)
    assert predicted.metric == 1
    assert theory.predicted_iterations(metric.condition, epsilon, rank=3).conjugate_gradient <= 3
    assert predicted.conjugate_gradient <= max(predicted.gradient, 1) or kappa <= 3.0


@pytest.mark.parametrize(("condition", "epsilon"), [(0.5, 0.1), (math.inf, 0.1), (2.0, 0.0), (2.0, 1.0)])
def test_predicted_iterations_check_their_arguments(condition, epsilon):
    with pytest.raises(
        ValueError, match=r"needs a finite condition >= 1 and 0 < epsilon < 1\. Got condition="
    ):
        theory.predicted_iterations(condition, epsilon)


def test_examples():
    assert doctest.testmod(theory) == doctest.TestResults(failed=0, attempted=3)


def test_a_condition_of_one_but_for_rounding_takes_one_step():
    found = theory.predicted_iterations(1.0 + 2e-16, 1e-6, 5)
    assert (found.gradient, found.conjugate_gradient, found.metric) == (1, 1, 1)
