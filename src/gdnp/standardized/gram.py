"""Weighted Grams in standardised coordinates: what metrics of the curvature are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Block
from gdnp.design.threads import ordered_map
from gdnp.standardized.problem import Standardized

__all__ = ["Gram", "covariance", "dense_rows", "diagonal", "gram", "gram_product", "kernel_matrix"]

STRIP = 64
"""Rows of X that are made dense at a time for a kernel."""


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


def gram(
    problem: Standardized,
    curvature: FloatArray,
    index: NDArray[np.intp] | None = None,
    *,
    central: bool = True,
) -> Gram:
    """The Gram weighted by curvature = s φ'', about the weighted mean if `central`.

    With `index` it is made from those rows, for which the curvature stands.
    """
    chosen = problem.n if index is None else len(index)
    problem.cost.charge(problem.design.gram_passes * chosen / problem.n)

    def kernel(block: Block, c: FloatArray) -> list[Any]:
        return [float(c.sum()), block.tdot(c), block.gram(c, problem.centre)]

    if index is None:
        sums = problem.design.reduce(kernel, curvature, partial_size=problem.d**2)
    else:
        sums = problem.design.reduce_chosen(kernel, index, curvature, partial_size=problem.d**2)
    total, first, scatter = sums
    first = _first(problem, total, first)
    scatter *= problem.scale
    scatter *= problem.scale[:, None]
    found = Gram(total, first, scatter)
    if central and problem.fit_intercept:
        scatter -= np.outer(first, found.mean)
    return found


def covariance(problem: Standardized) -> Gram:
    """S = Σ s_i (x_i - m)(x_i - m)ᵀ, taken once for all problems that share it."""
    assert problem.shared is not None
    if problem.shared.covariance is None:
        s = np.full(problem.n, 1.0 / problem.n) if problem.weight is None else problem.weight
        problem.shared.covariance = gram(problem, s)
    return problem.shared.covariance


def diagonal(problem: Standardized, curvature: FloatArray) -> Gram:
    """As ``gram``, with the diagonal of the scatter alone, shape (d,); one pass."""
    problem.cost.charge(1.0)

    def kernel(block: Block, c: FloatArray) -> list[Any]:
        return [float(c.sum()), block.tdot(c), block.squares(c, problem.centre)]

    total, first, squares = problem.design.reduce(kernel, curvature, partial_size=problem.d)
    first = _first(problem, total, first)
    found = Gram(total, first, squares * np.square(problem.scale))
    np.maximum(found.scatter - first * found.mean, 0.0, out=found.scatter)
    return found


def _first(problem: Standardized, total: float, first: FloatArray) -> FloatArray:
    """Σ c_i x_i in standardised coordinates; 0 where there is no intercept for it to couple to."""
    return problem.scale * (first - total * problem.centre) if problem.fit_intercept else np.zeros(problem.d)


def gram_product(
    problem: Standardized,
    curvature: FloatArray,
    V: FloatArray,
    mean: FloatArray,
    index: NDArray[np.intp] | None = None,
) -> FloatArray:
    """Σ c_i (x_i - m)(x_i - m)ᵀ V in standardised coordinates, shape (d, k), for any m; k passes.

    With `index` it is made from those rows, for which the curvature stands.
    """
    chosen = problem.n if index is None else len(index)
    problem.cost.charge(V.shape[1] * chosen / problem.n)
    W = problem.scale[:, None] * V
    offset = problem.centre @ W + mean @ V

    def kernel(block: Block, c: FloatArray) -> list[Any]:
        r = block.dot(W)
        r -= offset
        r *= c[:, None]
        return [block.tdot(r), r.sum(axis=0)]

    if index is None:
        product, total = problem.design.reduce(kernel, curvature, partial_size=W.size)
    else:
        product, total = problem.design.reduce_chosen(kernel, index, curvature, partial_size=W.size)
    product -= np.outer(problem.centre, total)
    product *= problem.scale[:, None]
    product -= np.outer(mean, total)
    return np.asarray(product)


def kernel_matrix(problem: Standardized, inverse_ridge: FloatArray) -> FloatArray:
    """(X - centre) scale² R⁻¹ (X - centre)ᵀ, shape (n, n), for n < d; costs n/2 passes or so."""
    problem.cost.charge(0.5 * problem.n)
    design, bounds = problem.design, problem.design.bounds
    out = np.empty((problem.n, problem.n))
    factor = np.square(problem.scale) * inverse_ridge
    strips = [
        (k, slice(first, min(first + STRIP, high)))
        for k, (low, high) in enumerate(bounds)
        for first in range(low, high, STRIP)
    ]

    def fill(strip: tuple[int, slice]) -> None:
        k, columns = strip
        low = bounds[k][0]
        rows = design.block(k).dense(columns.start - low, columns.stop - low) - problem.centre
        rows *= factor
        offset = rows @ problem.centre
        for i in range(k, len(bounds)):
            part = design.block(i).dot(rows.T) - offset
            out[slice(*bounds[i]), columns] = part
            if i > k:
                out[columns, slice(*bounds[i])] = part.T

    for _ in ordered_map(fill, strips, design.n_jobs):
        pass
    return 0.5 * (out + out.T)


def dense_rows(problem: Standardized) -> FloatArray:
    """(X - centre) scale as an array of shape (n, d), where that is small; n/2 passes."""
    problem.cost.charge(0.5 * problem.n)
    out = np.empty((problem.n, problem.d))
    for k, (low, high) in enumerate(problem.design.bounds):
        out[low:high] = problem.design.block(k).dense(0, high - low)
    out -= problem.centre
    out *= problem.scale
    return out
