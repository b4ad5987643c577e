"""The start: the paper's two steps, a matrix where the first direction calls for it, a sample of the rows."""

import numpy as np
import pytest

from gdnp import GDNPClassifier
from gdnp.losses import LogLoss, PseudoHuber, Sigmoid
from gdnp.newton import solve
from gdnp.newton.preconditioners.choice import Facts, first_stage
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.making import seen_of
from gdnp.newton.start import decoupled_start, sample, sample_size
from gdnp.problem.points import Direction, intercept_direction
from problems import correlated, draw, problem_of, value_of
from reference import reference


def start_of(problem):
    facts = Facts.of(problem)
    return decoupled_start(problem, problem.constant, facts, first_stage(facts))


def test_start_has_the_best_length_and_intercept(rng):
    X, y = draw(rng)
    y[:250] = -1.0
    problem = problem_of(X, y, LogLoss(), 1e-3)
    point = start_of(problem)[0]
    along = point.along(
        Direction(np.append(point.coef, 0.0), problem.slope(np.append(point.coef, 0.0))),
        intercept_direction(problem),
    )
    assert np.abs(along.expansion(0.0).gradient).max() < 1e-6
    assert point.intercept != problem.constant.intercept


def test_correlated_columns_are_seen_along_the_first_direction(rng):
    def first(X, y):
        return start_of(problem_of(X, y, LogLoss(), 1e-3))[1]

    X, y = correlated(rng, 600, 400, 3)
    assert isinstance(first(X, y), FullPreconditioner)
    assert seen_of(first(rng.standard_normal((600, 400)), y)).diagonal


# A sample: small, near the whole problem, and not a source of bias


@pytest.mark.parametrize("positive", [0.5, 0.02])
def test_many_rows_are_sampled_and_still_exact(rng, positive):
    X = rng.standard_t(4, (40_000, 6)) * np.logspace(0, 3, 6)
    eta = X @ (rng.standard_normal(6) / np.logspace(0, 3, 6))
    y = np.where(eta + rng.logistic(size=40_000) > np.quantile(eta, 1.0 - positive), 1.0, -1.0)
    model = GDNPClassifier(alpha=1e-5).fit(X, y)
    assert value_of(model, X, y, 1e-5) <= reference(LogLoss(), X, y, 1e-5)[2] * (1.0 + 1e-8)


def itself(problem):
    return problem


def test_a_sample_stands_for_all_rows(rng):
    X, y = draw(rng, n=60_000, d=4)
    weight = rng.dirichlet(np.ones(len(y)))
    problem = problem_of(X, y, LogLoss(), 1e-4, weight=weight)
    part = sample(problem, sample_size(problem), itself)
    assert part.n_samples < len(y) / 4
    x = np.append(0.3 * rng.standard_normal(4), 0.2)
    assert part.point(x).value == pytest.approx(problem.point(x).value, rel=0.05)
    np.testing.assert_allclose(part.point(x).x_gradient, problem.point(x).x_gradient, atol=0.05)


def test_a_sample_is_held_back_by_a_ridge(rng):
    X, y = draw(rng, n=5000)
    y = np.where(np.arange(5000) < 50, 1.0, -1.0)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    plain, held = (sample(problem, 400, itself, shrunk=shrunk) for shrunk in (False, True))
    np.testing.assert_allclose(held.coordinates.ridge - plain.coordinates.ridge, 0.01 * 0.99 * 8 / 400)


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber()], ids=lambda loss: loss.name)
def test_the_optimum_of_a_sample_is_near_that_of_all_rows(rng, loss):
    """Half of the rows drawn are of the rare class; weights that did not make up for it would move γ."""
    X = rng.standard_t(4, (40_000, 6))
    eta = X @ rng.standard_normal(6)
    noisy = eta + rng.logistic(size=40_000)
    if loss.task == "classification":
        y = np.where(noisy > np.quantile(eta, 0.98) + 2.0, 1.0, -1.0)
    else:
        y = np.where(rng.random(40_000) < 0.02, noisy + 50.0, noisy)
    problem = problem_of(X, y, loss, 1e-5)
    part = sample(problem, sample_size(problem), itself)
    if loss.task == "classification":
        assert np.mean(y > 0.0) < 0.02
        assert 0.3 < np.mean(part.sigma < 0.0) < 0.7
    near = problem.point(solve(part).state.point.x).value
    assert near < 1.05 * solve(problem).objective


def test_rows_that_fit_exactly_are_drawn_too(rng):
    """φ' of most rows is 0 at the constant; they are all that holds the others back."""
    y = np.where(np.arange(20_000) < 200, np.where(np.arange(20_000) % 2 == 0, 5.0, -5.0), 0.0)
    problem = problem_of(rng.standard_normal((20_000, 2)), y, PseudoHuber(1e-3), 1e-6)
    part = sample(problem, 4096, itself)
    fits = np.asarray(part.base) == 0.0
    assert 0 < fits.sum() < 100
    assert part.weight[fits].sum() > 0.2


def test_when_a_sample_is_worth_it(rng):
    def size(n, d, loss):
        X = rng.standard_normal((n, d))
        return sample_size(problem_of(X, np.where(np.arange(n) % 2 == 0, 1.0, -1.0), loss, 1e-3))

    for loss in (LogLoss(), Sigmoid()):
        assert size(2 * 4096 - 1, 4, loss) is None  # the rest is not as many again
        assert size(2 * 4096, 4, loss) == 4096
        assert size(10_000, 130, loss) == 32 * 130  # 32 rows for each column
        assert size(10_000, 160, loss) is None
