"""Predictions of each row by the fit of all others, for least squares with a ridge, without a further fit.

With q the weighted orthonormal directions of the centred rows, variances λ along them and c those of y,

    y_i - ŷ_i = r_i/(1 - h_i),   r = y - ȳ - Σ_k q_k (1 - τ_k) c_k,   h_i = s_i (1 + Σ_k q_ik² (1 - τ_k)),

τ_k = α_i/(λ_k + α_i) (Allen 1974). Weights of the rows that are left sum to 1 - s_i, so α_i = α (1 - s_i) is
the ridge α of their mean.
"""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh, lapack, solve_triangular

from gdnp._typing import FloatArray
from gdnp.newton.preconditioners.full import cholesky
from gdnp.problem.gram import covariance, dense_rows, kernel_matrix
from gdnp.problem.objective import Objective


def left_out(problem: Objective, targets: FloatArray, alphas: FloatArray) -> Iterator[FloatArray]:
    """The predictions for each ridge, in units of φ'', of `targets` of shape (n, k); one reading of X.

    The problem has any ridge, standard coordinates and rows of positive weight alone.
    """
    n, rows = problem.n_samples, problem.design.rows
    s = np.full(n, 1.0 / n) if problem.weight is None else rows.gather(problem.weight)
    centred = targets - (s @ targets if problem.fit_intercept else 0.0)
    q, variance = _of_rows(problem, s) if n <= problem.n_features else _of_columns(problem)
    c = q.T @ (s[:, None] * centred)
    square, own = np.square(q), s * float(problem.fit_intercept)
    if n <= problem.n_features:  # the directions are all there are, of which nothing is left
        rest, room = np.zeros_like(centred), np.zeros(n)
    else:
        rest, room = centred - q @ c, np.maximum(1.0 - own - s * square.sum(axis=1), 0.0)
    for alpha in alphas:
        ridge = alpha * (1.0 - (1.0 / n if problem.weight is None else s[:, None]))
        tau = ridge / (variance + ridge)
        if problem.weight is None:
            residual, left = rest + q @ (tau[:, None] * c), room + s * (square @ tau)
        else:
            residual, left = rest + (q * tau) @ c, room + s * np.einsum("ij,ij->i", square, tau)
        yield targets - residual / left[:, None]


def _of_columns(problem: Objective) -> tuple[FloatArray, FloatArray]:
    """q and λ from the Gram; one-sided Jacobi rotations keep small columns beside large ones."""
    live = problem.coordinates.scale > 0.0
    S = covariance(problem).scatter[np.ix_(live, live)]
    root = np.tril(cholesky(np.asfortranarray(S), 1.0))
    unit = np.sqrt(problem.coordinates.ridge[live] / problem.alpha)
    values, left, _, work, *_ = lapack.dgejsv((root / unit[:, None]).T, joba=0, jobp=0)
    turn = solve_triangular(root, left, lower=True, trans="T", check_finite=False)
    return dense_rows(problem)[:, live] @ turn, np.square(values * (work[0] / work[1]))


def _of_rows(problem: Objective, s: FloatArray) -> tuple[FloatArray, FloatArray]:
    """q and λ from the matrix of the rows, for n <= d, without the direction of the intercept."""
    root = np.sqrt(s)
    ridge = problem.coordinates.ridge
    problem.shared.kernel = ridge, kernel_matrix(problem, 1.0 / ridge)
    kernel = problem.alpha * root[:, None] * problem.shared.kernel[1] * root
    rank = len(s) - int(problem.fit_intercept)
    if problem.fit_intercept:  # its direction comes last, apart from others without variance
        kernel += np.outer(root, root) * (1.0 + 2.0 * np.trace(kernel))
    values, vectors = eigh(kernel, check_finite=False)
    return vectors[:, :rank] / root[:, None], np.maximum(values[:rank], 0.0)
