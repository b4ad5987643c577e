"""Least squares with a ridge: Newton's equations are the whole problem, and every iteration is seen."""

from dataclasses import replace

import numpy as np
import pytest

from gdnp import GDNPRegressor
from gdnp.losses import SquaredError
from gdnp.newton.last_step import LastStep, last_step
from gdnp.newton.preconditioners.full import KernelCurvature
from gdnp.newton.run import solve
from gdnp.solvers.state import Status
from problems import draw, problem_of
from reference import reference

LOSS = SquaredError()


def wide(rng, n=60, d=200):
    X = rng.standard_normal((n, 5)) @ rng.standard_normal((5, d)) + 0.05 * rng.standard_normal((n, d))
    return X, X @ rng.standard_normal(d) + rng.standard_normal(n)


def test_many_rows_take_one_step(rng):
    X, y = draw(rng, n=5000, loss=LOSS)
    model = GDNPRegressor(alpha=1e-3).fit(X, y)
    assert model.n_iter_ == 1
    assert model.certificate_.proved
    assert model.certificate_.gap < 1e-14
    coef, intercept, _ = reference(LOSS, X, y, 1e-3)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    assert model.intercept_ == pytest.approx(intercept)


def test_the_history_is_that_of_conjugate_gradients(rng):
    X, y = wide(rng)
    problem = problem_of(X, y, LOSS, 1e-3)
    seen = []
    end = solve(problem, monitor=lambda row, x: seen.append((row, x)))
    assert len(end.history) == len(seen) > 5
    for row, x in seen:
        assert row.objective == pytest.approx(problem.at(x).value, rel=1e-9)
    values, passes = ([getattr(row, name) for row, _ in seen] for name in ("objective", "passes"))
    assert np.all(np.diff(values) <= 1e-12 * values[0])
    assert np.all(np.diff(passes) > 0.0)
    assert end.certificate.proved
    assert end.place.value == pytest.approx(reference(LOSS, X, y, 1e-3)[2], rel=1e-8)


@pytest.mark.parametrize("max_iter", [1, 3])
def test_conjugate_gradients_count_as_iterations(rng, monkeypatch, max_iter):
    monkeypatch.setattr("gdnp.newton.model.Model.refresh", lambda *_, **__: False)  # the diagonal is kept
    X, y = wide(rng)
    end = solve(problem_of(X, y, LOSS, 1e-3), max_iter=max_iter)
    assert end.certificate.status is Status.MAX_ITER
    assert len(end.history) - 1 == max_iter
    best = reference(LOSS, X, y, 1e-3)[2]
    assert end.certificate.objective / best - 1.0 <= end.certificate.gap


def test_a_metric_too_slow_gives_way_and_the_proof_is_waited_for(rng, monkeypatch):
    X, y = wide(rng)
    problem = problem_of(X, y, LOSS, 1e-9)
    for name, value in (("SHORTEST", 2), ("LONGEST_QUADRATIC", 2)):
        monkeypatch.setattr(f"gdnp.newton.last_step.{name}", value)
    end = solve(problem)
    assert isinstance(end.metric, KernelCurvature)
    assert end.certificate.status is Status.CONVERGED
    assert end.certificate.proved
    monkeypatch.setattr("gdnp.newton.model.Model.refresh", lambda *_, **__: False)  # the diagonal is kept
    slow = solve(problem_of(*wide(rng), LOSS, 1e-2))
    assert len(slow.history) > 8
    assert slow.certificate.proved


@pytest.mark.parametrize("solved", [True, False])
def test_a_step_that_was_cut_short_is_no_estimate(rng, monkeypatch, solved):
    """Its decrement is what it gained, not what is left."""

    def unproved(problem, place, *others):
        newton = last_step(problem, place, *others).newton
        return LastStep(
            replace(newton, step=0.0 * newton.step, decrement=0.0, solved=solved),
            place,
            np.inf,
            "duality_gap",
        )

    monkeypatch.setattr("gdnp.newton.run.last_step", unproved)
    X, y = draw(rng, loss=LOSS)
    certificate = solve(problem_of(X, y, LOSS, 1e-3)).certificate
    assert certificate.status is (Status.CONVERGED if solved else Status.STALLED)
    assert certificate.gap == (0.0 if solved else np.inf)
    assert certificate.proved is not solved


@pytest.mark.parametrize("alpha", [0.0, 1e-8])
def test_targets_that_are_met_exactly(rng, alpha):
    x = rng.standard_normal(500)
    model = GDNPRegressor(alpha=alpha).fit(x[:, None], 3.0 * x + 1.0)
    assert model.certificate_.status is Status.CONVERGED
    assert model.coef_[0] == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize(("n", "d", "alpha"), [(167, 13, 1.0), (92, 1234, 100.0), (500, 1, 0.0)])
def test_a_constant_target_is_done_at_its_rounding(rng, n, d, alpha):
    X = (rng.standard_normal((n, 3)) @ rng.standard_normal((3, d))) * np.logspace(-3, 3, d)
    model = GDNPRegressor(alpha=alpha).fit(X, np.full(n, 0.1))
    assert model.certificate_.status is Status.CONVERGED
    assert model.n_iter_ <= 2
    assert np.abs(X @ model.coef_).max() < 1e-15
