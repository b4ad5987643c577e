"""The coordinates: which centre and scale bring every column to unit curvature."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lstsq, qr, solve_triangular

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, RowVector
from gdnp.design.block import Scatter
from gdnp.losses import Loss
from gdnp.metric import RANK_TOLERANCE
from gdnp.moments import SQUARES_LOST, Moments

DOUBTFUL = 1e-12
"""Standard deviation in units of the mean below which a column may be constant but for rounding."""
NEAR_ZERO = 1e-4
"""Variance in units of the mean square above which a difference of the two has enough digits."""
LARGEST_GRAM = 2048
"""Columns up to which S is held as a matrix."""
FAR_FROM_ZERO = 1e3
"""Offset in standard deviations above which a column is centred as it is read (cost: one more write)."""


@dataclass(frozen=True)
class Combinations:
    """Columns that are combinations of others, which a problem does without.

    With u the `unit`, columns times u are standardised; centred, those of `rest` are those of `kept` times M.
    Coefficients c predict what v = c_kept/u_kept + M (c_rest/u_rest) predicts of the standardised kept ones.
    """

    kept: NDArray[np.intp]
    rest: NDArray[np.intp]
    mixture: FloatArray  # M, shape (kept, rest)
    unit: FloatArray  # of all raw columns, shape (d,)
    mean: FloatArray  # of all raw columns, shape (d,)

    def placed(self, coef: FloatArray) -> FloatArray:
        """Raw coefficients of all columns from those of the ones that are kept, the others 0."""
        whole = np.zeros(len(self.unit))
        whole[self.kept] = coef
        return whole

    def gathered(self, coef: FloatArray) -> FloatArray:
        """v of raw coefficients."""
        rest = coef[self.rest] / self.unit[self.rest]
        return np.asarray(coef[self.kept] / self.unit[self.kept] + self.mixture @ rest)

    def spread(self, v: FloatArray) -> FloatArray:
        """The least of all raw coefficients that v is gathered from: C (CᵀC)⁻¹ v with C = u⁻¹ (I, M)ᵀ.

        By reflections that take large rows and columns first, which keep small ones beside them (Cox and
        Higham 1998). Where C is large the kernel of the columns is the shorter way.
        """
        coef = np.zeros(len(self.unit))
        if not len(self.kept):
            return coef
        basis, v = self._of_large_columns(v)
        kept, rest, unit, rank = basis.kept, basis.rest, self.unit, len(basis.kept)
        both = np.concatenate((kept, rest))
        if rank > len(rest) and 2 * rank > LARGEST_GRAM:
            size = unit[both] / np.max(unit[both])
            kernel = size[:, None] * np.vstack((basis.mixture, -np.eye(len(rest))))
            first = np.append(size[:rank] * v, np.zeros(len(rest)))
            order = np.argsort(-np.abs(kernel).max(axis=1), kind="stable")
            y = lstsq(kernel[order], first[order], lapack_driver="gelsy", check_finite=False)[0]
            coef[kept] = unit[kept] * (v - basis.mixture @ y)
            coef[rest] = unit[rest] * y
            return coef
        largest = np.min(unit[both])
        C = (largest / unit[both])[:, None] * np.vstack((np.eye(rank), basis.mixture.T))
        order = np.argsort(-np.abs(C).max(axis=1), kind="stable")
        Q, R, pivots = qr(C[order], mode="economic", pivoting=True, check_finite=False)
        left, length = v, np.inf
        while (
            0.0 < 2.0 * np.max(np.abs(left)) < length
        ):  # Q is right to eps of the longest coefficients alone
            length = float(np.max(np.abs(left)))
            inside = solve_triangular(R, left[pivots], trans="T", check_finite=False)
            coef[both[order]] += largest * (Q @ inside)
            left = v - basis.gathered(coef)
        return coef

    def _of_large_columns(self, v: FloatArray) -> tuple[Combinations, FloatArray]:
        """The same with large raw columns in place of the kept ones that are small beside them, and v for it.

        The least coefficients are those of large columns, whose digits a basis of small ones would lose.
        """
        kept, rest, M, v = self.kept.copy(), self.rest.copy(), self.mixture.copy(), v.copy()
        eps = float(np.finfo(np.float64).eps)
        far = 1.0 / math.sqrt(math.sqrt(eps))
        while True:
            size = np.nan_to_num(np.abs(M) * (self.unit[kept][:, None] / self.unit[rest]), posinf=np.inf)
            i, j = np.unravel_index(np.argmax(size), M.shape)
            if not size[i, j] > far:
                return replace(self, kept=kept, rest=rest, mixture=M), v
            pivot, column, row, entry = M[i, j], M[:, j].copy(), M[i] / M[i, j], v[i] / M[i, j]
            M -= np.outer(column, row)
            M[np.abs(M) <= RANK_TOLERANCE * eps] = 0.0
            M[i], M[:, j], M[i, j] = row, -column / pivot, 1.0 / pivot
            v -= column * entry
            v[i] = entry
            kept[i], rest[j] = rest[j], kept[i]


@dataclass(frozen=True)
class Triangle:
    """Least squares without a ridge, by reflections: S = RᵀR of the columns `order`, and their minimiser."""

    root: FloatArray  # R, shape (d, d)
    mean: FloatArray  # of the columns, shape (d,)
    x: FloatArray  # (v, γ), shape (d + 1,)
    order: NDArray[np.intp]
    intercept: float | None = None  # of the minimiser for raw columns, where γ - centreᵀw̃ would lose digits

    def placed(self, index: NDArray[np.intp], d: int) -> Triangle:
        """The same where the columns are those of `index` among d."""
        order, x = index[self.order], np.zeros(d + 1)
        x[order], x[-1] = self.x[:-1], self.x[-1]
        return replace(self, x=x, order=order)


@dataclass(frozen=True)
class Coordinates:
    """Where columns are centred, and the unit they are measured in."""

    centre: FloatArray  # shape (d,)
    scale: FloatArray  # shape (d,)
    ridge: FloatArray  # α scale², shape (d,)
    variance: FloatArray | None = None  # in these coordinates, shape (d,); None where it is not known
    combinations: Combinations | None = None  # the columns of X that are not among these

    @cached_property
    def spread(self) -> FloatArray:
        """The root mean square of the columns as they are read, times their scale, shape (d,)."""
        variance = 4.0 if self.variance is None else self.variance  # the largest that there is
        return np.asarray(np.sqrt(variance + np.square(self.centre * self.scale)))


@dataclass(frozen=True)
class Gram:
    """Σ c_i (1, x_i)(1, x_i)ᵀ in the coordinates of a problem."""

    total: float  # Σ c_i
    first: FloatArray  # Σ c_i x_i, shape (d,)
    scatter: FloatArray  # Σ c_i (x_i - m)(x_i - m)ᵀ or its diagonal, m the weighted mean or 0

    @property
    def mean(self) -> FloatArray:
        """Σ c_i x_i / Σ c_i, 0 where nothing weighs."""
        return self.first / self.total if self.total > 0.0 else np.zeros_like(self.first)

    def times(self, factor: float) -> Gram:
        """The Gram for curvatures that are `factor` times as large."""
        return Gram(factor * self.total, factor * self.first, factor * self.scatter)

    def __add__(self, other: Gram) -> Gram:
        """That of the rows of both, for scatters about 0."""
        return Gram(self.total + other.total, self.first + other.first, self.scatter + other.scatter)

    def rescaled(self, ratio: FloatArray) -> Gram:
        """That of columns times `ratio`."""
        return Gram(self.total, self.first * ratio, self.scatter * np.multiply.outer(ratio, ratio))

    def central(self) -> Gram:
        """With its scatter about the weighted mean instead of 0."""
        return Gram(self.total, self.first, self.scatter - np.outer(self.first, self.mean))


@dataclass
class Shared:
    """What problems on the same rows, weights and loss make once for each other."""

    problems: int = 1  # how many there will be
    standard: tuple[DesignMatrix, Coordinates] | None = None  # of unit curvature, and the design to read
    whole: tuple[DesignMatrix, Coordinates] | None = None  # with combinations, where there are any
    covariance: Gram | None = None  # S in these
    triangle: Triangle | None = None  # its factor from X itself, where that was made
    kernel: tuple[FloatArray, FloatArray] | None = None  # R, and K = X R⁻¹ Xᵀ for it, shape (n, n)
    rank_is_known: bool = True  # whether it is settled which columns are combinations of others


def standardise(
    design: DesignMatrix, weight: RowVector | None, loss: Loss, alpha: float, centred: bool
) -> tuple[DesignMatrix, Coordinates]:
    """The design to read and the coordinates that bring every column to unit curvature.

    scale_j = (sd_j² + α/sup φ'')^(-½), so that the diagonal of the Hessian is near sup φ'' whether the data
    or the ridge makes it up, rounded to a power of two: then no digit of X is touched. Where columns are not
    `centred` sd_j is the root mean square. A constant column that is centred gets 0 and stays out.
    Raises ValueError when X has NaN or infinite entries.
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
    if (moments.scale != raw).any():
        factor = np.where(moments.scale != 1.0, moments.scale, 1.0)
        offset = design.offset
        design = design.transformed(offset if offset.any() else None, factor)
    return design, at_unit_curvature(centre, sd, moments.scale, loss, alpha)


