"""E h(ξ) for ξ ~ N(a, v): composite Gauss-Legendre, refined about ξ = 0 where the losses bend.

Under Assumption 2 every expectation in the theory of halfspaces is over one number, ξ = zᵀw̃ ~ N(a, v), with
a standard deviation that grows like the length g, while φ varies at a scale of one about ξ = 0. A rule made
for the Gaussian alone (Gauss-Hermite) misses φ once g is large: 200 nodes err by 2e-2 at g = 10. Here the
panels are both at most one standard deviation wide and at most as wide as their distance from zero, so their
number grows like log g and the accuracy does not depend on g.
"""

import math

import numpy as np

from gdnp._typing import FloatArray

__all__ = ["gaussian_rule"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)

# The Gaussian has 1.5e-23 of its mass beyond 10 standard deviations, and its density underflows at 38.
_BULK = 10.0
_REACH = 28.0


def gaussian_rule(mean: float, variance: float, scale: float = 1.0) -> tuple[FloatArray, FloatArray]:
    """Nodes ξ_k and weights ω_k with E h(ξ) ≈ Σ ω_k h(ξ_k) for ξ ~ N(`mean`, `variance`).

    h may vary at `scale` about zero and more slowly away from it, as a loss and its derivatives do. The
    nodes reach from the mean to zero and ten standard deviations beyond both, because E φ' and E φ'' live
    between the two when the mean is far out in a tail of φ: they keep their relative accuracy there.

    Parameters
    ----------
    mean : float
        a = uᵀw̃, finite.
    variance : float
        v = ‖w̃‖_S² - a² >= 0; zero is a point mass, whose rule is one node.
    scale : float, default 1.0
        Width of the panels next to ξ = 0, in units of ξ (δ for a pseudo-Huber loss).

    Returns
    -------
    nodes, weights : ndarray of shape (n_nodes,)
        400 nodes for v about 1, fewer than 2000 up to |a| and √v of 1e6. The weights are positive.

    Raises
    ------
    ValueError
        For a mean that is not finite, a variance that is negative or not finite, or a scale that is not
        positive.

    Examples
    --------
    >>> nodes, weights = gaussian_rule(1.0, 4.0)
    >>> print(round(float(weights @ nodes**2), 12))
    5.0
    """
    if not (math.isfinite(mean) and 0.0 <= variance < math.inf and 0.0 < scale < math.inf):
        raise ValueError(
            "gaussian_rule needs a finite mean, a finite variance >= 0 and a finite scale > 0. "
            f"Got mean={mean!r}, variance={variance!r}, scale={scale!r}."
        )
    sd = math.sqrt(variance)
    if sd <= np.finfo(float).eps * abs(mean):
        return np.array([mean], dtype=np.float64), np.ones(1)
    # Positions are kept relative to zero, where φ needs them exactly, or to a mean that is too far from
    # zero for φ to bend within reach, where the density needs them exactly.
    origin = 0.0 if abs(mean) <= (_REACH + _BULK) * sd else mean
    zero = min(max(-mean / sd, -_REACH), _REACH)
    lower = (mean - origin) + sd * (min(zero, 0.0) - _BULK)
    upper = (mean - origin) + sd * (max(zero, 0.0) + _BULK)
    breaks = np.linspace(lower, upper, math.ceil(abs(zero) + 2.0 * _BULK) + 1)
    if origin == 0.0:
        breaks = np.union1d(breaks, _graded(lower, upper, scale))
    half = 0.5 * np.diff(breaks)[:, None]
    position = (breaks[:-1, None] + half * (1.0 + _NODES)).ravel()
    z = (position - (mean - origin)) / sd
    density = np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * sd)
    return origin + position, (half * _WEIGHTS).ravel() * density


def _graded(lower: float, upper: float, scale: float) -> FloatArray:
    """0, ±scale, ±2 scale, ±4 scale, ... inside (lower, upper)."""
    doublings = max(0, math.ceil(math.log2(max(-lower, upper) / scale)))
    ladder = scale * np.exp2(np.arange(doublings))
    breaks = np.concatenate([-ladder, [0.0], ladder])
    return breaks[(lower < breaks) & (breaks < upper)]
