"""Points and lines of an ``Objective``: n cached arguments of the loss, and all that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import Block
from gdnp.problem.interface import Jet

if TYPE_CHECKING:
    from gdnp.objective import Objective


__all__ = ["DataLine", "DataPoint"]


class DataPoint:
    """A point of an ``Objective``: holds the n arguments t, and computes the rest when first asked."""

    def __init__(self, objective: Objective, coef: FloatArray, intercept: float, margins: FloatArray) -> None:
        self.objective = objective
        self.coef = coef
        self.intercept = intercept
        self.margins = margins

    @cached_property
    def value(self) -> float:
        """f; a sum over the cached arguments."""
        return self.objective.with_ridge(self._mean_of(self.objective.loss.value), self.coef)

    @cached_property
    def mean_gradient(self) -> float:
        """E φ'; a sum over the cached arguments."""
        return self._mean_of(self.objective.loss.gradient)

    @cached_property
    def mean_curvature(self) -> float:
        """E φ''; a sum over the cached arguments."""
        return self._mean_of(self.objective.loss.curvature)

    def _mean_of(self, function: Callable[[FloatArray], FloatArray]) -> float:
        o = self.objective

        def kernel(t: FloatArray, s: FloatArray | None) -> list[Any]:
            return [o.mean(function(t), s)]

        return float(o.design.reduce_rows(kernel, self.margins, o.weight)[0])

    @cached_property
    def _sums(self) -> list[Any]:
        """Xᵀr and Σr with r the weighted derivatives of φ by xᵀw̃; half a pass."""
        o = self.objective
        o.cost.charge(0.5)
        return o.design.reduce(o.backward_pass, o.sigma, o.weight, self.margins, partial_size=o.n_features)

    @cached_property
    def gradient(self) -> FloatArray:
        """∇f(w̃), shape (d,)."""
        return self.objective.centred(self._sums) + self.objective.alpha * self.coef

    @cached_property
    def intercept_gradient(self) -> float:
        """∂f/∂γ."""
        o = self.objective
        if not o.fit_intercept:
            return 0.0
        return float(self._sums[1]) / (o.n_samples if o.weight is None else 1.0)

    @cached_property
    def separates(self) -> bool:
        """Whether t < 0 in every row of positive weight."""
        t, s = self.margins, self.objective.weight
        return bool((t < 0.0).all() if s is None else (t[s > 0.0] < 0.0).all())

    def line(self, direction: FloatArray) -> DataLine:
        """The restriction of f to w̃ + t `direction`; half a pass."""
        o = self.objective
        o.cost.charge(0.5)
        offset = float(o.shift @ direction)
        slope = np.empty(o.n_samples)

        def kernel(block: Block, sigma: FloatArray, q: FloatArray) -> list[Any]:
            block.dot(direction, out=q)
            q -= offset
            q *= sigma
            return []

        o.design.reduce(kernel, o.sigma, slope)
        return DataLine(self, direction, slope)


class DataLine:
    """f along w̃ + t d and γ + c: n slopes beside the n arguments, and no pass over X."""

    def __init__(self, origin: DataPoint, direction: FloatArray, slope: FloatArray) -> None:
        self.origin = origin
        self.direction = direction
        self.slope = slope
        coef = origin.coef
        self._ridge = (float(coef @ coef), float(coef @ direction), float(direction @ direction))

    def jet(self, t: float, c: float = 0.0) -> Jet:
        """Value, gradient and Hessian in (t, c)."""
        o = self.origin.objective

        def kernel(e: FloatArray, s: FloatArray | None, start: FloatArray, q: FloatArray) -> list[Any]:
            at = start + t * q
            if c != 0.0:
                at += c * e
            value, first, second = o.loss.jet(at)
            mean = o.mean
            gradient = [mean(first * q, s), 0.0]
            h = [mean(second * q * q, s), 0.0, 0.0]
            if o.fit_intercept:
                gradient[1], h[1], h[2] = mean(first * e, s), mean(second * q * e, s), mean(second, s)
            return [mean(value, s), np.array(gradient), np.array(h)]

        origin = self.origin
        value, gradient, h = o.design.reduce_rows(kernel, o.sigma, o.weight, origin.margins, self.slope)
        ww, wd, dd = self._ridge
        value = float(value) + 0.5 * o.alpha * (ww + t * (2.0 * wd + t * dd))
        gradient = gradient + np.array([o.alpha * (wd + t * dd), 0.0])
        return Jet(value, gradient, np.array([[h[0] + o.alpha * dd, h[1]], [h[1], h[2]]]))

    def values(self, t: FloatArray, c: float = 0.0) -> FloatArray:
        """f at several step lengths, in one round over the rows."""
        o = self.origin.objective
        steps = np.atleast_1d(np.asarray(t, dtype=np.float64))

        def kernel(e: FloatArray, s: FloatArray | None, start: FloatArray, q: FloatArray) -> list[Any]:
            base = start + c * e if c != 0.0 else start
            return [np.array([o.mean(o.loss.value(base + step * q), s) for step in steps])]

        risk = o.design.reduce_rows(kernel, o.sigma, o.weight, self.origin.margins, self.slope)[0]
        ww, wd, dd = self._ridge
        return np.asarray(risk + 0.5 * o.alpha * (ww + steps * (2.0 * wd + steps * dd)))

    def point(self, t: float, c: float = 0.0) -> DataPoint:
        """The handle at (t, c); no pass over X until its gradient is asked for."""
        o, origin = self.origin.objective, self.origin
        margins = t * self.slope
        margins += origin.margins
        if c != 0.0:
            margins += c * o.sigma
        return DataPoint(o, origin.coef + t * self.direction, origin.intercept + c, margins)
