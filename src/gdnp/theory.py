"""What the theory of sections 3 and 4 says in numbers: gaps, identities, bounds, oracles, iteration counts.

Vectors, metrics and scalars only; no data are touched here. Throughout, u = E[-y x] (Eq. 1) and w are
vectors of shape (d,), S is `metric`, and L and μ are its extreme eigenvalues on its range. ρ(w) =
-(uᵀw)²/(wᵀSw) is the least-squares objective at its best length (Eq. 12), and ρ* = -r with r = uᵀS⁻¹u is its
minimum. Δρ(w) = ρ(w) - ρ* is the *directional gap* of w; it is zero exactly on the line of S⁻¹u.

Δρ is a certificate: ``directional_gap_from_gradient`` computes it from one gradient, and by ``sin_squared``
it is an angle. Source of all equations unless said otherwise: Kohler et al., AISTATS 2019.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gdnp._typing import FloatArray
from gdnp.metric import Covariance, Metric, OperatorCovariance

__all__ = [
    "PredictedIterations",
    "best_least_squares_length",
    "directional_gap",
    "directional_gap_from_gradient",
    "gradient_bound",
    "gradient_norm_squared",
    "identity_15",
    "lda_length",
    "lda_solution",
    "predicted_iterations",
    "rayleigh_bound",
    "rayleigh_gradient",
    "rayleigh_quotient",
    "rayleigh_step",
    "ridge_direction",
    "sin_squared",
    "squared_signal",
]


# --- least squares: section 3 -------------------------------------------------------------------------------


def squared_signal(u: FloatArray, metric: Metric) -> float:
    """r = uᵀS⁻¹u = -ρ*, the share of S along u of shape (d,); below 1 under Assumption 2."""
    return metric.dual_norm(u) ** 2


def rayleigh_quotient(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """ρ(w) = -(uᵀw)²/(wᵀSw), Eq. 12, for u and w of shape (d,), w of positive length in the metric."""
    return -((float(u @ w) / _length(metric, w)) ** 2)


def rayleigh_gradient(u: FloatArray, metric: Metric, w: FloatArray) -> FloatArray:
    """∇ρ(w) = -2 ((uᵀw) u + ρ(w) S w)/(wᵀSw), shape (d,): the bracket of Eq. 13 is -∇ρ."""
    return np.asarray(-2.0 * float(u @ w) / _length(metric, w) ** 2 * _across(u, metric, w))


def rayleigh_step(u: FloatArray, metric: Metric, w: FloatArray, eta: float | None = None) -> FloatArray:
    """One step of Eq. 13, w⁺ = w - η ∇ρ(w), shape (d,).

    With the step of Theorem 1, η = wᵀSw/(2L |ρ|), this is w⁺ = (I - S/L) w + (k/L) u, k = ‖w‖_S²/(uᵀw):
    the least-squares gradient step towards k S⁻¹u.

    Parameters
    ----------
    u, w : ndarray of shape (d,)
        ρ(w) ≠ 0 unless `eta` is given.
    metric : Metric
    eta : float or None
        η; None is Theorem 1's.

    Raises
    ------
    ValueError
        When uᵀw = 0, where ∇ρ = 0 and Theorem 1's step is infinite.
    """
    if eta is None:
        rho = rayleigh_quotient(u, metric, w)
        if rho == 0.0:
            raise ValueError("Theorem 1 needs a start with ρ(w) ≠ 0. Got uᵀw = 0; start from u.")
        eta = _length(metric, w) ** 2 / (2.0 * metric.largest * abs(rho))
    return w - eta * rayleigh_gradient(u, metric, w)


def best_least_squares_length(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """g*_w = -uᵀw/‖w‖_S, the g that minimises Eq. 11 at w of shape (d,); f_ols(w, g*_w) = ρ(w)."""
    return -float(u @ w) / _length(metric, w)


def directional_gap(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """Δρ(w) = ρ(w) - ρ* = ‖u - (uᵀw/‖w‖_S²) S w‖²_{S⁻¹}.

    The residual form is Eq. 15 written out. It does not subtract ρ* from ρ, so it keeps its relative accuracy
    near the solution, down to about the square of the rounding error.

    Examples
    --------
    >>> u = np.array([0.6, 0.0])
    >>> directional_gap(u, Covariance(np.eye(2)), np.array([0.0, 1.0]))  # as far off as can be: Δρ = r
    0.36
    """
    return metric.dual_norm(_across(u, metric, w)) ** 2


def identity_15(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """‖w‖_S² ‖∇ρ(w)‖²_{S⁻¹}/|4 ρ(w)| for ρ(w) ≠ 0, the left side of Eq. 15, which equals Δρ(w)."""
    gradient = rayleigh_gradient(u, metric, w)
    rho = rayleigh_quotient(u, metric, w)
    return _length(metric, w) ** 2 * metric.dual_norm(gradient) ** 2 / abs(4.0 * rho)


def sin_squared(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """sin²θ = Δρ(w)/|ρ*|, θ the angle between w and S⁻¹u ≠ 0 in the S inner product."""
    return directional_gap(u, metric, w) / squared_signal(u, metric)


def rayleigh_bound(metric: Metric, initial_gap: float, steps: ArrayLike) -> FloatArray:
    """Eq. 14: (1 - μ/L)^{2t} Δρ₀ bounds Δρ_t from above; in the shape of t = `steps`, Δρ₀ = `initial_gap`."""
    contraction = 1.0 - metric.smallest / metric.largest
    return np.asarray(contraction ** (2.0 * np.asarray(steps, dtype=np.float64)) * initial_gap)


# --- halfspaces: section 4 ----------------------------------------------------------------------------------


def directional_gap_from_gradient(gradient: FloatArray, metric: Metric, w: FloatArray, c1: float) -> float:
    """Δρ(w) = ‖(I - S w wᵀ/‖w‖_S²) ∇f‖²_{S⁻¹}/c₁²: the certificate, from one gradient of any loss.

    By Stein's lemma ∇f(w̃) = c₁ u + c₂ S w̃ for w̃ = g w/‖w‖_S (Assumption 2); the projection removes S w̃
    and leaves c₁ times the residual of ``directional_gap``.

    Parameters
    ----------
    gradient : ndarray of shape (d,)
        ∇f(w̃) at α = 0.
    metric : Metric
    w : ndarray of shape (d,)
    c1 : float
        c₁ = E φ' - (uᵀw̃) E φ'', not 0.
    """
    along = float(gradient @ w) / _length(metric, w) ** 2
    return (metric.dual_norm(gradient - along * metric.apply(w)) / c1) ** 2


def gradient_norm_squared(c1: float, gap: float, length_derivative: float) -> float:
    """‖∇f(w̃)‖²_{S⁻¹} = c₁² Δρ + (∂_g f)²: `c1` of Stein's lemma, Δρ = `gap`, ∂_g f = `length_derivative`."""
    return c1**2 * gap + length_derivative**2


