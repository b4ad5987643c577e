"""Fits along ridges, from the largest to the smallest: all rows lead, and training sets follow.

A fit begins at x_k + (x_k - x_{k-1}) of the two before it, ridges taken by their logarithms: the coefficients
of columns that all but separate rows go with log α. The leader's preconditioner, made there from all rows
where that is cheap, serves the training sets too. A quadratic f has one Gram, the sum of those of the folds.
Rows, coordinates and moments are those of the leader.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import Choice
from gdnp.design.block import EPS
from gdnp.estimators.fitting import Settings, fit_one, rounded
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import AT_ONCE, Facts, Kind, Stage, cost
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.making import made
from gdnp.newton.preconditioners.rows import BasisPreconditioner, KernelPreconditioner
from gdnp.problem.coordinates import FAR_FROM_ZERO, LARGEST_GRAM, Gram
from gdnp.problem.gram import covariance, gram
from gdnp.problem.objective import Objective
from gdnp.solvers import Result

GRID = 10
"""Ridges of a grid, where their number is not asked for."""
WEAKEST = 1e-6
"""What the least ridge of a grid shrinks a column on its own; weights and repeated rows do not change it."""

Solution = tuple[FloatArray, float]
"""(coef, intercept) of raw columns."""


@dataclass(frozen=True)
class Path:
    """How the fits of one target are made, whatever their rows, for `alphas` from large to small.

    `single` rounds coefficients to float32; `rng` draws further starts of the leader.
    """

    settings: Settings
    alphas: FloatArray
    single: bool = False
    rng: np.random.RandomState | None = None

    def fit(self, problem: Objective, **start: Any) -> Result:
        """One fit, with a certificate."""
        found = fit_one(problem, replace(self.settings, alpha=problem.alpha), **start)
        return rounded(problem, found, self.settings.tol) if self.single else found

    def ahead(self, before: Sequence[Solution]) -> Solution | None:
        """Where the next fit begins; None where the path does."""
        if len(before) < 2:
            return before[-1] if before else None
        (last, c), (coef, b) = before[-2:]
        old, here, new = (math.log(max(a, math.ulp(0.0))) for a in self.alphas[len(before) - 2 :][:3])
        step = min((new - here) / (here - old), 1.0) if here < old else 0.0
        return coef + step * (coef - last), b + step * (b - c)


class Leader:
    """The path of all rows, those of `objective` under any ridge, and what the training sets take from it."""

    def __init__(self, path: Path, objective: Objective, folds: Sequence[Choice] = ()) -> None:
        self.path, self.folds = path, folds
        self.fits: list[Result] = []
        self._last: list[Preconditioner] = []
        self._problems = [objective.with_alpha(float(path.alphas[0]))]
        first, loss = self._problems[0].standardised, objective.loss
        n, s, taken = first.n_samples, first.weight, first.design.rows.gather
        self._shares = [one.count / n if s is None else float(taken(s, one).sum()) for one in folds]
        facts = Facts.of(first)
        self._full = Stage((Kind.FULL,), facts.n)
        single = len(first.constant.margins.shape) == 1
        small = single and facts.d <= LARGEST_GRAM and not facts.few_rows
        self._dear = not small or facts.dear or (cost(facts, self._full) > AT_ONCE and not loss.quadratic)
        self._grams: list[Gram] = []
        if loss.quadratic and small and first.has_ridge:
            self._grams = _grams(first, folds, self._shares)

    def lead(self, start: Solution | None = None) -> Iterator[Result]:
        """The fits of all rows, the first from `start` where that is given.

        Where a loss that is not convex ends hangs on where it began: each of its fits has a start of its own.
        """
        for alpha in self.path.alphas:
            problem = self._problems[0]
            if self.fits:  # the first has made by now what others take over
                problem = problem.with_alpha(float(alpha))
                self._problems.append(problem)
            before = [(fit.coef, fit.intercept) for fit in self.fits] if problem.loss.convex else []
            begin = self.path.ahead(before) or start
            H = self._sharp(problem, begin)
            fit = self.path.fit(problem, start=begin, preconditioner=H, rng=self.path.rng)
            self._last.append(fit.state.preconditioner)
            fit = replace(fit, state=None)  # as large as X, of many fits
            self.fits.append(fit)
            if len(self.fits) > 1:
                problem.shared.kernel = None  # a multiple of the first
            yield fit

    def follow(self, fold: int, weight: FloatArray | None) -> Iterator[Result]:
        """The fits of a training set, with weights of sum one or None."""
        apart: list[Solution] = []
        choice, first = self.folds[fold], self._problems[0].standardised
        own, known = self._problems[0].restricted(choice, weight), first.shared.kernel
        production = self.path.settings.solver in ("auto", "newton")
        shares = production and first.alpha > 0.0 and not _are_apart(own.standardised, first)
        K = None if known is None else known[1][np.ix_(choice.index, choice.index)]
        for whole, led, last in zip(self._problems, self.fits, self._last, strict=True):
            if shares and whole.alpha > 0.0:
                problem = own.beside(whole.standardised, self._shares[fold])
                if K is not None:
                    problem.shared.kernel = problem.coordinates.ridge, K * (first.alpha / whole.alpha)
                H = self._quadratic(1 + fold, problem) or _of_columns(last)
            else:  # which columns are combinations of others is a matter of the rows, for one
                problem, H = own.with_alpha(whole.alpha), None
            w, b = (self.path.ahead(apart) if problem.loss.convex else None) or (0.0, 0.0)
            start = led.coef + w, led.intercept + b
            fit = replace(self.path.fit(problem, start=start, preconditioner=H), state=None)
            apart.append((fit.coef - led.coef, fit.intercept - led.intercept))
            yield fit

    def _sharp(self, problem: Objective, begin: Solution | None) -> Preconditioner | None:
        """H of all rows where a fit begins, for the training sets too; None where that is dear."""
        standard = problem.standardised
        if self._grams or begin is None or self._dear or problem.alpha == 0.0:
            return self._quadratic(0, standard)
        return made(standard, self._full, standard.point(standard.from_raw(*begin)).margins)

    def _quadratic(self, k: int, problem: Objective) -> Preconditioner | None:
        """∇²f of all rows (k = 0) or of a training set, where it is the same everywhere."""
        if not self._grams or problem.alpha == 0.0:
            return None
        first, scale = self._problems[0].standardised.coordinates.scale, problem.coordinates.scale
        ratio = np.divide(scale, first, out=np.zeros_like(scale), where=first > 0.0)
        return FullPreconditioner(self._grams[k].rescaled(ratio), problem.coordinates.ridge)


def _are_apart(few: Objective, whole: Objective) -> bool:
    """Whether some column of a few rows is too small, or too far from the centre, to keep digits there."""
    (centre, unit), (middle, other) = (
        (p.design.offset + p.coordinates.centre / p.design.factor, p.coordinates.scale * p.design.factor)
        for p in (few, whole)
    )
    size = np.divide(unit, other, out=np.zeros_like(unit), where=other > 0.0)
    return bool(np.maximum(np.abs(centre - middle) * unit, size).max(initial=0.0) > FAR_FROM_ZERO)


def _of_columns(preconditioner: Preconditioner) -> Preconditioner | None:
    """The preconditioner, unless it is about rows, which others do not have."""
    of_rows = isinstance(preconditioner, KernelPreconditioner | BasisPreconditioner)
    return None if of_rows else preconditioner


def _grams(problem: Objective, folds: Sequence[Choice], shares: Sequence[float]) -> list[Gram]:
    """∇²f of all rows and of the training sets but for the ridge, where φ'' is the same everywhere.

    Where every row is held out once, a training set has the sum of what the others hold out: nothing cancels.
    """
    if not folds:
        return [covariance(problem).times(problem.loss.max_curvature)]
    curvature, rows = problem.curvature(problem.constant.margins), np.arange(problem.n_samples)
    out = [np.setdiff1d(rows, choice.index) for choice in folds]

    def of(index: NDArray[np.intp]) -> Gram:
        return gram(problem, curvature, Choice(index, len(index)), central=False)

    if np.array_equal(np.sort(np.concatenate(out)), rows):
        parts = [of(index) for index in out]
        sets = [reduce(add, parts), *(reduce(add, parts[:k] + parts[k + 1 :]) for k in range(len(parts)))]
    else:
        sets = [of(rows), *(of(choice.index) for choice in folds)]
    sets = [one.central() for one in sets] if problem.fit_intercept else sets
    return [one.times(1.0 / share) for one, share in zip(sets, [1.0, *shares], strict=True)]


def checked_alphas(alphas: Any) -> Any:
    """Ridges as an array, or how many a grid has."""
    if alphas is None:
        return GRID
    if isinstance(alphas, int | np.integer) and not isinstance(alphas, bool) and alphas > 0:
        return int(alphas)
    try:
        found = np.array(alphas, dtype=np.float64)
        good = found.ndim == 1 and found.size > 0 and np.isfinite(found).all() and (found >= 0.0).all()
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ValueError(
            "alphas must be a sequence of finite numbers of at least 0, or the size of a grid from the data. "
            f"Got {alphas!r:.80}; np.logspace(-6, 0, 10) is one."
        )
    return found


def grid(problem: Objective, count: int) -> FloatArray:
    """From one degree of freedom, Σ_j λ_j/(λ_j + α) <= 1, to where no column shrinks by 1e-6."""
    c, loss = problem.coordinates, problem.loss
    assert c.variance is not None
    live = c.scale > 0.0
    variance = c.variance[live] / np.square(c.scale * problem.design.factor)[live]
    variance *= loss.max_curvature if np.isfinite(loss.max_curvature) else 1.0
    variance = variance[np.isfinite(variance) & (variance > 0.0)]
    largest = float(variance.sum()) if len(variance) else 1.0
    least = float(variance.min()) if len(variance) else 1.0
    return np.geomspace(largest, max(WEAKEST * least, EPS * largest), count)
