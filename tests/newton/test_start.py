"""The start: the paper's two steps, and a matrix where the first direction calls for it."""

import numpy as np

from gdnp.losses import LogLoss
from gdnp.newton.preconditioners.choice import Facts, first_stage
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.making import seen_of
from gdnp.newton.start import decoupled_start
from gdnp.problem.points import Direction, intercept_direction
from problems import correlated, draw, problem_of


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
