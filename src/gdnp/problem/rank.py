"""Which columns the others make up, and the least of all coefficients that predict the same.

Without a ridge, columns that are combinations of others leave the minimiser open. The limit of a vanishing
ridge is the one of least norm among them. Here the combinations are found, so that a solver works on
independent columns alone, and its solution is carried over to that limit.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack, qr, solve_triangular
from scipy.sparse.linalg import LinearOperator, cg

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.design.block import Framed
from gdnp.metric import RANK_TOLERANCE
from gdnp.problem.coordinates import LARGEST_GRAM, Combinations, Triangle
from gdnp.problem.empirical import Empirical
from gdnp.problem.gram import covariance, gram, gram_product
from gdnp.problem.least_squares import refined


@dataclass(frozen=True)
class _Found:
    """Columns `kept`, the `rest`, how those make up these, and a triangle of X where one was made."""

    kept: NDArray[np.intp]
    rest: NDArray[np.intp]
    mixture: FloatArray
    triangle: Triangle | None = None


def independent(problem: Empirical) -> tuple[Combinations | None, Triangle | None]:
    """The columns that others make up, None where there are none or d is too large; R and Qᵀy where known.

    Columns are standardised. One is made up by others where these leave at most 64 eps times the size of the
    entries that cancel: its own and, by their shares, theirs. Here eps is that of the type in which X is
    stored. What is left counts from eps^¼ of float64 on, however far from zero the columns are. A few rows of
    full rank, or a Cholesky factor of S, settle the ordinary case; Householder reflections the others.
    """
    live = np.flatnonzero(problem.coordinates.scale > 0.0)
    n, d = problem.n_samples, len(live)
    coordinates, design = problem.coordinates, problem.design
    mean = (coordinates.centre + design.offset * design.factor) * coordinates.scale
    noise = RANK_TOLERANCE * design.rounding * (1.0 + np.abs(mean[live]))
    work = float(n) * d * min(n, d)
    found = None
    much = work > LARGEST_GRAM * LARGEST_GRAM
    if 0 < d < n and problem.n_features <= LARGEST_GRAM and (much or not problem.loss.quadratic):
        if _sample_is_independent(problem, live):
            return None, None
        found = _by_cholesky(problem, live, noise) if much else None
    most = 0.125 * LARGEST_GRAM**3
    if found is None and 0.0 < work <= most:
        found = _by_reflections(problem, live, noise)
    if found is None:
        problem.shared.rank_is_known = not d
        return None, None
    if not len(found.rest):
        return None, found.triangle and found.triangle.placed(live, problem.n_features)
    triangle = found.triangle and replace(found.triangle, order=np.arange(len(found.kept)))
    return _combinations(problem, live, found), triangle


def least(problem: Empirical, coef: FloatArray) -> FloatArray:
    """The least coefficients with the predictions of these, by conjugate gradients where no rank is known.

    Started at 0 they stay among combinations of rows, and end at the projection G⁺ G w̃ of w̃, with G = XᵀsX.
    The problem is in raw coordinates, without a ridge.
    """
    weight, buffer = problem.mass, problem.design.rows.empty()

    def product(w: FloatArray) -> FloatArray:
        return problem.hessian_product(weight, np.append(np.ravel(w), 0.0), buffer)[:-1]

    size = (len(coef), len(coef))
    operator = LinearOperator(size, matvec=product, dtype=np.float64)
    found: FloatArray = cg(
        operator, product(coef), rtol=64.0 * np.finfo(np.float64).eps, maxiter=LARGEST_GRAM // 4
    )[0]
    return found


def _combinations(problem: Empirical, live: NDArray[np.intp], found: _Found) -> Combinations:
    design, coordinates = problem.design, problem.coordinates
    # A share that is rounding is none: the unit of a raw column could make much of it.
    found.mixture[np.abs(found.mixture) <= RANK_TOLERANCE * design.rounding] = 0.0
    return Combinations(
        kept=live[found.kept],
        rest=live[found.rest],
        mixture=found.mixture,
        unit=coordinates.scale * design.factor,
        mean=coordinates.centre / design.factor + design.offset,
    )


def _sample_is_independent(problem: Empirical, live: NDArray[np.intp]) -> bool:
    """Whether a few rows have full rank by far: further rows take nothing away from it."""
    rows, count = problem.design.rows, 2 * (len(live) + 1)
    if 2 * count > rows.n:
        return False
    S = gram(problem, None, rows.sample(problem.mass, count)).scatter[np.ix_(live, live)]
    unit, enough = float(np.max(np.diagonal(S))), math.sqrt(np.finfo(np.float64).eps)
    factor, info = lapack.dpotrf(S, lower=1)
    return bool(info == 0 and np.min(np.square(np.diagonal(factor))) > enough * unit)


def _by_cholesky(problem: Empirical, live: NDArray[np.intp], noise: FloatArray) -> _Found | None:
    """From S with pivots; None where it does not tell a small pivot from 0, or what it tells is not so.

    S sums n rows. A column whose pivot may be rounding is looked at beside those with larger pivots.
    """
    S = covariance(problem).scatter[np.ix_(live, live)]
    eps = float(np.finfo(np.float64).eps)
    cut = max(RANK_TOLERANCE * len(live) * eps, float(np.min(noise)) ** 2)
    factor, order, rank, _ = lapack.dpstrf(S, tol=cut, lower=1)
    kept, rest, low = order[:rank] - 1, order[rank:] - 1, factor[:rank, :rank]
    pivots = np.square(np.diagonal(low))
    # Least squares without a ridge is better solved by reflections where S squares the condition too far.
    if problem.loss.quadratic and np.min(pivots, initial=1.0) < math.sqrt(eps):
        return None
    sure = int(np.count_nonzero(pivots > RANK_TOLERANCE * problem.n_samples * eps))
    if sure < rank:
        doubtful = kept[sure:]
        _, made, left = _made_up(problem, live, S, low[:sure, :sure], (kept[:sure], doubtful), noise)
        alone = left[np.ix_(~made, ~made)]
        kept, rest = np.append(kept[:sure], doubtful[~made]), np.append(doubtful[made], rest)
        low, info = lapack.dpotrf(S[np.ix_(kept, kept)], lower=1)
        if info or lapack.dpstrf(alone, tol=eps, lower=1)[2] < len(alone):
            return None
    if not len(rest):
        return _Found(kept, rest, np.empty((len(kept), 0)))
    mixture, made, _ = _made_up(problem, live, S, low, (kept, rest), noise)
    return _Found(kept, rest, mixture) if made.all() else None


def _made_up(
    problem: Empirical,
    live: NDArray[np.intp],
    S: FloatArray,
    low: FloatArray,
    columns: tuple[NDArray[np.intp], NDArray[np.intp]],
    noise: FloatArray,
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """How columns make up others, which of these they do to rounding, and the covariance of what is left.

    That comes from X itself, not from differences in S, of which `low` is the factor for the first ones. More
    than eps is no rounding: what makes it is not looked at again.
    """
    kept, rest = columns
    centred = problem.center or problem.fit_intercept
    mixture = lapack.dpotrs(low, S[np.ix_(kept, rest)], lower=1)[0]
    V, constant = np.zeros((problem.n_features, len(rest))), np.zeros(len(rest))
    V[live[rest], np.arange(len(rest))] = 1.0
    for _ in range(4):
        V[live[kept]] = -mixture
        product, first = gram_product(problem, problem.mass, V, constant)
        left = V.T @ product - np.outer(constant, first)
        made = np.diagonal(left) <= np.square(_rounding(mixture, noise[kept], noise[rest]))
        mixture += lapack.dpotrs(low, product[live[kept]], lower=1)[0]
        if (made | (np.diagonal(left) > np.finfo(np.float64).eps)).all():
            break
        # Rounding of the mean moves all rows alike, which says nothing where columns are about it.
        constant += centred * first
    return mixture, made, left


def _rounding(mixture: FloatArray, kept: FloatArray, rest: FloatArray) -> FloatArray:
    """What may be left of a column that is a combination, in standard deviations."""
    rounding = np.sqrt(np.square(rest) + np.square(mixture.T) @ np.square(kept))
    return np.asarray(np.minimum(rounding, math.sqrt(math.sqrt(np.finfo(np.float64).eps))))


def _by_reflections(problem: Empirical, live: NDArray[np.intp], noise: FloatArray) -> _Found:
    """From a triangle of X itself, which loses no digits to squares."""
    y = problem.base if problem.loss.quadratic else None
    whole = triangle(problem, live, problem.weight, y)
    whole *= np.sqrt(problem.share)
    first, centred = int(problem.fit_intercept), problem.center or problem.fit_intercept
    Q, R, order = qr(whole[centred:, 1:-1], mode="economic", pivoting=True, check_finite=False)
    rank = int(np.count_nonzero(np.abs(np.diagonal(R)) > np.finfo(np.float64).eps))
    while rank:
        lower = rank - 1
        last = solve_triangular(R[:lower, :lower], R[:lower, lower:rank], check_finite=False)
        if abs(R[lower, lower]) > _rounding(last, noise[order[:lower]], noise[order[lower:rank]])[0]:
            break
        rank = lower
    kept = order[:rank]
    mixture = solve_triangular(R[:rank, :rank], R[:rank, rank:], check_finite=False)
    mean = whole[0, 1:-1][kept] / whole[0, 0] if first else np.zeros(rank)
    solved = None
    if problem.loss.quadratic:
        root, right = R[:rank, :rank], Q[:, :rank].T @ whole[centred:, -1]
        coef = solve_triangular(root, right, check_finite=False)
        constant = whole[0, -1] / whole[0, 0] if first else 0.0
        solved = Triangle(root, mean, np.append(coef, constant - mean @ coef), kept)
    return _Found(kept, order[rank:], mixture, solved)


def least_squares(problem: Empirical, triangle: Triangle) -> Triangle:
    """The triangle with the minimiser for the targets of this problem to the last digits, where X is small.

    With it comes the intercept for raw columns. Of a large X the minimiser is that of the first targets.
    """
    design, coordinates, columns = problem.design, problem.coordinates, triangle.order
    if problem.n_samples * len(columns) > 2 * LARGEST_GRAM:
        return triangle
    raw = design.transformed(None, None)
    X = np.vstack([raw.block(k).dense(0, high - low) for k, (low, high) in enumerate(raw.bounds)])
    factor, scale = design.factor[columns], coordinates.scale[columns]
    gather, fit_intercept = design.rows.gather, problem.fit_intercept
    weight = None if problem.weight is None else gather(problem.weight)
    assert problem.base is not None
    y = gather(problem.base)
    v, b = refined(X[:, columns] * factor * scale, y, weight, fit_intercept=fit_intercept)
    x, shift = np.zeros_like(triangle.x), (coordinates.centre + design.offset * design.factor)[columns]
    x[columns], x[-1] = v, b + shift @ (scale * v) if fit_intercept else 0.0
    return replace(triangle, x=x, intercept=b)


def triangle(
    problem: Empirical, live: NDArray[np.intp], weight: RowVector | None, y: RowVector | None = None
) -> FloatArray:
    """R of (1, X, y), rows times the root of their weights, shape (at most d + 2, d + 2)."""
    coordinates, design = problem.coordinates, problem.design
    frame = Framed(live, coordinates.centre[live], coordinates.scale[live])
    cells = (len(live) + 2) ** 2
    problem.cost.charge(len(live))
    found = design.map("triangle", frame, reads=(weight, y), merge=_stacked, partial_size=cells)[0]
    return np.asarray(np.linalg.qr(found, mode="r") if len(found) > 1 else found)


def _stacked(a: list[FloatArray], b: list[FloatArray]) -> list[FloatArray]:
    """The triangle of the rows of both."""
    rows = np.vstack((a[0], b[0]))
    return [np.asarray(np.linalg.qr(rows, mode="r")) if len(rows) > rows.shape[1] else rows]
