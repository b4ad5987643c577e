"""What claims are checked on, against differences and against what is known."""

import numpy as np
import pytest

from gdnp import methods
from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims.problems import listed, only, populations, relative, solved, states, yes
from gdnp.population import LeastSquares


def test_populations_are_as_wide_as_said_and_repeat():
    found = list(populations(60))
    for (u, S), (v, T) in zip(found, populations(60), strict=True):
        np.testing.assert_array_equal(u, v)
        np.testing.assert_array_equal(S, T)
        assert 0.02 <= u @ solved(S, u) <= 0.98 + 1e-6
    assert {len(u) for u, _ in found} >= {2, 20}
    largest = [np.linalg.eigvalsh(S)[-1] for _, S in found]
    assert max(largest) / min(largest) > 1e4
    for _, S in populations(5, kappa=10.0):
        assert np.linalg.cond(S) == pytest.approx(10.0)


def test_states_are_those_of_the_steps(rng):
    u, S = gaussian_parameters(3, kappa=4.0, seed=0)
    f, w = LeastSquares(u, S), rng.standard_normal(3)
    method = methods.rayleigh_gd()
    first, second, third = states(method, f, w, 2)
    np.testing.assert_array_equal(first.direction, method.init(f, w).direction)
    np.testing.assert_array_equal(third.direction, method.step(f, second).direction)
    assert relative(third.direction, second.direction) > 0.0


def test_numbers_in_sentences():
    assert listed([0.123, 2.0], ".2f") == "0.12, 2.00"
    assert (only("1e-8", 1e-9), only("1e-8", 2e-8), only("1e-8", float("nan"))) == (
        "1e-8",
        "2.0e-08 only",
        "nan only",
    )
    assert (yes(True), yes(0)) == ("yes", "no")
