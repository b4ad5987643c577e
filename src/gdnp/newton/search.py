"""Steps along one direction or two, searched on known margins: a trial costs O(n) and no look at X."""

import math
from collections.abc import Callable

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem.interface import Expansion
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.state import ROUNDING, TRIALS

DECREASE = 1e-4
"""Armijo's share of the predicted decrease."""
WOLFE = 0.9
"""What may be left of the slope after a step that was not searched."""
LITTLE = 0.1
"""What may be left at the end of a search: of the slope along a line, of the decrease in a plane."""


def line_search(line: Callable[[float], Expansion], value: float, slope: float) -> float:
    """A step t > 0 with f(t) <= f(0) + 1e-4 t f'(0) and |f'(t)| <= 0.1 |f'(0)|, or 0 if none was found.

    Newton's method on f' inside a bracket that shrinks, expands or is halved when Newton leaves it. Where f
    is not low enough it is halved at least: from the far side of a cliff Newton's steps are short. `value` is
    f(0) and `slope` f'(0) < 0.
    """
    low, high, t = 0.0, math.inf, 1.0
    best, best_value = 0.0, value
    for _ in range(TRIALS):
        at = line(t)
        sufficient = at.value <= value + DECREASE * t * slope
        if sufficient and at.value <= best_value:
            best, best_value = t, at.value
            if abs(at.f_t) <= LITTLE * abs(slope):
                return t
        if not sufficient or at.f_t > 0.0:
            high = t
        else:
            low = t
        newton = t - at.f_t / at.f_tt if at.f_tt > 0.0 else math.inf
        if math.isfinite(high):
            middle = 0.5 * (low + high)
            t = newton if low < newton < (high if sufficient else middle) else middle
        else:
            t = min(newton, 8.0 * t) if newton > t else 4.0 * t
    return best


def plane_search(
    plane: Callable[[float, float], Expansion], value: float, enough: float = LITTLE
) -> tuple[float, float] | None:
    """Steps (t, c) where f is nearly least, or None if none was found where it is below `value`, f(0, 0).

    Newton's method from (1, 0); a step to a point that is no lower is halved. `enough` may be left, in units
    of the decrease; the step that this takes is added unseen.
    """
    t = c = 0.0
    dt, dc, lowest = 1.0, 0.0, value
    for _ in range(TRIALS):
        at = plane(t + dt, c + dc)
        if not at.value < lowest:
            dt, dc = 0.5 * dt, 0.5 * dc
            continue
        t, c, lowest = t + dt, c + dc, at.value
        dt, dc = _newton(at)
        if not -(at.f_t * dt + at.f_c * dc) > 2.0 * enough * (value - lowest):
            return t + dt, c + dc
    return (t, c) if lowest < value else None


def _newton(at: Expansion) -> tuple[float, float]:
    """-H⁻¹∇; along t alone where that is not to be had, and 0 where f bends down there too."""
    determinant = at.f_tt * at.f_cc - at.f_tc * at.f_tc
    least = ROUNDING**0.75 * at.f_tt * at.f_cc  # from where its inverse is trusted
    if at.f_tt > 0.0 and determinant > least:
        return (
            (at.f_tc * at.f_c - at.f_cc * at.f_t) / determinant,
            (at.f_tc * at.f_t - at.f_tt * at.f_c) / determinant,
        )
    return (-at.f_t / at.f_tt if at.f_tt > 0.0 else 0.0), 0.0


def step_in_plane(
    point: DataPoint, first: Direction, second: Direction, enough: float = LITTLE
) -> DataPoint | None:
    """The lower point that steps along both directions lead to, or None; half a pass."""
    line = point.along(first, second)
    found = plane_search(line.expansion, point.value, enough)
    if found is None:
        return None
    new = line.point(*found)
    _ = new.x_gradient  # brings the value along
    return new if new.value < point.value else None


def step_along(point: DataPoint, direction: Direction, slope: float) -> DataPoint | None:
    """The lower point that a searched step along one direction leads to, or None; half a pass."""
    line = point.along(direction)
    t = line_search(line.expansion, point.value, slope) if slope < 0.0 else 0.0
    return None if t == 0.0 else line.point(t)


def will_do(new: DataPoint, old: DataPoint, p: FloatArray, slope: float) -> bool:
    """Whether f falls enough in the whole step p, and some of its slope is gone: then it needs no search."""
    left = abs(float(np.vdot(new.x_gradient, p)))
    return new.value <= old.value + DECREASE * slope and left <= WOLFE * abs(slope)


def downhill(problem: Objective, point: DataPoint, direction: FloatArray) -> DataPoint | None:
    """A lower point along a direction of negative curvature, whichever way leads down."""
    along = Direction(direction, problem.slope(direction))
    largest = float(problem.design.rows.extremes(along.slope)[0, 2])
    steps = np.outer([1.0, -1.0], 2.0 ** np.arange(-6, 7)).ravel(order="F") / max(largest, 1e-300)
    line = point.along(along)
    values = line.expand(np.column_stack((steps, np.zeros_like(steps))))[:, 0]
    best = int(np.argmin(values))
    if not values[best] < point.value - ROUNDING * abs(point.value):
        return None
    return line.point(float(steps[best]))
