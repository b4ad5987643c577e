"""What is said of rounding bounds it, by exact arithmetic."""

from fractions import Fraction

import numpy as np
import pytest

from gdnp.design.block import EPS
from gdnp.losses import LogLoss, SquaredError
from gdnp.solvers.rounding import margin_error, risen, value_above
from problems import draw, problem_of


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
def test_the_error_of_margins_is_a_bound(rng, offset):
    """Against exact arithmetic on the coefficients that are returned."""
    X = rng.standard_normal((50, 4)) * [1.0, 1e-6, 1e6, 1.0]
    X[:, 0] += offset
    problem = problem_of(X, rng.standard_normal(50), SquaredError(), 1e-3)
    for size in 1.0, 1e8:
        x = size * rng.standard_normal(5)
        coef, b = problem.raw(x)
        w = [Fraction(c) for c in coef]
        eta = [sum(Fraction(v) * c for v, c in zip(row, w, strict=True)) + Fraction(b) for row in X]
        exact = np.array([float(Fraction(y) - e) for y, e in zip(problem.base, eta, strict=True)])
        off = np.sqrt(np.mean((problem.point(x).margins - exact) ** 2))
        bound = margin_error(problem, x, coef, b) + EPS * np.sqrt(np.mean(exact**2))
        assert off <= bound < 1e3 * off + 1e-13 * size
        back = problem.returned(x)
        off = np.sqrt(np.mean((problem.point(back).margins - exact) ** 2))
        assert off <= margin_error(problem, back, coef, b) + EPS * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("loss", [LogLoss(), SquaredError()], ids=lambda loss: loss.name)
def test_a_value_with_wrong_margins_is_below_its_bound(rng, loss):
    X, y = draw(rng, loss=loss)
    problem = problem_of(X, y, loss, 1e-3)
    point = problem.point(rng.standard_normal(9))
    for wrong in 1e-6, 1e-2, 1.0:
        off = wrong * rng.choice([-1.0, 1.0], len(y))
        assert problem.known(point.x, point.margins + off).value <= risen(point, wrong)
    assert risen(point, 0.0) == point.value
    assert value_above(point) == pytest.approx(point.value, rel=1e-12)
    assert value_above(point) >= point.value
    assert value_above(point, 0.25) == value_above(point) - 0.25
