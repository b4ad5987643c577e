"""Length rules on the population, where the root is known, and on data, where it may not exist."""

import numpy as np
import pytest

from gdnp import Objective, methods
from gdnp.datasets import gaussian_parameters
from gdnp.metric import METRICS
from gdnp.population import Halfspace
from gdnp.solvers.lengths import Bisection, FixedLength, GradientSteps, Length, NewtonLength, SimultaneousStep
from gdnp.solvers.state import DecoupledState


def state_on(objective, w, g=0.7, intercept=0.0):
    metric = objective.covariance
    line = objective.origin.line(w / metric.norm(w))
    state = DecoupledState(
        point=line.point(g, intercept), metric=metric, direction=w, length=Length(g, intercept)
    )
    return line, state


@pytest.fixture
def halfspace():
    return Halfspace(*gaussian_parameters(4, kappa=30.0, r=0.5, seed=3), "log_loss")


@pytest.mark.parametrize("rule", [NewtonLength(), Bisection(60), GradientSteps(4000)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_root_is_the_lda_length(halfspace, rng, rule, sign):
    """Oracle: g* = -2m/(1 - m²), m = uᵀw/‖w‖_S; negative or positive as w points."""
    w = sign * rng.standard_normal(4)
    m = float(halfspace.u @ w) / halfspace.covariance.norm(w)
    line, state = state_on(halfspace, w)
    found = rule.fit(halfspace, line, state)
    assert found.g == pytest.approx(-2.0 * m / (1.0 - m * m), rel=1e-7)
    assert not found.diverges


@pytest.mark.parametrize("rule", [NewtonLength(), Bisection(60)])
@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
def test_no_root_is_a_status(rng, rule, loss):
    """A bounded loss has no finite length under Assumption 2: ∂f/∂g has the sign of m for every g."""
    halfspace = Halfspace(*gaussian_parameters(4, kappa=30.0, r=0.5, seed=3), loss)
    for sign in (1.0, -1.0):
        w = sign * halfspace.optimal_direction
        line, state = state_on(halfspace, w, g=-0.5 * sign)
        found = rule.fit(halfspace, line, state)
        assert found.diverges
        assert found.g == -sign * halfspace.length_cap


def test_bisection_halves_its_error(halfspace, rng):
    """Algorithm 3: the bracket is 2^(k+1) wide and halves with every step."""
    w = rng.standard_normal(4)
    line, state = state_on(halfspace, w)
    exact = NewtonLength().fit(halfspace, line, state).g
    bracket = 2.0 ** max(0, int(np.ceil(np.log2(abs(exact)))))
    errors = [abs(Bisection(steps).fit(halfspace, line, state).g - exact) for steps in range(1, 40)]
    assert all(error <= bracket * 0.5**steps for steps, error in enumerate(errors, start=1))
    assert errors[-1] < 1e-9


def test_steps_are_the_gradient_steps_they_say(halfspace, rng):
    w = rng.standard_normal(4)
    line, state = state_on(halfspace, w, g=0.3)
    slope = float(line.expansion(0.3).gradient[0])
    assert state.length_gradient == pytest.approx(slope, rel=1e-12)
    assert SimultaneousStep(0.2).fit(halfspace, line, state).g == pytest.approx(0.3 - 0.2 * slope)
    assert GradientSteps(1, 0.2).fit(halfspace, line, state).g == pytest.approx(0.3 - 0.2 * slope)
    assert GradientSteps(1).fit(halfspace, line, state).g == pytest.approx(0.3 - 4.0 * slope)
    assert FixedLength().fit(halfspace, line, state) is state.length


@pytest.mark.parametrize("rule", [NewtonLength(), Bisection(60)])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "pseudo_huber"])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_length_and_intercept_are_stationary_together(rng, rule, loss, alpha):
    X, w = rng.standard_normal((150, 3)) + 2.0, rng.standard_normal(3)
    y = np.where(X @ w + rng.standard_normal(150) > 3.0, 1.0, -1.0)
    objective = Objective(X, y, loss, fit_intercept=True, alpha=alpha)
    line, state = state_on(objective, w)
    found = rule.fit(objective, line, state)
    np.testing.assert_allclose(line.expansion(found.g, found.intercept).gradient, 0.0, atol=1e-8)
    assert found.intercept != 0.0


