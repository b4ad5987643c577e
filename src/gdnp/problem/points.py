"""Points and lines of the objective: margins that are known, and all that follows from them."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.design.block import total, weighted
from gdnp.design.compiled import expansions
from gdnp.losses import Loss, zero_one
from gdnp.problem.empirical import Empirical, Weights, variation, wrong_side
from gdnp.problem.interface import Expansion

Steps = tuple[tuple[float, float], ...]


def size_of_slope(loss: Loss, t: FloatArray) -> FloatArray:
    """|φ'(t)|."""
    return np.abs(loss.gradient(t))


def _square_of_slope(loss: Loss, t: FloatArray) -> FloatArray:
    return np.square(loss.gradient(t))


def expanded(loss: Loss, steps: Steps, m: FloatArray, q: FloatArray, u: Weights, s: Weights) -> list[Any]:
    """f without its ridge, and its derivatives, at several steps (t, c) along two directions q and u.

    For every step the six numbers of ``Expansion``.
    """
    found = expansions(loss, steps, m, q, u, s)
    if found is not None:
        return found
    numbers: list[Any] = []
    for t, c in steps:
        at = t * q
        at += m
        if u is not None and c != 0.0:
            at += c * u
        value, r, bend = loss.derivatives(at)
        if s is not None:
            weighted(r, s)
            weighted(bend, s)
        bent = bend * q
        numbers += [total(value, s), float(np.vdot(r, q)), 0.0, float(np.vdot(bent, q)), 0.0, 0.0]
        if u is not None:
            bend *= u
            numbers[-4], numbers[-2:] = float(np.vdot(r, u)), [float(np.vdot(b, u)) for b in (bent, bend)]
    return numbers


class Direction(NamedTuple):
    """A direction of x, shape (d + 1,), and the derivative of the margins along it."""

    x: FloatArray
    slope: RowVector


class DataPoint:
    """A point x = (v, γ): it holds the margins, and computes the rest when first asked.

    `sums` are those of ``Empirical.sums``, where they are known.
    """

    renewed = False
    """Whether all that is known of it follows from x alone, to the last bit."""

    def __init__(
        self, objective: Empirical, x: FloatArray, margins: RowVector, sums: list[Any] | None = None
    ) -> None:
        self.objective, self.x, self.margins = objective, x, margins
        if sums is not None:
            self.__dict__["_sums"] = sums

    @cached_property
    def _sums(self) -> list[Any]:
        return self.objective.sums(self.margins)

    @property
    def coef(self) -> FloatArray:
        """v, the weights in the objective's coordinates, shape (d,)."""
        return self.x[:-1]

    @property
    def intercept(self) -> float:
        """γ."""
        return float(self.x[-1])

    @cached_property
    def value(self) -> float:
        """f; without a look at X."""
        o = self.objective
        risk = self._sums[0] * o.share if "_sums" in self.__dict__ else o.mean(o.loss.value, self.margins)
        return float(risk) + o.penalty(self.x)

    @cached_property
    def x_gradient(self) -> FloatArray:
        """∂f/∂x, shape of x; half a pass where it is not known. It ends in 0 where γ is no variable."""
        o = self.objective
        _, product, rest = self._sums
        return o.with_ridge(o.pulled_back(o.share * product, o.share * rest), self.x)

    @property
    def gradient(self) -> FloatArray:
        """∂f/∂v, shape (d,)."""
        return self.x_gradient[:-1]

    @property
    def intercept_gradient(self) -> float:
        """∂f/∂γ."""
        return float(self.x_gradient[-1])

    @cached_property
    def mean_gradient(self) -> float:
        """E φ'."""
        return self.objective.mean(self.objective.loss.gradient, self.margins)

    @cached_property
    def steepness(self) -> float:
        """√E φ'²."""
        square = partial(_square_of_slope, self.objective.loss)
        return math.sqrt(self.objective.mean(square, self.margins))

    @cached_property
    def mean_curvature(self) -> float:
        """E φ''."""
        return self.objective.mean(self.objective.loss.curvature, self.margins)

    @cached_property
    def error(self) -> float:
        """The weighted share of rows with t >= 0: the 0-1 error of a classification."""
        return self.objective.mean(zero_one, self.margins)

    @cached_property
    def separates(self) -> bool:
        """Whether t < 0 in every row of positive weight."""
        o = self.objective
        return bool(o.design.rows.total(wrong_side, self.margins, o.weight)[0] == 0.0)

    @cached_property
    def length(self) -> float:
        """‖w̃‖_S, the standard deviation of the predictions, known from the margins."""
        o = self.objective
        kernel, vectors = o.design.rows.total, (self.margins, o.sigma, o.base, o.weight)
        about = self.intercept  # their mean but for rounding of the centres, which may be large
        if not o.design.in_rounds:
            about = o.share * kernel(partial(variation, 0.0), *vectors)[0]
        first, second = kernel(partial(variation, about), *vectors)  # squares lose nothing here
        return math.sqrt(max(o.share * second - (o.share * first) ** 2, 0.0))

    def line(self, direction: FloatArray) -> DataLine:
        """f along v + t `direction`, shape (d,), and γ + c; half a pass."""
        o = self.objective
        p = np.append(direction, 0.0)
        return self.along(Direction(p, o.slope(p)), intercept_direction(o) if o.fit_intercept else None)

    def along(self, first: Direction, second: Direction | None = None) -> DataLine:
        """f along one direction or two, whose margins are known."""
        return DataLine(self, first, second)


