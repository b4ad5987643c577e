"""Elimination of the intercept: the Schur complement against the whole system."""

import numpy as np

from gdnp.newton.preconditioners.base import with_intercept, without_intercept


def test_elimination_is_the_whole_system(rng):
    X, c = rng.standard_normal((30, 4)), rng.random(30)
    Z = np.column_stack((X, np.ones(30)))
    ridge = np.diag([0.1, 0.2, 0.3, 0.4])
    whole = Z.T @ (c[:, None] * Z)
    whole[:4, :4] += ridge
    total, mean = c.sum(), c @ X / c.sum()
    A = (X - mean).T @ (c[:, None] * (X - mean)) + ridge
    g = rng.standard_normal(5)
    delta = np.linalg.solve(A, without_intercept(g, mean))
    np.testing.assert_allclose(with_intercept(delta, g, total, mean), np.linalg.solve(whole, g), rtol=1e-10)
