"""Whether a loss that only increases has a minimiser, or a direction along which it falls for ever.

Along p the margin of row i changes by q_i = σ_i (x_iᵀp + γ). That is a direction of recession if and only
if q <= 0 in every row of positive weight and q < 0 in some (Albert and Anderson 1984). By Stiemke's lemma
there is none if and only if numbers a > 0 exist with Σ s_i σ_i a_i (x_i, 1) = 0. A Newton step δ ends in such
an a, the dual point φ'(t) + φ''(t) ∘ (X δ), so that an ordinary fit has the answer for nothing:
``leaves_open``.

Else rows where that a is not positive are thought to be the ones with q < 0, and δ is projected on the
directions that leave the others as they are. Where this fails, linear programs decide (Konis 2007):
maximise -Σ s_i q_i over ‖p‖₁ <= 1 under q <= 0, whose solutions have few columns. A program sees few rows;
rows that its solution has on the wrong side are added. Its value bounds that of all rows, so that 0 means
none. Whatever proposes a direction, all margins are looked at before it is believed.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import linprog

from gdnp._typing import FloatArray
from gdnp.design import Choice, RowVector
from gdnp.losses import Loss
from gdnp.problem.empirical import Weights
from gdnp.problem.gram import dense_rows, hessian
from gdnp.problem.interface import Point
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.problem.points import DataPoint
from gdnp.solvers.conjugate import NewtonStep, still
from gdnp.solvers.state import ROUNDING


@dataclass(frozen=True)
class Separation:
    """A direction of recession, or that there is none."""

    # partial: some rows are strictly on their side of a hyperplane, the others on it
    kind: Literal["complete", "partial", "none", "not decided"]
    count: int = 0  # rows strictly on their side
    direction: FloatArray | None = None  # (v, γ), along which no margin changes by more than 1
    rest: RowVector | None = None  # s_i in rows on the hyperplane, if any, of sum one; 0 elsewhere
    share: float = 1.0  # what the rest weighs in f


def _stay(loss: Loss, least: float, t: FloatArray, q: FloatArray, s: Weights, out: FloatArray) -> list[Any]:
    """1 in rows whose φ' and a = φ' + φ'' q are positive, written; in how many of the others either is not.

    φ' counts as 0 where it, or φ'' that q depends on, is below what rounding leaves of a sum. a does below
    half of φ': with an exact step a <= 0 in some row where there is a direction of recession.
    """
    pull, bend = loss.gradient(t), loss.curvature(t)
    seen, mass = np.where(t < 0.0, np.minimum(pull, bend), pull), np.ones_like(t) if s is None else s
    weak, moved = seen * mass <= least, 2.0 * (bend * q) <= -pull
    out[:] = (mass > 0.0) & ~moved & ~weak
    return [float(np.sum((mass > 0.0) & some)) for some in (weak, moved & ~weak)]


def _on_plane(zero: float, faint: float, q: FloatArray, s: Weights, out: FloatArray) -> list[Any]:
    """s_i in rows with |q| <= `zero`, else 0, written, to q itself if need be.

    Their sum, and how many other rows of positive weight have q < 0, q > 0, and -`faint` < q < 0.
    """
    mass = np.ones_like(q) if s is None else s
    apart, wrong = ((mass > 0.0) & some for some in (q < -zero, q > zero))
    counts = [float(np.sum(rows)) for rows in (apart, wrong, apart & (q > -faint))]
    out[:] = np.where(np.abs(q) <= zero, mass, 0.0)
    return [float(np.sum(out)), *counts]


def _weighted(least: float, v: FloatArray, s: Weights, out: FloatArray) -> list[Any]:
    """s_i max(v_i, least), written."""
    np.multiply(np.maximum(v, least), 1.0 if s is None else s, out=out)
    return []


def leaves_open(problem: Objective, point: DataPoint, newton: NewtonStep) -> bool:
    """Whether the dual point of a Newton step leaves a direction of recession possible.

    An exact δ has Σ s_i σ_i a_i (x_i, 1) = ∇f + ∇²f δ = 0. Where all a_i > 0 there is then no such direction.
    It costs a sum over rows, and no look at X.
    """
    return _may_diverge(problem) and any(_staying(problem, point, newton)[1])


def all_apart(problem: Objective, point: DataPoint) -> bool:
    """Whether every row of positive weight is on its side by more than rounding."""
    rows = problem.design.rows
    kernel = partial(_on_plane, ROUNDING * float(rows.extremes(point.margins)[0, 2]), 0.0)
    on, _, wrong, _ = rows.total(kernel, point.margins, problem.weight, writes=(rows.empty(),))
    return not (on or wrong)


def separation(
    problem: Objective, point: DataPoint | None = None, newton: NewtonStep | None = None
) -> Separation:
    """A direction of recession of f, or that there is none.

    The rest may have another one: look again at ``problem.reweighted(found.rest)``. The problem is
    standardised, of a convex loss that increases, without a ridge. The step ``leaves_open`` a direction;
    without one, linear programs are asked at once.
    """
    if newton is None or point is None:
        return _programmed(problem)
    staying, (_, moved) = _staying(problem, point, newton)
    if problem.n_features <= LARGEST_GRAM and not moved and _says_all(problem, staying):
        return Separation("none")  # a > 0 in the rows that stay: no direction moves them, nor any other
    return _proposed(problem, point, newton, staying) or _programmed(problem)


def diverges(seen: Point) -> bool:
    """Whether a direction of recession is seen from a point, by one Newton step there.

    Far from the infimum there may be one that is not seen: programs are not asked. On anything but rows of
    data there is none.
    """
    if not isinstance(seen, DataPoint):
        return False
    objective = seen.objective
    if not (isinstance(objective, Objective) and _may_diverge(objective)):
        return False
    problem = objective.standardised
    if problem.n_features > LARGEST_GRAM:
        return False
    point = problem.known(problem.from_raw(*objective.raw(seen.x)), seen.margins)
    inverse, vectors = _spectrum(problem, problem.curvature(point.margins))
    step = -vectors @ (inverse * (point.x_gradient @ vectors))
    newton = replace(still(point, np.positive), step=step, slope=problem.slope(step))
    staying, counts = _staying(
        problem, point, newton, into=newton.slope
    )  # no row vector more than the run had
    return any(counts) and _proposed(problem, point, newton, staying) is not None


def _may_diverge(problem: Objective) -> bool:
    return problem.loss.convex and problem.loss.increasing and not problem.has_ridge


def _staying(
    problem: Objective, point: DataPoint, newton: NewtonStep, into: RowVector | None = None
) -> tuple[RowVector, list[float]]:
    rows, least = problem.design.rows, ROUNDING * point.value / problem.share
    slope = problem.every(0.0) if newton.slope is None else newton.slope
    staying = rows.empty() if into is None else into
    return staying, rows.total(
        partial(_stay, problem.loss, least), point.margins, slope, problem.weight, writes=(staying,)
    )


def _spectrum(problem: Objective, mass: RowVector) -> tuple[FloatArray, FloatArray]:
    """1/λ for the eigenvalues of a weighted Gram, 0 where λ is rounding, and its eigenvectors."""
    values, vectors = eigh(hessian(problem, mass))
    kept = values > len(values) * ROUNDING * values[-1]
    return np.divide(1.0, values, out=np.zeros_like(values), where=kept), vectors


def _says_all(problem: Objective, staying: RowVector) -> bool:
    """Whether a direction that leaves these rows as they are leaves all; a few of them may do to see it."""
    rows, width = problem.design.rows, problem.n_features + 1
    choice = rows.sample(staying, 2 * width)
    few = _signed_rows(problem, choice) * rows.gather(staying, choice)[:, None]
    values = np.linalg.svd(few, compute_uv=False)
    live = np.count_nonzero(problem.coordinates.scale) + problem.fit_intercept
    if np.count_nonzero(values > math.sqrt(width * ROUNDING) * values[0]) == live:
        return True
    few_rank, rank = (np.count_nonzero(_spectrum(problem, some)[0]) for some in (staying, problem.mass))
    return bool(few_rank == rank)


def _proposed(
    problem: Objective, point: DataPoint, newton: NewtonStep, staying: RowVector
) -> Separation | None:
    """What the step is along, or what the point is far out along.

    Where some row hardly moves it would take much of either, and the rest would feel the rounding.
    """
    faint = math.sqrt(ROUNDING)
    return _verified(problem, newton.step, staying, faint) or _verified(problem, point.x, staying, faint)


def _verified(problem: Objective, p: FloatArray, staying: RowVector, faint: float = 0.0) -> Separation | None:
    """What p does, projected on the directions that leave some rows as they are; None for no good.

    What moves them is taken off twice, the second time what rounding left. With too many columns for a matrix
    the small entries of p go instead.
    """
    rows = problem.design.rows
    if problem.n_features > LARGEST_GRAM:
        small = ROUNDING**0.25 * np.abs(p).max()
        coef, intercept = problem.raw(np.where(np.abs(p) > small, p, 0.0))
        p = problem.from_raw(coef, intercept if abs(intercept) > np.abs(coef).max(initial=0.0) / 2.0 else 0.0)
    else:
        inverse, vectors = _spectrum(problem, staying)
        for _ in range(2):
            p = p - vectors @ (inverse * (problem.hessian_product(staying, p, rows.empty()) @ vectors))
    rest = q = problem.slope(p)
    largest = float(rows.extremes(q)[0, 2])
    kernel = partial(_on_plane, ROUNDING**0.75 * largest, faint * largest)
    mass, apart, wrong, slow = rows.total(kernel, q, problem.weight, writes=(rest,))
    if wrong or slow or not apart:
        return None
    if not mass:
        return Separation("complete", int(apart), p / largest, share=0.0)
    rows.combine((1.0 / mass, rest), out=rest)
    return Separation("partial", int(apart), p / largest, rest, problem.share * mass)


def _programmed(problem: Objective) -> Separation:
    """What linear programs find; not decided where they would be too large, or not exact enough."""
    rows, strict, most = problem.design.rows, math.sqrt(ROUNDING), LARGEST_GRAM**2 // 8
    signs, staying = rows.empty(), rows.empty()
    rows.total(partial(_weighted, -math.inf), problem.sigma, problem.weight, writes=(signs,))
    sums = problem.design.map("transpose", reads=(signs,), partial_size=problem.n_features)
    aim, seen, known = -problem.share * problem.pulled_back(*sums), np.empty((0, problem.n_features + 1)), -1
    least = max(strict**1.5 * np.abs(aim).max(), ROUNDING)
    while known < len(seen) and seen.size <= most:
        p, known = _program(aim, seen), len(seen)
        if p is None:
            break
        if not aim @ p > least:
            return Separation("none")
        q = problem.slope(p)
        if not rows.total(partial(_on_plane, strict, 0.0), q, problem.weight, writes=(staying,))[2]:
            return _verified(problem, p, staying) or Separation("not decided")
        rows.total(partial(_weighted, 0.0), q, problem.weight, writes=(signs,))
        seen = np.unique(np.vstack([seen, _signed_rows(problem, rows.sample(signs, len(aim)))]), axis=0)
    return Separation("not decided")


def _program(aim: FloatArray, seen: FloatArray) -> FloatArray | None:
    """The p that maximises aimᵀp over ‖p‖₁ <= 1 under A p <= 0 for the rows of `seen`, each scaled."""
    sizes = np.abs(seen).max(axis=1, initial=0.0)
    A = seen[sizes > 0.0] / sizes[sizes > 0.0, None]
    found = linprog(
        np.append(-aim, aim) / (np.abs(aim).max() or 1.0),
        A_ub=np.vstack([np.hstack([A, -A]), np.ones(2 * len(aim))]),
        b_ub=np.append(np.zeros(len(A)), 1.0),
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    return np.subtract(*np.split(found.x, 2)) if found.status == 0 else None


def shortest(v: FloatArray, mixture: FloatArray) -> FloatArray:
    """(v - M z, z) of the least sum of sizes: of equivalent coefficients the ones of few columns."""
    d, k = mixture.shape
    N = np.vstack([-mixture, np.eye(k)])
    whole = np.append(v, np.zeros(k))
    found = linprog(
        np.append(np.zeros(k), np.ones(d + k)),
        A_ub=np.block([[N, -np.eye(d + k)], [-N, -np.eye(d + k)]]),
        b_ub=np.append(-whole, whole),
        bounds=[(None, None)] * k + [(0.0, None)] * (d + k),
        method="highs",
    )
    return whole if found.status else np.asarray(whole + N @ found.x[:k])


def _signed_rows(problem: Objective, choice: Choice) -> FloatArray:
    """σ_i (x_i, 1) of some rows in the problem's coordinates, shape (k, d + 1)."""
    few = problem.on_rows(choice, np.ones(choice.count))
    ones = np.full((choice.count, 1), float(problem.fit_intercept))
    return np.hstack([dense_rows(few), ones]) * few.design.rows.gather(few.sigma)[:, None]
