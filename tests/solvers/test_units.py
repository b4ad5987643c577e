"""Algorithm 2 over any network: which runs are kept, and what their statuses come to."""

from dataclasses import replace

import numpy as np
import pytest

from gdnp import Objective, Status
from gdnp.solvers.loop import Result
from gdnp.solvers.state import Method, State
from gdnp.solvers.units import minimize_units
from problems import noisy_rows


class Halves:
    """Two units that do not know of each other: f is that of one, whoever's turn it is."""

    n_units, n_features = 2, 4

    def __init__(self, **options):
        self.objective = Objective(*noisy_rows(), **options)

    def unit(self, i, coef):
        return self.objective


def test_each_unit_gets_its_own_run():
    seen = []
    found = minimize_units(
        Halves(alpha=0.1), "gdnp_metric", max_iter=50, tol=1e-8, callback=lambda *row: seen.append(row)
    )
    assert found.status is Status.CONVERGED
    assert len(found.runs) == 1
    assert all(isinstance(run, Result) for run in found.runs[0])
    np.testing.assert_allclose(found.coef[0], found.coef[1])
    assert found.objective == pytest.approx(found.runs[0][0].objective)
    assert {unit for _, unit, _ in seen} == {0, 1}
    assert len(found.history["objective"]) == 2


class Uphill(Method):
    name = "uphill"

    def init(self, objective, start):
        return State(point=objective.at(np.zeros(4)))

    def step(self, objective, state):
        return State(point=objective.at(state.point.coef + state.point.gradient))


def test_a_run_that_ends_higher_is_not_kept():
    found = minimize_units(Halves(alpha=0.1), Uphill(), max_iter=1)
    assert not found.coef.any()
    assert found.history["objective"][0] == pytest.approx(found.history["objective"][1], rel=1e-14)
    assert found.status is Status.MAX_ITER


@pytest.mark.parametrize("status", [Status.NON_FINITE, Status.LENGTH_DIVERGES, Status.STALLED])
def test_the_status_of_the_units_is_that_of_the_network(monkeypatch, status):
    from gdnp.solvers import units

    run = units.minimize
    monkeypatch.setattr(units, "minimize", lambda *a, **k: replace(run(*a, **k), status=status))
    assert minimize_units(Halves(alpha=0.1), "gdnp", max_iter=1, tol=0.0).status is status


def test_sweeps_end_when_the_network_has_converged():
    found = minimize_units(Halves(alpha=0.1), "gdnp_metric", sweeps=9, max_iter=50, tol=1e-8)
    assert len(found.runs) == 1


def test_bad_starts():
    for start in (np.ones((1, 4)), np.full((2, 4), np.nan)):
        with pytest.raises(ValueError, match=r"one row per unit, shape \(2, 4\)"):
            minimize_units(Halves(), start=start)
    with pytest.raises(ValueError, match="sweeps must be a whole number of at least 1"):
        minimize_units(Halves(), sweeps=0)
