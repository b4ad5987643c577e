"""The one-hidden-layer network under Assumption 2, and Algorithm 2 on it."""

import math

import numpy as np
import pytest

from gdnp import Status, methods, minimize, theory
from gdnp.datasets import gaussian_parameters
from gdnp.losses import LOSSES
from gdnp.population import Halfspace, PopulationMLP
from gdnp.population.network import _nodes
from gdnp.problem.hidden_unit import UnitLoss, activation_slope, unit_derivatives
from gdnp.solvers import Method
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection, FixedLength, Length, NewtonLength
from gdnp.solvers.state import DecoupledState
from gdnp.solvers.step_sizes import AdaptiveStep
from gdnp.solvers.units import minimize_units

THETA = (1.0, -0.7, 1.5)
LOSS_NAMES = ("log_loss", "sigmoid", "probit")
FIXED = DecoupledDescent("fixed", "covariance", AdaptiveStep(), FixedLength(), guarded=False)
EXACT = DecoupledDescent("exact", "covariance", AdaptiveStep(), Bisection(45), guarded=False)


def network(loss="log_loss", *, d=4, kappa=10.0, r=0.6, theta=THETA):
    u, S = gaussian_parameters(d, kappa=kappa, r=r, seed=0)
    return PopulationMLP(u, S, theta, loss)


def on_the_line(net, *signals):
    """W̃ whose unit i is C_i S⁻¹u/√r, so that zᵀw̃_i = C_i s₁."""
    return np.outer(signals, net.optimal_direction) / math.sqrt(net.r)


def unit(i, loss="log_loss", **options):
    """Unit i of three, those before it on the line and those after it zero."""
    net = network(loss, **options)
    signals = np.array([-1.7, 0.9, 0.0])
    signals[i:] = 0.0
    return net.unit(i, on_the_line(net, *signals))


def state_of(f, w, g):
    metric = f.covariance
    return DecoupledState(point=f.at(metric.join(w, g)), metric=metric, direction=w, length=Length(g))


# Quadrature


def brute_force(f, coef, signals, theta, loss, h=0.02):
    """E ℓ(Σ θ tanh) by a plain trapezoidal rule over (s₁, s₂)."""
    grid = h * np.arange(-450, 451)
    weight = np.exp(-0.5 * grid**2)
    weight /= weight.sum()
    A = f.u @ coef / math.sqrt(f.r)
    B = math.sqrt(max(coef @ f.S @ coef - A * A, 0.0))
    s1, s2 = math.sqrt(f.r) + math.sqrt(1.0 - f.r) * grid[:, None], grid[None, :]
    total = theta[0] * np.tanh(A * s1 + B * s2)
    for C, output in zip(signals, theta[1:], strict=True):
        total = total + output * np.tanh(C * s1)
    return weight @ LOSSES[loss].value(total) @ weight


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("length", [0.0, 0.5, 4.0])
def test_value_matches_a_plain_rule(rng, loss, length):
    net = network(loss)
    f = net.unit(0, on_the_line(net, 0.0, 0.8, -2.0))
    coef = net.covariance.join(rng.standard_normal(4), length)
    expected = brute_force(f, coef, (0.8, -2.0), THETA, loss)
    assert f.at(coef).value == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize("angle", [1e-9, 1e-4, 0.3, 1.5])
