"""What is known about a solution: a duality gap where one can be had, a Newton decrement elsewhere.

For convex φ and a ridge R > 0, every a with Σ s_i σ_i a_i = 0 (γ is free) gives the lower bound
D(a) = Σ s_i (a_i base_i - φ*(a_i)) - ½ ‖Xᵀ(s σ a)‖²_{R⁻¹} <= min f, and at (v, γ)

    f(v, γ) - D(a) = Σ s_i [φ(t_i) + φ*(a_i) - a_i t_i] + ½ ‖R v + Xᵀ(s σ a)‖²_{R⁻¹},

a sum of terms that are never negative, so nothing cancels. The customary a = φ'(t) makes the first sum 0 and
leaves ‖∇f‖²_{R⁻¹}/2, which is useless where R is small. Here a = φ'(t) + φ''(t) ∘ (X δ) with δ the Newton
step: then the second term is the residual of Newton's equations, and the first is of fourth order in δ.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import Job, RowVector
from gdnp.design.block import EPS, LONG, STRIP, Affine, Dual, weighted
from gdnp.design.compiled import dual_point
from gdnp.losses import Loss
from gdnp.problem.empirical import Empirical, Weights
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint, Direction
from gdnp.solvers.conjugate import NewtonStep, Solve, advanced, still
from gdnp.solvers.state import TRIALS, Certificate, Status

LAST_DIGITS = 4 * EPS
"""Relative difference of two values of f that nobody can tell from rounding."""


def provable(problem: Objective) -> bool:
    """Whether a duality gap exists: a convex loss with a conjugate, and a ridge on every live column."""
    loss = problem.loss
    smooth = loss.convex and math.isfinite(loss.max_curvature)
    return bool(smooth and loss.has_conjugate and np.all(problem.coordinates.ridge > 0.0))


def dual_slopes(
    loss: Loss, t: FloatArray, q: FloatArray, sigma: FloatArray, s: Weights, a: FloatArray
) -> list[Any]:
    """a = φ'(t) + φ''(t) ∘ q, clipped, written; returns the masses of s a σ above and below 0."""
    found = dual_point(loss, t, q, sigma, s, a)
    if found is not None:
        return found
    a[:] = loss.dual_clip(loss.gradient(t) + loss.curvature(t) * q)
    h = weighted(a * sigma, s)
    return [float(np.maximum(h, 0.0).sum()), -float(np.minimum(h, 0.0).sum())]


def duality_gap(
    problem: Objective, point: DataPoint, newton: NewtonStep, allowed: float = 0.0
) -> tuple[DataPoint, float]:
    """x + δ, as it is returned, and an upper bound of f - min f at its raw coefficients; one pass.

    The margins there are computed from the coefficients, not from those before the step: what is proved is
    proved of the coefficients, whatever rounding the margins have gathered on the way. Rounding of the sums
    is in the bound. Where it alone is in the way of a gap that is `allowed`, products are taken again in long
    doubles. `point` is where ∇²f was taken.
    """
    end, gap, exact = _proof(problem, point, newton, careful=False)
    if exact <= allowed < gap:
        end, better, _ = _proof(problem, point, newton, careful=True)
        gap = min(better, gap)
    return end, gap


def gap_of_step(
    problem: Objective, point: DataPoint, newton: NewtonStep
) -> tuple[NewtonStep, DataPoint, float]:
    """As ``duality_gap`` of a step whose slope is not known: with it, in the same reading of X.

    Where the step solves Newton's equations the dual point needs no balance, but for rows that are clipped.
    """
    slope = problem.design.rows.empty()
    newton = replace(newton, slope=slope)
    return newton, *_proof(problem, point, newton, careful=False, together=True)[:2]


