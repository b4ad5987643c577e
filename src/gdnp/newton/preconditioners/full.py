"""The preconditioner that holds a matrix: the Gram of rows weighted by their curvature."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack, qr

from gdnp._typing import FloatArray
from gdnp.design.block import EPS
from gdnp.metric import RANK_TOLERANCE
from gdnp.newton.preconditioners.base import with_intercept, without_intercept
from gdnp.problem.coordinates import Gram, Triangle

JITTERS = (1e-14, 1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 1.0, 1e3)
"""What is added to the diagonal, in units of its largest entry, until Cholesky succeeds."""
SMALLEST_PIVOT = 1e-13
"""A pivot below this, in the same units, asks for at least the second of them; no eigenvalue below it is
divided by."""


class FullPreconditioner:
    """H from a positive semidefinite Gram matrix about the weighted mean, which is used up, by Cholesky.

    ``blunt`` says whether f may bend less along some direction than rounding of the Gram lets on.
    """

    def __init__(self, gram: Gram, ridge: FloatArray) -> None:
        self._total, self._mean = max(gram.total, 1e-300), gram.mean
        diagonal = np.einsum("ii->i", gram.scatter)
        diagonal += ridge
        largest = float(np.max(diagonal, initial=0.0))
        bends = largest > SMALLEST_PIVOT * self._total  # else it is rounding of rows that the intercept bends
        self._factor, added = jittered(gram.scatter, largest if bends else gram.total)
        self.blunt = bends and added >= JITTERS[1]

    @classmethod
    def by_reflections(
        cls, root: FloatArray, total: float, mean: FloatArray, ridge: FloatArray
    ) -> FullPreconditioner:
        """The same of RᵀR + ridge for a `root` R of X itself: its digits are not lost to squares."""
        new, floor = cls.__new__(cls), RANK_TOLERANCE * EPS * float(np.abs(root).max(initial=0.0)) + 1e-150
        new._total, new._mean, new.blunt = max(total, 1e-300), mean, False
        below = np.diag(np.hypot(np.sqrt(ridge), floor))
        new._factor = qr(np.vstack((root, below)), mode="r")[0][: len(ridge)].T
        return new

    @classmethod
    def of_triangle(cls, triangle: Triangle) -> FullPreconditioner:
        """That of least squares without a ridge; a column that is not among those of R has H = 1."""
        d, order = len(triangle.x) - 1, triangle.order
        root, mean, ridge = np.zeros((len(order), d)), np.zeros(d), np.ones(d)
        root[:, order], mean[order], ridge[order] = triangle.root, triangle.mean, 0.0
        return cls.by_reflections(root, 1.0, mean, ridge)

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""
        inner = lapack.dpotrs(self._factor, without_intercept(g, self._mean), lower=1)[0]
        return with_intercept(inner, g, self._total, self._mean)


def cholesky(matrix: FloatArray, largest: float) -> FloatArray:
    """The factor alone of ``jittered``."""
    return jittered(matrix, largest)[0]


def jittered(matrix: FloatArray, largest: float) -> tuple[FloatArray, float]:
    """The factor of the matrix plus as little of the identity as keeps rounding small, and that.

    A pivot near rounding (twin columns) passes the noise of a right-hand side on in full size, so more is
    added then: too large a preconditioner costs an iteration, noise along a kernel costs digits of every
    margin.
    """
    unit = largest if largest > 0.0 else 1.0
    diagonal = np.einsum("ii->i", matrix)
    added = 0.0
    for jitter in JITTERS:
        diagonal += (jitter - added) * unit
        added = jitter
        factor, info = lapack.dpotrf(matrix, lower=1)
        pivot = float(np.square(np.min(np.einsum("ii->i", factor), initial=np.inf)))
        enough = pivot > SMALLEST_PIVOT * unit or jitter >= JITTERS[1]
        if info == 0 and enough and np.isfinite(pivot):
            return np.asarray(factor), jitter
    raise FloatingPointError("a Gram matrix is not finite or far from positive semidefinite")
