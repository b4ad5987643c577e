"""The objective on rows of data: f(w̃, γ) = Σ s_i φ(t_i)/Σ s_i + α/2 ‖w̃‖² (Eqs. 10 and 16)."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp.design import Block, DenseDesign, DesignMatrix, as_design
from gdnp.interface import Cost, Jet, Point
from gdnp.losses import Loss, get_loss
from gdnp.metric import Covariance, OperatorCovariance
from gdnp.moments import Moments

FloatArray = NDArray[np.float64]

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
        self.y = _targets(y, self.design.n_samples, self.loss)
        self.weight = _weights(sample_weight, self.y, self.loss)
        self.alpha = _ridge(alpha)
        self.fit_intercept = fit_intercept
        self.center = center
        self.cost = Cost()
        self.moments = Moments.of(self.design, self.y, self.weight, second="diagonal")
        self._center_far_columns()

    def _center_far_columns(self) -> None:
        """Take large offsets off the entries of X themselves, where the products would cancel."""
        moments = self.moments
        far = np.abs(moments.mean) > FAR_FROM_ZERO * np.sqrt(moments.variance)
        if self.center and isinstance(self.design, DenseDesign) and far.any():
            self.design = self.design.shifted(moments.mean / moments.scale)
            self.moments = Moments.of(self.design, self.y, self.weight, second="diagonal")

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
        return -U / moments.scale

    @cached_property
    def covariance(self) -> Covariance | OperatorCovariance:
        """S = E[x xᵀ] (x centred when `center`): a matrix up to ``LARGEST_GRAM`` columns, else products."""
        ones = np.ones(self.n_features)
        if self.n_features > LARGEST_GRAM:
            moments = self.moments.rescaled(ones)
            diagonal = moments.S if self.center else moments.second_moment()
            return OperatorCovariance(self._covariance_product, diagonal)
        full = Moments.of(self.design, self.y, self.weight).rescaled(ones)
        return Covariance(full.S if self.center else full.second_moment())

    @property
    def gram_passes(self) -> float:
        """What forming S costs, in passes; 0 where it is never formed."""
        return self.design.gram_passes if self.n_features <= LARGEST_GRAM else 0.0

    @cached_property
    def origin(self) -> _Point:
        """The handle of w̃ = 0, γ = 0, which needs no pass."""
        regression = self.loss.task == "regression"
        margins = self.y if regression else np.broadcast_to(0.0, self.y.shape)
        return _Point(self, np.zeros(self.n_features), 0.0, margins)

    def _covariance_product(self, w: FloatArray) -> FloatArray:
        """S w = E[x (xᵀw)] without S, in one pass."""
        self.cost.charge(1.0)
        offset = float(self.shift @ w)

        def kernel(block: Block, s: FloatArray | None) -> list[Any]:
            r = _weighted(block.dot(w) - offset, s, self.n_samples)
            return [block.tdot(r), float(r.sum())]

        product, total = self.design.reduce(kernel, self.weight, partial_size=self.n_features)
        return np.asarray(product - total * self.shift)

    def at(self, coef: FloatArray, intercept: float = 0.0) -> _Point:
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

        def kernel(block: Block, y: FloatArray, s: FloatArray | None, t: FloatArray) -> list[Any]:
            t[:] = self._argument(y, block.dot(coef) + offset)
            value, gradient = self.loss.value_and_gradient(t)
            gradient = _weighted(gradient, s, self.n_samples)
            r = self._backward(y, gradient)
            return [_total(value, s, self.n_samples), block.tdot(r), float(r.sum()), float(gradient.sum())]

        sums = self.design.reduce(kernel, self.y, self.weight, margins, partial_size=self.n_features)
        point = _Point(self, coef, intercept, margins)
        point.__dict__.update(value=self._with_ridge(sums[0], coef), _sums=(sums[1], sums[2], sums[3]))
        return point

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

    def _argument(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        return -y * eta if self.loss.task == "classification" else y - eta

    def _backward(self, y: FloatArray, r: FloatArray) -> FloatArray:
        """r ∂t/∂η."""
        return -y * r if self.loss.task == "classification" else -r

    def _with_ridge(self, risk: float, coef: FloatArray) -> float:
        return float(risk) + 0.5 * self.alpha * float(coef @ coef)


class _Point:
    """A point of an ``Objective``: holds the n arguments t, and computes the rest when first asked."""

    def __init__(self, objective: Objective, coef: FloatArray, intercept: float, margins: FloatArray) -> None:
        self.objective = objective
        self.coef = coef
        self.intercept = intercept
        self.margins = margins

    @cached_property
    def value(self) -> float:
        """f; a sum over the cached arguments."""
        o = self.objective

        def kernel(_: Block, t: FloatArray, s: FloatArray | None) -> list[Any]:
            return [_total(o.loss.value(t), s, o.n_samples)]

        return o._with_ridge(o.design.reduce(kernel, self.margins, o.weight)[0], self.coef)

    @cached_property
    def _sums(self) -> tuple[FloatArray, float, float]:
        """Xᵀr, Σr and E φ' with r the weighted derivatives of φ by xᵀw̃; half a pass."""
        o = self.objective
        o.cost.charge(0.5)

        def kernel(block: Block, y: FloatArray, s: FloatArray | None, t: FloatArray) -> list[Any]:
            gradient = _weighted(o.loss.gradient(t), s, o.n_samples)
            r = o._backward(y, gradient)
            return [block.tdot(r), float(r.sum()), float(gradient.sum())]

        sums = o.design.reduce(kernel, o.y, o.weight, self.margins, partial_size=o.n_features)
        return sums[0], sums[1], sums[2]

    @cached_property
    def gradient(self) -> FloatArray:
        """∇f(w̃), shape (d,)."""
        product, total, _ = self._sums
        return np.asarray(product - total * self.objective.shift + self.objective.alpha * self.coef)

    @property
    def intercept_gradient(self) -> float:
        """∂f/∂γ."""
        return self._sums[1] if self.objective.fit_intercept else 0.0

    @property
    def mean_gradient(self) -> float:
        """E φ'."""
        return self._sums[2]

    @cached_property
    def mean_curvature(self) -> float:
        """E φ''; a sum over the cached arguments."""
        o = self.objective

        def kernel(_: Block, t: FloatArray, s: FloatArray | None) -> list[Any]:
            return [_total(o.loss.curvature(t), s, o.n_samples)]

        return float(o.design.reduce(kernel, self.margins, o.weight)[0])

    @cached_property
    def separates(self) -> bool:
        """Whether t < 0 in every row of positive weight."""
        t, s = self.margins, self.objective.weight
        return bool((t < 0.0).all() if s is None else (t[s > 0.0] < 0.0).all())

    def line(self, direction: FloatArray) -> _Line:
        """The restriction of f to w̃ + t `direction`; half a pass."""
        o = self.objective
        o.cost.charge(0.5)
        offset = float(o.shift @ direction)
        slope = np.empty(o.n_samples)

        def kernel(block: Block, y: FloatArray, q: FloatArray) -> list[Any]:
            q[:] = o._backward(y, block.dot(direction) - offset)
            return []

        o.design.reduce(kernel, o.y, slope)
        return _Line(self, direction, slope)