class DataLine:
    """f at x + t p + c u: the slopes of the margins beside them, and no pass over X."""

    def __init__(self, origin: DataPoint, first: Direction, second: Direction | None) -> None:
        self.origin, self.first, self.second = origin, first, second
        ridge = origin.objective.coordinates.ridge
        directions = [d.x[:-1] for d in (first, second) if d is not None]
        pulls = [(ridge * d.T).T for d in directions]
        across = [float(np.vdot(pull, origin.x[:-1])) for pull in pulls]
        among = [[float(np.vdot(pull, d)) for d in directions] for pull in pulls]
        if second is None:
            across, among = [across[0], 0.0], [[among[0][0], 0.0], [0.0, 0.0]]
        self._ridge_at = origin.objective.penalty(origin.x), across, among

    def expand(self, steps: ArrayLike) -> FloatArray:
        """``Expansion`` at k steps (t, c), shape (k, 6), in one round over the rows."""
        return np.array(self._expansions(tuple((float(t), float(c)) for t, c in np.asarray(steps))))

    def _expansions(self, steps: tuple[tuple[float, float], ...]) -> list[Expansion]:
        o, found, expansions = self.origin.objective, self._sums(steps), []
        for k, step in enumerate(steps):
            sums, ridge = found[6 * k : 6 * k + 6], self._ridge(*step)
            expansions.append(Expansion(*(o.share * a + b for a, b in zip(sums, ridge, strict=True))))
        return expansions

    def _sums(self, steps: tuple[tuple[float, float], ...]) -> list[Any]:
        """Six for each step, without the ridge."""
        o, second = self.origin.objective, None if self.second is None else self.second.slope
        kernel = partial(expanded, o.loss, steps)
        return o.design.rows.total(kernel, self.origin.margins, self.first.slope, second, o.weight)

    def _ridge(self, t: float, c: float) -> tuple[float, ...]:
        half, (xp, xu), ((pp, pu), (_, uu)) = self._ridge_at
        along_t, along_c = xp + t * pp + c * pu, xu + t * pu + c * uu
        return half + 0.5 * (t * (xp + along_t) + c * (xu + along_c)), along_t, along_c, pp, pu, uu

    def expansion(self, t: float, c: float = 0.0) -> Expansion:
        """Value and derivatives at (t, c)."""
        return self._expansions(((t, c),))[0]

    def point(self, t: float, c: float = 0.0, *, last: bool = False) -> DataPoint:
        """The handle at (t, c); no pass over X until its gradient is asked for.

        `last` writes its margins over the slopes of the line.
        """
        origin, terms = self.origin, [(t, self.first.slope), (1.0, self.origin.margins)]
        x = origin.x + t * self.first.x
        if c != 0.0 and self.second is not None:
            terms.append((c, self.second.slope))
            x = x + c * self.second.x
        margins = origin.objective.design.rows.combine(*terms, out=self.first.slope if last else None)
        return type(origin)(origin.objective, x, margins)


def length_direction(point: DataPoint) -> Direction:
    """The direction in which the length of x grows, γ with it."""
    o = point.objective
    if o.base is None:
        return Direction(point.x, point.margins)
    return Direction(point.x, o.design.rows.combine((1.0, point.margins), (-1.0, o.base)))


def intercept_direction(objective: Empirical) -> Direction:
    """The direction of γ."""
    direction = np.zeros(objective.n_features + 1)
    direction[-1] = 1.0
    return Direction(direction, objective.sigma)