def at_unit_curvature(
    centre: FloatArray, sd: FloatArray, factor: FloatArray, loss: Loss, alpha: float
) -> Coordinates:
    """The coordinates of ``standardise`` for columns that were multiplied by `factor`."""
    ridge_root = math.sqrt(alpha) * factor
    # Without a largest curvature 1 stands in: a ridge that did not count would dwarf all else.
    curvature = loss.max_curvature if math.isfinite(loss.max_curvature) else 1.0
    spread = np.hypot(sd, ridge_root / math.sqrt(curvature))
    scale = np.zeros(len(sd))
    live = (sd > 0.0) & np.isfinite(spread)
    scale[live] = np.ldexp(1.0, 1 - np.frexp(spread[live])[1])
    ridge = np.where(live, np.square(ridge_root * scale), 1.0)
    return Coordinates(centre, scale, ridge, np.square(sd * scale))


def _moments(design: DesignMatrix, weight: RowVector | None) -> Moments:
    """Weighted means and variances of the columns; a variance is 0 if and only if the column is constant.

    Sums about zero, or about a row that is known, are enough for columns whose mean is not far from it. They
    set a scale that is rounded to a power of two, and a centre that γ makes up for. They need no copy of a
    block. The others get a second look.
    """
    row = design.known_row
    moments = _moments_about(design, weight, row)
    square = np.square(moments.mean if row is None else moments.mean - row)
    near = np.flatnonzero((moments.variance <= NEAR_ZERO * (moments.variance + square)) & (square > 0.0))
    if 2 * len(near) <= design.n_features and np.isfinite(moments.variance).all():
        return _about_a_row(moments, near, design, weight)
    moments = _exact_moments(design, weight)
    doubtful = np.sqrt(moments.variance) <= DOUBTFUL * np.abs(moments.mean)
    return _about_a_row(moments, np.flatnonzero(doubtful), design, weight)


