"""A diagonal comes first where a matrix costs more than it brings; correlated columns get the matrix."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import LogLoss, PseudoHuber, Sigmoid, SquaredError
from gdnp.newton.last_step import last_step
from gdnp.newton.model import Model
from gdnp.newton.preconditioners.choice import Metrics
from gdnp.newton.preconditioners.full import DiagonalCurvature, FullCurvature
from gdnp.newton.preconditioners.stages import Full, Kernel
from gdnp.newton.run import solve
from gdnp.newton.start import decoupled_start
from gdnp.solvers.conjugate import newton_step
from gdnp.solvers.state import Status
from problems import correlated, draw, problem_of
from reference import reference


def sparse(rng, n=1500, d=600, loss=None):
    """Twenty entries a row, in columns that have nothing to do with each other."""
    X = sp.random(n, d, 20 / d, "csr", random_state=rng)
    eta = X @ rng.standard_normal(d)
    if loss is not None and loss.task == "regression":
        return X, eta + rng.standard_normal(n)
    return X, np.where(2.0 * eta / eta.std() + rng.logistic(size=n) > 0.0, 1.0, -1.0)


def twins(rng, n=800, h=120):
    """Pairs of nearly equal columns, and labels that only their difference explains."""
    X = rng.standard_normal((n, h))
    difference = rng.standard_normal((n, h))
    eta = difference @ rng.standard_normal(h)
    return np.hstack([X, X + 0.02 * difference]), np.where(eta + rng.logistic(size=n) > 0.0, 1.0, -1.0)


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber()], ids=lambda loss: loss.name)
def test_sparse_columns_of_their_own_need_no_matrix(rng, monkeypatch, loss):
    made = []
    monkeypatch.setattr(Full, "make", lambda self, c, ridge: made.append(1))
    X, y = sparse(rng, loss=loss)
    end = solve(problem_of(X, y, loss, 1e-3))
    assert end.certificate.status is Status.CONVERGED
    assert isinstance(end.metric, DiagonalCurvature)
    assert not made
    assert end.place.value == pytest.approx(reference(loss, X.toarray(), y, 1e-3)[2], rel=1e-8)


def test_correlated_columns_are_seen_along_the_first_direction(rng):
    def first(X, y):
        problem = problem_of(X, y, LogLoss(), 1e-3)
        return decoupled_start(problem, Metrics(problem))[1]

    X, y = correlated(rng, 600, 400, 3)
    assert isinstance(first(X, y), FullCurvature)
    assert isinstance(first(rng.standard_normal((600, 400)), y), DiagonalCurvature)


@pytest.mark.parametrize("loss", [LogLoss(), SquaredError()], ids=lambda loss: loss.name)
def test_what_the_first_direction_hides_shows_in_the_end(rng, monkeypatch, loss):
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.CHEAP", 0.0)
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.CHEAP_FOR_GOOD", 0.0)
    X, y = twins(rng)
    problem = problem_of(X, y, loss, 1e-6)
    assert isinstance(decoupled_start(problem, Metrics(problem))[1], DiagonalCurvature)
    end = solve(problem)
    assert end.certificate.status is Status.CONVERGED
    assert isinstance(end.metric, FullCurvature)
    best = reference(loss, X, y, 1e-6)[2]
    assert end.place.value == pytest.approx(best, rel=1e-8)


def test_a_last_step_that_takes_too_long_calls_for_the_matrix(rng):
    problem = problem_of(*twins(rng), LogLoss(), 1e-6)
    place = problem.place(*problem.constant())
    for gap, is_matrix in ((1e3, False), (1e-9, True)):
        model = Model(problem)
        model.begin(place.margins, None)
        assert last_step(problem, place, model, lambda _, gap=gap: gap).newton.solved is not is_matrix
        assert model.metrics.is_matrix is is_matrix


def test_conjugate_gradients_say_whether_they_were_done(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    place = problem.at(np.zeros(9))
    c = problem.curvature(place.margins)

    def step(longest):
        return newton_step(
            problem, place, c, lambda g: g.copy(), lambda residual, _: np.abs(residual).max() < 1e-6, longest
        )

    short, long = step(2), step(50)
    assert not short.solved
    assert long.solved
    assert np.abs(long.residual).max() < 1e-6 <= np.abs(short.residual).max()


@pytest.mark.parametrize(
    ("loss", "options", "at_once"),
    [
        (LogLoss(), {}, False),
        (LogLoss(), {"sure": True}, True),
        (Sigmoid(), {}, True),
        (SquaredError(), {}, True),
        (PseudoHuber(), {}, False),
    ],
)
def test_a_matrix_comes_at_once_where_it_is_relied_on_or_the_last(rng, loss, options, at_once):
    X, y = sparse(rng, d=100)
    assert Metrics(problem_of(X, y, loss, 1e-3), **options).is_matrix is at_once


def test_a_metric_that_is_there_already_is_not_followed_by_a_diagonal(rng):
    X, y = sparse(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    place = problem.place(*problem.constant())
    matrix = Metrics(problem, sure=True).at(place.margins)
    for metric, kind in ((None, DiagonalCurvature), (matrix, FullCurvature)):
        model = Model(problem)
        model.begin(place.margins, metric)
        assert isinstance(model.metric, kind)
        model.refresh(place.margins)
        assert isinstance(model.metric, kind)


def test_the_cost_of_a_matrix_counts_its_factor(rng):
    X, y = sparse(rng, 1600, 1600)

    def costs(side):
        by_columns = Full(problem_of(X[:, :side], y, LogLoss(), 1e-3))
        problem = problem_of(X[:side], y[:side], LogLoss(), 1e-3)
        by_rows = Kernel(problem)
        by_rows.make(np.full(side, 0.25), problem.ridge)  # what is left to do next time is the factor alone
        return by_columns.cost, by_rows.cost

    for small, large in zip(costs(800), costs(1600), strict=True):
        assert large > 3.5 * small  # eight times the work, in passes over twice the entries


@pytest.mark.parametrize("C", [1.0, 100.0])
def test_both_ways_lead_to_the_same_place(rng, monkeypatch, C):
    X, y = correlated(rng, 700, 150, 8, noise=1.0)
    for kind in (GDNPClassifier, GDNPRegressor):
        fits = []
        for cheap in (0.0, np.inf):
            monkeypatch.setattr("gdnp.newton.preconditioners.choice.CHEAP", cheap)
            monkeypatch.setattr("gdnp.newton.preconditioners.choice.CHEAP_FOR_GOOD", cheap)
            fits.append(kind(alpha=1.0 / (C * len(y)), tol=1e-12).fit(X, y))
        np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-4, atol=1e-6)
        assert fits[0].certificate_.status is fits[1].certificate_.status is Status.CONVERGED