class _Line:
    """f along w̃ + t d and γ + c: n slopes beside the n arguments, and no pass over X."""

    def __init__(self, origin: _Point, direction: FloatArray, slope: FloatArray) -> None:
        self.origin = origin
        self.direction = direction
        self.slope = slope
        coef = origin.coef
        self._ridge = (float(coef @ coef), float(coef @ direction), float(direction @ direction))

    def jet(self, t: float, c: float = 0.0) -> Jet:
        """Value, gradient and Hessian in (t, c)."""
        o = self.origin.objective

        def kernel(
            _: Block, y: FloatArray, s: FloatArray | None, start: FloatArray, q: FloatArray
        ) -> list[Any]:
            e = o._backward(y, np.ones_like(y))
            at = start + t * q + c * e
            value, first = o.loss.value_and_gradient(at)
            first, second = _weighted(first, s, o.n_samples), _weighted(o.loss.curvature(at), s, o.n_samples)
            return [
                _total(value, s, o.n_samples),
                np.array([first @ q, first @ e]),
                np.array([second @ (q * q), second @ (q * e), second.sum()]),
            ]

        origin = self.origin
        value, gradient, h = o.design.reduce(kernel, o.y, o.weight, origin.margins, self.slope)
        ww, wd, dd = self._ridge
        value = float(value) + 0.5 * o.alpha * (ww + t * (2.0 * wd + t * dd))
        gradient = gradient + np.array([o.alpha * (wd + t * dd), 0.0])
        if not o.fit_intercept:
            gradient, h = gradient * [1.0, 0.0], h * [1.0, 0.0, 0.0]
        return Jet(value, gradient, np.array([[h[0] + o.alpha * dd, h[1]], [h[1], h[2]]]))

    def values(self, t: FloatArray, c: float = 0.0) -> FloatArray:
        """f at several step lengths, in one round over the rows."""
        o = self.origin.objective
        steps = np.atleast_1d(np.asarray(t, dtype=np.float64))

        def kernel(
            _: Block, y: FloatArray, s: FloatArray | None, start: FloatArray, q: FloatArray
        ) -> list[Any]:
            base = start + c * o._backward(y, np.ones_like(y))
            return [np.array([_total(o.loss.value(base + step * q), s, o.n_samples) for step in steps])]

        risk = o.design.reduce(kernel, o.y, o.weight, self.origin.margins, self.slope)[0]
        ww, wd, dd = self._ridge
        return np.asarray(risk + 0.5 * o.alpha * (ww + steps * (2.0 * wd + steps * dd)))

    def point(self, t: float, c: float = 0.0) -> _Point:
        """The handle at (t, c); no pass over X until its gradient is asked for."""
        o, origin = self.origin.objective, self.origin
        margins = origin.margins + t * self.slope
        if c != 0.0:
            margins += c * o._backward(o.y, np.ones_like(o.y))
        return _Point(o, origin.coef + t * self.direction, origin.intercept + c, margins)