def _proof(
    problem: Objective, point: DataPoint, newton: NewtonStep, careful: bool, together: bool = False
) -> tuple[DataPoint, float, float]:
    """x + δ, an upper bound of f - min f there, and what is left of it in exact products with X."""
    rows, x = problem.design.rows, problem.returned(point.x + newton.step)
    moved = rows.empty()  # holds a, until the margins take its place
    slope = problem.every(0.0) if newton.slope is None else newton.slope
    dual = (point.margins, slope, problem.sigma, problem.weight)
    up = down = 1.0
    if not together:
        positive, negative = rows.total(partial(dual_slopes, problem.loss), *dual, writes=(moved,))
        up, down = _balance(positive, negative) if problem.fit_intercept else (1.0, 1.0)
    problem.cost.charge(1.5 if together else 1.0)
    (w, b), loss, (coef, intercept) = problem.outward(x), problem.loss, problem.raw(x)
    wrong = margin_error(problem, x, coef, intercept, careful)
    if careful:
        b = intercept + problem.design.offset @ coef.astype(np.longdouble)
    size = 2 * problem.n_features
    reads = problem.sigma, problem.base, problem.weight
    problem.foresee(x, moved)
    gap_job = Job("gap", Dual(w, b, loss, up, down, careful), reads, (moved,), size)
    if together:
        first = Job("margins", Affine(*problem.outward(newton.step)), (problem.sigma, None), (slope,))
        second = Job("rows", partial(dual_slopes, loss), dual, (moved,))
        _, (positive, negative), sums = problem.design.several(first, second, gap_job)
    else:
        (sums,) = problem.design.several(gap_job)
    risk, excess, _, product, _, rest, size, square = (problem.share * part for part in sums)
    residual = problem.with_ridge(problem.pulled_back(product, float(rest)), x)[:-1]
    here = DataPoint(problem, x, moved, [sums[0], sums[2].astype(np.float64), sums[4]])
    # A side of a is scaled down once more until the balance is exact: e is convex in a, and f at a = 0.
    mass = problem.share * min(up * positive, down * negative)
    lacking = 0.0
    if problem.fit_intercept and rest != 0.0:
        lacking = abs(float(rest)) / mass + STRIP * LONG if mass > 0.0 else math.inf
    excess += lacking * risk + LAST_DIGITS * (here.value + size)
    ridge = problem.coordinates.ridge
    noise = _noise(problem, x, float(square), LONG if careful else EPS, lacking)[:-1]
    norm, noise_norm = (math.sqrt(0.5 * float(v @ (v / ridge))) for v in (residual, noise))
    # e(t + ε) <= e + e'ε + Lε²/2 with e'² <= 2 L e, as e is convex, not negative, and bends by L at most.
    moved_by = math.sqrt(0.5 * loss.max_curvature) * wrong
    gap = float(np.square(math.sqrt(excess) + moved_by) + np.square(norm + noise_norm))
    # a = 0 is feasible whatever rounding does: f - inf φ is a gap, too.
    lowest = -float(loss.conjugate(loss.dual_clip(np.zeros(1)))[0])
    gap = min(gap if math.isfinite(gap) else math.inf, risen(here, wrong) - lowest)
    return here, gap, min(excess + norm * norm, here.value - lowest)


def _noise(problem: Objective, x: FloatArray, square: float, unit: float, more: float = 0.0) -> FloatArray:
    """What (Xᵀ(s a) + R v, Σ s a) is rounding below, with Σ s a² the square."""
    bounds, coordinates = problem.design.in_blocks_for(2 * problem.n_features).bounds, problem.coordinates
    # Terms of a sum, one after the other in a block, and then a sum of blocks.
    terms = max(high - low for low, high in bounds) + len(bounds)
    size = coordinates.spread + np.abs(coordinates.centre) * coordinates.scale
    rows = (terms * unit + more) * math.sqrt(square)
    return np.append(rows * size + EPS * coordinates.ridge * np.abs(x[:-1]), rows)


def estimated_gap(
    problem: Objective, point: DataPoint, newton: NewtonStep, precondition: Solve, *, exact: bool = False
) -> float:
    """An estimate of f - min f one Newton step on, from the gradient there; a pass or a few of a convex loss.

    ½ ∇fᵀ(∇²f)⁻¹∇f, of which conjugate gradients find the most. For the rest H is in the place of ∇²f, made up
    for how much less that may be: along their directions it is known, and it may be far less along others
    where it is much less along these. What ∇²f lost along δ on the way it may lose again and again, so this
    counts to the fourth power. And all counts twice, for directions that were missed.

    `point` is where the step led to, `precondition` that of the step; `exact` says whether H was ∇²f there.
    """
    gradient, lost = point.x_gradient, 1.0
    wrong = margin_error(problem, point.x, *problem.raw(point.x))
    if newton.slope is not None:
        bend = point.along(Direction(newton.step, newton.slope)).expansion(0.0).f_tt
        lost = max(2.0 * newton.decrement / bend, 1.0) if bend > 0.0 else math.inf
    ahead, least = still(point, precondition), min(newton.least, 1.0)
    if problem.loss.convex and newton.residual.any() and not exact:  # else H is ∇²f, or nowhere near it
        curvature = problem.curvature(point.margins)
        while not ahead.ended and 2.0 * ahead.square > least * least * ahead.decrement:
            ahead = advanced(problem, curvature, ahead, precondition, lambda step: step.iterations >= TRIALS)
            least = min(least, ahead.least)
    square = 4.0 * ahead.decrement + (2.0 * max(ahead.square, 0.0) / least if least > 0.0 else math.inf)
    square *= lost * lost * lost * lost  # a power would raise where it overflows
    square = square if gradient.any() else 0.0  # H of nothing makes NaN of 0
    reach = math.sqrt(square) + math.sqrt(largest_bend(point)) * wrong
    gap = 0.5 * reach * reach
    return gap if math.isfinite(gap) else math.inf


