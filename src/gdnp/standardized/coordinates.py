"""The coordinates: which centre and scale bring every column to unit curvature."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp.design import Block, DesignMatrix
from gdnp.losses import Loss
from gdnp.moments import Moments

FloatArray = NDArray[np.float64]

__all__ = ["standardise"]

CONSTANT = 8.0 * np.finfo(np.float64).eps
"""A column whose standard deviation is below this share of its mean is constant up to rounding."""
NEAR_ZERO = 1e-4
"""Variance in units of the mean square above which a difference of the two has enough digits."""
ORDINARY = (1e-200, 1e200)
"""Mean squares that neither lost digits nor overflowed."""
FAR_FROM_ZERO = 1e3
"""Offset in standard deviations above which a column is centred as it is read (cost: one more write)."""


def standardise(
    design: DesignMatrix, weight: FloatArray | None, loss: Loss, alpha: float, fit_intercept: bool
) -> tuple[DesignMatrix, FloatArray, FloatArray, FloatArray]:
    """The design to read and the (centre, scale, ridge) that bring every column to unit curvature.

    scale_j = (sd_j² + α/sup φ'')^(-½), so that the diagonal of the Hessian is near sup φ'' whether the data
    or the ridge makes it up, rounded to a power of two: then no digit of X is touched. Without an intercept
    sd_j is the root mean square. A constant column under an intercept gets 0 and stays out.

    Raises
    ------
    ValueError
        When X has NaN or infinite entries.
    """
    moments = _moments(design, weight)
    raw = np.ones(design.n_features)
    if fit_intercept:
        sd = np.sqrt(moments.variance)
        sd[sd <= CONSTANT * np.abs(moments.mean)] = 0.0
        far = (np.abs(moments.mean) > FAR_FROM_ZERO * sd) & (sd > 0.0)
        if far.any():
            design = design.transformed(np.where(far, moments.mean / moments.scale, 0.0), None)
            moments = _moments(design, weight)
            sd = np.where(sd > 0.0, np.sqrt(moments.variance), 0.0)
        centre = moments.mean
    else:
        sd = np.hypot(np.sqrt(moments.variance), moments.mean)
        centre = np.zeros(design.n_features)
    ridge_root = math.sqrt(alpha) * moments.scale
    spread = np.hypot(sd, ridge_root / math.sqrt(loss.max_curvature))
    scale = np.zeros(design.n_features)
    live = (sd > 0.0) & np.isfinite(spread)
    scale[live] = np.ldexp(1.0, 1 - np.frexp(spread[live])[1])
    ridge = np.where(live, np.square(ridge_root * scale), 1.0)
    if (moments.scale != raw).any():
        factor = np.where(moments.scale != 1.0, moments.scale, 1.0)
        offset = design.offset
        design = design.transformed(offset if offset.any() else None, factor)
    return design, centre, scale, ridge


def _moments(design: DesignMatrix, weight: FloatArray | None) -> Moments:
    """Weighted means and variances of the columns, exact to rounding only where that takes a second look.

    Sums about zero are enough for columns whose mean is not far above their spread: they set a scale that is
    rounded to a power of two, and a centre that γ makes up for. They need no copy of a block.
    """
    if weight is None:

        def kernel(block: Block) -> list[Any]:
            return [block.sums(), block.squares(None)]

        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            first, second = design.reduce(kernel, partial_size=design.n_features)
            mean, power = first / design.n_samples, second / design.n_samples
            variance = power - np.square(mean)
        normal = (power > ORDINARY[0]) & (power < ORDINARY[1]) | (power == 0.0)
        near = np.flatnonzero((variance <= NEAR_ZERO * power) & (power > 0.0))
        if normal.all() and len(near) * 8 <= design.n_features:
            if len(near):
                exact = _exact_moments(design.columns(near), None)
                mean[near], variance[near] = exact.mean, exact.variance
            empty = np.empty((design.n_features, 0))
            ones = np.ones(design.n_features)
            return Moments(1.0, mean, variance, empty, np.empty(0), np.empty(0), ones)
    return _exact_moments(design, weight)


def _exact_moments(design: DesignMatrix, weight: FloatArray | None) -> Moments:
    return Moments.of(design, np.empty((design.n_samples, 0)), weight, second="diagonal")
