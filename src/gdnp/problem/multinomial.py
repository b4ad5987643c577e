"""The multinomial objective: K scores a row, one loss of all of them, and a ridge on all weights.

    f(V, γ) = Σ s_i [log Σ_k e^(η_ik) - η_iy] + ½ Σ_jk ridge_j V_jk²,   η = (X - centre)(scale · V) + γ,

with x = (V, γ) of shape (d + 1, K), y the label of row i. Adding a number to all scores of a row changes
nothing, so rows of the minimiser's V sum to zero, and γ does by choice. The margins are η, shape (n, K).
What stands for the curvature is p: a row adds diag(p) - p pᵀ to the Hessian.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, Job, RowVector
from gdnp.design.block import EPS, Affine, Scatter, Through, total, weighted
from gdnp.design.compiled import ClassKernel
from gdnp.losses import Softmax
from gdnp.problem.gram import dense_rows
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataLine, DataPoint, Direction

Labels = NDArray[np.intp]
Weights = FloatArray | None
Steps = tuple[tuple[float, float], ...]

# Kernels of margins η or slopes q, shape (rows, K), labels y, weights s: see ``Through`` and ``Rows.total``.


def _slopes(
    loss: Softmax, eta: FloatArray, y: Labels, s: Weights, out: FloatArray | None = None
) -> list[Any]:
    """Σ s φ; s (p - e_y) in the place of η, which is written where there is room for it."""
    if out is not None:
        out[:] = eta
    value = loss.pull(eta, y)
    weighted(eta, s)
    return [total(value, s)]


def _bends(q: FloatArray, p: FloatArray, s: Weights) -> list[Any]:
    """Nothing; s (diag(p) - p pᵀ) q in the place of q."""
    q -= np.einsum("ij,ij->i", p, q)[:, None]
    q *= p
    weighted(q, s)
    return []


BENDS = ClassKernel("bends", _bends)


def _shares(loss: Softmax, eta: FloatArray, out: FloatArray) -> list[Any]:
    """Nothing; p is written."""
    out[:] = eta
    loss.shares(out)
    return []


def _curvature_of(
    k: int, least: float, share: float, p: FloatArray, s: Weights, out: FloatArray
) -> list[Any]:
    """Nothing; s p_k (1 - p_k) is written, at least `least` s."""
    np.maximum(p[:, k] * (1.0 - p[:, k]), least, out=out)
    out *= share if s is None else s
    return []


def _expanded(loss: Softmax, steps: Steps, m: FloatArray, q: FloatArray, y: Labels, s: Weights) -> list[Any]:
    """The six numbers of ``Expansion`` at every step t along q, without the ridge."""
    found: list[Any] = []
    own = np.arange(len(q)), y
    for t, _ in steps:
        r = t * q
        r += m
        value = loss.pull(r, y)
        first = np.einsum("ij,ij->i", r, q)
        apart = q - q[own][:, None]
        r *= apart  # of the other classes r is p, and the label's own is 0 now
        mean = r.sum(axis=1)
        r *= apart
        found += [total(value, s), total(first, s), 0.0, total(r.sum(axis=1) - mean * mean, s), 0.0, 0.0]
    return found


def _risk(loss: Softmax, eta: FloatArray, y: Labels, s: Weights) -> list[Any]:
    """Σ s φ."""
    return [total(loss.pull(eta.copy(), y), s)]


def _lead(eta: FloatArray, y: Labels, s: Weights) -> list[Any]:
    """Σ s where another score is larger than the label's; how many rows have that ahead by rounding alone."""
    own, others = np.arange(len(eta)), eta.copy()
    others[own, y] = -np.inf
    ahead = eta[own, y] - others.max(axis=1)
    rounding = 64.0 * EPS * np.abs(eta).max(axis=1)
    mass = np.ones(len(eta)) if s is None else s
    return [float(mass @ (ahead < 0.0)), float(np.count_nonzero((ahead <= rounding) & (mass > 0.0)))]


def _variation(about: tuple[float, ...], eta: FloatArray, s: Weights) -> list[Any]:
    """Σ s (η - about) and Σ s (η - about)² of each class."""
    apart, mass = eta - about, np.ones(len(eta)) if s is None else s
    return [mass @ apart, mass @ np.square(apart)]


def _present(classes: int, y: Labels, s: Weights) -> list[Any]:
    """Σ s of the rows of each class."""
    return [np.bincount(y, s, minlength=classes).astype(float)]


