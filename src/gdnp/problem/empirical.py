"""The function that is minimised on rows of data, in any affine coordinates of the columns.

With x = (v, γ), w̃ = scale · v and b = γ - centreᵀw̃,

    f(v, γ) = Σ s_i φ(base_i + σ_i η_i) + ½ Σ_j ridge_j v_j²,   η = (X - centre)(scale · v) + γ,

where σ = -y, base = 0 in classification, σ = -1, base = y in regression, and ridge = α scale². X itself is
only ever read in row blocks: the centre and the scale act on d-vectors. With K columns x has shape (d + 1, K)
and the margins (n, K). f is then the sum over the columns, or what the loss makes of a row of margins.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, RowVector
from gdnp.design.block import Affine, Valued, total, weighted
from gdnp.design.compiled import curvature
from gdnp.losses import Loss, zero_one
from gdnp.problem.coordinates import Coordinates, Shared
from gdnp.problem.interface import Cost

Function = Callable[[FloatArray], FloatArray]
Weights = FloatArray | None
"""s of some rows; None is 1."""


def bend(loss: Loss, share: float, t: FloatArray, s: Weights, out: FloatArray) -> list[Any]:
    """s φ'' of every row, written; n times as much where every row weighs the same."""
    found = curvature(loss, t)
    out[:] = weighted(loss.curvature(t) if found is None else found, s)
    if s is None:
        out *= share
    return []


def sum_of(function: Function, t: FloatArray, s: Weights) -> list[Any]:
    """Σ s_i h(t_i), n times as much where every row weighs the same."""
    return [total(function(t), s)]


def wrong_side(t: FloatArray, s: Weights) -> list[Any]:
    """How many rows of positive weight have t >= 0."""
    wrong = t >= 0.0
    return [float(np.count_nonzero(wrong if s is None else wrong & (s > 0.0)))]


def variation(about: float, t: FloatArray, sigma: FloatArray, base: Weights, s: Weights) -> list[Any]:
    """Σ s (η - about) and Σ s (η - about)² of the predictions η = σ (t - base)."""
    eta = t * sigma if base is None else (t - base) * sigma
    eta -= about
    return [total(eta, s), total(np.square(eta), s)]


class Empirical:
    """f by numbers: every method that reads X says what it costs in passes."""

    design: DesignMatrix  # shape (n, d)
    sigma: RowVector  # σ, of size 1, shape (n,)
    base: RowVector | None  # shape (n,); None is 0
    weight: RowVector | None  # of sum one, shape (n,); None is 1/n each
    loss: Loss  # φ
    coordinates: Coordinates
    fit_intercept: bool  # whether γ is a variable
    center: bool  # whether columns are about their mean
    cost: Cost  # the ledger
    shared: Shared

    @property
    def n_samples(self) -> int:
        """The number of rows n."""
        return self.design.n_samples

    @property
    def n_features(self) -> int:
        """The dimension d."""
        return self.design.n_features

    @property
    def share(self) -> float:
        """What a sum over rows is multiplied by: 1/n where every row weighs the same, else 1."""
        return 1.0 / self.n_samples if self.weight is None else 1.0

    def every(self, value: float) -> RowVector:
        """A number for each row, which takes no room."""
        return self.design.rows.hold(np.broadcast_to(value, self.n_samples))

    @property
    def mass(self) -> RowVector:
        """s, or 1/n in every row."""
        return self.every(self.share) if self.weight is None else self.weight

    # Coordinates

    def outward(self, x: FloatArray) -> tuple[FloatArray, Any]:
        """(w̃, b) of the columns that are read."""
        coordinates = self.coordinates
        w = _rows_of(coordinates.scale, x) * x[:-1]
        b = x[-1] - coordinates.centre @ w
        return w, float(b) if x.ndim == 1 else b

    def pulled_back(self, product: FloatArray, total: Any) -> FloatArray:
        """The chain rule back from (Xᵀr, Σr): the derivative by x, without the ridge."""
        gradient = np.empty((self.n_features + 1, *product.shape[1:]))
        centre = _rows_of(self.coordinates.centre, product)
        inner = np.multiply(centre, -total, out=gradient[:-1])
        inner += product
        inner *= _rows_of(self.coordinates.scale, product)
        gradient[-1] = total if self.fit_intercept else 0.0
        return gradient

    def with_ridge(self, gradient: FloatArray, x: FloatArray) -> FloatArray:
        """The gradient with that of the ridge at x added, in place."""
        gradient[:-1] += _rows_of(self.coordinates.ridge, x) * x[:-1]
        return gradient

    def penalty(self, x: FloatArray) -> float:
        """½ Σ ridge_j v_j²."""
        return 0.5 * float((self.coordinates.ridge @ np.square(x[:-1])).sum())

    # Readings of X

    def evaluated(self, x: FloatArray) -> tuple[RowVector, list[Any]]:
        """The margins at x, and Σ s φ, Xᵀr and Σ r for r = s φ' σ, s = 1 without weights: one pass."""
        self.cost.charge(1.0)
        margins = self._vector_for(x)
        self.foresee(x, margins)
        sums = self.design.map(
            "value",
            Valued(*self.outward(x), self.loss),
            reads=(self.sigma, self.base, self.weight),
            writes=(margins,),
            partial_size=x.size,
        )
        return margins, sums

    def sums(self, margins: RowVector) -> list[Any]:
        """The same sums where the margins are known: half a pass."""
        self.cost.charge(0.5)
        return list(
            self.design.map(
                "sums", self.loss, reads=(self.sigma, self.weight, margins), partial_size=self.n_features
            )
        )

    def slope(self, p: FloatArray) -> RowVector:
        """The derivative of the margins along p, shape (n,) or (n, K): half a pass."""
        self.cost.charge(0.5)
        slope = self._vector_for(p)
        self.design.map("margins", Affine(*self.outward(p)), reads=(self.sigma, None), writes=(slope,))
        return slope

    def hessian_product(self, curvature: RowVector, p: FloatArray, slope: RowVector | None) -> FloatArray:
        """∇²f p for curvature = s φ''; writes the derivative of the margins along p to `slope`; one pass."""
        assert slope is not None  # only of several scores in a row it is made later
        self.cost.charge(1.0)
        product, total = self.design.map(
            "hessian",
            Affine(*self.outward(p)),
            reads=(self.sigma, curvature),
            writes=(slope,),
            partial_size=p.size,
        )
        return self.with_ridge(self.pulled_back(product, total), p)

    def features(self, v: FloatArray) -> RowVector:
        """(X - centre)(scale · v), shape (n,): half a pass."""
        self.cost.charge(0.5)
        out = self._vector_for(v)
        self.design.map(
            "margins", Affine(*self.outward(np.append(v, 0.0))), reads=(None, None), writes=(out,)
        )
        return out

    def backward(self, r: RowVector) -> FloatArray:
        """((X - centre) scale)ᵀ r, shape (d,): half a pass."""
        self.cost.charge(0.5)
        product, total = self.design.map("transpose", reads=(r,), partial_size=self.n_features)
        return self.pulled_back(product, total)[:-1]

    def foresee(self, x: FloatArray, margins: RowVector) -> None:
        """What will be asked of the point at x besides its value and gradient; see ``Rows.foresee``."""
        rows, s = self.design.rows, self.weight
        if x.ndim == 1 and self.design.in_rounds:
            if self.loss.task == "classification":
                rows.foresee(partial(sum_of, zero_one), margins, s)
            if self.loss.increasing:
                rows.foresee(wrong_side, margins, s)
            rows.foresee(partial(variation, float(x[-1])), margins, self.sigma, self.base, s)

    # Sums over rows

    def mean(self, function: Function, vector: RowVector) -> float:
        """The weighted mean of h of each of n numbers."""
        found = self.design.rows.total(partial(sum_of, function), vector, self.weight)
        return self.share * float(found[0])

    def curvature(self, margins: RowVector) -> RowVector:
        """s φ'' of every row, shape of the margins."""
        rows = self.design.rows
        out = rows.empty_like(margins)
        rows.total(partial(bend, self.loss, self.share), margins, self.weight, writes=(out,))
        return out

    def _vector_for(self, x: FloatArray) -> RowVector:
        """Room for the margins of x."""
        return self.design.rows.empty(None if x.ndim == 1 else x.shape[1])


def _rows_of(v: FloatArray, like: FloatArray) -> FloatArray:
    """`v` for each row of `like`."""
    return v if like.ndim == 1 else v[:, None]
