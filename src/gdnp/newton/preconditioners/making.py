"""Makes the preconditioner of a stage."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Choice, RowVector
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import SMALLEST_RIDGE, Event, Kind, Seen, Stage, hides_ridge
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.newton.preconditioners.rows import BasisPreconditioner, KernelPreconditioner
from gdnp.problem.coordinates import Gram
from gdnp.problem.empirical import sum_of
from gdnp.problem.gram import covariance, dense_rows, gram, kernel_matrix
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.problem.points import DataPoint
from gdnp.problem.rank import triangle

NEGLIGIBLE = 0.1
"""Rows whose φ'' is below this share of the mean are left out of a Gram,"""
MANY = 0.6
"""where that leaves at most this share of all rows: φ'' falls far from the boundary."""
BINS = 32
"""Predictions are told apart by so many quantiles, where each has twice as many rows; a byte numbers them."""
LEAST_SHARE = 0.03
"""The share of |φ''| that counts at least, of a quantile or of a row: H is never 0 where f curves."""


def made(
    problem: Objective,
    stage: Stage,
    margins: RowVector,
    *,
    damping: float = 0.0,
    previous: Preconditioner | None = None,
    curvature: RowVector | None = None,
    whole: bool = False,
) -> Preconditioner:
    """The preconditioner where the margins are these.

    `damping` is a further multiple of the identity, and `previous` the last one, from whose directions those
    of low rank go on. `curvature` stands for s φ'' >= 0 of the rows. `whole` lets rows count that hardly
    curve f: there may be directions along which no other does. Raises FloatingPointError where the curvature
    is not finite, or has underflowed in all rows that counted.
    """
    c, most = curvature, 0.0 if whole else MANY if curvature is None else 1.0
    if c is None:
        c = problem.curvature(margins) if problem.loss.convex else expected_curvature(problem, margins)
    ridge = problem.coordinates.ridge + damping
    match stage.kind:
        case Kind.FULL:
            choice = _rows_of(problem, c, stage.size, most)
            found = FullPreconditioner(gram(problem, c, choice), ridge)
            small = curvature is None and problem.n_samples * problem.n_features**2 <= LARGEST_GRAM**2
            return _by_reflections(problem, c, ridge) if found.blunt and small else found
        case Kind.KERNEL:
            return _of_rows(problem, c, ridge)
        case Kind.LOW_RANK if not stage.flat:
            last = previous if isinstance(previous, LowRankPreconditioner) else None
            choice = None  # of rows drawn in proportion to c those are rare anyway
            if not problem.design.in_rounds:
                choice = _that_curve(problem, c, 1, most, problem.n_samples)[0]
            return LowRankPreconditioner.of(problem, c, ridge, stage.size, choice, last)
    return LowRankPreconditioner.of(problem, c, ridge)


def _by_reflections(problem: Objective, c: RowVector, ridge: FloatArray) -> FullPreconditioner:
    """From a triangle of √c (1, X), for columns that all but depend on each other."""
    root = triangle(problem, np.arange(problem.n_features), c)[:, :-1]
    total, mean, first = float(root[0, 0] ** 2), np.zeros(problem.n_features), int(problem.fit_intercept)
    if first and total > 0.0:
        mean = root[0, 1:] / root[0, 0]
    return FullPreconditioner.by_reflections(root[first:, 1:], total, mean, ridge)


def _that_curve(
    problem: Objective, c: RowVector, least: int, most: float, size: int
) -> tuple[Choice | None, float]:
    """The rows without those that hardly curve f, None where these are few, and the level they are above.

    More than `size` of them are counted, not named.
    """
    whole = problem.design.rows.total(partial(sum_of, np.positive), c, None)[0]
    level, choice = float(whole) / problem.n_samples, Choice(None, 0)
    while choice.count < least and level > 0.0:
        level *= NEGLIGIBLE
        choice = problem.design.rows.above(c, level, min(most * problem.n_samples, size))
    return (choice, level) if least <= choice.count <= most * problem.n_samples else (None, -np.inf)


def _rows_of(problem: Objective, c: RowVector, size: int, most: float) -> Choice | None:
    """Those that a Gram is made from, `size` of them at most; None is all."""
    design = problem.design
    if design.in_rounds or (size >= problem.n_samples and design.read_cost > 1.0):  # some would travel
        return None
    choice, level = _that_curve(problem, c, problem.n_features, most, size)
    if size < (problem.n_samples if choice is None else choice.count):
        return problem.design.rows.sample(c, size, level=level)
    return choice


def _of_rows(problem: Objective, c: RowVector, ridge: FloatArray) -> Preconditioner:
    """The kernel of the rows, kept until the floor of the ridge moves; a basis where it would lose that."""
    curvature = problem.design.rows.gather(c)
    largest = float(curvature.max(initial=0.0))
    if hides_ridge(problem, largest):
        return BasisPreconditioner(dense_rows(problem), ridge, curvature, fit_intercept=problem.fit_intercept)
    floor = SMALLEST_RIDGE * _power_of_ten(problem.n_features * largest) + 1e-300
    held, kept = np.maximum(problem.coordinates.ridge, floor), problem.shared.kernel
    if kept is None or (kept[0] != held).any():
        problem.shared.kernel = kept = held, kernel_matrix(problem, 1.0 / held)
    return KernelPreconditioner(problem, kept[1], held, curvature)


def _power_of_ten(value: float) -> float:
    """The next one, so that what hangs on it is made anew once in a decade; 0 of 0."""
    return float(10.0 ** np.ceil(np.log10(value))) if value > 0.0 else 0.0


def made_at_constant(problem: Objective, stage: Stage, point: DataPoint) -> Preconditioner:
    """That of the constant prediction; where φ'' is the same in every row, moments will do."""
    low, high, _ = problem.design.rows.extremes(point.margins)[0]
    ends = problem.loss.curvature(np.array([low, high]))
    if ends[0] == ends[1] > 0.0:
        variance = problem.coordinates.variance
        if stage.kind is Kind.DIAGONAL and variance is not None:
            unit = Gram(1.0, np.zeros(problem.n_features), variance)
            return LowRankPreconditioner(unit.times(float(ends[0])), problem.coordinates.ridge)
        if stage.kind is Kind.FULL and problem.shared.problems > 1:
            return FullPreconditioner(covariance(problem).times(float(ends[0])), problem.coordinates.ridge)
    return made(problem, stage, point.margins)


def seen_of(preconditioner: Preconditioner, event: Event = Event.MADE) -> Seen:
    """What the choice of the next one has to know of one."""
    if isinstance(preconditioner, LowRankPreconditioner):
        values = preconditioner.values
        if not len(values):
            return Seen(event, diagonal=True)
        return Seen(event, largest=float(values[0]), smallest=float(values[-1]), rest=preconditioner.rest)
    return Seen(event, basis=isinstance(preconditioner, BasisPreconditioner))


def _upwards(c: FloatArray) -> list[Any]:
    """The larger of c and -0.03 c, in place."""
    np.maximum(c, -LEAST_SHARE * c, out=c)
    return []


def _predictions(t: FloatArray, sigma: FloatArray, base: FloatArray | None, out: FloatArray) -> list[Any]:
    """η of the margins t = base + σ η, σ of size 1, written."""
    np.multiply(sigma, t if base is None else t - base, out=out)
    return []


def _binned(edges: FloatArray, eta: FloatArray, c: FloatArray, chosen: NDArray[np.uint8]) -> list[Any]:
    """The quantile of each prediction, written, and Σ c and Σ |c| of each; c becomes |c|."""
    chosen[:] = np.searchsorted(edges, eta)
    net = np.bincount(chosen, c, BINS)
    np.abs(c, out=c)
    return [net, np.bincount(chosen, c, BINS)]


def _shared(share: FloatArray, chosen: NDArray[np.uint8], c: FloatArray) -> list[Any]:
    """c times the share of its quantile, in place."""
    c *= share[chosen]
    return []


def expected_curvature(problem: Objective, margins: RowVector) -> RowVector:
    """s |φ''| of every row times the share of it that is left among the rows of about the same prediction.

    A label is random given its row. Of two rows with the same prediction η and opposite labels one bends f up
    and the other down, and what a sum over many such rows comes to is E[φ''|η]. A preconditioner of the rows
    that bend upwards alone is larger than that, the more so the more labels are wrong, and its steps are as
    much too short.

    The share is ρ = Σ s φ'' / Σ s |φ''| over a quantile of the predictions: where labels are wrong with
    probability p and right otherwise, ρ = 1 - 2p. Shape (n,), nowhere negative.
    """
    c, rows = problem.curvature(margins), problem.design.rows
    if problem.n_samples < 2 * BINS * BINS:  # rows stand for themselves
        rows.total(_upwards, writes=(c,))
        return c
    eta, chosen = rows.empty(), rows.empty(dtype=np.uint8)
    rows.total(_predictions, margins, problem.sigma, problem.base, writes=(eta,))
    edges = rows.quantiles(eta, np.arange(1, BINS) / BINS)
    net, gross = rows.total(partial(_binned, edges), eta, writes=(c, chosen))
    share = np.maximum(net / np.maximum(gross, 1e-300), LEAST_SHARE)
    rows.total(partial(_shared, share), chosen, writes=(c,))
    return c