def _pressure(share: float, c: FloatArray, s: Weights, q: FloatArray) -> list[Any]:
    """What a change q of the margins does to the slopes c q, written; s c is given, n c without weights."""
    q *= c
    if s is None:
        q /= share
    else:
        np.divide(q, s, out=q, where=s > 0.0)
    return []


def scaled_gap(
    problem: Objective,
    x: FloatArray,
    dual: tuple[RowVector, float],
    aim: FloatArray,
    model: tuple[RowVector, Solve],
) -> tuple[DataPoint, float]:
    """x, and f there less the bound of a dual point scaled into the domain of φ*; 2 passes or so.

    Of a ridge nothing is asked. For e = Xᵀ(s σ κ a) + R v̂, which rounding and conjugate gradients leave,
    and the minimiser v*

        f(x) - min f <= Σ s (φ(t) + φ*(κ a) - κ a t) + ½ ‖v - v̂‖²_R + eᵀ(x - x*).

    With e = Xᵀ(s σ c q) + R z, q = σ X z, the last term is at most max |c q| Σ s |t - t*| + ‖z‖_R ‖v - v*‖_R.
    And f(x) bounds both distances: |t| <= (φ(t) + φ*(b))/b for every b > 0 in the domain, ½ ‖v‖²_R <= f.

    The loss has φ(t) = φ(-t). `dual` is (a, κ), and a is used up; `aim` is (v̂, γ). `model` is s c >= 0 of
    the rows, and g -> H⁻¹ g for an H near Xᵀ s c X + R.
    """
    (moved, factor), (curvature, solve) = dual, model
    problem.cost.charge(1.0)
    sums = problem.design.map(
        "gap",
        Dual(*problem.outward(x), problem.loss, factor, factor),
        reads=(problem.sigma, problem.base, problem.weight),
        writes=(moved,),
        partial_size=2 * problem.n_features,
    )
    _, excess, _, product, _, rest, size, square = (problem.share * part for part in sums)
    point = DataPoint(problem, x, moved, [sums[0], sums[2].astype(np.float64), sums[4]])
    left = problem.with_ridge(problem.pulled_back(product, float(rest)), aim)
    moved_by = math.sqrt(0.5 * problem.loss.max_curvature) * margin_error(problem, x, *problem.raw(x))
    excess = np.square(math.sqrt(excess + LAST_DIGITS * (point.value + size)) + moved_by)
    noise = _noise(problem, aim, float(square), EPS)
    gap = float(excess + problem.penalty(x - aim)) + _of_rest(point, left, noise, curvature, solve)
    return point, gap if gap >= 0.0 else math.inf


def _of_rest(
    point: DataPoint, left: FloatArray, noise: FloatArray, curvature: RowVector, solve: Solve
) -> float:
    """A bound on eᵀ(x - x*); infinite where conjugate gradients do not get through e.

    Half of what is rounding will do, but of more all that is not: H may be nowhere near ∇²f.
    """
    problem = point.objective
    assert isinstance(problem, Objective)
    square = float(left @ solve(left))
    step = NewtonStep(np.zeros_like(left), None, left, 0.0, -solve(left), square, square, size=square)

    def through(step: NewtonStep) -> bool:
        residual = 2.0 * step.residual
        half = bool(residual @ solve(residual) <= square)
        return half and bool((np.abs(step.residual) <= noise).all())

    while not step.ended and step.iterations < TRIALS:
        step = advanced(problem, curvature, step, solve, through)
    if step.slope is None or not through(step):
        return 0.0 if square == 0.0 else math.inf
    slope = step.slope
    problem.design.rows.total(partial(_pressure, problem.share), curvature, problem.weight, writes=(slope,))
    steps = problem.loss.max_gradient * 2.0 ** -np.arange(64.0)
    distance = 2.0 * float(np.min((point.value + problem.loss.conjugate(steps)) / steps))
    in_ridge = 4.0 * math.sqrt(problem.penalty(step.step) * point.value)
    # What is left is half as much, of that again a half is left, and so on.
    return 2.0 * (float(problem.design.rows.extremes(slope)[0, 2]) * distance + in_ridge)


