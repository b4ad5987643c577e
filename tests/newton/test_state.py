"""What moves: it is frozen, a step from it is pure, and it can begin where another ended."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from gdnp import GDNPClassifier, Objective, methods
from gdnp.losses import LOSSES, LogLoss, Sigmoid
from gdnp.newton import Begin, solve
from problems import draw, problem_of


def frozen(state):
    x, margins = state.point.x, np.asarray(state.point.margins)
    pairs = [(pair.s.tobytes(), pair.y.tobytes()) for pair in state.memory.pairs]
    return x.tobytes(), margins.tobytes(), pairs, state.stage, state.decrements, state.known


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_step_is_pure(rng, loss):
    """Twice from one state it leads to the same state, bit for bit, and leaves that as it was."""
    X, y = draw(rng, n=500, loss=loss)
    problem = Objective(X, y, loss, alpha=1e-3, fit_intercept=True)
    method = methods.newton().aimed(1e-10, 100)
    state = method.init(problem, None)
    for _ in range(6):
        before = frozen(state)
        first, second = method.step(problem, state), method.step(problem, state)
        assert frozen(state) == before
        assert frozen(first) == frozen(second)
        if first.status is not None:
            break
        state = first


def test_a_state_is_frozen(rng):
    state = methods.newton().init(Objective(*draw(rng), alpha=1e-3), None)
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        state.stuck = True


@pytest.mark.parametrize("loss", [LogLoss(), Sigmoid()], ids=lambda loss: loss.name)
def test_known_margins_save_a_reading_and_change_nothing(rng, loss):
    X, y = draw(rng)
    problem = problem_of(X, y, loss, 1e-3)
    point = problem.with_loss(LogLoss()).point(0.1 * rng.standard_normal(9))
    a = solve(problem, begin=Begin(point.x, point.margins))
    b = solve(problem, begin=Begin(point.x))
    np.testing.assert_allclose(a.state.point.x, b.state.point.x, rtol=1e-6, atol=1e-8)
    assert a.history["objective"][0] == pytest.approx(b.history["objective"][0])
    assert b.history["passes"][0] - a.history["passes"][0] == pytest.approx(0.5)


@pytest.mark.parametrize("loss", [LogLoss(), Sigmoid()], ids=lambda loss: loss.name)
def test_a_start_that_is_near_takes_few_passes(rng, loss):
    X, y = draw(rng, n=2500)
    problem = problem_of(X, y, loss, 1e-3)
    cold = solve(problem)
    warm = solve(problem, begin=Begin(cold.state.point.x, None, cold.state.preconditioner))
    assert warm.objective == pytest.approx(cold.objective, rel=1e-8)
    assert warm.history["passes"][0] == 1.0  # the value there, and H is given
    assert warm.history["passes"][-1] < 0.7 * cold.history["passes"][-1]


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e200])
def test_a_warm_start_far_out_is_left(rng, factor):
    X, y = draw(rng)
    model = GDNPClassifier(warm_start=True).fit(X, y)
    best = model.certificate_.objective
    model.coef_ = factor * model.coef_
    model.fit(X, y)
    assert model.certificate_.objective == pytest.approx(best, rel=1e-7)
