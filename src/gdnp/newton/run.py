"""The production solver: quasi-Newton in the metric of the curvature, from the paper's two steps as a start.

1. Direction H₀⁻¹u and then its length, searched together with the intercept: on a sample of rows where there
   are many more rows than columns, in which case the sample's problem is solved.
2. L-BFGS in the metric H of the curvature at that point (a Gram weighted by φ'', from rows drawn in
   proportion to φ'' where there are many; first its diagonal where that is much cheaper and the columns are
   not correlated, and for many columns then a few directions beside it, or the kernel of the rows where these
   are fewer). The unit step costs one reading of X; another step is searched on cached margins, which costs
   none, and far from the optimum of a convex loss the length is searched with it. H is taken afresh when, at
   the rate seen, that is the shorter way.
3. Newton's equations by conjugate gradients in H. Their solution is the last step and the dual point of the
   certificate at once. Of a quadratic f with a ridge it is the only one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import zero_one
from gdnp.newton.last_step import LastStep, last_is_first, last_step
from gdnp.newton.model import Model
from gdnp.newton.preconditioners.full import Curvature
from gdnp.newton.sampling import sample, sample_size
from gdnp.newton.start import decoupled_start
from gdnp.newton.steps import Steps, downhill, searched
from gdnp.solvers.certificates import Certificate, Kind, smallest_curvature
from gdnp.solvers.conjugate import NewtonStep
from gdnp.solvers.state import Status
from gdnp.standardized import Place, Standardized

__all__ = ["Monitor", "Outcome", "Row", "certify", "solve"]

ENTER = 1000.0
"""The last Newton step starts when the estimated suboptimality is within this factor of the tolerance,"""
BASIN, BASIN_NOT_CONVEX = 1e-5, 1e-7
"""but not above this, from where one step gains too little."""
ROUNDING = 1e-18
"""Suboptimality, relative to f, below which no value of f tells a better place from a worse one."""
INTERPOLATED = 1e-15
"""f in units of f at the constant prediction, below which f is rounding."""
ROUGH = 0.05
"""Tolerance from which a metric of few rows will do."""
TINY, EXACT = 1 << 12, 1e-16
"""Entries of X below which a further Newton step is not worth saving, and the gap at which it is."""
PROOFS = 3
"""Attempts at a proof before an estimate will do."""
CURVATURE_ROUNDING = 1e-9
"""An eigenvalue this far below zero, where columns have unit variance, is not called negative."""


@dataclass(frozen=True)
class Row:
    """One row of the history."""

    passes: float
    seconds: float
    objective: float
    gradient_norm: float


Monitor = Callable[[Row, FloatArray], object]


@dataclass(frozen=True)
class Outcome:
    """What ``solve`` found.

    Attributes
    ----------
    place : Place
    certificate : Certificate
    history : list of Row
    metric : Curvature
        The last one.
    """

    place: Place
    certificate: Certificate
    history: list[Row]
    metric: Curvature


def solve(
    problem: Standardized,
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    start: FloatArray | Place | None = None,
    metric: Curvature | None = None,
    monitor: Monitor | None = None,
    prove: bool = True,
) -> Outcome:
    """Minimise a standardised objective.

    Parameters
    ----------
    problem : Standardized
    tol : float
        Relative suboptimality.
    max_iter : int
        Iterations at most.
    start : ndarray of shape (d + 1,), Place or None
        x = (v, γ), or a place of a problem that has the same margins; None starts with the paper's two steps.
    metric : Curvature or None
        The metric to begin with at `start`; None takes that of the curvature there.
    monitor : callable or None
        Called with every row of the history and x there.
    prove : bool
        False ends at the Newton decrement of the metric, without conjugate gradients or certificate.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
        return _Run(problem, tol, max_iter, monitor, prove).run(start, metric)


def certify(problem: Standardized, place: Place, status: Status, tol: float) -> Certificate:
    """The certificate of a place that some other solver came to, against a bound from ``solve``.

    Its status is CONVERGED if and only if the gap is within `tol`, whatever `status` was said.
    """
    end = solve(problem, tol=tol)
    known = end.certificate
    lower = known.objective - known.gap * known.objective / (1.0 + known.gap)
    excess = max(place.value - lower, 0.0)
    gap = 0.0 if excess == 0.0 else excess / lower if lower > 0.0 else math.inf
    if gap <= tol:
        status = Status.CONVERGED
    elif status is Status.CONVERGED:
        status = Status.MAX_ITER
    norm = math.sqrt(max(float(place.gradient @ end.metric.solve(place.gradient)), 0.0))
    return replace(known, status=status, gap=gap, gradient_norm=norm, objective=place.value)


