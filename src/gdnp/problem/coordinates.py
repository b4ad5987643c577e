"""The coordinates: which centre and scale bring every column to unit curvature."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, RowVector
from gdnp.losses import Loss
from gdnp.moments import SQUARES_LOST, Moments

__all__ = ["Coordinates", "Gram", "standardise"]

DOUBTFUL = 1e-12
"""Standard deviation in units of the mean below which a column may be constant but for rounding."""
NEAR_ZERO = 1e-4
"""Variance in units of the mean square above which a difference of the two has enough digits."""
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
        Of the columns in these coordinates; None where it is not known.
    """

    centre: FloatArray
    scale: FloatArray
    ridge: FloatArray
    variance: FloatArray | None = None


@dataclass(frozen=True)
class Gram:
    """Σ c_i (1, x_i)(1, x_i)ᵀ in the coordinates of a problem.

    Attributes
    ----------
    total : float
        Σ c_i.
    first : ndarray of shape (d,)
        Σ c_i x_i.
    scatter : ndarray of shape (d, d) or (d,)
        Σ c_i (x_i - m)(x_i - m)ᵀ or its diagonal, m the weighted mean, or 0 as asked for.
    """

    total: float
    first: FloatArray
    scatter: FloatArray

    @property
    def mean(self) -> FloatArray:
        """Σ c_i x_i / Σ c_i, 0 where nothing weighs."""
        return self.first / self.total if self.total > 0.0 else np.zeros_like(self.first)

    def times(self, factor: float) -> Gram:
        """The Gram for curvatures that are `factor` times as large."""
        return Gram(factor * self.total, factor * self.first, factor * self.scatter)


def standardise(
    design: DesignMatrix, weight: RowVector | None, loss: Loss, alpha: float, centred: bool
) -> tuple[DesignMatrix, Coordinates]:
    """The design to read and the coordinates that bring every column to unit curvature.

    scale_j = (sd_j² + α/sup φ'')^(-½), so that the diagonal of the Hessian is near sup φ'' whether the data
    or the ridge makes it up, rounded to a power of two: then no digit of X is touched. Where columns are not
    `centred` sd_j is the root mean square. A constant column that is centred gets 0 and stays out.

    Raises
    ------
    ValueError
        When X has NaN or infinite entries.
    """
    moments = _moments(design, weight)
    raw = np.ones(design.n_features)
    if centred:
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
    # Without a largest curvature 1 stands in: a ridge that did not count would dwarf all else.
    curvature = loss.max_curvature if math.isfinite(loss.max_curvature) else 1.0
    spread = np.hypot(sd, ridge_root / math.sqrt(curvature))
    scale = np.zeros(design.n_features)
    live = (sd > 0.0) & np.isfinite(spread)
    scale[live] = np.ldexp(1.0, 1 - np.frexp(spread[live])[1])
    ridge = np.where(live, np.square(ridge_root * scale), 1.0)
    if (moments.scale != raw).any():
        factor = np.where(moments.scale != 1.0, moments.scale, 1.0)
        offset = design.offset
        design = design.transformed(offset if offset.any() else None, factor)
    return design, Coordinates(centre, scale, ridge, np.square(sd * scale))


def _moments(design: DesignMatrix, weight: RowVector | None) -> Moments:
    """Weighted means and variances of the columns; a variance is 0 if and only if the column is constant.

    Sums about zero are enough for columns whose mean is not far above their spread: they set a scale that is
    rounded to a power of two, and a centre that γ makes up for. They need no copy of a block. The others get
    a second look.
    """
    if weight is None:
        moments = _moments_about_zero(design)
        square = np.square(moments.mean)
        near = np.flatnonzero((moments.variance <= NEAR_ZERO * (moments.variance + square)) & (square > 0.0))
        if 2 * len(near) <= design.n_features and np.isfinite(moments.variance).all():
            return _about_a_row(moments, near, design, weight)
    moments = _exact_moments(design, weight)
    doubtful = np.sqrt(moments.variance) <= DOUBTFUL * np.abs(moments.mean)
    return _about_a_row(moments, np.flatnonzero(doubtful), design, weight)


def _moments_about_zero(design: DesignMatrix) -> Moments:
    """With a variance of NaN where digits were lost to underflow or overflow."""
    d = design.n_features
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        first, second = design.map("powers", partial_size=d)
        mean, power = first / design.n_samples, second / design.n_samples
        variance = np.maximum(power - np.square(mean), 0.0)
    variance[~((power > SQUARES_LOST[0]) & (power < SQUARES_LOST[1]) | (power == 0.0))] = np.nan
    return Moments(1.0, mean, variance, np.empty((d, 0)), np.empty(0), np.empty(0), np.ones(d))


def _exact_moments(design: DesignMatrix, weight: RowVector | None) -> Moments:
    return Moments.of(design, None, weight, second="diagonal")


def _about_a_row(
    moments: Moments, index: NDArray[np.intp], design: DesignMatrix, weight: RowVector | None
) -> Moments:
    """The moments with some columns seen from one of their own entries, where a constant is exactly 0."""
    if not len(index):
        return moments
    few = design.columns(index)
    mass = design.rows.hold(np.broadcast_to(1.0, design.n_samples)) if weight is None else weight
    first = few.gather(design.rows.sample(mass, 1)).block(0).column_sums()
    seen = _exact_moments(few.transformed(few.offset + first / few.factor, few.factor), weight)
    ratio = moments.scale[index] / seen.scale
    mean, variance = moments.mean.copy(), moments.variance.copy()
    mean[index] = first * moments.scale[index] + seen.mean * ratio
    variance[index] = seen.variance * np.square(ratio)
    return replace(moments, mean=mean, S=variance)
