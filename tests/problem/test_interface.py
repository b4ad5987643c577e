"""The interface that solvers see, and who implements it."""

import inspect

import numpy as np
import pytest

import gdnp
from gdnp.datasets import gaussian_parameters
from gdnp.losses import LOSSES
from gdnp.population import Halfspace, LeastSquares
from gdnp.problem import interface
from gdnp.problem.interface import Cost, Expansion


def worlds():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((50, 3)) * [1.0, 30.0, 0.1], np.where(rng.random(50) < 0.5, 1.0, -1.0)
    u, S = gaussian_parameters(3, kappa=4.0, r=0.5, seed=0)
    data = gdnp.Objective(X, y, alpha=0.1)
    return {
        "data": data,
        "standardised": data.standardised,
        "halfspace": Halfspace(u, S, LOSSES["log_loss"], alpha=0.1),
        "least squares": LeastSquares(u, S, alpha=0.1),
    }


WORLDS = worlds()


def members(protocol):
    return {name: member for name, member in vars(protocol).items() if not name.startswith("_")}


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_offers_all_of_it(world):
    objective = WORLDS[world]
    point = objective.at(np.full(3, 0.1))
    parts = {"Objective": objective, "Point": point, "Line": point.line(np.ones(3))}
    for name, part in parts.items():
        for attribute, member in members(getattr(interface, name)).items():
            if callable(member):
                mine = inspect.signature(getattr(part, attribute)).parameters
                asked = [p for p in inspect.signature(member).parameters if p != "self"]
                assert list(mine)[: len(asked)] == asked
            else:
                assert getattr(part, attribute) is not None


@pytest.mark.parametrize("world", WORLDS)
def test_what_the_parts_say_fits_together(world):
    objective, d = WORLDS[world], np.array([1.0, -0.5, 0.2])
    point = objective.at(np.full(3, 0.1))
    line = point.line(d)
    found = line.expansion(0.0)
    assert found.value == pytest.approx(point.value, rel=1e-13)
    assert found.f_t == pytest.approx(d @ point.gradient, rel=1e-10, abs=1e-13)
    moved = line.point(0.5)
    np.testing.assert_allclose(moved.coef, point.coef + 0.5 * d, rtol=1e-14)
    assert moved.value == pytest.approx(objective.at(moved.coef).value, rel=1e-12)
    assert objective.origin.value == pytest.approx(objective.at(np.zeros(3)).value, rel=1e-14)
    assert objective.covariance.norm(d) == pytest.approx(np.sqrt(d @ objective.covariance.apply(d)))


@pytest.mark.parametrize("world", WORLDS)
def test_moments_are_in_the_coordinates_of_the_points(world):
    """Solvers take u for a gradient and S for a norm of coefficients, whichever coordinates these are in."""
    objective, d = WORLDS[world], np.array([1.0, -0.5, 0.2])
    twice = world == "least squares"  # Eq. 10 is r² without its half
    slope = 2.0 if twice else float(objective.loss.gradient(np.zeros(1))[0])
    np.testing.assert_allclose(objective.origin.gradient, slope * objective.u, rtol=1e-12, atol=1e-14)
    point = objective.at(d)
    if hasattr(point, "length"):
        assert objective.covariance.norm(d) == pytest.approx(point.length, rel=1e-12)


def test_an_expansion_as_arrays():
    found = Expansion(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    np.testing.assert_array_equal(found.gradient, [2.0, 3.0])
    np.testing.assert_array_equal(found.hessian, [[4.0, 5.0], [5.0, 6.0]])


def test_the_ledger():
    cost = Cost()
    cost.charge(0.5)

    def fail():
        with cost.free():
            cost.charge(3.0)
            raise RuntimeError("within")

    with pytest.raises(RuntimeError, match="within"):
        fail()
    cost.charge(1.0)
    assert cost.passes == 1.5
