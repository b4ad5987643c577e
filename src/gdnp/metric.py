"""Metrics in which a weight vector is split into length and direction: w̃ = g w/‖w‖ (Eq. 9)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg, eigsh

from gdnp._cached import cached_property
from gdnp._typing import FloatArray

__all__ = ["METRICS", "Covariance", "Diagonal", "Identity", "Metric", "OperatorCovariance"]

RANK_TOLERANCE = 64.0


class Metric(ABC):
    """A positive semidefinite matrix M and the norm ‖w‖ = (wᵀ M w)^½ it gives.

    M = S is Batch Normalization, M = I is Weight Normalization.
    """

    @abstractmethod
    def apply(self, w: FloatArray) -> FloatArray:
        """M w."""

    @abstractmethod
    def solve(self, v: FloatArray) -> FloatArray:
        """M⁺ v for v in the range of M; the part of v outside it is ignored."""

    @property
    @abstractmethod
    def largest(self) -> float:
        """L = λ_max(M)."""

    @property
    @abstractmethod
    def smallest(self) -> float:
        """μ = the smallest eigenvalue of M on its range; 0 when M = 0."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """The dimension of the range of M."""

    @property
    def condition(self) -> float:
        """κ = L/μ on the range of M."""
        return self.largest / self.smallest if self.smallest > 0.0 else float("inf")

    def inner(self, v: FloatArray, w: FloatArray) -> float:
        """vᵀ M w."""
        return float(v @ self.apply(w))

    def norm(self, w: FloatArray) -> float:
        """(wᵀ M w)^½."""
        return float(np.sqrt(max(self.inner(w, w), 0.0)))

    def dual_norm(self, v: FloatArray) -> float:
        """(vᵀ M⁺ v)^½, the norm in which gradients are measured."""
        return float(np.sqrt(max(float(v @ self.solve(v)), 0.0)))

    def join(self, w: FloatArray, g: float) -> FloatArray:
        """Eq. 9: w̃ = g w/‖w‖.

        Raises
        ------
        ValueError
            When ‖w‖ = 0, which has no direction.
        """
        norm = self.norm(w)
        if not norm > 0.0:
            raise ValueError(f"a direction must have a positive length in the metric. Got ‖w‖ = {norm:g}.")
        return (g / norm) * w

    def split(self, coef: FloatArray) -> tuple[FloatArray, float]:
        """The direction w with ‖w‖ = 1 and the length g >= 0 of w̃ = `coef`; inverse of ``join``."""
        g = self.norm(coef)
        if not g > 0.0:
            raise ValueError(f"only a vector of positive length can be split. Got ‖w̃‖ = {g:g}.")
        return coef / g, g


class Diagonal(Metric):
    """M = diag(v), v = `diagonal` >= 0: columns in units of their deviations when v is the variance."""

    def __init__(self, diagonal: FloatArray) -> None:
        _check_finite(diagonal)
        if np.min(diagonal, initial=0.0) < 0.0:
            raise ValueError(f"a diagonal metric must be non-negative. Got {np.min(diagonal):g}.")
        self.diagonal = diagonal

    @cached_property
    def _positive(self) -> FloatArray:
        return self.diagonal[self.diagonal > 0.0]

    @property
    def largest(self) -> float:  # noqa: D102
        return float(np.max(self._positive, initial=0.0))

    @property
    def smallest(self) -> float:  # noqa: D102
        return float(np.min(self._positive)) if self._positive.size else 0.0

    @property
    def rank(self) -> int:  # noqa: D102
        return int(self._positive.size)

    def apply(self, w: FloatArray) -> FloatArray:  # noqa: D102
        return self.diagonal * w

    def solve(self, v: FloatArray) -> FloatArray:  # noqa: D102
        return np.divide(v, self.diagonal, out=np.zeros_like(v), where=self.diagonal > 0.0)


class Identity(Diagonal):
    """M = I in d = `dimension` dimensions: Weight Normalization."""

    def __init__(self, dimension: int) -> None:
        super().__init__(np.ones(dimension))


class Covariance(Metric):
    """M = S as a d x d matrix: Batch Normalization.

    The rank is decided, and systems are solved, on the correlation matrix D S D with D = diag(S)^(-½), so
    neither depends on the units of the columns. A rank-deficient S is treated on its range, without jitter.

    Parameters
    ----------
    S : ndarray of shape (d, d)
        Symmetric positive semidefinite and finite.
    """

    def __init__(self, S: FloatArray) -> None:
        S = np.asarray(S, dtype=np.float64)
        if S.ndim != 2 or S.shape[0] != S.shape[1]:
            raise ValueError(
                f"S must be a square matrix, one row and column per feature. Got shape {S.shape}."
            )
        _check_finite(S)
        self.S = S

    @property
    def diagonal(self) -> FloatArray:
        """The diagonal of S, shape (d,)."""
        return np.diagonal(self.S)

    @cached_property
    def _unit(self) -> FloatArray:
        """The diagonal of D, 0 for a column without variance."""
        sd = np.sqrt(np.maximum(self.diagonal, 0.0))
        return np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 0.0)

    @cached_property
    def _spectrum(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Eigenvalues and eigenvectors of D S D on its range, and an orthonormal basis of the kernel of S."""
        values, vectors = np.linalg.eigh(self.S * np.outer(self._unit, self._unit))
        # Sums over rows leave S an error of some eps max|S|, which D magnifies in columns of small variance.
        cut = RANK_TOLERANCE * len(values) * np.finfo(float).eps * max(values[-1], 0.0)
        kept = values > cut
        if np.min(values, initial=0.0) < -1e3 * cut - 1e-300:
            raise ValueError(
                f"S must be positive semidefinite. Got a correlation matrix with eigenvalue {values[0]:.3g}."
            )
        # S v = 0 exactly when v = D n with n in the kernel of D S D; a column without variance spans its own.
        kernel = vectors[:, ~kept] * np.where(self._unit > 0.0, self._unit, 1.0)[:, None]
        return values[kept], vectors[:, kept], np.linalg.qr(kernel)[0]

    @cached_property
    def _eigenvalues(self) -> FloatArray:
        """Eigenvalues of S on its range, ascending."""
        values = np.linalg.eigvalsh(self.S)
        return np.asarray(np.maximum(values[len(values) - self.rank :], 0.0))

    @property
    def largest(self) -> float:  # noqa: D102
        return float(self._eigenvalues[-1]) if self.rank else 0.0

    @property
    def smallest(self) -> float:  # noqa: D102
        return float(self._eigenvalues[0]) if self.rank else 0.0

    @property
    def rank(self) -> int:  # noqa: D102
        return len(self._spectrum[0])

    def apply(self, w: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(self.S @ w)

    def solve(self, v: FloatArray) -> FloatArray:  # noqa: D102
        values, vectors, _ = self._spectrum
        solution = self._unit * (vectors @ ((vectors.T @ (self._unit * v)) / values))
        return self.project(np.asarray(solution))

    def dual_norm(self, v: FloatArray) -> float:  # noqa: D102
        values, vectors, _ = self._spectrum
        return float(np.linalg.norm((vectors.T @ (self._unit * v)) / np.sqrt(values)))

    def project(self, w: FloatArray) -> FloatArray:
        """The orthogonal projection of w on the range of S, which leaves Xw as it is."""
        kernel = self._spectrum[2]
        return w - kernel @ (kernel.T @ w) if kernel.shape[1] else w

    def shifted(self, ridge: float) -> Covariance:
        """S + ridge I."""
        return Covariance(self.S + ridge * np.eye(len(self.S))) if ridge else self


class OperatorCovariance(Metric):
    """M = S + ridge I known only by its products, for d too large to hold S.

    L and μ come from Lanczos iterations, systems from conjugate gradients, each product with S being a
    pass over the data.

    Parameters
    ----------
    product : callable
        w -> S w.
    diagonal : ndarray of shape (d,)
        The diagonal of S, which preconditions the systems.
    ridge : float
    """

    def __init__(
        self, product: Callable[[FloatArray], FloatArray], diagonal: FloatArray, ridge: float = 0.0
    ) -> None:
        self._product = product
        self.diagonal = diagonal
        self._ridge = ridge

    @cached_property
    def _operator(self) -> LinearOperator:
        d = len(self.diagonal)
        return LinearOperator((d, d), matvec=lambda w: self.apply(np.ravel(w)), dtype=np.float64)

    def _extreme(self, which: str) -> float:
        start = np.random.default_rng(0).standard_normal(len(self.diagonal))
        found = eigsh(self._operator, k=1, which=which, v0=start, tol=1e-4, return_eigenvectors=False)
        return max(float(found[0]), 0.0)

    @cached_property
    def largest(self) -> float:
        """L, to a relative 1e-4."""
        return self._extreme("LA")

    @cached_property
    def smallest(self) -> float:
        """λ_min, to an absolute 1e-4 L: the range of S is not known here."""
        return self._extreme("SA")

    @property
    def rank(self) -> int:
        """d: the range of S is not known here."""
        return len(self.diagonal)

    def apply(self, w: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(self._product(w) + self._ridge * w)

    def solve(self, v: FloatArray) -> FloatArray:
        """By conjugate gradients, to a relative residual of 1e-8 or 500 products."""
        scale = Diagonal(self.diagonal + self._ridge)
        precondition = LinearOperator(
            self._operator.shape, matvec=lambda r: scale.solve(np.ravel(r)), dtype=np.float64
        )
        return np.asarray(cg(self._operator, v, rtol=1e-8, maxiter=500, M=precondition)[0])

    def shifted(self, ridge: float) -> OperatorCovariance:
        """S + ridge I."""
        return OperatorCovariance(self._product, self.diagonal, self._ridge + ridge)


def _check_finite(values: FloatArray) -> None:
    if not np.isfinite(values).all():
        raise ValueError("a metric must be finite. Got NaN or infinity; check the data it was made from.")


METRICS: dict[str, Callable[[Covariance | OperatorCovariance], Metric]] = {
    "identity": lambda S: Identity(len(S.diagonal)),
    "diagonal": lambda S: Diagonal(S.diagonal),
    "covariance": lambda S: S,
}
"""The metrics of a method by name, each made from S: the dial from Weight to Batch Normalization."""
