"""The objective in standardised coordinates: columns centred and brought to unit curvature, implicitly.

The production solver works on (v, γ) with w̃ = scale · v and b = γ - centreᵀw̃, so that

    f(v, γ) = Σ s_i φ(base_i + σ_i η_i) + ½ Σ_j ridge_j v_j²,   η = (X - centre)(scale · v) + γ,

where σ = -y, base = 0 in classification, σ = -1, base = y in regression, and ridge = α scale². X itself is
only ever read in row blocks: the centre and the scale act on d-vectors.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp.design import Block, DesignMatrix
from gdnp.interface import Cost
from gdnp.losses import Loss
from gdnp.moments import Moments

FloatArray = NDArray[np.float64]

__all__ = ["Gram", "Place", "Standardized", "standardise"]

CONSTANT = 8.0 * np.finfo(np.float64).eps
"""A column whose standard deviation is below this share of its mean is constant up to rounding."""
NEAR_ZERO = 1e-4
"""Variance in units of the mean square above which a difference of the two has enough digits."""
ORDINARY = (1e-200, 1e200)
"""Mean squares that neither lost digits nor overflowed."""
FAR_FROM_ZERO = 1e3
"""Offset in standard deviations above which a column is centred as it is read (cost: one more write)."""


@dataclass(frozen=True)
class Place:
    """A point with its value and gradient.

    Attributes
    ----------
    x : ndarray of shape (d + 1,)
        (v, γ).
    margins : ndarray of shape (n,)
        The arguments of the loss.
    value : float
    gradient : ndarray of shape (d + 1,)
        Its last entry is 0 where γ is no variable.
    """

    x: FloatArray
    margins: FloatArray
    value: float
    gradient: FloatArray


@dataclass(frozen=True)
class Gram:
    """Σ c_i (1, x_i)(1, x_i)ᵀ in standardised coordinates.

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


