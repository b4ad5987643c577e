"""Rows left out one by one, in closed form: the same as fits of all others."""

import numpy as np
import pytest

from gdnp.estimators.leave_one_out import left_out
from gdnp.losses import LOSSES
from problems import problem_of

ALPHAS = np.array([10.0, 1e-2, 1e-5])


def refitted(X, Y, alpha, weight, fit_intercept):
    """The prediction of each row by (XᵀSX + αI)⁻¹XᵀSy of the others, in long doubles where NumPy allows."""
    n, d = X.shape
    found = np.empty_like(Y)
    for i in range(n):
        rest = np.arange(n) != i
        s = weight[rest] / weight[rest].sum()
        mean, mean_y = (s @ X[rest], s @ Y[rest]) if fit_intercept else (np.zeros(d), np.zeros(Y.shape[1]))
        Z = np.vstack((np.sqrt(s)[:, None] * (X[rest] - mean), np.sqrt(alpha) * np.eye(d)))
        right = np.vstack((np.sqrt(s)[:, None] * (Y[rest] - mean_y), np.zeros((d, Y.shape[1]))))
        found[i] = mean_y + (X[i] - mean) @ np.linalg.lstsq(Z, right, rcond=None)[0]
    return found


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("shape", [(40, 5), (12, 30), (12, 12), (2, 1), (2, 3)])
def test_each_row_is_predicted_by_the_fit_of_all_others(rng, shape, weighted, fit_intercept):
    X = rng.standard_normal(shape) + 2.0
    Y = X @ rng.standard_normal((shape[1], 2)) + rng.standard_normal((shape[0], 2)) + 5.0
    weight = rng.random(shape[0]) + 0.1 if weighted else np.ones(shape[0])
    share = weight / weight.sum() if weighted else None
    problem = problem_of(X, Y[:, 0], LOSSES["squared_error"], 1e-5, fit_intercept, share)
    for found, alpha in zip(left_out(problem, Y, ALPHAS), ALPHAS, strict=True):
        expected = refitted(X, Y, alpha, weight, fit_intercept)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-7)


def test_small_columns_keep_their_digits_beside_large_ones(rng):
    """Columns of 1e-7 to 1e7 and ridges that all of them feel: (S + αI) alone would lose the small."""
    scale = 10.0 ** np.array([-7, -3, 0, 3, 7])
    X = rng.standard_normal((60, 5))
    Y = (X @ np.ones(5) + 0.1 * rng.standard_normal(60))[:, None]
    alphas = np.array([1e-14, 1e-16])
    problem = problem_of(X * scale, Y[:, 0], LOSSES["squared_error"], 1e-16)
    for found, alpha in zip(left_out(problem, Y, alphas), alphas, strict=True):
        expected = np.empty(60)
        for i in range(60):
            rest = np.arange(60) != i
            mean, mean_y = X[rest].mean(axis=0), Y[rest].mean()
            Z = X[rest] - mean  # coefficients v of columns of unit size, with ridges α/scale²
            H = Z.T @ Z / 59 + np.diag(alpha / scale**2)
            expected[i] = mean_y + (X[i] - mean) @ np.linalg.solve(H, Z.T @ (Y[rest, 0] - mean_y) / 59)
        np.testing.assert_allclose(found[:, 0], expected, rtol=1e-8, atol=1e-8)


def test_columns_that_are_alike_or_constant(rng):
    X = rng.standard_normal((30, 3))
    X = np.column_stack((X, X[:, 0], np.ones(30)))
    Y = rng.standard_normal((30, 1))
    problem = problem_of(X, Y[:, 0], LOSSES["squared_error"], 1e-2)
    (found,) = left_out(problem, Y, np.array([1e-2]))
    np.testing.assert_allclose(found, refitted(X, Y, 1e-2, np.ones(30), True), rtol=1e-8)
