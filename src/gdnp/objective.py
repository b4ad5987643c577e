"""The objective on rows of data: f(w̃, γ) = Σ s_i φ(t_i)/Σ s_i + α/2 ‖w̃‖² (Eqs. 10 and 16)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import Block, DenseDesign, DesignMatrix, as_design
from gdnp.losses import Loss, get_loss
from gdnp.metric import Covariance, OperatorCovariance
from gdnp.moments import Moments
from gdnp.points import DataPoint
from gdnp.problem.interface import Cost, Point
from gdnp.validation import checked_number, checked_targets, checked_weights

__all__ = ["Objective"]

LARGEST_GRAM = 2048
"""Columns up to which S is held as a matrix."""
FAR_FROM_ZERO = 1e3
"""Offset in standard deviations above which a column is centred as it is read (cost: one more write)."""


class Objective:
    """Empirical risk with a ridge on a design matrix.

    The argument of the loss is t = -y (xᵀw̃ + γ) for a classification loss (y in {-1, +1}) and
    t = y - xᵀw̃ - γ for a regression loss. Columns are centred implicitly unless `center` is False; γ is a
    variable only with `fit_intercept`. ``squared_error`` is r²/2, so its f is half of Eq. 10.

    Parameters
    ----------
    X : array_like, sparse matrix or DesignMatrix of shape (n, d)
        Features; stored as they are.
    y : array_like of shape (n,)
        -1 and +1 for a classification loss, real numbers for a regression loss.
    loss : str or Loss
        A name in ``gdnp.losses.LOSSES`` or an instance.
    alpha : float
        α >= 0, in the raw coordinates of X.
    fit_intercept : bool
        Whether γ is a variable.
    center : bool
        Whether x stands for x - E[x] (Assumption 1).
    sample_weight : array_like of shape (n,) or None
        Non-negative with a positive sum.
    n_jobs : int or None
        Threads of a pass; None means all cores.

    Raises
    ------
    ValueError
        For wrong shapes, NaN or infinity, labels that are not -1 and +1, one class alone, bad weights,
        or a bad `alpha`.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        loss: str | Loss = "log_loss",
        *,
        alpha: float = 0.0,
        fit_intercept: bool = False,
        center: bool = True,
        sample_weight: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = get_loss(loss)
        self.design: DesignMatrix = as_design(X, n_jobs)
        y = checked_targets(y, self.design.n_samples, self.loss)
        self.weight = checked_weights(sample_weight, y, self.loss)
        classification = self.loss.task == "classification"
        # t = base + σ η for predictions η: σ = -y in classification; base = y, σ = -1 in regression.
        self.base: FloatArray | None = None if classification else y
        self.sigma: FloatArray = -y if classification else np.broadcast_to(-1.0, y.shape)
        self.target = self.sigma if classification else y
        self.alpha = checked_number("alpha", alpha)
        self.fit_intercept = fit_intercept
        self.center = center
        self.cost = Cost()
        self.moments = Moments.of(self.design, self.target, self.weight, second="diagonal")
        self._center_far_columns()

    def _center_far_columns(self) -> None:
        """Take large offsets off the entries of X themselves, where the products would cancel."""
        moments = self.moments
        far = np.abs(moments.mean) > FAR_FROM_ZERO * np.sqrt(moments.variance)
        if self.center and isinstance(self.design, DenseDesign) and far.any():
            self.design = self.design.shifted(moments.mean / moments.scale)
            self.moments = Moments.of(self.design, self.target, self.weight, second="diagonal")

    @property
    def n_features(self) -> int:
        """The dimension d."""
        return self.design.n_features

    @property
    def n_samples(self) -> int:
        """The number of rows n."""
        return self.design.n_samples

    @cached_property
    def shift(self) -> FloatArray:
        """What is taken off x by products: E[x] when centring, else 0; shape (d,)."""
        return self.moments.mean / self.moments.scale if self.center else np.zeros(self.n_features)

    @cached_property
    def column_mean(self) -> FloatArray:
        """E[x] of the raw columns, shape (d,)."""
        return self.moments.mean / self.moments.scale + self.design.offset

    @cached_property
    def u(self) -> FloatArray:
        """Eq. 1: u = E[-y x], shape (d,), x and y centred when `center`."""
        moments = self.moments
        U = moments.U[:, 0] if self.center else moments.U[:, 0] + moments.mean * moments.mean_y[0]
        return U / moments.scale if self.loss.task == "classification" else -U / moments.scale

    @cached_property
    def covariance(self) -> Covariance | OperatorCovariance:
        """S = E[x xᵀ] (x centred when `center`): a matrix up to ``LARGEST_GRAM`` columns, else products."""
        ones = np.ones(self.n_features)
        if self.n_features > LARGEST_GRAM:
            moments = self.moments.rescaled(ones)
            diagonal = moments.S if self.center else moments.second_moment()
            return OperatorCovariance(self._covariance_product, diagonal)
        full = Moments.of(self.design, self.target, self.weight).rescaled(ones)
        return Covariance(full.S if self.center else full.second_moment())

    @property
    def gram_passes(self) -> float:
        """What forming S costs, in passes; 0 where it is never formed."""
        return self.design.gram_passes if self.n_features <= LARGEST_GRAM else 0.0

    @property
    def length_cap(self) -> float:
        """Largest |g|: 1e6, or for a non-convex loss what still leaves rows where the loss bends.

        Of n Gaussian predictions with spread g about 0.8 n/g lie within 1 of zero; with fewer than four of
        them for each coordinate the gradient is noise, and soon exactly 0.
        """
        return 1e6 if self.loss.convex else max(10.0, 0.2 * self.n_samples / self.n_features)

    @cached_property
    def origin(self) -> DataPoint:
        """The handle of w̃ = 0, γ = 0, which needs no pass."""
        regression = self.loss.task == "regression"
        margins = self.target if regression else np.broadcast_to(0.0, self.target.shape)
        return DataPoint(self, np.zeros(self.n_features), 0.0, margins)

    def _covariance_product(self, w: FloatArray) -> FloatArray:
        """S w = E[x (xᵀw)] without S, in one pass."""
        self.cost.charge(1.0)
        offset = float(self.shift @ w)

        def kernel(block: Block, s: FloatArray | None) -> list[Any]:
            r = block.dot(w) - offset
            if s is not None:
                r *= s
            return [block.tdot(r), float(r.sum())]

        return self.centred(self.design.reduce(kernel, self.weight, partial_size=self.n_features))

    def centred(self, sums: list[Any]) -> FloatArray:
        """(X - shift)ᵀr from Xᵀr and Σr, divided by n where the rows weigh the same."""
        product = np.asarray(sums[0] - sums[1] * self.shift)
        return product / self.n_samples if self.weight is None else product

    def at(self, coef: FloatArray, intercept: float = 0.0) -> DataPoint:
        """The handle of (w̃, γ); its value and gradient come with it, in one pass.

        Parameters
        ----------
        coef : ndarray of shape (d,)
            w̃.
        intercept : float
            γ, the intercept for centred columns.
        """
        self.cost.charge(1.0)
        coef = np.asarray(coef, dtype=np.float64)
        if coef.shape != (self.n_features,):
            raise ValueError(
                f"coef must have one entry per column of X, {self.n_features}. Got {coef.shape}."
            )
        offset = intercept - float(self.shift @ coef)
        margins = np.empty(self.n_samples)

        backward_pass = self.backward_pass

        def kernel(
            block: Block, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None, t: FloatArray
        ) -> list[Any]:
            block.dot(coef, out=t)
            if offset != 0.0:
                t += offset
            t *= sigma
            if base is not None:
                t += base
            return backward_pass(block, sigma, s, t)

        sums = self.design.reduce(
            kernel, self.sigma, self.base, self.weight, margins, partial_size=self.n_features
        )
        point = DataPoint(self, coef, intercept, margins)
        point.__dict__["_sums"] = sums
        return point

    def backward_pass(
        self, block: Block, sigma: FloatArray, s: FloatArray | None, t: FloatArray
    ) -> list[Any]:
        """Xᵀr and Σr for r = ∂(Σ s φ(t))/∂(xᵀw̃), the second half of a pass."""
        r = self.loss.gradient_times(t, sigma)
        if s is not None:
            r *= s
        return [block.tdot(r), np.add.reduce(r)]

    def stein_coefficient(self, point: Point) -> float:
        """c₁ of ∇f = c₁ u + c₂ S w̃ under Assumption 2, with averages over the data.

        Stein's lemma gives c₁ = E φ' - (uᵀw̃) E φ'' in classification and, for jointly Gaussian (x, y),
        c₁ = c₂ = E φ'' in regression.
        """
        c2 = point.mean_curvature
        if self.loss.task == "regression":
            return c2
        return point.mean_gradient - float(self.u @ point.coef) * c2

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        """b of xᵀw̃ + b for raw columns, given γ for centred ones: γ - E[x]ᵀw̃."""
        return intercept - float(self.column_mean @ coef) if self.center else intercept

    def mean(self, values: FloatArray, s: FloatArray | None) -> float:
        """The part of E that a slice of the rows contributes."""
        return float(values.sum()) / self.n_samples if s is None else float(values @ s)

    def with_ridge(self, risk: float, coef: FloatArray) -> float:
        """E φ + α/2 ‖w̃‖²."""
        return float(risk) + 0.5 * self.alpha * float(coef @ coef)
