"""A block of rows, and what it can do in one reading of them: the NumPy reference of each verb.

A verb takes its state, which can be pickled, and slices of row vectors; it returns a list of sums. A backend
overrides what it can do faster. Margins t = base + σ (X w + b) may have K columns, shape (rows, K); w is then
(d, K), b (K,), and sums run over the columns too.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.losses import Loss

Second = Literal["full", "diagonal"]
EPS, LONG = float(np.finfo(np.float64).eps), float(np.finfo(np.longdouble).eps)
STRIP = 64
"""Rows that are made long doubles at a time."""
TRIANGLE_FLOATS = 1 << 16
"""What a triangle is made from at a time, at least."""
STRIP_FLOATS = 1 << 15
"""Margins of several columns that a kernel is given at a time: its arrays stay in a core's cache."""


@dataclass(frozen=True)
class Affine:
    """x -> xᵀw + b: w of shape (d,) or (d, K), b a number or of shape (K,)."""

    w: FloatArray
    b: Any = 0.0


@dataclass(frozen=True)
class Valued(Affine):
    """An affine function and the loss of its margins."""

    loss: Loss = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Dual(Valued):
    """What a gap is computed from: the dual point is scaled by `up` where a σ > 0 and by `down` elsewhere.

    `careful` takes products with X in long doubles; w and b may be long doubles then.
    """

    up: float = 1.0
    down: float = 1.0
    careful: bool = False


@dataclass(frozen=True)
class Through(Affine):
    """An affine function with K columns, and what is made of its margins, strip by strip.

    The kernel gets margins of shape (rows, K), which the first row vector has where they are `known`, and
    slices of the others. It leaves r in their place and returns a list of sums. It can be pickled, and sees
    no X.
    """

    kernel: Callable[..., list[Any]] = None  # type: ignore[assignment]
    known: bool = False


@dataclass(frozen=True)
class Scatter:
    """About which centre a Gram is taken, and what each row weighs where that is the same."""

    centre: FloatArray
    mass: float | None = None


@dataclass(frozen=True)
class Framed:
    """Some columns, what is taken off them and what they are then multiplied by."""

    index: NDArray[np.intp]
    centre: FloatArray
    scale: FloatArray


@dataclass(frozen=True)
class Spread:
    """Powers of two that the columns are multiplied by first, and whether S is a matrix or its diagonal."""

    scale: FloatArray | None
    second: Second


def _along(v: Any, like: FloatArray) -> Any:
    """`v` for each row, ready to be multiplied into an array with the rows of `like`."""
    return v if v is None or v.ndim == like.ndim else v[:, None]


def total(values: FloatArray, s: FloatArray | None) -> float:
    """Σ s_i values_i, or n times the mean where every row weighs the same."""
    if values.ndim == 1:
        return float(values.sum() if s is None else values @ s)
    return float(values.sum() if s is None else (s @ values).sum())


def weighted(values: FloatArray, s: FloatArray | None) -> FloatArray:
    """s_i values_i in place; as they are where every row weighs the same."""
    if s is not None:
        values *= _along(s, values)
    return values


