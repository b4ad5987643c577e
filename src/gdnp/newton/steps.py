"""Steps along a direction of descent, on margins that are already known wherever that saves a look at X."""

from __future__ import annotations

import math

import numpy as np

from gdnp._typing import FloatArray
from gdnp.newton.line_search import DECREASE, search
from gdnp.newton.plane_search import step_in_plane
from gdnp.standardized import Place, Standardized, length_ray, line_jet

__all__ = ["Steps", "downhill", "searched"]

WOLFE = 0.5
"""Share of the slope that may be left after a unit step that is taken without a search."""
BOLD = (0.7, 1.5)
"""Step lengths after which the unit step is tried first: refused, it costs half a pass more than a search."""
FAR, FAR_NOT_CONVEX = 0.02, 5e-4
"""Decrease in sight, in units of f, above which every step is searched, of a convex loss with the length."""
CANCELLED = 1e-6
"""A change of the margins smaller than this share of them is no longer known well from their difference."""


class Steps:
    """From one place to the next; whether the unit step is tried first depends on the last one."""

    def __init__(self, problem: Standardized) -> None:
        self._problem = problem
        self._far = FAR if problem.loss.convex else FAR_NOT_CONVEX
        self._bold = True

    def take(self, old: Place, p: FloatArray, slope: float) -> Place | None:
        """The unit step along p if it is tried and a good one, else a searched one; None if none leads down.

        Parameters
        ----------
        old : Place
        p : ndarray of shape (d + 1,)
        slope : float
            ∇fᵀp < 0.
        """
        problem = self._problem
        q: FloatArray | None = None
        far = -0.5 * slope > self._far * old.value
        if self._bold and not far:
            new = problem.at(old.x + p)
            if _good(new, old, p, slope):
                return new
            q = np.subtract(new.margins, old.margins, out=new.margins)  # make room for their own change
            del new
        if q is None or not CANCELLED * _largest(old.margins) < _largest(q) < math.inf:
            q = problem.slope(p)
        found = None
        if far and problem.loss.convex:  # bounded losses come nearer to the 0-1 loss, and to worse minima
            found = step_in_plane(problem, old, (p, q), length_ray(problem, old))
        if found is None:
            found = searched(problem, old, p, q, slope)
        if found is None:
            return None
        t, new = found
        self._bold = BOLD[0] <= t <= BOLD[1]
        return new


def searched(
    problem: Standardized, old: Place, p: FloatArray, q: FloatArray, slope: float
) -> tuple[float, Place] | None:
    """A step length along p and the place it leads to, or None; q, the slope of the margins, is used up."""
    t = search(line_jet(problem, old, p, q), old.value, slope) if slope < 0.0 else 0.0
    if t == 0.0:
        return None
    q *= t
    q += old.margins
    return t, problem.place(old.x + t * p, q)


def downhill(problem: Standardized, old: Place, direction: FloatArray) -> Place | None:
    """A lower place along a direction of negative curvature, whichever way leads down."""
    q = problem.slope(direction)
    unit = 1.0 / max(float(np.abs(q).max()), 1e-300)
    best, step, line = old.value, 0.0, line_jet(problem, old, direction, q)
    for t in (sign * unit * 2.0**k for k in range(-6, 7) for sign in (1.0, -1.0)):
        value = line(t)[0]
        if value < best:
            best, step = value, t
    if not best < old.value - 1e-12 * abs(old.value):
        return None
    return problem.place(old.x + step * direction, old.margins + step * q)


def _good(new: Place, old: Place, p: FloatArray, slope: float) -> bool:
    sufficient = new.value <= old.value + DECREASE * slope
    return sufficient and abs(float(new.gradient @ p)) <= WOLFE * abs(slope)


def _largest(values: FloatArray) -> float:
    return max(float(values.max()), -float(values.min()))
