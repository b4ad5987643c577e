"""What claims are checked on, against differences and against what is known."""

import math

import numpy as np
import pytest

from gdnp import methods
from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims import CLAIMS, Verdict
from gdnp.paper.claims.problems import (
    largest,
    least,
    listed,
    only,
    populations,
    relative,
    solved,
    states,
    yes,
)
from gdnp.population import LeastSquares


def test_populations_are_as_wide_as_said_and_repeat():
    found = list(populations(60))
    for (u, S), (v, T) in zip(found, populations(60), strict=True):
        np.testing.assert_array_equal(u, v)
        np.testing.assert_array_equal(S, T)
        assert 0.02 <= u @ solved(S, u) <= 0.98 + 1e-6
    assert {len(u) for u, _ in found} >= {2, 20}
    scales = [np.linalg.eigvalsh(S)[-1] for _, S in found]
    assert max(scales) / min(scales) > 1e4
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


@pytest.mark.parametrize(
    ("claim", "function"),
    [
        ("eq-17", "algorithm.relative"),
        ("eq-8", "reparametrisation.relative"),
        ("lemma-1", "landscape.theory.sin_squared"),
        ("direction-loss-independent", "landscape.theory.sin_squared"),
        ("gdnp-metric-one-step", "algorithm.theory.sin_squared"),
        ("ridge-direction", "landscape._sin_squared"),
        ("gradient-decomposition", "algorithm.theory.gradient_norm_squared"),
    ],
)
def test_what_is_not_a_number_fails(claim, function, monkeypatch):
    assert CLAIMS[claim].check().verdict is CLAIMS[claim].recorded
    monkeypatch.setattr(f"gdnp.paper.claims.{function}", lambda *of: math.nan)
    assert CLAIMS[claim].check().verdict is Verdict.FAILS


def test_the_largest_and_the_least_are_nan_where_a_value_is():
    assert largest(1.0, 3.0, 2.0) == largest([1.0, 3.0]) == 3.0
    assert least(2.0, 1.0) == least((1.0, 2.0)) == 1.0
    for of in (largest, least):
        assert math.isnan(of(0.0, math.nan))
        assert math.isnan(of([0.0, math.nan, 1.0]))
