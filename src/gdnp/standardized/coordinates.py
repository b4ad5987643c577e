"""The coordinates: which centre and scale bring every column to unit curvature."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Block, DesignMatrix
from gdnp.losses import Loss
from gdnp.moments import Moments

__all__ = ["Coordinates", "standardise"]

DOUBTFUL = 1e-12
"""Standard deviation in units of the mean below which a column may be constant but for rounding."""
NEAR_ZERO = 1e-4
"""Variance in units of the mean square above which a difference of the two has enough digits."""
ORDINARY = (1e-200, 1e200)
"""Mean squares that neither lost digits nor overflowed."""
FAR_FROM_ZERO = 1e3
"""Offset in standard deviations above which a column is centred as it is read (cost: one more write)."""


@dataclass(frozen=True)
class Coordinates:
    """Where columns are centred, and the unit they are measured in.

    Attributes
    ----------
    centre, scale : ndarray of shape (d,)
    ridge : ndarray of shape (d,)
        α scale².
    variance : ndarray of shape (d,) or None
        Of the standardised columns, with the weights of the problem; None where these are others.
    """

    centre: FloatArray
    scale: FloatArray
    ridge: FloatArray
    variance: FloatArray | None = None


def standardise(
    design: DesignMatrix, weight: FloatArray | None, loss: Loss, alpha: float, fit_intercept: bool
) -> tuple[DesignMatrix, Coordinates]:
    """The design to read and the coordinates that bring every column to unit curvature.

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
    return design, Coordinates(centre, scale, ridge, np.square(sd * scale))


def _moments(design: DesignMatrix, weight: FloatArray | None) -> Moments:
    """Weighted means and variances of the columns; a variance is 0 if and only if the column is constant.

    Sums about zero are enough for columns whose mean is not far above their spread: they set a scale that is
    rounded to a power of two, and a centre that γ makes up for. They need no copy of a block. The others get
    a second look.
    """
    if weight is None:
        moments = _moments_about_zero(design)
        square = np.square(moments.mean)
        near = np.flatnonzero((moments.variance <= NEAR_ZERO * (moments.variance + square)) & (square > 0.0))
        if 8 * len(near) <= design.n_features and np.isfinite(moments.variance).all():
            return _about_a_row(moments, near, design, weight)
    moments = _exact_moments(design, weight)
    doubtful = np.sqrt(moments.variance) <= DOUBTFUL * np.abs(moments.mean)
    return _about_a_row(moments, np.flatnonzero(doubtful), design, weight)


def _moments_about_zero(design: DesignMatrix) -> Moments:
    """With a variance of NaN where digits were lost to underflow or overflow."""

    def kernel(block: Block) -> list[Any]:
        return [block.sums(), block.squares(None)]

    d = design.n_features
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        first, second = design.reduce(kernel, partial_size=d)
        mean, power = first / design.n_samples, second / design.n_samples
        variance = np.maximum(power - np.square(mean), 0.0)
    variance[~((power > ORDINARY[0]) & (power < ORDINARY[1]) | (power == 0.0))] = np.nan
    return Moments(1.0, mean, variance, np.empty((d, 0)), np.empty(0), np.empty(0), np.ones(d))


def _exact_moments(design: DesignMatrix, weight: FloatArray | None) -> Moments:
    return Moments.of(design, np.empty((design.n_samples, 0)), weight, second="diagonal")


def _about_a_row(
    moments: Moments, index: NDArray[np.intp], design: DesignMatrix, weight: FloatArray | None
) -> Moments:
    """The moments with some columns seen from one of their own entries, where a constant is exactly 0."""
    if not len(index):
        return moments
    few = design.columns(index)
    row = 0 if weight is None else int(np.argmax(weight))
    first = few.rows(np.array([row])).block(0).tdot(np.ones(1))
    seen = _exact_moments(few.transformed(few.offset + first / few.factor, few.factor), weight)
    ratio = moments.scale[index] / seen.scale
    mean, variance = moments.mean.copy(), moments.variance.copy()
    mean[index] = first * moments.scale[index] + seen.mean * ratio
    variance[index] = seen.variance * np.square(ratio)
    return replace(moments, mean=mean, S=variance)
