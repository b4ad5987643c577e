"""From validated arrays to a fitted linear function: one problem, any solver, one kind of answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, as_design
from gdnp.losses import Loss
from gdnp.newton import Certificate, Row, certify, solve, solve_nonconvex
from gdnp.problem.interface import Cost
from gdnp.standardized import Shared, Standardized, standardise

Monitor = Callable[[Row, Callable[[], tuple[FloatArray, float]]], object]

__all__ = ["SOLVERS", "Data", "Fitted", "Settings", "fit_one"]

SOLVERS = ("auto", "newton", "gdnp", "gdnp_metric", "batch_norm_gd", "weight_norm_gd", "gd", "agd")


@dataclass(frozen=True)
class Settings:
    """What does not change from one class to the next."""

    loss: Loss
    alpha: float
    fit_intercept: bool
    solver: str
    tol: float
    max_iter: int
    n_init: int


@dataclass(frozen=True)
class Fitted:
    """A fitted linear function and how it came about."""

    coef: FloatArray
    intercept: float
    direction: FloatArray
    length: float
    certificate: Certificate
    history: list[Row]


class Data:
    """X in standardised coordinates, with what the problems of several classes share.

    Parameters
    ----------
    X : ndarray or sparse matrix of shape (n, d)
    weight : ndarray of shape (n,) or None
        Summing to one.
    settings : Settings
    n_jobs : int or None
    many : bool
        Whether there will be several problems with the weights given here.
    """

    def __init__(
        self, X: Any, weight: FloatArray | None, settings: Settings, n_jobs: int | None, *, many: bool = False
    ) -> None:
        self._shared = Shared() if many else None
        self.raw: DesignMatrix = as_design(X, n_jobs)
        self.weight = weight
        self.design, self._coordinates = standardise(
            self.raw, weight, settings.loss, settings.alpha, settings.fit_intercept
        )

    def problem(
        self, target: FloatArray, settings: Settings, weight: FloatArray | None = None
    ) -> Standardized:
        """The problem for one target: -1 and +1 in classification (overwritten), numbers in regression."""
        classification = settings.loss.task == "classification"
        return Standardized(
            self.design,
            np.negative(target, out=target) if classification else np.broadcast_to(-1.0, target.shape),
            None if classification else target,
            self.weight if weight is None else weight,
            settings.loss,
            self._coordinates if weight is None else replace(self._coordinates, variance=None),
            fit_intercept=settings.fit_intercept,
            cost=Cost(1.0),
            shared=self._shared if weight is None else None,
        )


def fit_one(
    data: Data,
    target: FloatArray,
    settings: Settings,
    *,
    weight: FloatArray | None = None,
    start: tuple[FloatArray, float] | None = None,
    rng: np.random.RandomState | None = None,
    monitor: Monitor | None = None,
) -> Fitted:
    """Fit one target.

    Parameters
    ----------
    data : Data
    target : ndarray of shape (n,)
    settings : Settings
    weight : ndarray of shape (n,) or None
        Weights of this target alone, summing to one; None takes those of `data`.
    start : (coef, intercept) or None
        Raw coordinates.
    rng : RandomState or None
        For further starts of a loss that is not convex.
    monitor : callable or None
        Called with every row of the history and a function that gives (coef, intercept) there.
    """
    problem = data.problem(target, settings, weight)
    if settings.solver not in ("auto", "newton"):
        return _minimised(data, problem, target, settings, weight, start, monitor)
    x0 = None if start is None else problem.from_raw(*start)
    options: dict[str, Any] = {"tol": settings.tol, "max_iter": settings.max_iter}
    if monitor is not None:
        options["monitor"] = lambda row, x: monitor(row, lambda: problem.raw(x))
    if settings.loss.convex:
        outcome = solve(problem, start=x0, **options)
    else:
        outcome = solve_nonconvex(problem, start=x0, n_init=settings.n_init, rng=rng, **options)
    coef, intercept = problem.raw(outcome.place.x)
    direction, length = _split(problem, coef, outcome.place.margins)
    return Fitted(coef, intercept, direction, length, outcome.certificate, outcome.history)


def _split(problem: Standardized, coef: FloatArray, margins: FloatArray) -> tuple[FloatArray, float]:
    """w and g of w̃ = g w with wᵀSw = 1: g is the standard deviation of Xw̃, known from the margins."""
    eta = margins * problem.sigma if problem.base is None else (margins - problem.base) * problem.sigma
    if problem.weight is None:
        g = float(eta.std())
    else:
        g = float(np.sqrt(problem.weight @ np.square(eta - problem.weight @ eta)))
    return (coef / g if g > 0.0 else np.zeros_like(coef)), g


def _minimised(
    data: Data,
    problem: Standardized,
    target: FloatArray,
    settings: Settings,
    weight: FloatArray | None,
    start: tuple[FloatArray, float] | None,
    monitor: Monitor | None,
) -> Fitted:
    """The same problem by a method of the paper or a rival, through ``gdnp.minimize``."""
    from gdnp.objective import Objective
    from gdnp.solvers.loop import Progress, minimize

    objective = Objective(
        data.raw,
        -problem.sigma if problem.base is None else target,
        settings.loss,
        alpha=settings.alpha,
        fit_intercept=settings.fit_intercept,
        center=settings.fit_intercept,
        sample_weight=data.weight if weight is None else weight,
    )

    def watch(row: Progress) -> None:
        if monitor is not None:
            point = row.point
            monitor(
                Row(row.passes, row.seconds, row.objective, row.gradient_norm),
                lambda: (point.coef, objective.raw_intercept(point.coef, point.intercept)),
            )

    # The loop stops on the gradient norm, whose square goes with the suboptimality that `tol` is about.
    result = minimize(
        objective,
        settings.solver,
        None if start is None else start[0],
        max_iter=settings.max_iter,
        tol=0.1 * settings.tol**0.5,
        callback=watch,
    )
    place = problem.at(problem.from_raw(result.coef, result.intercept))
    certificate = certify(problem, place, result.status, settings.tol)
    names = "passes", "seconds", "objective", "gradient_norm"
    columns = np.column_stack([result.history[name] for name in names])
    rows = [Row(*row) for row in columns.tolist()]
    direction, length = _split(problem, result.coef, place.margins)
    return Fitted(result.coef, result.intercept, direction, length, certificate, rows)
