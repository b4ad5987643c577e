"""Which law the number of iterations to reach an accuracy ε follows: C ε^(-p), or a + b log₁₀(1/ε).

Both laws have two coefficients and are fitted to log N by least squares, as if N erred by a factor rather
than by a term. So their residuals, and AIC, can be compared. The intervals are Student's for independent
residuals. Those of a curve are not independent: the intervals describe the fit and promise no coverage.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import curve_fit
from scipy.stats import t as student

from gdnp._typing import FloatArray

LEVEL = 0.95
FEWEST = 5
"""Points below which no law is fitted."""
DECIDES = 2.0
"""Difference in AIC from which one law counts as the better one."""
LARGEST_RMS = 0.25
"""Root mean square of the residuals of log N above which a law does not describe the points."""
EXACT = 1e-9
"""Residuals of log N below this are rounding."""


def count_at(law: str, fitted: Mapping[str, float], eps: FloatArray) -> FloatArray:
    """N at `eps` (m,) by the law "power" or "log" with these coefficients."""
    straight = fitted["offset"] - fitted["value"] * np.log10(eps)
    return np.asarray(10.0**straight if law == "power" else straight)


def compare(eps: FloatArray, counts: FloatArray) -> dict[str, Any]:
    """Fit both laws to ε, falling, and N >= 1, both (m,), and say which one describes the points better.

    Returns
    -------
    dict
        ``range`` of ε; ``better``, "log", "power", "either", "neither", or "too few points". ``power`` and
        ``log`` have the ``value`` of p or b and the ends ``low`` and ``high`` of its interval. They also have
        the ``offset`` log₁₀ C or a, and the ``rms`` of the residuals of log N.
    """
    if len(eps) < FEWEST or len(np.unique(counts)) < FEWEST:
        return {"better": "too few points"}
    x = -np.log10(eps)
    # Weights 1/N make the linear problem the first-order expansion of that of log N.
    slope, offset = np.polyfit(x, counts, 1, w=1.0 / counts)
    least = 1e-3 * counts.min()
    power = _fitted(lambda x, c, p: math.log(10.0) * (c + p * x), x, counts, (0.0, 1.0))
    log = _fitted(lambda x, a, b: np.log(np.maximum(a + b * x, least)), x, counts, (offset, slope))
    difference = 2.0 * len(eps) * math.log(max(power["rms"], EXACT) / max(log["rms"], EXACT))
    better = "either" if abs(difference) < DECIDES else "log" if difference > 0.0 else "power"
    if min(power["rms"], log["rms"]) > LARGEST_RMS:
        better = "neither"
    return {"range": [float(eps[0]), float(eps[-1])], "power": power, "log": log, "better": better}


def _fitted(
    law: Callable[..., FloatArray], x: FloatArray, counts: FloatArray, start: tuple[float, float]
) -> dict[str, float]:
    """A law of log N with its two coefficients, the second one with its interval."""
    y = np.log(counts)
    (offset, value), covariance = curve_fit(law, x, y, start, xtol=1e-14, ftol=1e-14)
    half = student.ppf(0.5 + LEVEL / 2.0, len(y) - 2) * math.sqrt(covariance[1, 1])
    rms = math.sqrt(float(np.mean(np.square(y - law(x, offset, value)))))
    ends = {"low": float(value - half), "high": float(value + half)}
    return {"value": float(value), **ends, "offset": float(offset), "rms": rms}