def gradient_bound(
    metric: Metric,
    r: float,
    initial_gap: float,
    steps: ArrayLike,
    *,
    max_gradient: float,
    smoothness: float,
    bracket: float,
    bisection_steps: int,
) -> FloatArray:
    """Eq. 19 corrected: (1-μ/L)^{2T} Φ²/(1-√r)² Δρ₀ + 4^{-Ts} (ζ/μ)² |b⁰-a⁰|² >= ‖∇f(w̃_T)‖²_{S⁻¹}.

    Both terms come from ``gradient_norm_squared``. c₁ (1 - m²) = E φ' - m ∂_g f with m = uᵀw/‖w‖_S and
    |∂_g f| <= Φ give |c₁| <= Φ/(1 - √r). ∂²_g f <= ζ/μ turns the bracket that is left of g into a bound on
    ∂_g f.

    Parameters
    ----------
    metric : Metric
        S.
    r : float
        uᵀS⁻¹u < 1.
    initial_gap : float
        Δρ₀.
    steps : array_like of int
        T, the directional steps actually taken; the bound has its shape.
    max_gradient : float
        Φ = sup |φ'|.
    smoothness : float
        ζ, the Lipschitz constant of ∇f; L sup |φ''| will do.
    bracket : float
        |b⁰ - a⁰|, the width of the bracket that bisection starts from.
    bisection_steps : int
        T_s.

    Raises
    ------
    ValueError
        For r >= 1, which Assumption 2 excludes.
    """
    if not 0.0 <= r < 1.0:
        raise ValueError(f"Assumption 2 needs 0 <= r = uᵀS⁻¹u < 1. Got {r!r}.")
    direction = (max_gradient / (1.0 - math.sqrt(r))) ** 2 * rayleigh_bound(metric, initial_gap, steps)
    length = (smoothness / metric.smallest * bracket / 2.0**bisection_steps) ** 2
    return np.asarray(direction + length)


