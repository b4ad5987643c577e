"""Least squares (Eq. 10) and halfspaces (Eq. 16) on the population of Assumption 2, exactly.

With z ~ N(u, S - u uᵀ) the number zᵀw̃ is N(a, q - a²), a = uᵀw̃ and q = w̃ᵀSw̃, so an objective knows a
point by (w̃, a, q) and every expectation is one-dimensional. The classes implement the protocol of
``gdnp.problem.interface``: a solver that runs on data runs here unchanged, free of sampling error.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.losses import Loss, SquaredError, checked_loss
from gdnp.metric import Covariance
from gdnp.population.quadrature import Panels, gaussian_rule, panels_of
from gdnp.problem.interface import Cost, Expansion
from gdnp.problem.interface import Point as AnyPoint

LENGTH_CAP = 1e6

Expectations = tuple[float, float, float]
"""E φ, E φ' and E φ''."""


class Population(ABC):
    """What the two objectives share: f(w̃) = E φ(zᵀw̃) + α/2 ‖w̃‖² known by u = E z and S = E zzᵀ.

    A subclass says what E φ, E φ', E φ'' are at a point, and what f does along a line.
    """

    gram_passes = 0.0
    """S is given."""
    length_cap = LENGTH_CAP
    """1e6, up to where the quadrature is tested."""

    def __init__(self, u: ArrayLike, S: ArrayLike, loss: Loss, alpha: float) -> None:
        self.u: Final = _finite("u", _vector("u", u))
        self.S: Final = _symmetric(S, self.u.size)
        if not 0.0 <= alpha < np.inf:
            raise ValueError(f"alpha, the ridge, must be finite and >= 0. Got {alpha!r}.")
        self.alpha: Final = float(alpha)
        self.loss: Final = loss
        self.n_features: Final = self.u.size
        self.fit_intercept: Final = False
        self.cost: Final = Cost()
        try:
            factor = cho_factor(self.S, lower=True)
        except LinAlgError as error:
            raise ValueError(
                "S must be positive definite. Got a matrix without a Cholesky factor: "
                "drop the constant or repeated features."
            ) from error
        self.optimal_direction: Final[FloatArray] = cho_solve(factor, self.u)
        self.r: Final = float(self.u @ self.optimal_direction)

    @cached_property
    def covariance(self) -> Covariance:
        """S, as a metric."""
        return Covariance(self.S)

    @cached_property
    def origin(self) -> PopulationPoint:
        """The handle of w̃ = 0."""
        return self.at(np.zeros(self.n_features))

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        """`intercept`: x has mean zero."""
        return intercept

    def at(self, coef: ArrayLike, intercept: float = 0.0) -> PopulationPoint:
        """The handle of the point w̃ = `coef`; `intercept` must be 0."""
        if intercept != 0.0:
            raise ValueError(f"A population objective has no intercept: it must be 0. Got {intercept!r}.")
        return PopulationPoint(self, _vector("coef", coef, self.n_features))

    def stein_coefficient(self, point: AnyPoint) -> float:
        """c₁ = E φ' - (uᵀw̃) E φ'' of Stein's ∇f = c₁ u + c₂ S w̃ (the ridge adds α w̃)."""
        return point.mean_gradient - float(self.u @ point.coef) * point.mean_curvature

    @abstractmethod
    def _expectations(self, a: float, q: float) -> Expectations:
        """E φ, E φ', E φ'' where uᵀw̃ = a and w̃ᵀSw̃ = q."""

    @abstractmethod
    def _restriction(self, point: PopulationPoint, d: FloatArray) -> Callable[[float], Expectations]:
        """The map from t to E φ, E φ' ζ, E φ'' ζ² at w̃ + t d, ζ = zᵀd: f's derivatives in t without ridge."""