class ClassPoint(DataPoint):
    """A point with K scores a row."""

    objective: Multinomial

    @cached_property
    def value(self) -> float:
        """f; without a look at X."""
        o = self.objective
        known = self.__dict__.get("_sums")
        risk = (
            o.of_rows(ClassKernel("risk", partial(_risk, o.loss)), self.margins)[0]
            if known is None
            else known[0]
        )
        return float(risk) * o.share + o.penalty(self.x)

    @cached_property
    def shares(self) -> RowVector:
        """p of every row, which the Hessian is made of, shape (n, K)."""
        return self.objective.curvature(self.margins)

    @cached_property
    def _lead(self) -> list[Any]:
        return self.objective.of_rows(_lead, self.margins)

    @property
    def error(self) -> float:
        """The weighted share of rows with a larger score than that of the label."""
        return self.objective.share * float(self._lead[0])

    @property
    def separates(self) -> bool:
        """Whether every row of positive weight has its label ahead of all others, by more than rounding."""
        return bool(self._lead[1] == 0.0)

    @cached_property
    def length(self) -> FloatArray:  # type: ignore[override]
        """The standard deviation of the scores of each class, shape (K,)."""
        o, about = self.objective, self.x[-1]  # the means but for rounding, with an intercept
        for _ in range(1 if o.design.in_rounds else 2):
            first, second = o.design.rows.total(partial(_variation, tuple(about)), self.margins, o.weight)
            about = about + o.share * first
        return np.asarray(np.sqrt(np.maximum(o.share * second - np.square(o.share * first), 0.0)))

    def along(self, first: Direction, second: Direction | None = None) -> DataLine:
        """f along one direction."""
        return ClassLine(self, first, second)


class ClassLine(DataLine):
    """f at x + t p, with K scores a row."""

    def _sums(self, steps: Steps) -> list[Any]:
        o, m, q = self.origin.objective, self.origin.margins, self.first.slope
        assert isinstance(o, Multinomial)
        kernel = ClassKernel("expanded", partial(_expanded, o.loss, steps), np.array(steps))
        return o.design.rows.total(kernel, m, q, o.sigma, o.weight)


