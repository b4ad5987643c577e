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
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Block, DesignMatrix
from gdnp.losses import Loss
from gdnp.problem.interface import Cost
from gdnp.standardized.coordinates import Coordinates

if TYPE_CHECKING:
    from gdnp.standardized.gram import Gram

__all__ = ["Place", "Shared", "Standardized"]


@dataclass
class Shared:
    """What problems on the same rows, weights and coordinates make once for each other.

    Attributes
    ----------
    covariance : Gram or None
        S.
    kernel : (ndarray of shape (d,), ndarray of shape (n, n)) or None
        R, and K = X R⁻¹ Xᵀ for it.
    """

    covariance: Gram | None = None
    kernel: tuple[FloatArray, FloatArray] | None = None


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
    coordinates : Coordinates
    fit_intercept : bool
    cost : Cost
        The ledger.
    shared : Shared or None
        None where this is the only problem.
    """

    def __init__(
        self,
        design: DesignMatrix,
        sigma: FloatArray,
        base: FloatArray | None,
        weight: FloatArray | None,
        loss: Loss,
        coordinates: Coordinates,
        *,
        fit_intercept: bool,
        cost: Cost,
        shared: Shared | None = None,
    ) -> None:
        self.design, self.sigma, self.base, self.weight, self.loss = design, sigma, base, weight, loss
        self.coordinates = coordinates
        self.centre, self.scale, self.ridge = coordinates.centre, coordinates.scale, coordinates.ridge
        self.fit_intercept = fit_intercept
        self.cost = cost
        self.shared = shared
        self.n, self.d = design.n_samples, design.n_features

    # Coordinates

    def outward(self, x: FloatArray) -> tuple[FloatArray, float]:
        """(w̃, b) of raw columns."""
        w = self.scale * x[:-1]
        return w, float(x[-1] - self.centre @ w)

    def _inward(self, product: FloatArray, total: float) -> FloatArray:
        """The chain rule back from (Xᵀr, Σr)."""
        gradient = np.empty(self.d + 1)
        inner = np.multiply(self.centre, -total, out=gradient[:-1])
        inner += product
        inner *= self.scale
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
        pull = self.ridge * x[:-1]
        gradient = self._inward(product, float(total))
        gradient[:-1] += pull
        return Place(x, margins, float(value) + 0.5 * float(pull @ x[:-1]), gradient)

    # One pass

    def forward(
        self,
        block: Block,
        w: FloatArray,
        b: float,
        sigma: FloatArray,
        base: FloatArray | None,
        out: FloatArray,
    ) -> None:
        """The margins of a block for (w̃, b), written to `out`."""
        block.dot(w, out=out)
        out += b
        out *= sigma
        if base is not None:
            out += base

    def at(self, x: FloatArray) -> Place:
        """The place (v, γ): margins, value and gradient in one reading of X."""
        self.cost.charge(1.0)
        w, b = self.outward(x)
        margins = np.empty(self.n)

        def kernel(
            block: Block, t: FloatArray, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None
        ) -> list[Any]:
            self.forward(block, w, b, sigma, base, t)
            return self._sums(block, t, sigma, s)

        sums = self.design.reduce(kernel, margins, self.sigma, self.base, self.weight, partial_size=self.d)
        return self._placed(x, margins, sums)

    def place(self, x: FloatArray, margins: FloatArray) -> Place:
        """The place whose margins are known: half a pass."""
        self.cost.charge(0.5)

        sums = self.design.reduce(self._sums, margins, self.sigma, self.weight, partial_size=self.d)
        return self._placed(x, margins, sums)

    def value(self, x: FloatArray, margins: FloatArray) -> float:
        """f at x, whose margins are known, in O(n)."""

        def kernel(t: FloatArray, s: FloatArray | None) -> list[Any]:
            return [self.total(self.loss.value(t), s)]

        value = self.design.reduce_rows(kernel, margins, self.weight)[0]
        return float(value) + self.penalty(x)

    def slope(self, p: FloatArray) -> FloatArray:
        """The derivative of the margins along p, shape (n,): half a pass."""
        self.cost.charge(0.5)
        w, b = self.outward(p)
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
        w, b = self.outward(p)

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

    # Products

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

    def rows(self, index: NDArray[np.intp], weight: FloatArray, *, ridge: float = 0.0) -> Standardized:
        """The same coordinates on some rows, with weights of their own and a further ridge."""
        return Standardized(
            self.design.rows(index),
            self.sigma[index],
            None if self.base is None else self.base[index],
            weight,
            self.loss,
            Coordinates(self.centre, self.scale, self.ridge + ridge),
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
