"""A line search on cached margins: every evaluation costs O(n), none reads X."""

from __future__ import annotations

import math
from collections.abc import Callable

__all__ = ["DECREASE", "search"]

DECREASE = 1e-4
"""Armijo's share of the predicted decrease."""
FLATTENING = 0.1
"""The slope that counts as zero, in units of the slope at the start."""

Jet = tuple[float, float, float]


def search(line: Callable[[float], Jet], value: float, slope: float, *, first: float = 1.0) -> float:
    """A step t > 0 with f(t) <= f(0) + 1e-4 t f'(0) and |f'(t)| <= 0.1 |f'(0)|, or 0 if none was found.

    Newton's method on f' inside a bracket that shrinks, expands or is halved when Newton leaves it.

    Parameters
    ----------
    line : callable
        t -> (f, f', f'').
    value, slope : float
        f(0) and f'(0) < 0.
    first : float
        The first trial.
    """
    low, high, best, t = 0.0, math.inf, 0.0, first
    best_value = value
    for _ in range(40):
        f, first_derivative, second = line(t)
        sufficient = f <= value + DECREASE * t * slope
        if sufficient and f <= best_value:
            best, best_value = t, f
            if abs(first_derivative) <= FLATTENING * abs(slope):
                return t
        if not sufficient or first_derivative > 0.0:
            high = t
        else:
            low = t
        newton = t - first_derivative / second if second > 0.0 else math.inf
        if not math.isfinite(high):
            t = min(newton, 10.0 * t) if newton > 1.1 * t else 4.0 * t
        elif low < newton < high and newton > 0.02 * t:
            t = newton
        else:
            t = 0.5 * (low + high)
        if t > 1e12 or (math.isfinite(high) and high - low <= 1e-9 * high):
            break
    return best
