"""Separation by a hyperplane: rows whose kind and number are known by construction."""

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp import Objective
from gdnp.diagnose import Separability
from gdnp.diagnose.separability import chosen, separability_of
from gdnp.newton import solve

SQUARE = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def found(X, y, form=np.asarray):
    X, y = np.asarray(X, dtype=np.float64), np.asarray(y, dtype=np.float64)
    objective = Objective(form(X), y, "log_loss", fit_intercept=True)
    names = [f"x{j}" for j in range(X.shape[1])]
    return separability_of(objective, X.std(axis=0) > 0.0, names, partial(solve, objective))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
@pytest.mark.parametrize(
    ("X", "y", "expected"),
    [
        (SQUARE, [1, -1, -1, 1], Separability("none", 0, ())),  # exclusive or
        (SQUARE, [-1, -1, -1, 1], Separability("complete", 4, ())),  # and
        (SQUARE, [-1, -1, 1, 1], Separability("complete", 4, ("x0",))),
        # Both classes at one corner: the others go to their sides, those two stay on the hyperplane.
        ([*SQUARE, SQUARE[0]], [-1, 1, 1, 1, 1], Separability("partial", 3, ("x0", "x1"))),
    ],
)
def test_corners_of_a_square(X, y, expected, form):
    assert found(X, y, form) == expected


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix], ids=["dense", "sparse"])
def test_a_hyperplane_that_is_no_column(rng, form):
    X = rng.standard_normal((80, 4))
    y = np.where(X @ [1.0, -2.0, 0.5, 3.0] > 0.0, 1.0, -1.0)
    assert found(X, y, form) == Separability("complete", 80, ())
    on_it = np.array([[-3.0, 0.0, 0.0, 1.0], [2.0, 1.0, 0.0, 0.0], [0.0, 1.0, 4.0, 0.0]])
    both = np.vstack([X, on_it, -on_it, on_it, -on_it])  # each of these rows in both classes
    assert found(both, np.append(y, np.repeat([1.0, -1.0], 6)), form) == Separability("partial", 80, ())


def test_labels_and_units_may_be_turned_round(rng):
    X = rng.standard_normal((60, 3))
    y = np.where(X[:, 0] + 0.7 * rng.standard_normal(60) > 0.0, 1.0, -1.0)
    y[:3], X[:3] = 1.0, [50.0, 0.0, 0.0]
    answer = found(X, y)
    assert answer == found(X, -y) == found(X * [1e-6, -1.0, 1e5] + [0.0, 1e3, 0.0], y)


def test_columns_far_from_zero(rng):
    """A column of 1e9 and a bit: a program that took it as it is would see the 1e9 alone."""
    X = rng.integers(-9, 10, (40, 2)).astype(np.float64)
    y = np.where(X @ [1.0, 2.0] > 0.5, 1.0, -1.0)
    assert found(X + 1e9, y) == Separability("complete", 40, ())


def test_constant_columns_separate_nothing():
    X = [[7.0, 0.0], [7.0, 1.0], [7.0, 0.0], [7.0, 1.0]]
    assert found(X, [1, 1, -1, -1]) == Separability("none", 0, ())


def test_what_is_too_large_for_programs_is_decided_by_single_columns_or_the_solver(rng, monkeypatch):
    monkeypatch.setattr("gdnp.solvers.separation._program", lambda *_: None)
    X = rng.standard_normal((60, 2))
    y = np.where(X[:, 0] + rng.standard_normal(60) > 0.0, 1.0, -1.0)
    assert found(X, y) == Separability("none", None, ())
    assert found(np.column_stack([X, y]), y) == Separability("complete", 60, ("x2",))
    touching = np.where(np.arange(60) < 3, y, 0.0)
    assert found(np.column_stack([X, touching]), y) == Separability("partial", None, ("x2",))
    apart = np.where(X @ [1.0, 2.0] > 0.0, 1.0, -1.0)
    assert found(X, apart) == Separability("complete", 60, ())


def test_chosen_names():
    assert chosen(["a", "b", "c"], np.array([True, False, True])) == ("a", "c")
    with pytest.raises(ValueError, match="zip"):
        chosen(["a"], np.array([True, False]))