class Block(ABC):
    """Some consecutive rows of X in float64, read only when a product asks for them."""

    # What a kind of storage has to offer

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """How many rows."""

    @abstractmethod
    def dot(self, v: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """X_b v for v of shape (d,) or (d, k), written to `out` where that is given."""

    @abstractmethod
    def tdot(self, r: FloatArray) -> FloatArray:
        """X_bᵀ r for r of shape (rows,) or (rows, k)."""

    @abstractmethod
    def weighted_gram(self, weight: FloatArray, centre: FloatArray | None = None) -> FloatArray:
        """(X_b - centre)ᵀ diag(weight) (X_b - centre), shape (d, d); None is 0."""

    @abstractmethod
    def weighted_squares(self, weight: FloatArray | None, centre: FloatArray | None = None) -> FloatArray:
        """The diagonal of ``weighted_gram``, shape (d,); no weight is 1 for each row."""

    @abstractmethod
    def centred_moments(
        self, weight: FloatArray, targets: FloatArray, scale: FloatArray | None, second: Second
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Weighted means, covariance and covariance with targets, nothing summed uncentred.

        Parameters
        ----------
        weight : ndarray of shape (rows,)
            Non-negative, summing to one over the block.
        targets : ndarray of shape (rows, k)
            Centred already.
        scale : ndarray of shape (d,) or None
            Powers of two that the columns are multiplied by first.
        second : {"full", "diagonal"}
            Whether the covariance is a matrix or its diagonal.

        Returns
        -------
        mean : ndarray of shape (d,)
        S : ndarray of shape (d, d) or (d,)
            (X_b - mean)ᵀ diag(weight) (X_b - mean).
        U : ndarray of shape (d, k)
            (X_b - mean)ᵀ diag(weight) targets.
        """

    @abstractmethod
    def dense(self, low: int, high: int) -> FloatArray:
        """Rows `low` to `high` as an array of shape (high - low, d) to be read."""

    @abstractmethod
    def column_max(self, _: None = None) -> FloatArray:
        """max |x| of each column of the block, shape (d,)."""

    # Verbs

    def margins(
        self, at: Affine, sigma: FloatArray | None, base: FloatArray | None, out: FloatArray
    ) -> list[Any]:
        """Writes base + σ (X w + b); no base is 0, no σ is 1."""
        self.dot(at.w, out=out)
        out += at.b
        if sigma is not None:
            out *= _along(sigma, out)
        if base is not None:
            out += _along(base, out)
        return []

    def sums(self, loss: Loss, sigma: FloatArray, s: FloatArray | None, t: FloatArray) -> list[Any]:
        """Σ s φ(t), Xᵀr and Σ r for r = s φ'(t) σ."""
        value, r = loss.value_and_gradient(t)
        r *= _along(sigma, r)
        weighted(r, s)
        return [total(value, s), self.tdot(r), r.sum(axis=0)]

    def value(
        self, at: Valued, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None, t: FloatArray
    ) -> list[Any]:
        """``margins`` and ``sums`` in one reading."""
        self.margins(at, sigma, base, t)
        return self.sums(at.loss, sigma, s, t)

    def hessian(self, at: Affine, sigma: FloatArray, c: FloatArray, q: FloatArray) -> list[Any]:
        """Xᵀr and Σ r for r = c (X w + b); writes the derivative of the margins, σ (X w + b). σ² = 1."""
        r = self.dot(at.w)
        r += at.b
        np.multiply(r, _along(sigma, r), out=q)
        r *= _along(c, r)
        return [self.tdot(r), r.sum(axis=0)]

    def through(self, at: Through, *vectors: FloatArray | None) -> list[Any]:
        """The sums of a kernel, and Xᵀr and Σ r of the r that it leaves in the place of margins."""
        if vectors[0] is not None and at.known:
            r, vectors = vectors[0].copy(), vectors[1:]
        else:
            r = self.dot(at.w)
            r += at.b
        step = max(STRIP, STRIP_FLOATS // r.shape[1])
        sums: list[Any] = []
        for low in range(0, len(r), step):
            part = slice(low, low + step)
            found = at.kernel(r[part], *(None if v is None else v[part] for v in vectors))
            sums = found if low == 0 else [a + b for a, b in zip(sums, found, strict=True)]
        return [*sums, self.tdot(r), r.sum(axis=0)]

    def transpose(self, _: None, r: FloatArray) -> list[Any]:
        """Xᵀr and Σ r."""
        return [self.tdot(r), r.sum(axis=0)]

    def gram(self, about: Scatter, c: FloatArray | None = None) -> list[Any]:
        """Σ c, Xᵀc and (X - centre)ᵀ diag(c) (X - centre)."""
        c = np.broadcast_to(about.mass or 0.0, self.n_rows) if c is None else c
        return [float(c.sum()), self.tdot(c), self.weighted_gram(c, about.centre)]

    def joint(self, about: Scatter, p: FloatArray, s: FloatArray | None) -> list[Any]:
        """Σ s (diag(p) - p pᵀ) ⊗ u uᵀ of u = (x - centre, 1), without the last class."""
        K, width, p = p.shape[1] - 1, len(about.centre) + 1, p[:, :-1]
        H = np.zeros((K, width, K, width))
        step = max(8 * STRIP, TRIANGLE_FLOATS // (K * width))
        for low in range(0, self.n_rows, step):
            part = slice(low, min(low + step, self.n_rows))
            u = np.ones((part.stop - low, width))
            np.subtract(self.dense(low, part.stop), about.centre, out=u[:, :-1])
            mass = np.ones(len(u)) if s is None else s[part]
            rows = ((np.sqrt(mass)[:, None] * p[part])[:, :, None] * u[:, None, :]).reshape(len(u), -1)
            H -= (rows.T @ rows).reshape(H.shape)
            for k in range(K):
                H[k, :, k] += (u * (mass * p[part, k])[:, None]).T @ u
        return [H]

    def triangle(self, frame: Framed, s: FloatArray | None, y: FloatArray | None) -> list[Any]:
        """R of (1, X, y) with rows times s^½, by reflections; the rows themselves where they are few."""
        width = len(frame.index) + 2
        step, found = max(4 * width, TRIANGLE_FLOATS // width), np.empty((0, width))
        for low in range(0, self.n_rows, step):
            high = min(low + step, self.n_rows)
            rows = np.ones((len(found) + high - low, width))
            rows[: len(found)] = found
            here = rows[len(found) :]
            np.subtract(self.dense(low, high)[:, frame.index], frame.centre, out=here[:, 1:-1])
            here[:, 1:-1] *= frame.scale
            here[:, -1] = 0.0 if y is None else y[low:high]
            if s is not None:
                here *= np.sqrt(s[low:high])[:, None]
            found = np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > width else rows
        return [found]

    def diagonal(self, about: Scatter | None, c: FloatArray | None) -> list[Any]:
        """As ``gram``, with the diagonal alone; no centre is 0, no c is 1 for each row."""
        centre = None if about is None else about.centre
        if c is None:
            sums = self.tdot(np.ones(self.n_rows))
            return [float(self.n_rows), sums, self.weighted_squares(None, centre)]
        return [float(c.sum()), self.tdot(c), self.weighted_squares(c, centre)]

    def diagonals(self, about: Scatter, p: FloatArray, s: FloatArray | None) -> list[Any]:
        """``diagonal`` for c = s p (1 - p) of each column of p, at least s times ``about.mass``."""
        c = weighted(np.maximum(p * (1.0 - p), about.mass or 0.0), s)
        squares = [self.weighted_squares(column, about.centre) for column in np.ascontiguousarray(c.T)]
        return [c.sum(axis=0), self.tdot(c), np.array(squares).T]

    def product(self, at: Affine, c: FloatArray | None) -> list[Any]:
        """Xᵀ diag(c) (X w + b) and Σ c (X w + b); no c is 1 for each row."""
        r = self.dot(at.w)
        r += at.b
        weighted(r, c)
        return [self.tdot(r), r.sum(axis=0)]

    def gap(
        self, at: Dual, sigma: FloatArray, base: FloatArray | None, s: FloatArray | None, a: FloatArray
    ) -> list[Any]:
        """What a duality gap is made of; writes the margins of (w, b) over the dual point `a`.

        Σ s φ(t), Σ s (φ(t) + φ*(a) - a t), Xᵀr, Σ r for r = s φ'(t) σ and for r = s a σ, Σ s |a t|, Σ s a².
        """
        dual = a * np.where(a * sigma > 0.0, at.up, at.down)
        if at.careful:
            self._careful_margins(at, sigma, base, a)
        else:
            self.margins(at, sigma, base, a)
        value, r = at.loss.value_and_gradient(a)
        pulled = dual * a
        excess = np.maximum(value + at.loss.conjugate(dual) - pulled, 0.0)
        r = weighted(r, s)
        r *= sigma
        sizes = total(np.abs(pulled, out=pulled), s), total(np.square(dual, out=pulled), s)
        h = weighted(dual, s)
        h *= sigma
        tdot = self._careful_tdot if at.careful else self.tdot
        rest = h.sum(dtype=np.longdouble)  # the balance of a proof has to hold to the last digit
        return [total(value, s), total(excess, s), tdot(r), tdot(h), float(r.sum()), rest, *sizes]

    def _long_strips(self) -> Iterator[tuple[slice, Any]]:
        for low in range(0, self.n_rows, STRIP):
            high = min(low + STRIP, self.n_rows)
            yield slice(low, high), self.dense(low, high).astype(np.longdouble)

    def _careful_margins(
        self, at: Affine, sigma: FloatArray, base: FloatArray | None, out: FloatArray
    ) -> None:
        for part, rows in self._long_strips():
            t = (rows @ at.w + at.b) * sigma[part]
            out[part] = t if base is None else t + base[part]

    def _careful_tdot(self, r: FloatArray) -> Any:
        return sum(r[part] @ rows for part, rows in self._long_strips())

    def rows(self, kernel: Callable[..., list[Any]], *vectors: Any) -> list[Any]:
        """A kernel of ``Rows.total``, on its way through X: on what the jobs before it wrote."""
        return kernel(*vectors)

    def moments(self, spread: Spread, y: FloatArray | None, s: FloatArray | None) -> list[Any]:
        """Weight, mean, S, U, mean and variance of the targets: what ``Moments`` merges."""
        n = self.n_rows
        y = np.empty((n, 0)) if y is None else y.reshape(n, -1)
        weight = float(n) if s is None else float(s.sum())
        share = np.full(n, 1.0 / n) if s is None else s / weight if weight > 0.0 else np.zeros(n)
        mean_y = share @ y
        centred_y = y - mean_y
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            mean, S, U = self.centred_moments(share, centred_y, spread.scale, spread.second)
        return [weight, mean, S, U, mean_y, share @ centred_y**2]
