"""The matrix of the columns: it solves its own system, and keeps rounding from being blown up."""

import numpy as np
import pytest

from gdnp.losses import LogLoss, PseudoHuber, SquaredError
from gdnp.newton.preconditioners.full import FullPreconditioner, cholesky
from gdnp.problem.gram import Gram, gram
from problems import draw, problem_of

LOSSES = [LogLoss(), PseudoHuber(), SquaredError()]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_solves_its_own_system(rng, loss, fit_intercept):
    X, y = draw(rng, n=25, d=6, loss=loss)
    problem = problem_of(X, y, loss, 0.3, fit_intercept)
    point = problem.point(np.append(0.1 * rng.standard_normal(6), 0.2 if fit_intercept else 0.0))
    c = problem.curvature(point.margins)
    found = FullPreconditioner(gram(problem, c), problem.coordinates.ridge)
    g = np.append(rng.standard_normal(6), 1.0 if fit_intercept else 0.0)
    product = problem.hessian_product(c, found.solve(g), np.empty(25))
    np.testing.assert_allclose(product, g, rtol=1e-8, atol=1e-10)


def test_twin_columns_do_not_pass_on_rounding():
    """The pivot of the second twin is rounding; along their difference the answer stays of ordinary size."""
    A = np.ones((2, 2))
    A[1, 1] += 1e-15
    factor = cholesky(A.copy(), 1.0)
    assert factor[1, 1] ** 2 > 1e-12


@pytest.mark.parametrize("bends", [1e-40, 0.0])
def test_columns_that_hardly_bend_f_do_not_blow_up_rounding(bends):
    """The intercept does, and what rounding leaves of its gradient in theirs is nothing to follow."""
    found = FullPreconditioner(Gram(1e-6, np.zeros(1), np.full((1, 1), bends)), np.zeros(1))
    assert not found.blunt  # reflections would have no more digits
    step = found.solve(np.array([1e-22, 1e-6]))
    assert step[1] == pytest.approx(1.0)
    assert abs(step[0]) < 1e-4


def test_a_positive_definite_matrix_is_left_alone(rng):
    B = rng.standard_normal((20, 5))
    A = B.T @ B
    factor = np.tril(cholesky(A.copy(), float(A.diagonal().max())))
    np.testing.assert_allclose(factor @ factor.T, A, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("spoil", [np.nan, -1e9])
def test_a_matrix_that_is_none_is_refused(spoil):
    with pytest.raises(FloatingPointError, match="not finite or far from positive semidefinite"):
        cholesky(np.diag([1.0, spoil]), 1.0)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_triangle_of_X_solves_least_squares_whose_gram_is_singular_to_rounding(rng, fit_intercept):
    X, y = draw(rng, n=40, d=5, loss=SquaredError())
    X[:, 4] = X[:, 3] + 1e-9 * X[:, 4]
    problem = problem_of(X, y, SquaredError(), 0.0, fit_intercept)
    found = FullPreconditioner.of_triangle(problem.shared.triangle)
    x = np.append(rng.standard_normal(5), 0.5 if fit_intercept else 0.0)
    x[4] = -x[3] * problem.coordinates.scale[4] / problem.coordinates.scale[3]  # the tiny difference alone
    c = problem.curvature(problem.point(x).margins)
    product = problem.hessian_product(c, x, np.empty(40))
    again = problem.hessian_product(c, found.solve(product), np.empty(40))
    np.testing.assert_allclose(again, product, rtol=1e-6, atol=1e-9 * np.abs(product).max())
