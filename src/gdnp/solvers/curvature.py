"""The smallest eigenvalue of ∇²f, which says whether a run has ended at a minimum."""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, eigh, lapack
from scipy.sparse.linalg import LinearOperator, lobpcg

from gdnp._typing import FloatArray
from gdnp.problem.gram import hessian
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.problem.points import DataPoint
from gdnp.solvers.conjugate import Solve
from gdnp.solvers.state import TRIALS

CURVATURE_ROUNDING = 1e-9
"""An eigenvalue this far below zero, where columns have unit variance, is not called negative."""


def hessian_fits(problem: Objective) -> bool:
    """Whether ∇²f is small enough, and cheap enough beside products with it, to be held as a matrix."""
    return problem.n_features <= min(LARGEST_GRAM, 2 * problem.n_samples)


def smallest_curvature(
    problem: Objective, point: DataPoint, precondition: Solve | None = None
) -> tuple[float, FloatArray]:
    """The smallest eigenvalue of ∇²f in the problem's coordinates from above, and a vector that has it.

    What is found is the Rayleigh quotient of a vector, an upper bound. Where a matrix of many columns has a
    Cholesky factor, that is the preconditioner of the search, and says that the eigenvalue is at least -1e-9.
    `precondition`, g -> H⁻¹ g, asks for a search with products, a pass over X each, instead of the matrix.
    """
    c = problem.curvature(point.margins)
    if precondition is None:
        matrix = hessian(problem, c)
        shifted = matrix + CURVATURE_ROUNDING * np.eye(len(matrix))
        factor, info = lapack.dpotrf(shifted, lower=1, overwrite_a=1)
        if info != 0 or len(matrix) <= TRIALS:  # for few columns a decomposition is no dearer
            values, vectors = eigh(matrix, subset_by_index=(0, 0))
            return float(values[0]), vectors[:, 0]
        return _lowest(matrix.__matmul__, lambda g: lapack.dpotrs(factor, g, lower=1)[0], len(matrix))
    buffer = problem.design.rows.empty()

    def product(p: FloatArray) -> FloatArray:
        if problem.fit_intercept:
            return problem.hessian_product(c, p, buffer)
        out = problem.hessian_product(c, np.append(p[:-1], 0.0), buffer)
        out[-1] = p[-1]  # as in ``hessian``
        return out

    return _lowest(product, precondition, problem.n_features + 1)


def _lowest(product: Solve, precondition: Solve, size: int) -> tuple[float, FloatArray]:
    """The least Rayleigh quotient that locally optimal conjugate gradients find, and its vector."""
    start = np.random.default_rng(0).standard_normal((size, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of accuracy not reached: a quotient is a bound anyway
        try:
            values, vectors = lobpcg(
                LinearOperator((size, size), matvec=lambda p: product(np.ravel(p)), dtype=np.float64),
                start,
                M=LinearOperator((size, size), matvec=lambda g: precondition(np.ravel(g)), dtype=np.float64),
                largest=False,
                maxiter=TRIALS,
                tol=CURVATURE_ROUNDING,
            )
        except (ValueError, LinAlgError):  # where ∇²f or H is next to nothing
            v = start[:, 0]
            return float(v @ product(v)) / float(v @ v), v
    return float(values[0]), vectors[:, 0]