class Halfspace(Population):
    """f(w̃) = E φ(zᵀw̃) + α/2 ‖w̃‖² (Eq. 16) for z ~ N(u, S - u uᵀ), by one-dimensional quadrature.

    Stein's lemma gives ∇f = c₁ u + c₂ S w̃ + α w̃ with c₁ = E φ' - (uᵀw̃) E φ'' and c₂ = E φ''. Hence
    Lemma 1: at α = 0 critical points lie on the line of S⁻¹u. Expectations hold to about 1e-13 up to
    lengths of 1e6, wherever φ bends (``gdnp.population.quadrature``).

    Parameters
    ----------
    u : array-like of shape (d,)
        E[z] = E[-y x].
    S : array-like of shape (d, d)
        E[z zᵀ], symmetric positive definite, with uᵀS⁻¹u < 1 so that S - u uᵀ is a covariance.
    loss : str or Loss
        φ, a classification loss.
    alpha : float, default 0.0
        The ridge α.
    scale : float, default 1.0
        The least width over which φ bends, for a loss of your own that is steeper than the registry's.

    Attributes
    ----------
    optimal_direction : ndarray of shape (d,)
        S⁻¹u.
    r : float
        uᵀS⁻¹u, in [0, 1).
    cost : Cost
        Stays 0: there are no data to pass over.

    Raises
    ------
    ValueError
        For moments that no Gaussian has, a loss that is not for classification, or an intercept.

    Examples
    --------
    >>> import numpy as np
    >>> f = Halfspace([0.6, 0.0], np.diag([1.0, 4.0]), "log_loss")
    >>> minimiser = -2.0 * f.optimal_direction / (1.0 - f.r)  # linear discriminant analysis
    >>> bool(np.abs(f.at(minimiser).gradient).max() < 1e-14)
    True
    """

    def __init__(
        self, u: ArrayLike, S: ArrayLike, loss: str | Loss, *, alpha: float = 0.0, scale: float = 1.0
    ) -> None:
        loss = checked_loss(loss)
        if loss.task != "classification":
            raise ValueError(
                f"Halfspace needs a classification loss. Got {loss.name!r}, a {loss.task} loss: "
                "use LeastSquares, or a loss of z = -y xᵀw."
            )
        if not 0.0 < scale < np.inf:
            raise ValueError(f"scale must be finite and > 0. Got {scale!r}.")
        super().__init__(u, S, loss, alpha)
        if not self.r < 1.0:
            raise ValueError(
                f"S - u uᵀ must be positive definite, that is uᵀS⁻¹u < 1. Got {self.r:.6g}: "
                "S is the second moment E[z zᵀ], not the covariance of z."
            )
        self.scale: Final = float(scale)

    @cached_property
    def panels(self) -> Panels:
        """Where φ bends, for the quadrature."""
        return panels_of(self.loss, self.scale)

    def _rule(self, mean: float, variance: float) -> tuple[FloatArray, FloatArray]:
        if not (math.isfinite(mean) and math.isfinite(variance)):  # a diverged iterate has the value nan
            return np.full(1, np.nan), np.ones(1)
        return gaussian_rule(mean, variance, panels=self.panels)

    def _expectations(self, a: float, q: float) -> Expectations:
        xi, weight = self._rule(a, max(q - a * a, 0.0))
        value, gradient, curvature = self.loss.derivatives(xi)
        return float(weight @ value), float(weight @ gradient), float(weight @ curvature)

    def _restriction(self, point: PopulationPoint, d: FloatArray) -> Callable[[float], Expectations]:
        # w̃ + t d = p + τ d with τ = s + t and zᵀp independent of ζ = zᵀd: no formula below subtracts, so a
        # line through the origin keeps every digit at any length.
        Sd = self.S @ d
        mean_d = float(self.u @ d)
        var_d = max(float(d @ Sd) - mean_d**2, 0.0)
        s = (float(point.coef @ Sd) - point.a * mean_d) / var_d if var_d > 0.0 else 0.0
        p = point.coef - s * d
        mean_p = float(self.u @ p)
        var_p = max(float(p @ (point.S_coef - s * Sd)) - mean_p**2, 0.0)

        def moments(t: float) -> Expectations:
            tau = s + t
            variance = var_p + tau * tau * var_d
            xi, weight = self._rule(mean_p + tau * mean_d, variance)
            # ζ given ξ = zᵀp + τ ζ is normal: its mean is linear in ξ, its variance constant.
            if variance > 0.0:
                mean = (tau * var_d * (xi - mean_p) + var_p * mean_d) / variance
                square = mean * mean + var_d * (var_p / variance)
            else:
                mean = np.full_like(xi, mean_d)
                square = mean * mean + var_d
            value, gradient, curvature = self.loss.derivatives(xi)
            slope, bend = float(weight @ (gradient * mean)), float(weight @ (curvature * square))
            return float(weight @ value), slope, bend

        return moments


class _SquareOfOnePlus(SquaredError):
    """What step sizes need to know of φ(t) = (1 + t)² - 1."""

    max_curvature: ClassVar[float] = 2.0


class LeastSquares(Population):
    """f(w̃) = 2uᵀw̃ + w̃ᵀSw̃ + α/2 ‖w̃‖² (Eq. 10), with gradient 2(u + S w̃) + α w̃.

    It is E φ(zᵀw̃) for φ(t) = (1 + t)² - 1, so that E φ' = 2(1 + uᵀw̃), E φ'' = 2 and c₁ = c₂ = 2: a
    halfspace whose expectations need moments only, not Assumption 2. The empirical ``squared_error`` is
    r²/2: half of this, up to a constant and before the ridge.

    Parameters
    ----------
    u, S, alpha
        As for `Halfspace`, but uᵀS⁻¹u may exceed 1, as it does for a target of mean square above 1.

    Attributes
    ----------
    loss : Loss
        ``squared_error``, with twice its curvature.
    optimal_direction, r, cost
        As for `Halfspace`; the minimiser at α = 0 is -S⁻¹u.

    Raises
    ------
    ValueError
        For a matrix that is not a second moment, or an intercept.

    Examples
    --------
    >>> f = LeastSquares([1.0], [[2.0]])
    >>> f.at([-0.5]).value
    -0.5
    """

    def __init__(self, u: ArrayLike, S: ArrayLike, *, alpha: float = 0.0) -> None:
        super().__init__(u, S, _SquareOfOnePlus(), alpha)

    def stein_coefficient(self, point: AnyPoint) -> float:
        """c₁ = 2(1 + a) - 2a, which is c₂ = 2 and is not computed by cancellation."""
        return point.mean_curvature

    def _expectations(self, a: float, q: float) -> Expectations:
        return 2.0 * a + q, 2.0 * (1.0 + a), 2.0

    def _restriction(self, point: PopulationPoint, d: FloatArray) -> Callable[[float], Expectations]:
        slope = 2.0 * float((self.u + point.S_coef) @ d)
        curvature = 2.0 * float(d @ self.S @ d)
        value = 2.0 * point.a + point.q
        return lambda t: (value + t * (slope + 0.5 * t * curvature), slope + t * curvature, curvature)


