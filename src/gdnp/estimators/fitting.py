"""From validated arrays to a fitted linear function: one problem, one loop, any solver, one answer."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, as_design
from gdnp.losses import Loss, Softmax
from gdnp.methods import get_method
from gdnp.newton import Begin, Newton, solve
from gdnp.newton.multinomial import MultinomialNewton
from gdnp.newton.nonconvex import turned
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.problem.multinomial import Multinomial
from gdnp.problem.objective import Objective, Shared
from gdnp.problem.rank import least
from gdnp.solvers import Certificate, Progress, Result, Status, run
from gdnp.solvers.certificates import certified, margin_error

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


class Data:
    """X, its weights (n,) of sum one or None, and what the problems of several targets share."""

    def __init__(
        self, X: Any, weight: FloatArray | None, settings: Settings, n_jobs: int | None, targets: int = 1
    ) -> None:
        self.design: DesignMatrix = as_design(X, n_jobs)
        self._weight, self._settings, self._shared = weight, settings, Shared(problems=targets)

    def objective(self, target: FloatArray) -> Objective:
        """The problem for one target: -1 and +1 in classification, numbers in regression, else labels."""
        settings = self._settings
        kind = Multinomial if isinstance(settings.loss, Softmax) else Objective
        return kind.unchecked(
            self.design,
            target,
            self._weight,
            settings.loss,
            settings.alpha,
            fit_intercept=settings.fit_intercept,
            shared=self._shared,
        )


def fit_one(
    objective: Objective,
    settings: Settings,
    *,
    start: tuple[FloatArray, Any] | None = None,
    preconditioner: Preconditioner | None = None,
    rng: np.random.RandomState | None = None,
    monitor: Callable[[Progress], object] | None = None,
    x: FloatArray | None = None,
) -> Result:
    """Fit one target, from (coef, intercept) of raw columns where `start` is given.

    The production solver begins with `preconditioner` there. `rng` draws further starts of a loss that is not
    convex; `monitor` sees every row of the history; `x` is a start in standard coordinates. The result has a
    certificate, and the production solver's last state.
    """
    if settings.solver in ("auto", "newton"):
        begin = None if x is None else Begin(x)
        if start is not None:
            begin = Begin(objective.standardised.from_raw(*start), None, preconditioner)
        found = _best(objective, settings, begin, rng, monitor)
        if found.certificate is None:
            raise ValueError("steps must stay finite. Got an overflow; scale the columns of X.")
        return _checked(_least(objective, settings, found), "float64")
    at = None
    if start is not None:
        b = start[1] - objective.raw_intercept(start[0], 0.0) if settings.fit_intercept else 0.0
        at = np.append(start[0], b)
    # A method that does not know how good it is ends where f is as low as it has to be, if that is known.
    bound = solve(objective, tol=0.1 * settings.tol)
    assert bound.certificate is not None
    least = bound.certificate.objective
    enough = least + 0.5 * settings.tol * max(least, bound.state.floor)

    def watch(row: Progress) -> bool:
        return (monitor is not None and monitor(row) is True) or row.objective <= enough

    tol = 0.0 if settings.loss.convex else 0.1 * settings.tol**0.5
    method, most = get_method(settings.solver), settings.max_iter
    found = run(objective, method, at, max_iter=most, tol=tol, callback=watch, lengths=False)
    if found.objective <= enough:
        found = replace(found, status=Status.CONVERGED)
    spent = {name: column[-1] for name, column in bound.history.items() if name in ("passes", "seconds")}
    last = {name: np.append(row, row[-1] + spent.get(name, 0.0)) for name, row in found.history.items()}
    return replace(_judged(objective, settings, found, bound), history=last)


def rounded(objective: Objective, fit: Result, tol: float) -> Result:
    """The fit in float32, as X is, with the certificate of these coefficients."""
    assert fit.certificate is not None
    with np.errstate(over="ignore"):
        coef = fit.coef.astype(np.float32).astype(np.float64)
        intercept: Any = np.asarray(fit.intercept, dtype=np.float32).astype(np.float64)[()]
    single = _checked(replace(fit, coef=coef, intercept=intercept), "float32")
    there = _certified(objective, tol, (coef, intercept), fit.certificate, fit.state.floor)
    return replace(single, certificate=there)


def _checked(fit: Result, kind: str) -> Result:
    bad = np.flatnonzero(~np.isfinite(np.atleast_2d(fit.coef)).all(axis=0))
    if len(bad) or not np.isfinite(fit.intercept).all():
        where = f"those of {len(bad)} column(s), the first being {bad[:5].tolist()}"
        where = where if len(bad) else "the intercept"
        raise ValueError(
            f"coefficients must be finite in {kind}. Got an overflow of {where}; "
            "multiply these columns by a constant, or set alpha > 0."
        )
    return fit


def _least(objective: Objective, settings: Settings, found: Result) -> Result:
    """The least coefficients that do as well, where no rank is known; those found where they are not got."""
    known, end = found.certificate, found.state
    assert known is not None
    if objective.alpha > 0.0 or objective.shared.rank_is_known or known.status is not Status.CONVERGED:
        return found
    coef = np.apply_along_axis(lambda w: least(objective, w), -1, found.coef)
    shift = (found.coef - coef) @ objective.column_mean if objective.fit_intercept else 0.0
    moved = replace(found, coef=coef, intercept=found.intercept + shift)  # type: ignore[arg-type]
    there = _certified(objective, settings.tol, (coef, moved.intercept), known, end.floor, end)
    return replace(moved, certificate=there) if there.status is Status.CONVERGED else found


def _certified(
    objective: Objective, tol: float, solution: Any, known: Certificate, floor: float, end: Any = None
) -> Certificate:
    """The certificate of raw coefficients, by the bound that the one `known` has; one pass.

    It is that of another `end`, or of about the same point.
    """
    point = objective.on_all_columns(*solution)
    here = there = margin_error(objective.whole or objective.standardised, point.x, *solution)
    if end is not None:
        there = margin_error(end.problem, end.point.x, *end.problem.raw(end.point.x))
    return certified(point, known, known.status, tol, floor, (here, there))


def _judged(objective: Objective, settings: Settings, found: Result, bound: Result) -> Result:
    """A fit of a method that does not know how good it is, certified against one that does."""
    standard = objective.standardised
    point = standard.point(standard.from_raw(found.coef, found.intercept))
    if standard.coordinates.combinations is not None:  # of all that predict the same, the least
        coef, intercept = standard.raw(point.x)
        direction = coef / found.length if found.length > 0.0 else found.direction
        found = replace(found, coef=coef, intercept=intercept, direction=direction)
    assert bound.certificate is not None
    floor, solution = bound.state.floor, (found.coef, found.intercept)
    known = replace(bound.certificate, status=found.status)
    certificate = _certified(objective, settings.tol, solution, known, floor, bound.state)
    gradient = point.x_gradient
    square = float(gradient @ bound.state.preconditioner.solve(gradient))
    certificate = replace(certificate, gradient_norm=math.sqrt(max(square, 0.0)))
    return _checked(replace(found, certificate=certificate, state=bound.state), "float64")


def _best(
    objective: Objective,
    settings: Settings,
    begin: Begin | None,
    rng: np.random.RandomState | None,
    monitor: Callable[[Progress], object] | None,
) -> Result:
    """The production solver; of a loss that is not convex, the best end of several starts.

    The first is `begin` or the method's own, the others the first end with its direction turned at random.
    """
    clock, passes = time.perf_counter(), objective.cost.passes

    def from_start(begin: Begin | None) -> Result:
        """A run whose history counts from the first start: the ones before took time too."""
        earlier = {"passes": objective.cost.passes - passes, "seconds": time.perf_counter() - clock}
        kind = MultinomialNewton if isinstance(objective, Multinomial) else Newton
        limits = {"tol": settings.tol, "max_iter": settings.max_iter}
        found = solve(objective, **limits, begin=begin, callback=monitor, kind=kind)  # type: ignore[arg-type]
        history = {name: column + earlier.get(name, 0.0) for name, column in found.history.items()}
        return replace(found, history=history)

    first = best = from_start(begin)
    if settings.loss.convex or first.status is Status.STOPPED:
        return best
    rng = np.random.RandomState(0) if rng is None else rng
    for _ in range(settings.n_init - 1):
        other = from_start(Begin(turned(objective.standardised, first.state.point.x, rng)))
        better = other.objective < best.objective
        if better and (other.status is Status.CONVERGED) >= (best.status is Status.CONVERGED):
            best = other
    return best
