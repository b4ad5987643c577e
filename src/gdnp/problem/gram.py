"""Weighted Grams in the coordinates of a problem: what preconditioners are made of."""

from functools import partial
from typing import Any

import numpy as np
from scipy.linalg.blas import dger

from gdnp._typing import FloatArray
from gdnp.design import Choice, Job, RowVector
from gdnp.design.block import Affine, Scatter, Valued
from gdnp.design.threads import ordered_map
from gdnp.problem.coordinates import Gram
from gdnp.problem.empirical import Empirical, bend
from gdnp.problem.points import DataPoint

STRIP = 64
"""Rows of X that are made dense at a time for a kernel."""


def gram(
    problem: Empirical, curvature: RowVector | None, choice: Choice | None = None, *, central: bool = True
) -> Gram:
    """The Gram weighted by curvature = s φ'', about the weighted mean if `central`.

    It is made from the rows of `choice`, None being all. Without a curvature they were drawn in proportion to
    it.
    """
    chosen = problem.n_samples if choice is None else choice.count
    problem.cost.charge(problem.design.gram_passes * chosen / problem.n_samples)
    coordinates, drawn = problem.coordinates, choice is not None and choice.mass is not None
    sums = problem.design.map(
        "gram",
        Scatter(coordinates.centre, choice.mass if choice is not None else None),
        reads=(None if drawn else curvature,),
        partial_size=problem.n_features**2,
        chosen=choice,
    )
    return _finished(problem, sums, central)


def curved(problem: Empirical, x: FloatArray) -> tuple[DataPoint, Gram]:
    """The point at x and the Gram weighted by its s φ'', in one reading of X."""
    problem.cost.charge(1.0 + problem.design.gram_passes)
    rows, loss, d = problem.design.rows, problem.loss, problem.n_features
    margins, c, s = rows.empty(), rows.empty(), problem.weight
    reads = problem.sigma, problem.base, s
    first = Job("value", Valued(*problem.outward(x), loss), reads, (margins,), d)
    second = Job("rows", partial(bend, loss, problem.share), (margins, s), (c,))
    last = Job("gram", Scatter(problem.coordinates.centre), (c,), (), d * d)
    problem.foresee(x, margins)
    sums, _, found = problem.design.several(first, second, last)
    point = DataPoint(problem, x, margins, sums)
    point.renewed = True
    return point, _finished(problem, found, central=True)


def _finished(problem: Empirical, sums: list[Any], central: bool) -> Gram:
    coordinates = problem.coordinates
    mass, first, scatter = sums
    first = _first(problem, mass, first)
    scatter *= coordinates.scale
    scatter *= coordinates.scale[:, None]
    found = Gram(mass, first, scatter)
    if central and problem.fit_intercept:
        return Gram(mass, first, dger(-1.0, found.mean, first, a=scatter.T, overwrite_a=1).T)
    return found


def covariance(problem: Empirical) -> Gram:
    """S = Σ s_i (x_i - m)(x_i - m)ᵀ, taken once for all problems that share it."""
    shared = problem.shared
    if shared.covariance is None:
        shared.covariance = gram(problem, problem.mass)
    return shared.covariance


def diagonal(problem: Empirical, curvature: RowVector) -> Gram:
    """As ``gram``, with the diagonal of the scatter alone, shape (d,); one pass."""
    problem.cost.charge(1.0)
    coordinates = problem.coordinates
    sums = problem.design.map(
        "diagonal", Scatter(coordinates.centre), reads=(curvature,), partial_size=problem.n_features
    )
    return _central(problem, *sums)


def diagonals(problem: Empirical, shares: RowVector, least: float) -> list[Gram]:
    """``diagonal`` for the curvature p (1 - p), at least `least`, of each class, shares (n, K); one pass."""
    problem.cost.charge(1.0)
    about, K = Scatter(problem.coordinates.centre, least), shares.shape[1]
    sums = problem.design.map(
        "diagonals", about, reads=(shares, problem.weight), partial_size=problem.n_features * K
    )
    mass, first, squares = (problem.share * np.ascontiguousarray(part.T) for part in sums)
    return [_central(problem, float(mass[k]), first[k], squares[k]) for k in range(K)]