@dataclass(frozen=True, eq=False)
class PopulationPoint:
    """w̃ with a = uᵀw̃ and q = w̃ᵀSw̃; a ``gdnp.problem.interface.Point``."""

    objective: Population
    coef: FloatArray

    intercept = 0.0
    intercept_gradient = 0.0
    separates = False

    @cached_property
    def S_coef(self) -> FloatArray:
        """S w̃."""
        product: FloatArray = self.objective.S @ self.coef
        return product

    @cached_property
    def a(self) -> float:
        """uᵀw̃, the mean of zᵀw̃."""
        return float(self.objective.u @ self.coef)

    @cached_property
    def q(self) -> float:
        """‖w̃‖_S², the mean square of zᵀw̃."""
        return float(self.coef @ self.S_coef)

    @cached_property
    def _expectations(self) -> Expectations:
        return self.objective._expectations(self.a, self.q)

    @property
    def mean_gradient(self) -> float:
        """E φ'."""
        return self._expectations[1]

    @property
    def mean_curvature(self) -> float:
        """c₂ = E φ''."""
        return self._expectations[2]

    @property
    def value(self) -> float:
        """f(w̃)."""
        return self._expectations[0] + 0.5 * self.objective.alpha * float(self.coef @ self.coef)

    @cached_property
    def gradient(self) -> FloatArray:
        """∇f = c₁ u + c₂ S w̃ + α w̃."""
        f = self.objective
        stein = f.stein_coefficient(self) * f.u + self.mean_curvature * self.S_coef
        return stein + f.alpha * self.coef

    def line(self, direction: ArrayLike) -> _Line:
        """The restriction of f to w̃ + t `direction`."""
        return _Line(self, _vector("direction", direction, self.coef.size))


class _Line:
    """f along w̃ + t d; a ``gdnp.problem.interface.Line`` whose evaluations cost no d-dimensional work."""

    def __init__(self, point: PopulationPoint, direction: FloatArray) -> None:
        self._point = point
        self._direction = direction
        self._moments = point.objective._restriction(point, direction)
        # α/2 ‖w̃ + t d‖² by its Taylor coefficients at t = 0.
        alpha, coef = point.objective.alpha, point.coef
        self._ridge = np.array([0.5 * coef @ coef, coef @ direction, direction @ direction]) * alpha

    def expansion(self, t: float, c: float = 0.0) -> Expansion:
        """Value and derivatives at step length `t`; those of the absent intercept are 0, as is `c`."""
        value, slope, curvature = self._moments(t) + np.array(
            [self._ridge @ [1.0, t, 0.5 * t * t], self._ridge[1] + t * self._ridge[2], self._ridge[2]]
        )
        return Expansion(float(value), float(slope), 0.0, float(curvature), 0.0, 0.0)

    def point(self, t: float, c: float = 0.0, *, last: bool = False) -> PopulationPoint:
        """The handle of w̃ + t d, with S w̃ computed afresh so that rounding does not build up over steps."""
        return self._point.objective.at(self._point.coef + t * self._direction, c)


def _vector(name: str, vector: ArrayLike, size: int | None = None) -> FloatArray:
    """A read-only float64 copy of a vector, of length `size` where one is required."""
    array = np.array(vector, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or (size is not None and array.size != size):
        expected = "(d,)" if size is None else f"({size},)"
        raise ValueError(f"{name} must have shape {expected}. Got {array.shape}.")
    array.flags.writeable = False
    return array


def _symmetric(matrix: ArrayLike, size: int) -> FloatArray:
    """A read-only float64 copy of S, symmetric up to rounding relative to √(S_ii S_jj)."""
    array = np.array(matrix, dtype=np.float64)
    if array.shape != (size, size):
        raise ValueError(f"S must have shape ({size}, {size}) to match u. Got {array.shape}.")
    root = np.sqrt(np.abs(np.diag(_finite("S", array))))
    asymmetry = np.abs(array - array.T)
    if np.any(asymmetry > 1e-10 * np.outer(root, root)):
        raise ValueError(f"S must be symmetric. Got entries that differ from Sᵀ by {asymmetry.max():.3g}.")
    array = 0.5 * (array + array.T)
    array.flags.writeable = False
    return array


def _finite(name: str, array: FloatArray) -> FloatArray:
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite. Got nan or infinity.")
    return array
