"""Least squares to the last digits, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from gdnp.problem.least_squares import inner, refined, twice
from rational import least_squares


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_the_last_digits_of_ill_conditioned_columns(weighted, fit_intercept):
    """Of a condition of 2e11 and columns far from zero, where reflections leave six digits or none."""
    rng = np.random.default_rng(0)
    X = rng.integers(-4, 5, (20, 3)) + np.array([64.0, 1024.0, 0.0])
    X[:, 2] = X[:, 1] - X[:, 0] + 2.0**-28 * X[:, 2]
    y = 1000.0 * rng.integers(-8, 9, 20)
    s = rng.integers(0, 3, 20).astype(float) if weighted else None
    coef, intercept = least_squares(X, y, s, fit_intercept)
    v, b = refined(X, y, s, fit_intercept=fit_intercept)
    np.testing.assert_allclose(v, coef, rtol=1e-12)
    assert b == pytest.approx(intercept, rel=1e-12)
    Q, R = np.linalg.qr(X - X.mean(axis=0))
    assert np.abs(np.linalg.solve(R, Q.T @ (y - y.mean())) / coef - 1.0).max() > 1e-7


def test_twice_the_precision(rng):
    A = rng.standard_normal((7, 33)) * 2.0 ** rng.integers(-40, 40, 33)
    v = rng.standard_normal(33)
    A[:, -1] = -(A[:, :-1] @ v[:-1]) / v[-1]  # the sum cancels
    exact = [float(sum(Fraction(a) * Fraction(b) for a, b in zip(row, v, strict=True))) for row in A]
    np.testing.assert_allclose(np.sum(twice(A, v), axis=0), exact, rtol=1e-10)


@pytest.mark.parametrize("size", [1.0, 1e-160, 1e150])
def test_a_product_that_cancels_is_rounded_once(rng, size):
    a, b = size * rng.standard_normal(9), rng.standard_normal(9) / size
    start = -float(a @ b)
    exact = Fraction(start) + sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True))
    assert inner(start, a, b) == float(exact) != 0.0


def test_a_product_that_overflows_says_so():
    with np.errstate(over="ignore"):
        assert inner(0.0, np.array([1e300]), np.array([1e300])) == np.inf