def _weighted(values: FloatArray, s: FloatArray | None, n: int) -> FloatArray:
    return np.asarray(values * (1.0 / n) if s is None else values * s)


def _total(values: FloatArray, s: FloatArray | None, n: int) -> float:
    return float(values.sum()) / n if s is None else float(values @ s)


def _targets(y: Any, n: int, loss: Loss) -> FloatArray:
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y must have one entry per row of X, shape ({n},). Got shape {y.shape}.")
    try:
        targets: FloatArray = y.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must hold numbers. Got dtype {y.dtype}; encode the labels as -1 and +1."
        ) from error
    if not np.isfinite(targets).all():
        raise ValueError("y must be finite. Got NaN or infinity; drop those rows.")
    if loss.task == "classification":
        labels = np.unique(targets)
        if not np.isin(labels, (-1.0, 1.0)).all():
            shown = ", ".join(f"{label:g}" for label in labels[:5])
            raise ValueError(f"y must be -1 or +1 for {loss.name}. Got {shown}; map the two classes to them.")
    return targets


def _weights(sample_weight: Any, y: FloatArray, loss: Loss) -> FloatArray | None:
    """Weights divided by their sum, or None for equal ones."""
    s = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if s is not None:
        if s.shape != y.shape:
            raise ValueError(f"sample_weight must have one entry per row, {y.shape}. Got shape {s.shape}.")
        if not (np.isfinite(s).all() and (s >= 0.0).all() and 0.0 < s.sum() < math.inf):
            raise ValueError(
                "sample_weight must be finite and non-negative with a positive sum. "
                f"Got minimum {s.min():g} and sum {s.sum():g}."
            )
        s = s / s.sum()
    if loss.task == "classification":
        present = y if s is None else y[s > 0.0]
        if np.ptp(present) == 0.0:
            raise ValueError(f"y must have rows of both classes for {loss.name}. Got {present[0]:g} alone.")
    return s


def _ridge(alpha: float) -> float:
    if not (math.isfinite(alpha) and alpha >= 0.0):
        raise ValueError(f"alpha must be finite and non-negative. Got {alpha!r}.")
    return float(alpha)