class _Run:
    """The moving parts of one run."""

    def __init__(
        self,
        problem: Standardized,
        tol: float,
        max_iter: int,
        monitor: Monitor | None,
        prove: bool,
    ) -> None:
        self.problem, self.tol, self.max_iter = problem, tol, max_iter
        self.monitor, self.prove = monitor, prove
        rough = tol >= ROUGH
        self.model = Model(problem, rough=rough, sure=not (rough or prove))
        self.steps = Steps(problem)
        self.history: list[Row] = []
        self.begin = time.perf_counter()
        self.reached = 0.0, 0.0
        self.coercive = not problem.loss.increasing or bool(np.any(problem.ridge[problem.scale > 0.0] > 0.0))
        self.floor = 0.0
        self.attempts = 0

    # Start

    def run(self, start: FloatArray | Place | None, metric: Curvature | None) -> Outcome:
        """The whole run."""
        if start is None:
            self.place, metric = self._start()
        else:
            if isinstance(start, Place):
                self.place = self.problem.place(start.x, start.margins)
            else:
                self.place = self.problem.at(start)
            if not self.place.value <= self._constant_value():  # too far out to be of use
                self.place, metric = self._start()
        self.reached = self._spent()
        self.model.begin(self.place.margins, metric)
        self.floor = self._floor()
        return self._iterate()

    def _constant_value(self) -> float:
        x, margins = self.problem.constant()
        return self.problem.value(x, margins)

    def _floor(self) -> float:
        """f below which there is only rounding of the targets; labels have none, and any f will do."""
        return INTERPOLATED * (self.place.value if self.problem.base is None else self._constant_value())

    def _start(self) -> tuple[Place, Curvature | None]:
        """Where to begin: with rows enough, the solution of a sample. And the metric, if one was made."""
        size = sample_size(self.problem)
        loss = self.problem.loss
        if size is not None and self.model.metrics.is_matrix and loss.convex and not loss.quadratic:
            return self.problem.at(self._sample_solution(size)), None
        return decoupled_start(self.problem, self.model.metrics)

    def _sample_solution(self, size: int) -> FloatArray:
        problem, part = self.problem, sample(self.problem, size)
        solved = solve(part, tol=0.1 * part.d / part.n, max_iter=30, prove=False)
        problem.cost.charge(part.cost.passes * part.n / problem.n)
        return solved.place.x

    # Iterations

    def _iterate(self) -> Outcome:
        basin = BASIN if self.problem.loss.convex else BASIN_NOT_CONVEX
        enter = max(1.0, min(ENTER, basin / max(self.tol, 1e-300))) if self.prove else 1.0
        at_once = self.prove and last_is_first(self.problem)
        stuck = False
        while len(self.history) < self.max_iter:
            p = -self.model.solve(self.place.gradient)
            slope = float(p @ self.place.gradient)
            decrement = -0.5 * slope
            if not decrement >= 0.0:
                decrement = 0.0
            self._record(decrement)
            if self._separated():
                return self._outcome(Status.LENGTH_DIVERGES, decrement, "newton_decrement")
            target = max(enter * self.tol, ROUNDING) * self._scale(self.place.value)
            if at_once or decrement <= target or stuck:
                if not self.prove:
                    return self._outcome(Status.CONVERGED, decrement, "newton_decrement")
                before = self.place.value
                ended = self._finish(stuck)
                if ended is not None:
                    return ended
                renewed = not at_once and self.model.refresh(self.place.margins)
                enter, stuck = 0.01 * enter, not renewed and _no_lower(self.place.value, before)
                continue
            if self.model.stale(decrement, target) and self.model.refresh(self.place.margins, sharper=True):
                continue
            if not self._step(p, slope):
                stuck = not self.model.refresh(self.place.margins, force=True)
        if not self.prove:
            return self._outcome(Status.MAX_ITER, decrement, "newton_decrement")
        last = self._last_step()
        if last.place.value <= self.place.value:
            self.place = last.place
        met = self.problem.loss.convex and last.gap <= self.tol * self._scale(self.place.value - last.gap)
        return self._outcome(Status.CONVERGED if met else Status.MAX_ITER, last.gap, last.kind)

    def _step(self, p: FloatArray, slope: float) -> bool:
        new = self.steps.take(self.place, p, slope)
        if new is None:
            return False
        self.model.add(self.place, new)
        self.place = new
        return True

    # End

    def _scale(self, value: float) -> float:
        """What suboptimality is relative to."""
        return max(value, self.floor)

    def _last_step(self) -> LastStep:
        return last_step(
            self.problem,
            self.place,
            self.model,
            lambda value: self.tol * self._scale(value),
            self.max_iter + 1 - len(self.history),
            self._watch,
        )

    def _finish(self, stuck: bool) -> Outcome | None:
        """A last step that certifies itself, or None when there is more to do."""
        last = self._last_step()
        newton, gap, kind = last.newton, last.gap, last.kind
        if self.attempts >= PROOFS and newton.decrement <= ROUNDING * self._scale(self.place.value):
            stuck = True
        if newton.escape is not None and self._escape(newton.escape):
            return None
        if not _no_higher(last.place, self.place):
            self.place = self.problem.at(self.place.x)  # its margins may have gathered rounding
        if _no_higher(last.place, self.place):
            self.place = last.place
        else:
            stuck = not self._damped(newton) and stuck
        del last  # holds vectors of n rows
        if gap <= self.tol * self._scale(self.place.value - gap):
            gap = self._polished(gap)
            if self.problem.loss.convex:
                return self._outcome(Status.CONVERGED, gap, kind)
            held = self.model.metrics.hessian_fits
            smallest, direction = smallest_curvature(
                self.problem, self.place, None if held else self.model.metric.solve
            )
            if smallest < -CURVATURE_ROUNDING and self._escape(direction):
                return None
            return self._outcome(Status.CONVERGED, gap, kind, smallest)
        if kind == "duality_gap" and newton.solved and (stuck or self.attempts >= PROOFS):
            # R is too small beside rounding for a proof; the decrement of the last step can still be had.
            gap, kind = newton.decrement, "newton_decrement"
            if gap <= self.tol * self._scale(self.place.value):
                return self._outcome(Status.CONVERGED, gap, kind)
        self.attempts += 1
        return self._outcome(Status.STALLED, gap, kind) if stuck else None

    def _damped(self, newton: NewtonStep) -> bool:
        """Part of a Newton step that went too far."""
        slope = float(newton.step @ self.place.gradient)
        found = searched(self.problem, self.place, newton.step, newton.slope, slope)
        if found is not None:
            self.place = found[1]
        return found is not None

    def _escape(self, direction: FloatArray) -> bool:
        """Go down along a direction of negative curvature."""
        found = downhill(self.problem, self.place, direction)
        if found is not None:
            self.place = found
        return found is not None

    def _polished(self, gap: float) -> float:
        """The gap after one more Newton step where that costs next to nothing: to the last digits, then."""
        if self.problem.design.n_entries > TINY or gap <= EXACT * self._scale(self.place.value):
            return gap
        self.model.refresh(self.place.margins)
        last = self._last_step()
        if _no_higher(last.place, self.place) and last.gap <= gap:
            self.place, gap = last.place, last.gap
        return gap

    def _separated(self) -> bool:
        problem = self.problem
        if self.coercive:
            return False
        margins = self.place.margins
        return bool(
            (margins < 0.0).all() if problem.weight is None else (margins[problem.weight > 0.0] < 0.0).all()
        )

    def _errors(self) -> tuple[float | None, float | None]:
        """The 0-1 error, and for a bounded loss the mean loss less that."""
        problem = self.problem
        if problem.loss.task != "classification":
            return None, None
        error = problem.total(zero_one(self.place.margins), problem.weight)
        if problem.loss.convex:
            return error, None
        return error, self.place.value - problem.penalty(self.place.x) - error

    def _spent(self) -> tuple[float, float]:
        """Passes and seconds so far."""
        return self.problem.cost.passes, time.perf_counter() - self.begin

    def _record(self, decrement: float) -> None:
        passes, seconds = self._spent() if self.history else self.reached  # without the first metric
        self._add(Row(passes, seconds, self.place.value, math.sqrt(2.0 * decrement)), self.place.x)

    def _watch(self, step: FloatArray, decrement: float, square: float) -> None:
        """An iteration of conjugate gradients on a quadratic f, whose value is known."""
        self._add(Row(*self._spent(), self.place.value - decrement, math.sqrt(square)), self.place.x + step)

    def _add(self, row: Row, x: FloatArray) -> None:
        self.history.append(row)
        if self.monitor is not None:
            self.monitor(row, x)

    def _outcome(self, status: Status, gap: float, kind: Kind, smallest: float | None = None) -> Outcome:
        g = self.place.gradient
        norm = math.sqrt(max(float(g @ self.model.metric.solve(g)), 0.0))
        best = self._scale(self.place.value - gap)
        relative = 0.0 if gap <= 0.0 else gap / best if best > 0.0 else math.inf
        if not math.isfinite(self.place.value):
            status, relative = Status.NON_FINITE, math.inf
        certificate = Certificate(status, relative, norm, kind, self.place.value, smallest, *self._errors())
        self._record(0.5 * norm**2)
        return Outcome(self.place, certificate, self.history, self.model.metric)


def _no_higher(new: Place, old: Place) -> bool:
    return new.value <= old.value + 1e-12 * abs(old.value)


def _no_lower(value: float, before: float) -> bool:
    return not value < before - 1e-12 * abs(before)