def lda_length(u: FloatArray, metric: Metric, w: FloatArray) -> float:
    """g*_w = -2m/(1 - m²), m = uᵀw/‖w‖_S: the best length of the log loss at w under Assumption 2."""
    m = float(u @ w) / _length(metric, w)
    return -2.0 * m / (1.0 - m * m)


def lda_solution(u: FloatArray, metric: Metric) -> FloatArray:
    """w̃* = -2 S⁻¹u/(1 - r), shape (d,): the log loss's minimiser under Assumption 2.

    It is Fisher's linear discriminant: the log odds of two Gaussians with means ∓u and one covariance
    S - u uᵀ are 2uᵀ(S - u uᵀ)⁻¹x up to sign, and (S - u uᵀ)⁻¹u = S⁻¹u/(1 - r).
    """
    direction = metric.solve(u)
    return np.asarray(-2.0 * direction / (1.0 - float(u @ direction)))


def ridge_direction(
    u: FloatArray, metric: Covariance | OperatorCovariance, alpha: float, c2: float
) -> FloatArray:
    """(S + (α/c₂) I)⁻¹u, shape (d,): the line of the critical points with a ridge α/2 ‖w̃‖².

    At a critical point 0 = c₁ u + (c₂ S + α I) w̃ with α = `alpha` >= 0 and c₂ = E φ'' = `c2` > 0 there:
    unlike Lemma 1's line, this one depends on the loss and on the length.
    """
    return metric.shifted(alpha / c2).solve(u)


# --- how many iterations ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PredictedIterations:
    """Upper bounds on the iterations that bring Δρ to ε times its start.

    Attributes
    ----------
    gradient : int
        Gradient descent in the direction, Eq. 14.
    conjugate_gradient : int
        Conjugate gradients on S v = u.
    metric : int
        The step preconditioned by S⁻¹.
    """

    gradient: int
    conjugate_gradient: int
    metric: int


def predicted_iterations(condition: float, epsilon: float, rank: int | None = None) -> PredictedIterations:
    """Iterations to Δρ <= ε Δρ₀ as the bounds predict them, under Assumption 2.

    Gradient: (1 - 1/κ)^{2T} <= ε. Conjugate gradients start from 0, where Δρ₀ = r. The best multiple of v_T
    is no further from S⁻¹u than v_T, so Δρ <= ‖v_T - S⁻¹u‖²_S <= 4 q^{2T} r with q = (√κ - 1)/(√κ + 1). In
    exact arithmetic they take at most `rank` steps. Metric: one step is exact.

    Parameters
    ----------
    condition : float
        κ = L/μ, finite, at least 1.
    epsilon : float
        ε in (0, 1).
    rank : int or None
        The dimension of the range of S, where known.

    Raises
    ------
    ValueError
        For numbers outside their ranges.

    Examples
    --------
    >>> predicted_iterations(100.0, 1e-8)
    PredictedIterations(gradient=917, conjugate_gradient=50, metric=1)
    """
    if not (1.0 <= condition < math.inf and 0.0 < epsilon < 1.0):
        raise ValueError(
            "predicted_iterations needs a finite condition >= 1 and 0 < epsilon < 1. "
            f"Got condition={condition!r}, epsilon={epsilon!r}."
        )
    root = math.sqrt(condition)
    if root == 1.0:  # 1 but for rounding
        return PredictedIterations(1, 1, 1)
    gradient = math.ceil(math.log(epsilon) / (2.0 * math.log1p(-1.0 / condition)))
    conjugate = math.ceil(math.log(epsilon / 4.0) / (2.0 * math.log1p(-2.0 / (root + 1.0))))
    return PredictedIterations(gradient, conjugate if rank is None else min(conjugate, rank), 1)


def _length(metric: Metric, w: FloatArray) -> float:
    """‖w‖_S, refused when it is zero."""
    norm = metric.norm(w)
    if not norm > 0.0:
        raise ValueError(f"w must have a positive length in the metric. Got ‖w‖_S = {norm:g}.")
    return norm


def _across(u: FloatArray, metric: Metric, w: FloatArray) -> FloatArray:
    """u - (uᵀw/‖w‖_S²) S w: u without its part along S w."""
    return np.asarray(u - (float(u @ w) / _length(metric, w) ** 2) * metric.apply(w))