@pytest.mark.parametrize("length", [0.3, 6.0])
def test_rule_has_the_moments_of_the_plane(angle, length):
    r = 0.6
    nodes = _nodes(length * math.cos(angle) * math.sqrt(r), length * math.sin(angle), r, 3.0, 0.9)
    assert nodes.mean(np.ones_like(nodes.s1)) == pytest.approx(1.0, abs=1e-13)
    assert nodes.mean(nodes.s1) == pytest.approx(math.sqrt(r), abs=1e-13)
    assert nodes.mean(nodes.s2) == pytest.approx(0.0, abs=1e-13)
    assert nodes.mean(nodes.s1**2) == pytest.approx(1.0, abs=1e-12)
    assert nodes.mean(nodes.s2**2) == pytest.approx(1.0, abs=1e-12)
    assert nodes.mean(nodes.s1 * nodes.s2) == pytest.approx(0.0, abs=1e-13)
    t = length * (math.cos(angle) * nodes.s1 + math.sin(angle) * nodes.s2)
    np.testing.assert_allclose(t, np.broadcast_to(nodes.t, t.shape), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_gradient_by_stein_is_the_derivative(rng, i):
    f = unit(i)
    coef, d, h = f.covariance.join(rng.standard_normal(4), 2.0), rng.standard_normal(4), 1e-4
    point = f.at(coef)
    ends = [f.at(coef + k * h * d).value for k in (-2, -1, 1, 2)]
    slope = (ends[0] - 8.0 * ends[1] + 8.0 * ends[2] - ends[3]) / (12.0 * h)
    assert point.gradient @ d == pytest.approx(slope, abs=1e-10)
    assert point.line(d).expansion(0.0).gradient[0] == pytest.approx(point.gradient @ d, abs=1e-13)
    ends = [point.line(d).expansion(k * h).gradient[0] for k in (-1, 1)]
    assert point.line(d).expansion(0.0).hessian[0, 0] == pytest.approx(
        (ends[1] - ends[0]) / (2 * h), abs=1e-7
    )


def test_line_and_point_agree(rng):
    f, d = unit(2), rng.standard_normal(4)
    line = f.at(rng.standard_normal(4)).line(d)
    for t in (-1.0, 0.0, 0.7):
        point = line.point(t)
        assert line.expansion(t).value == pytest.approx(point.value, abs=1e-14)
        assert line.expansion(t).gradient[0] == pytest.approx(point.gradient @ d, abs=1e-13)


def test_one_unit_that_hardly_bends_is_a_halfspace(rng):
    """θ tanh(t) -> θ t for small t: f(w̃) -> E φ(θ zᵀw̃)."""
    net = network(theta=(1e3,))
    coef = 1e-4 * rng.standard_normal(4)
    halfspace = Halfspace(net.u, net.S, "log_loss").at(1e3 * coef)
    point = net.unit(0, np.zeros((1, 4))).at(coef)
    assert point.value == pytest.approx(halfspace.value, rel=1e-7)
    assert point.gradient == pytest.approx(1e3 * halfspace.gradient, rel=1e-5)


def test_sign_and_order_of_units_do_not_matter():
    net = network()
    coef = on_the_line(net, -1.0, 0.4, 2.0)
    flipped = PopulationMLP(net.u, net.S, -np.array(THETA))
    turned = PopulationMLP(net.u, net.S, THETA[::-1])
    assert flipped.value(-coef) == pytest.approx(net.value(coef), abs=1e-14)
    assert turned.value(coef[::-1]) == pytest.approx(net.value(coef), abs=1e-14)
    assert flipped.gradient(-coef) == pytest.approx(-net.gradient(coef), abs=1e-13)


def test_linear_maps_of_x_do_not_matter(rng):
    """x -> Ax, w -> A⁻ᵀw leaves f as it is."""
    net, A = network(), rng.standard_normal((4, 4)) + 2.0 * np.eye(4)
    mapped = PopulationMLP(A @ net.u, A @ net.S @ A.T, THETA)
    coef = on_the_line(net, -1.0, 0.4, 2.0)
    back = np.linalg.solve(A.T, coef.T).T
    assert mapped.value(back) == pytest.approx(net.value(coef), abs=1e-12)


# Eqs. 100, 101, 104


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("i", [0, 1, 2])
def test_step_of_a_unit_is_step_13(rng, loss, i):
    f = unit(i, loss)
    for g in (-3.0, 0.4, 2.0):
        w = rng.standard_normal(4)
        expected = theory.rayleigh_step(f.u, f.covariance, w)
        assert FIXED.step(f, state_of(f, w, g)).direction == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("i", [1, 2])
def test_step_needs_the_units_before(rng, i):
    f, w = unit(i), rng.standard_normal(4)
    state = state_of(f, w, -2.0)
    c1, metric = f.stein_coefficient(state.point), f.covariance
    h = (c1 - f.coupling(state.point)) * (f.u @ w)
    s = -(metric.norm(w) ** 3) / (metric.largest * -2.0 * h)
    stepped = w - s * state.direction_gradient
    assert np.abs(stepped - theory.rayleigh_step(f.u, metric, w)).max() > 1e-2


@pytest.mark.parametrize("i", [0, 1, 2])
def test_step_at_an_exact_length(rng, i):
    f, w = unit(i), rng.standard_normal(4)
    state = EXACT.moved(f, state_of(f, w, 1.0), w, Bisection(45))
    L = f.covariance.largest
    stein, curvature = (AdaptiveStep(h)(f, state, L) for h in ("stein", "curvature"))
    assert stein == pytest.approx(curvature, rel=1e-11)
    without = f.stein_coefficient(state.point) - f.coupling(state.point)
    assert (abs(f.stein_coefficient(state.point) / without - 1.0) > 1e-2) == (i > 0)


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("i", [0, 1, 2])
def test_gradient_norm_splits(rng, loss, i):
    f, w, g = unit(i, loss), rng.standard_normal(4), -1.4
    metric = f.covariance
    point = f.at(metric.join(w, g))
    slope = f.origin.line(w / metric.norm(w)).expansion(g).gradient[0]
    both = theory.gradient_norm_squared(
        f.stein_coefficient(point), theory.directional_gap(f.u, metric, w), slope
    )
    assert metric.dual_norm(point.gradient) ** 2 == pytest.approx(both, rel=1e-12)


# Theorem 3 and Algorithm 2


@pytest.mark.parametrize("i", [0, 1, 2])
def test_every_unit_converges_at_the_rate_of_least_squares(rng, i):
    f, metric = unit(i), network().covariance
    w = start = rng.standard_normal(4)
    gaps = []
    for _ in range(8):
        gaps.append(theory.directional_gap(f.u, metric, w))
        w = theory.rayleigh_step(f.u, metric, w)
    method = DecoupledDescent("newton", "covariance", AdaptiveStep(), NewtonLength())
    state, seen = method.init(f, start), []
    for _ in range(8):
        seen.append(theory.directional_gap(f.u, metric, state.direction))
        state = method.step(f, state)
    assert seen == pytest.approx(gaps, rel=1e-9)
    assert (np.array(seen) <= theory.rayleigh_bound(metric, seen[0], np.arange(8)) * (1 + 1e-12)).all()


def test_sweeps_converge_where_one_does_not():
    net = network(theta=(1.0, 1.0))
    result = minimize_units(net, "gdnp_metric", sweeps=14, max_iter=10, tol=1e-11)
    norms = result.history["gradient_norm"]
    assert 1e-4 < norms[1] < 1e-2
    assert result.status is Status.CONVERGED
    assert norms[-1] <= 1e-11 * norms[0]
    assert (np.diff(result.history["objective"]) <= 1e-15).all()
    assert result.objective == pytest.approx(0.309660, abs=5e-7)
    assert result.gradient_norm == norms[-1]
    for sweep, before in zip(result.runs[1:], result.history["objective"][1:], strict=False):
        assert sweep[0].history["objective"][0] <= before + 1e-12  # from where the unit is, not from u
    one = minimize_units(net, "gdnp_metric", max_iter=10, tol=1e-11)
    assert one.status is Status.MAX_ITER
    assert len(one.runs) == 1
    assert len(one.runs[0]) == 2
    assert one.history["objective"] == pytest.approx(result.history["objective"][:2], rel=1e-15)
    for row in one.coef:
        assert theory.sin_squared(net.u, net.covariance, row) < 1e-20


def test_algorithm_2_is_gdnp_on_each_unit():
    net = network(theta=(2.0, 1.0), kappa=1.2)
    result = minimize_units(net, methods.gdnp(bisection_steps=40), max_iter=12, tol=1e-7)
    coef = np.zeros((2, 4))
    for i in range(2):
        run = minimize(net.unit(i, coef), methods.gdnp(bisection_steps=40), max_iter=12, tol=1e-7)
        assert run.history["objective"].tolist() == result.runs[0][i].history["objective"].tolist()
        coef[i] = run.coef
    assert result.coef == pytest.approx(coef, rel=1e-14)


def test_start_and_callback():
    net, seen = network(theta=(1.0, 1.0), d=3), []
    start = np.array([[1.0, 2.0, 0.5], [0.0, 0.0, 0.0]])
    result = minimize_units(
        net,
        "gdnp_metric",
        start=start,
        max_iter=3,
        sweeps=2,
        callback=lambda sweep, i, progress: seen.append((sweep, i, progress.iteration)),
    )
    assert seen[:2] == [(0, 0, 0), (0, 0, 1)]
    assert {(sweep, i) for sweep, i, _ in seen} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    with pytest.raises(ValueError, match=r"start must be finite with one row per unit, shape \(2, 3\)"):
        minimize_units(net, start=start[:1])
    assert len(result.runs) == 2


@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
def test_bounded_losses_have_no_finite_length(loss):
    net = network(loss, theta=(1.0, 1.0))
    result = minimize_units(net, "gdnp_metric", max_iter=3, tol=1e-3)
    assert result.gradient_norm < 1e-3 * result.history["gradient_norm"][0]
    assert result.status is Status.LENGTH_DIVERGES  # a small gradient means nothing here
    assert net.covariance.norm(result.coef[0]) == pytest.approx(64.0)


def test_smaller_output_weights_ask_for_longer_units():
    lengths = []
    for theta in (2.0, 1.0, 0.5):
        net = network(theta=(theta,))
        lengths.append(net.covariance.norm(minimize_units(net, "gdnp_metric", max_iter=5).coef[0]))
    assert lengths == sorted(lengths)
    assert lengths[-1] < 64.0


def test_a_run_that_ends_higher_is_not_kept():
    class Worse(Method):
        name = "worse"

        def init(self, objective, start):
            return EXACT.init(objective, 5.0 * objective.u)

        def step(self, objective, state):
            return FIXED.moved(
                objective, state, state.direction, type("Long", (), {"fit": lambda *_: Length(30.0)})()
            )

    result = minimize_units(network(theta=(1.0,)), Worse(), max_iter=1)
    assert not result.coef.any()
    assert result.objective == pytest.approx(math.log(2.0))


# One unit as a function of one number


@pytest.mark.parametrize("loss", LOSS_NAMES)
def test_unit_derivatives_are_differentiated_right(loss):
    outer, t, rest, h = LOSSES[loss].derivatives, np.linspace(-4.0, 4.0, 41), 0.3, 1e-5
    psi = unit_derivatives(outer, -1.3, rest, t)
    up, down = unit_derivatives(outer, -1.3, rest, t + h), unit_derivatives(outer, -1.3, rest, t - h)
    assert psi.slope == pytest.approx((up.value - down.value) / (2 * h), abs=1e-9)
    assert psi.curvature == pytest.approx((up.slope - down.slope) / (2 * h), abs=1e-9)
    up, down = unit_derivatives(outer, -1.3, rest + h, t), unit_derivatives(outer, -1.3, rest - h, t)
    assert psi.cross == pytest.approx((up.slope - down.slope) / (2 * h), abs=1e-9)


def test_slope_of_tanh_keeps_its_digits_in_the_tails():
    t = np.array([-40.0, 0.0, 20.0, 300.0])
    assert activation_slope(t) == pytest.approx([4 * math.exp(-80), 1.0, 4 * math.exp(-40), 0.0], rel=1e-15)


@pytest.mark.parametrize("loss", LOSS_NAMES)
@pytest.mark.parametrize("theta", [0.5, -2.0])
def test_bounds_of_a_unit_are_not_exceeded(rng, loss, theta):
    reach = abs(theta) + 1.5
    bounds = UnitLoss(LOSSES[loss].derivatives, theta, reach)
    psi = unit_derivatives(bounds.outer, theta, rng.uniform(-1.5, 1.5, (500, 1)), np.linspace(-5, 5, 101))
    assert np.abs(psi.slope).max() <= bounds.max_gradient
    assert 0.3 * bounds.max_curvature < np.abs(psi.curvature).max() <= bounds.max_curvature
    t = np.linspace(-2.0, 2.0, 9)
    alone = unit_derivatives(bounds.outer, theta, 0.0, t)
    for found, expected in zip(
        (bounds.value(t), bounds.gradient(t), bounds.curvature(t)), alone[:3], strict=True
    ):
        assert found.tolist() == expected.tolist()


# Bad input


@pytest.mark.parametrize("theta", [[], [1.0, 0.0], [np.inf], [[1.0]]])
def test_output_weights_must_be_there(theta):
    with pytest.raises(ValueError, match=r"theta must hold a finite output weight other than 0 .* Got \["):
        PopulationMLP([0.5, 0.0], np.eye(2), theta)


def test_a_population_without_a_signal_is_refused():
    with pytest.raises(ValueError, match="u must not be 0"):
        PopulationMLP([0.0, 0.0], np.eye(2), [1.0])


def test_units_off_the_line_are_refused():
    net = PopulationMLP([0.5, 0.0], np.eye(2), [1.0, 1.0])
    with pytest.raises(ValueError, match=r"Got unit 1 with 1 of its length off it: take more steps"):
        net.unit(0, np.array([[0.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"coef must have shape \(2, 2\)\. Got \(1, 2\)"):
        net.unit(0, np.zeros((1, 2)))
    assert net.unit(1, np.array([[0.5, 4e-7], [0.0, 1.0]])).at([1.0, 0.0]).value > 0.0


@pytest.mark.parametrize(("option", "message"), [({"sweeps": 0}, "sweeps"), ({"tol": -1.0}, "tol")])
def test_options_outside_their_range_are_refused(option, message):
    with pytest.raises(ValueError, match=message):
        minimize_units(network(), **option)
