"""Accelerated gradient descent for non-convex objectives: saddles are left, convexity is not disturbed."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest

import gdnp
from gdnp import Objective, methods
from gdnp.datasets import gaussian_design
from gdnp.losses import get_loss
from gdnp.metric import Covariance
from gdnp.population import Halfspace, LeastSquares
from gdnp.problem.interface import Cost, Expansion


@dataclass
class Saddle:
    """f(a, b) = a²/2 - b²/2 + b⁴/4: a saddle at 0, minima -1/4 at (0, ±1), as an ``interface.Objective``."""

    n_features = 2
    alpha = 0.0
    fit_intercept = False
    gram_passes = 0.0
    length_cap = 1e6
    loss = get_loss("sigmoid")
    covariance = Covariance(np.eye(2))
    u = np.zeros(2)
    cost: Cost = field(default_factory=Cost)

    def at(self, coef, intercept=0.0):
        assert intercept == 0.0
        self.cost.charge(1.0)
        return SaddlePoint(self, np.asarray(coef, dtype=float))

    @property
    def origin(self):  # the scale of the loop's tolerance: it must not be the saddle itself
        return SaddlePoint(self, np.array([1.0, 0.0]))

    def raw_intercept(self, coef, intercept):
        return intercept


@dataclass
class SaddlePoint:
    objective: Saddle
    coef: np.ndarray
    intercept = 0.0
    intercept_gradient = 0.0
    separates = False

    @cached_property
    def value(self):
        a, b = self.coef
        return 0.5 * a**2 - 0.5 * b**2 + 0.25 * b**4

    @cached_property
    def gradient(self):
        a, b = self.coef
        return np.array([a, b**3 - b])

    def line(self, direction):
        self.objective.cost.charge(0.5)
        return SaddleLine(self, direction)


@dataclass
class SaddleLine:
    origin: SaddlePoint
    direction: np.ndarray

    def point(self, t, c=0.0):
        assert c == 0.0
        return SaddlePoint(self.origin.objective, self.origin.coef + t * self.direction)

    def expansion(self, t, c=0.0):
        point = self.point(t, c)
        return Expansion(point.value, point.gradient @ self.direction, 0.0, np.nan, np.nan, np.nan)


def method(**parameters):
    """Parameters for ℓ = 2 (|b| <= 1) and ρ = 6."""
    return methods.agd_nonconvex(**{"step": 0.125, "hessian_lipschitz": 6.0, "epsilon": 1e-3, **parameters})


def drive(objective, method, start, iterations):
    states = [method.init(objective, np.asarray(start, dtype=float))]
    for _ in range(iterations):
        states.append(method.step(objective, states[-1]))
    return states


def test_leaves_a_saddle_where_plain_acceleration_stays():
    start = np.array([1.0, 0.0])  # on the stable manifold of the saddle
    stuck = gdnp.minimize(Saddle(), methods.agd(step=0.125, momentum=0.9), start, max_iter=2000, tol=1e-10)
    np.testing.assert_allclose(stuck.coef, 0.0, atol=1e-8)
    result = gdnp.minimize(Saddle(), method(), start, max_iter=2000, tol=1e-10)
    assert result.status is gdnp.Status.CONVERGED
    np.testing.assert_allclose(np.abs(result.coef), [0.0, 1.0], atol=1e-8)
    assert result.objective == pytest.approx(-0.25, abs=1e-15)


def test_starts_on_the_saddle_itself():
    last = drive(Saddle(), method(), [0.0, 0.0], 600)[-1]
    assert last.point.value == pytest.approx(-0.25, abs=1e-9)
    without = drive(Saddle(), method(radius=0.0), [0.0, 0.0], 3)[-1]
    assert without.stalled
    np.testing.assert_array_equal(without.point.coef, 0.0)


def test_perturbations_are_seeded():
    first, again, other = (drive(Saddle(), method(seed=seed), [1.0, 0.0], 900)[-1] for seed in (0, 0, 2))
    np.testing.assert_array_equal(first.point.coef, again.point.coef)
    assert first.perturbations >= 1
    assert not np.array_equal(first.point.coef, other.point.coef)


def test_no_perturbation_once_one_has_not_helped():
    """Otherwise the noise would keep x from converging below ε."""
    states = drive(Saddle(), method(), [0.3, 0.9], 1500)
    assert states[-1].settled
    assert states[-1].perturbations == 1
    assert np.linalg.norm(states[-1].point.gradient) < 1e-9


def test_waits_between_perturbations():
    waits = method(wait=40).resolved(Saddle()).wait
    states = drive(Saddle(), method(wait=40), [1.0, 0.0], 900)
    at = sorted({state.perturbed_at for state in states if state.perturbed_at is not None})
    assert waits == 40
    assert len(at) >= 2
    assert np.diff(at).min() > 40


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_is_nesterovs_recursion_where_f_is_convex(momentum):
    """On a quadratic the certificate cannot hold, and x is the base sequence of constant momentum."""
    S, u = np.diag([1.0, 0.3, 0.02]), np.array([0.3, 0.2, 0.05])
    objective, eta = LeastSquares(u, S), 0.2
    tuned = methods.agd_nonconvex(step=eta, momentum=momentum, radius=0.0)
    states = drive(objective, tuned, np.zeros(3), 60)
    x = y = np.zeros(3)
    for state in states[1:]:
        new = y - eta * 2.0 * (u + S @ y)
        x, y = new, new + momentum * (new - x)
        np.testing.assert_allclose(state.point.coef, x, rtol=0.0, atol=1e-13)
    assert states[-1].exploitations == 0


def test_convex_problem_converges_to_rounding_without_exploiting():
    """Close to the minimum f(x) and its tangent differ by rounding only: that is no negative curvature."""
    objective = LeastSquares([0.3, 0.2], np.diag([1.0, 0.2]))
    states = drive(objective, methods.agd_nonconvex(), [1.0, -2.0], 3000)
    assert states[-1].exploitations == 0
    np.testing.assert_allclose(states[-1].point.coef, -objective.optimal_direction, atol=1e-13)


def test_exploits_negative_curvature_with_the_step_s():
    """Near b = 0 the curvature is -1 < -γ: the momentum along b is replaced by one step of length s."""
    tuned = method(curvature=0.1, escape=0.05, momentum=0.9, radius=0.0)
    before, after = drive(Saddle(), tuned, [0.0, 1e-3], 2)[1:]
    assert np.linalg.norm(before.velocity) < 0.05
    assert after.exploitations == 1
    np.testing.assert_array_equal(after.velocity, 0.0)
    np.testing.assert_allclose(after.point.coef, before.point.coef + np.array([0.0, 0.05]), rtol=1e-14)
    assert after.point.value < before.point.value


def test_drops_a_long_momentum():
    tuned = method(curvature=0.1, escape=1e-6, momentum=0.9, radius=0.0)
    before, after = drive(Saddle(), tuned, [0.0, 1e-3], 2)[1:]
    assert after.exploitations == 1
    assert after.point is before.point
    np.testing.assert_array_equal(after.velocity, 0.0)


def test_passes_and_rivals_on_data():
    """One pass at x and one at y; softplus ends at the same minimum as GDNP."""
    data = gaussian_design(400, 4, kappa=10.0, seed=1)
    objective = Objective(data.X, data.y, n_jobs=1)
    result = gdnp.minimize(objective, "agd_nonconvex", max_iter=5000, tol=1e-9)
    assert result.status is gdnp.Status.CONVERGED
    passes = np.diff(result.history["passes"])
    assert passes[0] == 1.0  # at rest y is x
    assert set(passes[1:]) <= {2.0, 3.0}  # the third is a perturbation
    best = gdnp.minimize(objective, "gdnp_metric", max_iter=500, tol=1e-9)
    np.testing.assert_allclose(result.coef, best.coef, rtol=1e-6)


def test_intercept_is_a_coordinate(rng):
    X = rng.standard_normal((100, 2))
    y = np.where(rng.random(100) < 0.2, 1.0, -1.0)
    result = gdnp.minimize(Objective(X, y, fit_intercept=True), "agd_nonconvex", max_iter=5000)
    assert result.status is gdnp.Status.CONVERGED
    p = 1.0 / (1.0 + np.exp(-(X @ result.coef + result.intercept)))
    assert p.mean() == pytest.approx(np.mean(y == 1.0), abs=1e-6)


def test_defaults_are_those_of_the_analysis():
    objective = Halfspace([0.3, 0.2], np.diag([16.0, 1.0]), "log_loss", alpha=1.0)
    p = methods.agd_nonconvex().resolved(objective)
    smoothness, rho = 5.0, 20.0  # 16/4 + 1, and that times √16
    theta = 1.0 / (4.0 * np.sqrt(smoothness / np.sqrt(rho * p.epsilon)))
    assert p.epsilon == pytest.approx(1e-4 * smoothness**2 / rho)
    assert (p.step_length, p.momentum) == pytest.approx((1.0 / 20.0, 1.0 - theta))
    assert (p.curvature, p.escape) == pytest.approx((theta**2 * 20.0, theta**2 * 20.0 / 80.0))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"step": 0.0}, "step must be finite and positive. Got 0.0"),
        ({"curvature": np.inf}, "curvature must be finite and positive"),
        ({"momentum": 1.0}, r"momentum must be in \[0, 1\), or None. Got 1.0"),
        ({"radius": -1.0}, "radius must be finite and non-negative. Got -1.0"),
        ({"wait": 0}, "wait must be a whole number of at least 1. Got 0"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"agd_nonconvex: {message}"):
        methods.agd_nonconvex(**parameters)
