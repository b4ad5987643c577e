"""The fits find laws that are known."""

import numpy as np
import pytest

from gdnp.paper.table1.rates import compare, count_at

EPS = 10.0 ** -np.linspace(1.0, 8.0, 15)


@pytest.mark.parametrize("p", [0.5, 1.75, 2.0])
def test_power_law_is_recovered(p):
    found = compare(EPS, 30.0 * EPS**-p)
    law = found["power"]
    assert (law["value"], law["offset"]) == pytest.approx((p, np.log10(30.0)))
    assert law["high"] - law["low"] < 1e-9
    np.testing.assert_allclose(count_at("power", law, EPS), 30.0 * EPS**-p)
    assert found["better"] == "power"


@pytest.mark.parametrize(("a", "b"), [(5.0, 120.0), (-30.0, 40.0), (200.0, 3.0)])
def test_logarithm_is_recovered(a, b):
    counts = a + b * np.log10(1.0 / EPS)
    found = compare(EPS, counts)
    assert (found["log"]["offset"], found["log"]["value"]) == pytest.approx((a, b), rel=1e-6)
    np.testing.assert_allclose(count_at("log", found["log"], EPS), counts)
    assert found["better"] == "log"


def test_intervals_cover_as_often_as_they_say(rng):
    """With independent errors of log N, 95 % of the intervals of p hold the exponent."""
    x = np.log(1.0 / EPS)
    hits = 0
    for _ in range(400):
        law = compare(EPS, np.exp(1.0 + 0.75 * x + 0.2 * rng.standard_normal(len(x))))["power"]
        hits += law["low"] < 0.75 < law["high"]
    assert 0.92 <= hits / 400 <= 0.98


def test_verdicts_beside_the_two_laws(rng):
    assert compare(EPS[:4], np.arange(1.0, 5.0))["better"] == "too few points"
    assert compare(EPS, np.ones(15))["better"] == "too few points"
    wild = np.exp(rng.standard_normal(15) * 2.0 + 5.0)
    assert compare(EPS, wild)["better"] == "neither"
