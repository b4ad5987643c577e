"""What a method carries, and what the loop asks of it where it says nothing itself."""

import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import gdnp
from gdnp import Objective, Status, methods
from gdnp.solvers import Certificate, Method, State
from gdnp.solvers.state import Measured
from problems import draw, minimum, noisy_rows


class Steepest(Method):
    """The least that a method must say: where it begins, and a step."""

    name = "steepest"

    def init(self, objective, start):
        return State(point=objective.at(np.zeros(objective.n_features) if start is None else start))

    def step(self, objective, state):
        point = state.point
        return State(point=objective.at(point.coef - 1.5 * point.gradient))


def test_two_methods_make_a_solver():
    objective = Objective(*noisy_rows(), alpha=0.05)
    result = gdnp.minimize(objective, Steepest(), tol=1e-6)
    assert result.status is Status.CONVERGED
    assert result.certificate is None
    np.testing.assert_allclose(result.coef, minimum(objective), atol=1e-5)


@pytest.mark.parametrize("name", ["init", "step"])
def test_less_makes_none(name):
    half = type("Half", (Steepest,), {name: getattr(Method, name)})
    with pytest.raises(TypeError, match=f"abstract method '?{name}"):
        half()


def test_a_method_may_judge_and_measure_by_itself():
    class Impatient(Steepest):
        def measure(self, objective, state):
            return Measured(state.point.value, 3.0)

        def terminate(self, objective, state, measured, scale, tol):
            return Status.STALLED if measured.gradient_norm == 3.0 else None

        def certificate(self, state):
            return Certificate(Status.STALLED, 0.5, 3.0, "gradient_norm", state.point.value)

    result = gdnp.minimize(Objective(*noisy_rows()), Impatient())
    assert (result.status, result.n_iter, result.gradient_norm) == (Status.STALLED, 0, 3.0)
    assert result.certificate.gap == 0.5
    assert not result.certificate.proved


def test_a_proof_is_a_duality_gap():
    kinds = {"duality_gap": True, "newton_decrement": False, "gradient_norm": False}
    for kind, proved in kinds.items():
        assert Certificate(Status.CONVERGED, 0.0, 0.0, kind, 1.0).proved is proved


@pytest.mark.parametrize("status", Status)
def test_a_status_is_a_sentence_and_survives_a_pickle(status):
    assert pickle.loads(pickle.dumps(status)) is status
    make, stored = status.__reduce__()  # in saved models, which outlive a change of the sentence
    assert (make(*stored), stored) == (status, (status.name,))
    assert status.message == status.value
    assert " " in status.message


@pytest.mark.parametrize("name", sorted(set(methods.METHODS) - {"rayleigh_gd"}))
def test_states_are_frozen(rng, name):
    state = methods.METHODS[name]().init(Objective(*draw(rng), alpha=1e-3), None)
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        state.point = None


def test_gradients_of_the_decoupled_state_are_derivatives(rng):
    """∂f/∂w and ∂f/∂g of f(g w/‖w‖), by differences."""
    objective, h = Objective(*noisy_rows(), alpha=0.02), 1e-6
    state = methods.gdnp().step(objective, methods.gdnp().init(objective, rng.standard_normal(4)))
    w, g, metric = state.direction, state.length.g, state.metric

    def f(w, g):
        return objective.at(g * w / metric.norm(w)).value

    along = [(f(w + h * e, g) - f(w - h * e, g)) / (2.0 * h) for e in np.eye(4)]
    np.testing.assert_allclose(state.direction_gradient, along, atol=1e-8)
    assert state.length_gradient == pytest.approx((f(w, g + h) - f(w, g - h)) / (2.0 * h), abs=1e-8)
    assert abs(state.direction_gradient @ w) < 1e-12 * np.linalg.norm(w)  # it only turns w
