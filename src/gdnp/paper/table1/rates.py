"""Which law the number of iterations to reach an accuracy ε follows: C ε^(-p), or a + b log₁₀(1/ε).

Both laws have two coefficients and are fitted to log N by least squares, as if N erred by a factor rather
than by a term. So their residuals, and AIC, can be compared. The intervals are Student's for independent
residuals. Those of a curve are not independent: the intervals describe the fit and promise no coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import curve_fit
from scipy.stats import t as student

from gdnp._typing import FloatArray

__all__ = ["LEVEL", "LogLaw", "PowerLaw", "compare", "fit_log", "fit_power"]

LEVEL = 0.95
FEWEST = 5
"""Points below which no law is fitted."""
DECIDES = 2.0
"""Difference in AIC from which one law counts as the better one."""
LARGEST_RMS = 0.25
"""Root mean square of the residuals of log N above which a law does not describe the points."""
EXACT = 1e-9
"""Residuals of log N below this are rounding."""


@dataclass(frozen=True)
class PowerLaw:
    """N = C ε^(-p): p with its interval from `low` to `high`, C, and the rms of the residuals of log N."""

    exponent: float
    low: float
    high: float
    factor: float
    rms: float

    def __call__(self, eps: ArrayLike) -> FloatArray:
        """N at `eps`."""
        return np.asarray(self.factor * np.asarray(eps, dtype=np.float64) ** -self.exponent)


@dataclass(frozen=True)
class LogLaw:
    """N = a + b log₁₀(1/ε), linear convergence: b with its interval, a, and the rms as in `PowerLaw`."""

    per_decade: float
    low: float
    high: float
    offset: float
    rms: float

    def __call__(self, eps: ArrayLike) -> FloatArray:
        """N at `eps`."""
        return np.asarray(self.offset - self.per_decade * np.log10(np.asarray(eps, dtype=np.float64)))


def fit_power(eps: ArrayLike, counts: ArrayLike) -> PowerLaw:
    """Ordinary least squares of log N on log(1/ε); `eps` and `counts` are positive, (m,) with m > 2."""
    found = _fitted(lambda x, c, p: c + p * x, -np.log(np.asarray(eps, dtype=np.float64)), counts, (0.0, 1.0))
    factor, p, half, rms = found
    return PowerLaw(p, p - half, p + half, math.exp(factor), rms)


def fit_log(eps: ArrayLike, counts: ArrayLike) -> LogLaw:
    """Least squares of log N on log(a + b log₁₀(1/ε)), nonlinear in a and b; arguments as in `fit_power`."""
    x, n = -np.log10(np.asarray(eps, dtype=np.float64)), np.asarray(counts, dtype=np.float64)
    # Weights 1/N make the linear problem the first-order expansion of this one.
    slope, offset = np.polyfit(x, n, 1, w=1.0 / n)
    least = 1e-3 * n.min()
    a, b, half, rms = _fitted(lambda x, a, b: np.log(np.maximum(a + b * x, least)), x, n, (offset, slope))
    return LogLaw(b, b - half, b + half, a, rms)


def _fitted(
    law: Callable[..., FloatArray], x: FloatArray, counts: ArrayLike, start: tuple[float, float]
) -> tuple[float, float, float, float]:
    """The coefficients of log N, half the width of the second one's interval, and the residuals' rms."""
    y = np.log(np.asarray(counts, dtype=np.float64))
    found, covariance = curve_fit(law, x, y, start, xtol=1e-14, ftol=1e-14)
    half = student.ppf(0.5 + LEVEL / 2.0, len(y) - 2) * math.sqrt(covariance[1, 1])
    rms = math.sqrt(float(np.mean(np.square(y - law(x, *found)))))
    return float(found[0]), float(found[1]), float(half), rms


def compare(eps: ArrayLike, counts: ArrayLike) -> dict[str, Any]:
    """Fit both laws to ε, falling, and N >= 1, both (m,), and say which one describes the points better.

    Returns
    -------
    dict
        ``points``, ``range`` of ε, ``power`` and ``log`` (see `PowerLaw`, `LogLaw`), ``aic_difference``
        (of the power law less the other: positive where the log law is better), and ``better``: "log",
        "power", "either", "neither", or "too few points".
    """
    eps, counts = np.asarray(eps, dtype=np.float64), np.asarray(counts, dtype=np.float64)
    found: dict[str, Any] = {"points": len(eps), "better": "too few points"}
    if len(eps) < FEWEST or len(np.unique(counts)) < FEWEST:
        return found
    power, log = fit_power(eps, counts), fit_log(eps, counts)
    difference = 2.0 * len(eps) * math.log(max(power.rms, EXACT) / max(log.rms, EXACT))
    better = "either" if abs(difference) < DECIDES else "log" if difference > 0.0 else "power"
    if min(power.rms, log.rms) > LARGEST_RMS:
        better = "neither"
    return {
        **found,
        "range": [float(eps[0]), float(eps[-1])],
        "power": asdict(power),
        "log": asdict(log),
        "aic_difference": difference,
        "better": better,
    }
