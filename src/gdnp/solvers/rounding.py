"""What rounding does to margins and to f: bounds that a gap has to count."""

import math

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design.block import EPS, LONG
from gdnp.problem.empirical import Empirical
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint

LAST_DIGITS = 4 * EPS
"""Relative difference of two values of f that nobody can tell from rounding."""


def margin_error(
    problem: Objective, x: FloatArray, coef: FloatArray, intercept: float, careful: bool = False
) -> float:
    """A bound of the root mean square of margins at x less those of (coef, intercept) in exact arithmetic.

    Those are of the raw columns. The rounding of a margin itself is left out. Of K columns, x of shape (d +
    1, K), it is that of rows. `careful` margins come from long doubles, and from the b that is returned.
    """
    if x.ndim > 1:
        columns = zip(x.T, coef, np.ravel(intercept), strict=True)
        return math.hypot(*(margin_error(problem, v, w, float(b), careful) for v, w, b in columns))
    change, sd = np.abs(problem.from_raw(coef, intercept) - x), problem.coordinates.spread
    far = float(np.abs(problem.design.offset) @ np.abs(problem.outward(x)[0] * problem.design.factor))
    wrong = float(change[:-1] @ sd) + (LONG * len(x) * far if careful else float(change[-1]))
    if far > 0.0:
        wrong += EPS * float(np.abs(x[:-1]) @ sd)  # x - offset is rounded once
    return wrong + margin_rounding(problem, x, LONG if careful else EPS)


def margin_rounding(problem: Empirical, x: FloatArray, unit: float = EPS) -> float:
    """A bound of the root mean square of what rounding does to margins that are computed at x."""
    products = len(x) * (np.abs(x[:-1]).T @ problem.coordinates.spread)
    return float(unit * np.linalg.norm(products + 2.0 * np.abs(problem.outward(x)[1])))


def risen(point: DataPoint, wrong: float, value: float | None = None) -> float:
    """What f, or another `value` of it, may be where margins are `wrong`.

    |φ'|² <= 2 L φ for φ >= 0 that bends by L at most.
    """
    value, moved_by = point.value if value is None else value, math.sqrt(0.5 * largest_bend(point)) * wrong
    return value + (2.0 * math.sqrt(max(value, 0.0)) + moved_by) * moved_by


def value_above(point: DataPoint, lower: float = 0.0) -> float:
    """f at the coefficients that ``Objective.raw`` makes of a point, at most, less a lower bound."""
    problem = point.objective
    assert isinstance(problem, Objective)
    return risen(point, margin_error(problem, point.x, *problem.raw(point.x))) - lower


def largest_bend(point: DataPoint) -> float:
    """The largest φ'', or where there is none the mean."""
    most = point.objective.loss.max_curvature
    return most if math.isfinite(most) else abs(point.mean_curvature)