class Standardized:
    """The objective f; every method that reads X says what it costs in passes.

    Parameters
    ----------
    design : DesignMatrix of shape (n, d)
    sigma : ndarray of shape (n,)
        -y in classification, -1 in regression (σ above).
    base : ndarray of shape (n,) or None
        y in regression; None is 0.
    weight : ndarray of shape (n,) or None
        Sample weights that sum to one; None is 1/n each.
    loss : Loss
    centre, scale, ridge : ndarray of shape (d,)
    fit_intercept : bool
    cost : Cost
        The ledger.
    shared : dict or None
        Where problems on the same rows, weights and coordinates keep S for each other.
    """

    def __init__(
        self,
        design: DesignMatrix,
        sigma: FloatArray,
        base: FloatArray | None,
        weight: FloatArray | None,
        loss: Loss,
        *,
        centre: FloatArray,
        scale: FloatArray,
        ridge: FloatArray,
        fit_intercept: bool,
        cost: Cost,
        shared: dict[str, Gram] | None = None,
    ) -> None:
        self.design, self.sigma, self.base, self.weight, self.loss = design, sigma, base, weight, loss
        self.centre, self.scale, self.ridge = centre, scale, ridge
        self.fit_intercept = fit_intercept
        self.cost = cost
        self.shared = shared
        self.n, self.d = design.n_samples, design.n_features

    # Coordinates

    def _outward(self, x: FloatArray) -> tuple[FloatArray, float]:
        """(w̃, b) of raw columns."""
        w = self.scale * x[:-1]
        return w, float(x[-1] - self.centre @ w)

    def _inward(self, product: FloatArray, total: float) -> FloatArray:
        """The chain rule back from (Xᵀr, Σr)."""
        gradient = np.empty(self.d + 1)
        gradient[:-1] = self.scale * (product - total * self.centre)
        gradient[-1] = total if self.fit_intercept else 0.0
        return gradient

    def penalty(self, x: FloatArray) -> float:
        """½ Σ ridge_j v_j²."""
        return 0.5 * float(self.ridge @ np.square(x[:-1]))

    def finished(self, product: FloatArray, total: float, x: FloatArray) -> FloatArray:
        """The gradient at x from (Xᵀr, Σr), ridge included."""
        gradient = self._inward(product, total)
        gradient[:-1] += self.ridge * x[:-1]
        return gradient

    def weighted(self, values: FloatArray, s: FloatArray | None) -> FloatArray:
        """s_i · values_i in place."""
        values *= 1.0 / self.n if s is None else s
        return values

    def total(self, values: FloatArray, s: FloatArray | None) -> float:
        """Σ s_i values_i."""
        return float(values.sum()) / self.n if s is None else float(values @ s)

    def _sums(
        self, block: Block, t: FloatArray, sigma: FloatArray, s: FloatArray | None
    ) -> list[FloatArray | float]:
        """Σ s φ(t), Xᵀr and Σ r for r = s φ'(t) σ; n times as much where s is None."""
        value, r = self.loss.value_and_gradient(t)
        r *= sigma
        if s is not None:
            r *= s
        return [value.sum() if s is None else value @ s, block.tdot(r), r.sum()]

    def _placed(self, x: FloatArray, margins: FloatArray, sums: Sequence[Any]) -> Place:
        """The place with these margins, from the ``_sums`` of all blocks."""
        share = 1.0 / self.n if self.weight is None else 1.0
        value, product, total = (share * part for part in sums)
        return Place(x, margins, float(value) + self.penalty(x), self.finished(product, float(total), x))

    # One pass

    def at(self, x: FloatArray) -> Place:
        """The place (v, γ): margins, value and gradient in one reading of X."""
        self.cost.charge(1.0)
        w, b = self._outward(x)
        margins = np.empty(self.n)

        def kernel(
            block: Block, t: FloatArray, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None
        ) -> list[Any]:
            block.dot(w, out=t)
            t += b
            t *= sigma
            if base is not None:
                t += base
            return self._sums(block, t, sigma, s)

        sums = self.design.reduce(kernel, margins, self.sigma, self.base, self.weight, partial_size=self.d)
        return self._placed(x, margins, sums)

    def place(self, x: FloatArray, margins: FloatArray) -> Place:
        """The place whose margins are known: half a pass."""
        self.cost.charge(0.5)

        sums = self.design.reduce(self._sums, margins, self.sigma, self.weight, partial_size=self.d)
        return self._placed(x, margins, sums)

    def value(self, place: Place) -> float:
        """f where the margins are those of `place`, in O(n)."""

        def kernel(t: FloatArray, s: FloatArray | None) -> list[Any]:
            return [self.total(self.loss.value(t), s)]

        value = self.design.reduce_rows(kernel, place.margins, self.weight)[0]
        return float(value) + self.penalty(place.x)

    def slope(self, p: FloatArray) -> FloatArray:
        """The derivative of the margins along p, shape (n,): half a pass."""
        self.cost.charge(0.5)
        w, b = self._outward(p)
        slope = np.empty(self.n)

        def kernel(block: Block, q: FloatArray, sigma: FloatArray) -> list[Any]:
            block.dot(w, out=q)
            q += b
            q *= sigma
            return []

        self.design.reduce(kernel, slope, self.sigma)
        return slope

    def hessian_product(self, curvature: FloatArray, p: FloatArray, slope: FloatArray) -> FloatArray:
        """∇²f p for curvature = s φ''; writes the derivative of the margins along p to `slope`; one pass."""
        self.cost.charge(1.0)
        w, b = self._outward(p)

        def kernel(block: Block, q: FloatArray, c: FloatArray, sigma: FloatArray) -> list[Any]:
            r = block.dot(w)
            r += b
            np.multiply(r, sigma, out=q)
            r *= c
            r *= np.square(sigma)
            return [block.tdot(r), float(r.sum())]

        product, total = self.design.reduce(kernel, slope, curvature, self.sigma, partial_size=self.d)
        return self.finished(product, total, p)

    def curvature(self, margins: FloatArray) -> FloatArray:
        """s φ'' of every row, shape (n,)."""
        out = np.empty(self.n)

        def kernel(t: FloatArray, s: FloatArray | None, c: FloatArray) -> list[Any]:
            c[:] = self.weighted(self.loss.curvature(t), s)
            return []

        self.design.reduce_rows(kernel, margins, self.weight, out)
        return out

    def line(self, place: Place, p: FloatArray, slope: FloatArray, t: float) -> tuple[float, float, float]:
        """f, f' and f'' at step `t` along p, in O(n)."""

        def kernel(m: FloatArray, q: FloatArray, s: FloatArray | None) -> list[Any]:
            at = m + t * q
            value, r = self.loss.value_and_gradient(at)
            c = self.loss.curvature(at)
            return [
                self.total(value, s),
                float(self.weighted(r, s) @ q),
                float(self.weighted(c, s) @ (q * q)),
            ]

        value, first, second = self.design.reduce_rows(kernel, place.margins, slope, self.weight)
        v, u = place.x[:-1] + t * p[:-1], p[:-1]
        ridge = self.ridge * v
        return value + 0.5 * float(ridge @ v), first + float(ridge @ u), second + float(self.ridge @ (u * u))

    def plane(
        self, place: Place, p: FloatArray, slope: FloatArray, t: float, c: float
    ) -> tuple[float, FloatArray, FloatArray]:
        """f, its gradient and its Hessian in (t, c) at step `t` along p and `c` along γ, in O(n)."""

        def kernel(m: FloatArray, q: FloatArray, sigma: FloatArray, s: FloatArray | None) -> list[Any]:
            at = m + t * q
            at += c * sigma
            value, r = self.loss.value_and_gradient(at)
            r, b = self.weighted(r, s), self.weighted(self.loss.curvature(at), s)
            first = np.array([r @ q, r @ sigma])
            cross = (b * q) @ sigma
            return [
                self.total(value, s),
                first,
                np.array([[b @ (q * q), cross], [cross, b @ np.square(sigma)]]),
            ]

        value, gradient, hessian = self.design.reduce_rows(
            kernel, place.margins, slope, self.sigma, self.weight
        )
        v, u = place.x[:-1] + t * p[:-1], p[:-1]
        ridge = self.ridge * v
        gradient[0] += ridge @ u
        hessian[0, 0] += self.ridge @ (u * u)
        return float(value) + 0.5 * float(ridge @ v), gradient, hessian

    # Curvature

    def gram(
        self, curvature: FloatArray, index: NDArray[np.intp] | None = None, *, central: bool = True
    ) -> Gram:
        """The Gram weighted by curvature = s φ'', about the weighted mean if `central`.

        With `index` it is made from those rows, for which the curvature stands.
        """
        chosen = self.n if index is None else len(index)
        self.cost.charge(self.design.gram_passes * chosen / self.n)

        def kernel(block: Block, c: FloatArray) -> list[Any]:
            return [float(c.sum()), block.tdot(c), block.gram(c, self.centre)]

        if index is None:
            sums = self.design.reduce(kernel, curvature, partial_size=self.d**2)
        else:
            sums = self.design.reduce_chosen(kernel, index, curvature, partial_size=self.d**2)
        total, first, scatter = sums
        first = self._first(total, first)
        scatter *= self.scale
        scatter *= self.scale[:, None]
        found = Gram(total, first, scatter)
        if central and self.fit_intercept:
            scatter -= np.outer(first, found.mean)
        return found

    def covariance(self) -> Gram:
        """S = Σ s_i (x_i - m)(x_i - m)ᵀ, taken once for all problems that share it."""
        assert self.shared is not None
        if "covariance" not in self.shared:
            s = np.full(self.n, 1.0 / self.n) if self.weight is None else self.weight
            self.shared["covariance"] = self.gram(s)
        return self.shared["covariance"]

    def diagonal(self, curvature: FloatArray) -> Gram:
        """As ``gram``, with the diagonal of the scatter alone, shape (d,); one pass."""
        self.cost.charge(1.0)

        def kernel(block: Block, c: FloatArray) -> list[Any]:
            return [float(c.sum()), block.tdot(c), block.squares(c, self.centre)]

        total, first, squares = self.design.reduce(kernel, curvature, partial_size=self.d)
        first = self._first(total, first)
        found = Gram(total, first, squares * np.square(self.scale))
        np.maximum(found.scatter - first * found.mean, 0.0, out=found.scatter)
        return found

    def _first(self, total: float, first: FloatArray) -> FloatArray:
        """Σ c_i x_i in standardised coordinates; 0 where there is no intercept for it to couple to."""
        return self.scale * (first - total * self.centre) if self.fit_intercept else np.zeros(self.d)

    def kernel(self, inverse_ridge: FloatArray) -> FloatArray:
        """(X - centre) scale² R⁻¹ (X - centre)ᵀ, shape (n, n), for n < d; costs n/2 passes or so."""
        self.cost.charge(0.5 * self.n)
        out = np.empty((self.n, self.n))
        factor = (np.square(self.scale) * inverse_ridge)[:, None]
        bounds = self.design.bounds
        for k, (low, high) in enumerate(bounds):
            block = self.design.block(k)
            for start in range(low, high, 64):
                unit = np.zeros((high - low, min(64, high - start)))
                unit[np.arange(start - low, start - low + unit.shape[1]), np.arange(unit.shape[1])] = 1.0
                rows = factor * (block.tdot(unit) - self.centre[:, None])
                offset = self.centre @ rows
                for i, (first, last) in enumerate(bounds):
                    out[first:last, start : start + unit.shape[1]] = self.design.block(i).dot(rows) - offset
        return 0.5 * (out + out.T)

    def features(self, v: FloatArray) -> FloatArray:
        """(X - centre)(scale · v), shape (n,): half a pass."""
        self.cost.charge(0.5)
        w = self.scale * v
        offset = float(self.centre @ w)
        out = np.empty(self.n)

        def kernel(block: Block, eta: FloatArray) -> list[Any]:
            np.subtract(block.dot(w), offset, out=eta)
            return []

        self.design.reduce(kernel, out)
        return out

    def backward(self, r: FloatArray) -> FloatArray:
        """((X - centre)scale)ᵀ r, shape (d,): half a pass."""
        self.cost.charge(0.5)
        product = self.design.reduce(lambda block, r: [block.tdot(r)], r, partial_size=self.d)[0]
        return np.asarray(self.scale * (product - float(r.sum()) * self.centre))

    # Parts and ends

    def with_loss(self, loss: Loss) -> Standardized:
        """The same data, coordinates and ledger under another loss."""
        other = copy.copy(self)
        other.loss = loss
        return other

    def rows(self, index: NDArray[np.intp], weight: FloatArray) -> Standardized:
        """The same coordinates on some rows, with weights of their own."""
        return Standardized(
            self.design.rows(index),
            self.sigma[index],
            None if self.base is None else self.base[index],
            weight,
            self.loss,
            centre=self.centre,
            scale=self.scale,
            ridge=self.ridge,
            fit_intercept=self.fit_intercept,
            cost=Cost(),
        )

    def constant(self) -> tuple[FloatArray, FloatArray]:
        """x = (0, γ) with the γ of the mean label or target, and its margins."""
        x = np.zeros(self.d + 1)
        if self.fit_intercept:
            target = self.sigma if self.base is None else self.base
            mean = float(target.mean() if self.weight is None else target @ self.weight)
            if self.base is not None:
                x[-1] = mean
            else:
                x[-1] = math.log((1.0 - mean) / (1.0 + mean)) if abs(mean) < 1.0 else 0.0
        margins = self.sigma * x[-1]
        return x, margins if self.base is None else margins + self.base

    def raw(self, x: FloatArray) -> tuple[FloatArray, float]:
        """(w̃, b) for the columns of X as they came."""
        factor = self.design.factor
        w = self.scale * x[:-1]
        coef = w * factor
        return coef, float(x[-1] - self.centre @ w - self.design.offset @ coef)

    def from_raw(self, coef: FloatArray, intercept: float) -> FloatArray:
        """The inverse of ``raw``; a column of scale 0 keeps its 0."""
        unit = self.scale * self.design.factor
        v = np.divide(coef, unit, out=np.zeros(self.d), where=unit > 0.0)
        w = self.scale * v
        b = intercept + self.centre @ w + self.design.offset @ (w * self.design.factor)
        return np.append(v, b if self.fit_intercept else 0.0)


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