def _balance(positive: float, negative: float) -> tuple[float, float]:
    """Factors for both signs of s a σ after which they sum to 0, as a free intercept asks."""
    if min(positive, negative) <= 0.0 < max(positive, negative):
        return 0.0, 0.0
    if positive > negative:
        return negative / positive, 1.0
    return (1.0, positive / negative) if negative > positive else (1.0, 1.0)


def certified(
    point: DataPoint, known: Certificate, status: Status, tol: float, floor: float, wrong: tuple[float, float]
) -> Certificate:
    """The certificate of a point that some solver came to, against the bound of another's certificate.

    Where there is a minimiser its status is CONVERGED if and only if the gap is within `tol`, whatever
    `status` was said, and STALLED where that was said in vain; else LENGTH_DIVERGES. The gap of `known` is
    relative to `floor` at least, and margins here and there may be `wrong` by so much, see ``margin_error``.
    """
    lower = 0.0
    if math.isfinite(known.gap):
        lower = known.objective - known.gap * max(known.objective / (1.0 + known.gap), floor)
    lower -= risen(point, wrong[1], known.objective) - known.objective
    value = risen(point, wrong[0])
    excess, best = max(value - lower, LAST_DIGITS * value), max(lower, floor)
    gap = 0.0 if excess <= 0.0 else excess / best if best > 0.0 else math.inf
    if gap <= tol:
        status = Status.CONVERGED
    elif status is Status.CONVERGED:
        status = Status.STALLED
    if known.separation in ("complete", "partial"):
        status, gap = Status.LENGTH_DIVERGES, math.inf if known.separation == "complete" else gap
    return replace(known, status=status, gap=gap, objective=point.value)


# What rounding does to margins and to f: bounds that a gap has to count


def margin_error(
    problem: Objective, x: FloatArray, coef: FloatArray, intercept: float, careful: bool = False
) -> float:
    """A bound of the root mean square of margins at x less those of (coef, intercept) in exact arithmetic.

    Those are of the raw columns. The rounding of a margin itself is left out. Of K columns, x of shape (d +
    1, K), it is that of rows. `careful` margins come from long doubles, and from the b that is returned.
    """
    if x.ndim > 1:
        columns = zip(x.T, coef, np.ravel(intercept), strict=True)
        return math.hypot(*(margin_error(problem, v, w, float(b), careful) for v, w, b in columns))
    change, sd = np.abs(problem.from_raw(coef, intercept) - x), problem.coordinates.spread
    far = float(np.abs(problem.design.offset) @ np.abs(problem.outward(x)[0] * problem.design.factor))
    wrong = float(change[:-1] @ sd) + (LONG * len(x) * far if careful else float(change[-1]))
    if far > 0.0:
        wrong += EPS * float(np.abs(x[:-1]) @ sd)  # x - offset is rounded once
    return wrong + margin_rounding(problem, x, LONG if careful else EPS)


def margin_rounding(problem: Empirical, x: FloatArray, unit: float = EPS) -> float:
    """A bound of the root mean square of what rounding does to margins that are computed at x."""
    products = len(x) * (np.abs(x[:-1]).T @ problem.coordinates.spread)
    return float(unit * np.linalg.norm(products + 2.0 * np.abs(problem.outward(x)[1])))


def risen(point: DataPoint, wrong: float, value: float | None = None) -> float:
    """What f, or another `value` of it, may be where margins are `wrong`.

    |φ'|² <= 2 L φ for φ >= 0 that bends by L at most.
    """
    value, moved_by = point.value if value is None else value, math.sqrt(0.5 * largest_bend(point)) * wrong
    return value + (2.0 * math.sqrt(max(value, 0.0)) + moved_by) * moved_by


def value_above(point: DataPoint, lower: float = 0.0) -> float:
    """f at the coefficients that ``Objective.raw`` makes of a point, at most, less a lower bound."""
    problem = point.objective
    assert isinstance(problem, Objective)
    return risen(point, margin_error(problem, point.x, *problem.raw(point.x))) - lower


def largest_bend(point: DataPoint) -> float:
    """The largest φ'', or where there is none the mean."""
    most = point.objective.loss.max_curvature
    return most if math.isfinite(most) else abs(point.mean_curvature)
