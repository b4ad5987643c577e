"""Directions along which the multinomial loss never rises, and that there are none."""

import numpy as np
import pytest

from gdnp.design import as_design
from gdnp.losses import Softmax
from gdnp.problem.multinomial import Multinomial
from gdnp.solvers.multinomial_separation import class_separation


def separation_of(X, y, weight=None, fit_intercept=True):
    loss = Softmax(int(np.max(y)) + 1)
    world = Multinomial.unchecked(
        as_design(X), y, weight, loss, 0.0, fit_intercept=fit_intercept
    ).standardised
    return world, class_separation(world)


def rise(world, found):
    """Of all scores against that of the label, along the direction; shape (n, K)."""
    q = world.slope(found.direction)
    return q - q[np.arange(len(q)), world.sigma][:, None]


def line(K=3, each=6):
    return np.arange(float(K * each))[:, None], np.repeat(np.arange(K), each)


def test_classes_in_a_row_on_a_line_are_apart():
    world, found = separation_of(*line())
    assert found.kind == "complete"
    apart = rise(world, found)
    apart[np.arange(18), world.sigma] = -1.0
    assert apart.max() < 0.0
    np.testing.assert_allclose(found.direction.sum(axis=1), 0.0, atol=1e-13)


def test_one_class_of_three_is_apart():
    X, y = line()
    X, y = np.append(X, [[7.0], [11.5]], axis=0), np.append(y, [2, 1])  # the upper two overlap
    world, found = separation_of(X, y)
    assert found.kind == "partial"
    assert rise(world, found).max() <= 1e-9
    assert rise(world, found).min() < -0.1


def test_noise_is_not_apart(rng):
    _, found = separation_of(rng.standard_normal((60, 2)), np.arange(60) % 3)
    assert found.kind == "none"


def test_rows_without_weight_do_not_count():
    X, y = line()
    X, y = np.append(X, [[0.5]], axis=0), np.append(y, 2)
    assert separation_of(X, y)[1].kind != "complete"
    weight = np.append(np.full(18, 1.0 / 18.0), 0.0)
    assert separation_of(X, y, weight)[1].kind == "complete"


def test_much_data_is_not_decided(rng, monkeypatch):
    monkeypatch.setattr("gdnp.solvers.multinomial_separation.LARGEST_GRAM", 16)
    assert separation_of(*line(each=40))[1].kind == "not decided"


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_intercept_is_a_direction_of_its_own(fit_intercept):
    """Scores without one agree at 0, so that classes on one side of it cannot be told apart."""
    X, y = line(K=3)
    kind = separation_of(X, y, fit_intercept=fit_intercept)[1].kind
    assert (kind == "complete") == fit_intercept