def _central(problem: Empirical, mass: float, first: FloatArray, squares: FloatArray) -> Gram:
    first = _first(problem, mass, first)
    found = Gram(mass, first, squares * np.square(problem.coordinates.scale))
    np.maximum(found.scatter - first * found.mean, 0.0, out=found.scatter)
    return found


def _first(problem: Empirical, mass: float, first: FloatArray) -> FloatArray:
    """Σ c_i x_i in the problem's coordinates; 0 where there is no intercept for it to couple to."""
    if not problem.fit_intercept:
        return np.zeros(problem.n_features)
    return problem.coordinates.scale * (first - mass * problem.coordinates.centre)


def gram_product(
    problem: Empirical,
    curvature: RowVector,
    V: FloatArray,
    constant: FloatArray,
    choice: Choice | None = None,
) -> tuple[FloatArray, FloatArray]:
    """Σ c_i x_i t_iᵀ, shape (d, k), and Σ c_i t_i, (k,), of t_i = Vᵀx_i - constant; k passes.

    In the problem's coordinates. With `choice` they are made from those rows.
    """
    chosen = problem.n_samples if choice is None else choice.count
    problem.cost.charge(V.shape[1] * chosen / problem.n_samples)
    coordinates = problem.coordinates
    W = coordinates.scale[:, None] * V
    product, first = problem.design.map(
        "product",
        Affine(W, -(coordinates.centre @ W + constant)),
        reads=(curvature,),
        partial_size=W.size,
        chosen=choice,
    )
    return coordinates.scale[:, None] * (product - np.outer(coordinates.centre, first)), first


def hessian(problem: Empirical, curvature: RowVector) -> FloatArray:
    """∇²f over (v, γ), shape (d + 1, d + 1), with a 1 for a γ that is no variable."""
    found, d = gram(problem, curvature, central=False), problem.n_features
    matrix = np.zeros((d + 1, d + 1))
    matrix[:d, :d] = found.scatter
    np.einsum("ii->i", matrix)[:d] += problem.coordinates.ridge
    matrix[d, :d] = matrix[:d, d] = found.first
    matrix[d, d] = found.total if problem.fit_intercept else 1.0
    return matrix


def kernel_matrix(problem: Empirical, inverse_ridge: FloatArray) -> FloatArray:
    """(X - centre) scale² R⁻¹ (X - centre)ᵀ, shape (n, n), for n < d; costs n/2 passes or so."""
    problem.cost.charge(0.5 * problem.n_samples)
    design, bounds = problem.design, problem.design.bounds
    out = np.empty((problem.n_samples, problem.n_samples))
    factor = np.square(problem.coordinates.scale) * inverse_ridge
    strips = [
        (k, slice(first, min(first + STRIP, high)))
        for k, (low, high) in enumerate(bounds)
        for first in range(low, high, STRIP)
    ]

    def fill(strip: tuple[int, slice]) -> None:
        k, columns = strip
        low = bounds[k][0]
        rows = design.block(k).dense(columns.start - low, columns.stop - low) - problem.coordinates.centre
        rows *= factor
        offset = rows @ problem.coordinates.centre
        for i in range(k, len(bounds)):
            part = design.block(i).dot(rows.T) - offset
            out[slice(*bounds[i]), columns] = part
            if i > k:
                out[columns, slice(*bounds[i])] = part.T

    for _ in ordered_map(fill, strips, design.n_jobs):
        pass
    return 0.5 * (out + out.T)


def dense_rows(problem: Empirical) -> FloatArray:
    """(X - centre) scale as an array of shape (n, d), where that is small; n/2 passes."""
    problem.cost.charge(0.5 * problem.n_samples)
    out = np.empty((problem.n_samples, problem.n_features))
    for k, (low, high) in enumerate(problem.design.bounds):
        out[low:high] = problem.design.block(k).dense(0, high - low)
    out -= problem.coordinates.centre
    out *= problem.coordinates.scale
    return out