def _moments_about(design: DesignMatrix, weight: RowVector | None, row: FloatArray | None) -> Moments:
    """From sums about a row or zero; a variance is NaN where digits were lost to underflow or overflow."""
    d, about = design.n_features, None if row is None else Scatter(row)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        mass, first, second = design.map("diagonal", about, reads=(weight,), partial_size=d)
        mean, power = first / mass, second / mass
        variance = np.maximum(power - np.square(mean if row is None else mean - row), 0.0)
    silent = np.flatnonzero(power == 0.0)
    if len(silent):  # all the same, or too small to be squared
        few = design.columns(silent)
        if row is not None:
            few = few.transformed(few.offset + row[silent] / few.factor, few.factor)
            mean[silent] = row[silent]
        silent = silent[few.map("column_max", merge=np.maximum) == 0.0]
    lost = ~((power > SQUARES_LOST[0]) & (power < SQUARES_LOST[1]))
    lost[silent] = False
    variance[lost] = np.nan
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
    first = few.gather(design.rows.sample(mass, 1)).block(0).dense(0, 1)[0]
    seen = _exact_moments(few.transformed(few.offset + first / few.factor, few.factor), weight)
    ratio = moments.scale[index] / seen.scale
    mean, variance = moments.mean.copy(), moments.variance.copy()
    mean[index] = first * moments.scale[index] + seen.mean * ratio
    variance[index] = np.square(np.sqrt(seen.variance) * ratio)
    return replace(moments, mean=mean, S=variance)