@pytest.mark.parametrize("rule", [NewtonLength(), Bisection(60)])
def test_separable_rows_have_no_length(rng, rule):
    X = rng.standard_normal((80, 2))
    y = np.where(X[:, 0] > 0.0, 1.0, -1.0)
    for alpha in (0.0, 1e-3):
        objective = Objective(X, y, center=False, alpha=alpha)
        line, state = state_on(objective, np.array([1.0, 0.0]))
        assert rule.fit(objective, line, state).diverges == (alpha == 0.0)


def test_a_bounded_loss_on_rows_stops_where_its_gradient_would_vanish(rng):
    X = rng.standard_normal((2000, 3))
    y = np.where(X[:, 0] + 0.5 * rng.standard_normal(2000) > 0.0, 1.0, -1.0)
    objective = Objective(X, y, "sigmoid")
    result = methods.gdnp().init(objective, np.array([1.0, 0.0, 0.0]))
    assert abs(result.length.g) <= objective.length_cap == pytest.approx(0.2 * 2000 / 3)
    assert np.abs(result.point.gradient).max() > 1e-8


def test_bisection_tries_the_cap_itself(rng):
    """A root between the last power of two and the cap is a root."""
    X = rng.standard_normal((100, 2))
    y = np.sign(X @ [1.0, 1.0] + 0.25 * rng.standard_normal(100))
    objective = Objective(X, y, "probit", alpha=3e-4)
    line, state = state_on(objective, objective.u)
    newton, bisection = (rule.fit(objective, line, state) for rule in (NewtonLength(), Bisection()))
    assert 8.0 < abs(newton.g) < objective.length_cap
    assert bisection.g == pytest.approx(newton.g, rel=1e-6)
    assert not bisection.diverges


def counted(line):
    """A line, and how often it was asked."""
    asked = []

    class Counted:
        def expansion(self, t, c=0.0):
            asked.append(t)
            return line.expansion(t, c)

    return Counted(), asked


@pytest.mark.parametrize("best", [0.3, 37.2, -37.2, 5e4])
def test_the_bracket_is_doubled_until_it_holds_the_root(rng, best):
    """From [-1, 1] up to the first power of two, whose halvings are then as fine as they can be."""
    x = rng.standard_normal(50)
    x = (x - x.mean()) / x.std()
    objective = Objective(x[:, None], best * x, "squared_error")
    line, state = state_on(objective, np.array([1.0]), g=0.0)
    line, asked = counted(line)
    found = Bisection(20).fit(objective, line, state)
    width = 2.0 ** max(0, np.ceil(np.log2(abs(best))))
    assert not found.diverges
    assert abs(found.g - best) <= width * 0.5**20
    assert max(np.abs(asked)) == width


@pytest.mark.parametrize("center", [True, False])
def test_a_diagonal_metric_of_very_many_columns_is_that_of_few(rng, monkeypatch, center):
    """Beyond the limit S is never a matrix; its diagonal is about the mean only where columns are."""
    X = rng.standard_normal((60, 5)) + 3.0
    y = np.sign(rng.standard_normal(60))
    held = Objective(X, y, center=center).covariance.diagonal
    monkeypatch.setattr("gdnp.problem.objective.LARGEST_GRAM", 4)
    S = Objective(X, y, center=center).covariance
    np.testing.assert_allclose(METRICS["diagonal"](S).apply(np.ones(5)), held, rtol=1e-12)
    w = rng.standard_normal(5)
    Z = X - X.mean(0) if center else X
    np.testing.assert_allclose(S.apply(w), Z.T @ (Z @ w) / 60, rtol=1e-12)