class Multinomial(Objective):
    """The objective of K classes on rows of data; ``sigma`` holds the labels 0, ..., K - 1.

    ``unchecked`` makes one, of labels as the target and ``Softmax`` as the loss. No class is empty.
    """

    loss: Softmax

    def _set(self, design: DesignMatrix, target: FloatArray, weight: Weights, **others: Any) -> None:
        self._given = design
        self.__dict__.update(others)
        self.cost.meter = design.meter
        labels: Any = np.asarray(target, dtype=np.intp) if isinstance(target, np.ndarray) else target
        self.sigma, self.base = design.rows.hold(labels), None
        self.weight = None if weight is None else design.rows.hold(weight)

    @property
    def classes(self) -> int:
        """K."""
        return self.loss.classes

    @cached_property
    def shares(self) -> FloatArray:
        """What each class weighs, shape (K,), of sum one."""
        found = self.design.rows.total(partial(_present, self.classes), self.sigma, self.weight)
        return self.share * np.asarray(found[0])

    def of_rows(self, kernel: Any, *vectors: RowVector, writes: tuple[RowVector, ...] = ()) -> list[Any]:
        """The sums of a kernel of row vectors, labels and weights."""
        return self.design.rows.total(kernel, *vectors, self.sigma, self.weight, writes=writes)

    # Coordinates: K columns, one after the other

    def raw(self, x: FloatArray) -> tuple[FloatArray, Any]:
        """(W, b), shapes (K, d) and (K,), for the columns of X as they came."""
        if x.ndim == 1:
            return super().raw(x)
        found = [super(Multinomial, self).raw(column) for column in np.ascontiguousarray(x.T)]
        return np.array([w for w, _ in found]), np.array([b for _, b in found])

    def from_raw(self, coef: FloatArray, intercept: Any) -> FloatArray:
        """The inverse of ``raw``."""
        if coef.ndim == 1:
            return super().from_raw(coef, intercept)
        pairs = zip(coef, intercept, strict=True)
        return np.array([super(Multinomial, self).from_raw(w, float(b)) for w, b in pairs]).T

    # Readings of X

    @cached_property
    def _slopes(self) -> ClassKernel:
        return ClassKernel("slopes", partial(_slopes, self.loss))

    @cached_property
    def _shares(self) -> ClassKernel:
        return ClassKernel("shares", partial(_shares, self.loss))

    def _through(
        self, at: Through, *reads: RowVector | None, writes: tuple[RowVector, ...] = ()
    ) -> list[Any]:
        size = self.n_features * self.classes
        return list(self.design.map("through", at, reads=reads, writes=writes, partial_size=size))

    def evaluated(self, x: FloatArray) -> tuple[RowVector, list[Any]]:
        """The margins at x, and Σ s φ, Xᵀr and Σ r for r = s (p - e_y), s = 1 without weights: one pass."""
        self.cost.charge(1.0)
        margins, at = self._vector_for(x), Through(*self.outward(x), self._slopes)
        self.design.rows.foresee(_lead, margins, self.sigma, self.weight)
        self.design.rows.foresee(partial(_variation, tuple(x[-1])), margins, self.weight)
        return margins, self._through(at, self.sigma, self.weight, writes=(margins,))

    def sums(self, margins: RowVector) -> list[Any]:
        """The same sums where the margins are known: half a pass."""
        self.cost.charge(0.5)
        at = Through(np.empty(0), kernel=self._slopes, known=True)
        return self._through(at, margins, self.sigma, self.weight)

    def slope(self, p: FloatArray) -> RowVector:
        """The change of the margins along p, shape (n, K): half a pass."""
        self.cost.charge(0.5)
        slope = self._vector_for(p)
        self.design.map("margins", Affine(*self.outward(p)), reads=(None, None), writes=(slope,))
        return slope

    def hessian_product(self, curvature: RowVector, p: FloatArray, slope: RowVector | None) -> FloatArray:
        """∇²f p for the shares p_i of the classes; one pass. Of one column as for any other loss."""
        if p.ndim == 1:
            return super().hessian_product(curvature, p, slope)
        self.cost.charge(1.0)
        product, rest = self._through(Through(*self.outward(p), BENDS), curvature, self.weight)
        return self.with_ridge(self.pulled_back(self.share * product, self.share * rest), p)

    def gap_sums(self, x: FloatArray, kernel: Any, dual: RowVector) -> list[Any]:
        """The sums of a gap's kernel, Xᵀr and Σ r; margins at x are written over the dual point; one pass."""
        self.cost.charge(1.0)
        sums = self._through(Through(*self.outward(x), kernel), self.sigma, self.weight, writes=(dual,))
        return [self.share * part for part in sums]

    def curvature(self, margins: RowVector) -> RowVector:
        """p of every row, which the Hessian is made of, shape (n, K)."""
        out = self.design.rows.empty_like(margins)
        self.design.rows.total(self._shares, margins, writes=(out,))
        return out

    @cached_property
    def columns(self) -> FloatArray:
        """The columns in these coordinates and that of the intercept, shape (n, d + 1): for few rows."""
        with self.cost.free():
            return np.hstack([dense_rows(self), np.full((self.n_samples, 1), float(self.fit_intercept))])

    def curvature_of(self, k: int, shares: RowVector, least: float) -> RowVector:
        """s p_k (1 - p_k) of every row, at least `least` s, shape (n,)."""
        out = self.design.rows.empty()
        kernel = partial(_curvature_of, k, least, self.share)
        self.design.rows.total(kernel, shares, self.weight, writes=(out,))
        return out

    # The Hessian as a matrix, where K (d + 1) is small

    def joint_hessian(self, shares: RowVector) -> FloatArray:
        """∇²f without the ridge, (K, d + 1, K, d + 1), for the shares p of the classes."""
        self.cost.charge(self.design.gram_passes * self.classes / 2.0)
        ((H,),) = self.design.several(self._joint(shares))
        return self._scaled(H)

    def of_few_rows(self, shares: RowVector) -> tuple[FloatArray, Any]:
        """p of shape (K, n), and what the rows weigh."""
        rows, weight = self.design.rows, self.weight
        return rows.gather(shares).T, self.share if weight is None else rows.gather(weight)

    def curved(self, x: FloatArray) -> tuple[ClassPoint, FloatArray]:
        """The handle of x with value and gradient, and ``joint_hessian`` there; one reading of X."""
        self.cost.charge(1.0 + self.design.gram_passes * self.classes / 2.0)
        margins, shares, reads = self._vector_for(x), self._vector_for(x), (self.sigma, self.weight)
        at, size = Through(*self.outward(x), self._slopes), self.n_features * self.classes
        sums, _, (H,) = self.design.several(
            Job("through", at, reads, (margins,), size),
            Job("rows", self._shares, (margins,), (shares,)),
            self._joint(shares),
        )
        point = ClassPoint(self, x, margins, sums)
        point.renewed, point.shares = True, shares
        return point, self._scaled(H)

    def _joint(self, shares: RowVector) -> Job:
        size = ((self.classes - 1) * (self.n_features + 1)) ** 2
        return Job("joint", Scatter(self.coordinates.centre), (shares, self.weight), (), size)

    def _scaled(self, H: FloatArray) -> FloatArray:
        scale = np.append(self.coordinates.scale, float(self.fit_intercept))
        H *= self.share * scale
        H *= scale[:, None, None]
        H = np.concatenate((H, -H.sum(axis=0, keepdims=True)))  # a change of all scores changes nothing
        return np.concatenate((H, -H.sum(axis=2, keepdims=True)), axis=2)

    # Points

    def point(self, x: FloatArray) -> ClassPoint:
        """The handle of x, shape (d + 1, K), with value and gradient; one pass."""
        return ClassPoint(self, x, *self.evaluated(x))

    def known(self, x: FloatArray, margins: RowVector) -> ClassPoint:
        """The handle of x, whose margins are known; half a pass when its gradient is asked for."""
        return ClassPoint(self, x, margins)

    @property
    def constant(self) -> ClassPoint:
        """The best constant scores: the logarithms of the shares of the classes, 0 without an intercept."""
        x = np.zeros((self.n_features + 1, self.classes))
        if self.fit_intercept:
            x[-1] = np.log(self.shares)
            x[-1] -= x[-1].mean()
        return self.known(x, self.design.rows.hold(np.broadcast_to(x[-1], (self.n_samples, self.classes))))
