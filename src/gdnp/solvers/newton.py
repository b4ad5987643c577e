"""The production solver: quasi-Newton in the metric of the curvature, from the paper's two steps as a start.

1. Direction H₀⁻¹u and then its length, searched together with the intercept: on a sample of rows where there
   are many more rows than columns, in which case the sample's problem is solved.
2. L-BFGS in the metric H of the curvature at that point (a Gram weighted by φ'', from rows drawn in
   proportion to φ'' where there are many). The unit step costs one reading of X; another step is searched on
   cached margins, which costs none, and far from the optimum of a convex loss the length is searched with it.
   H is taken afresh when, at the rate seen, that is the shorter way.
3. Newton's equations by conjugate gradients in H. Their solution is the last step and the dual point of the
   certificate at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdnp.losses import zero_one
from gdnp.solvers.certificates import Certificate, Kind, duality_gap, provable, smallest_curvature
from gdnp.solvers.conjugate import NewtonStep, newton_step
from gdnp.solvers.curvature import Curvature
from gdnp.solvers.lbfgs import Memory
from gdnp.solvers.line_search import DECREASE, search
from gdnp.solvers.metrics import Metrics
from gdnp.solvers.plane_search import step_in_plane
from gdnp.solvers.sampling import sample, sample_size
from gdnp.solvers.start import decoupled_start
from gdnp.solvers.state import Status
from gdnp.standardized import Place, Standardized

FloatArray = NDArray[np.float64]

__all__ = ["Monitor", "Outcome", "Row", "certify", "solve"]

ENTER = 1000.0
"""The last Newton step starts when the estimated suboptimality is within this factor of the tolerance,"""
BASIN, BASIN_NOT_CONVEX = 1e-5, 1e-7
"""but not above this, from where one step gains too little."""
WOLFE = 0.5
"""Share of the slope that may be left after a unit step that is taken without a search."""
BOLD = (0.7, 1.5)
"""Step lengths after which the unit step is tried first: refused, it costs half a pass more than a search."""
FAR, FAR_NOT_CONVEX = 0.02, 5e-4
"""Decrease in sight, in units of f, above which every step is searched, of a convex loss with the length."""
PAID, PAID_NOT_CONVEX = 0.5, 2.0
"""Steps in units of its cost after which a metric has paid for itself: valleys are slow in any."""
RESIDUAL = 0.3
"""Share of the tolerance that the residual of the last step may take; the loss's own gap comes on top."""
LONGEST_NEWTON = 100
"""Conjugate gradient iterations of the last step."""
CANCELLED = 1e-6
"""A change of the margins smaller than this share of them is no longer known well from their difference."""
ROUNDING = 1e-18
"""Suboptimality, relative to f, below which no value of f tells a better place from a worse one."""
TINY = 1 << 12
"""Entries of X below which a further Newton step is not worth saving."""
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
        self.metrics = Metrics(problem)
        self.memory = Memory()
        self.history: list[Row] = []
        self.decrements: list[float] = []
        self.begin = time.perf_counter()
        self.reached = 0.0, 0.0
        self.provable = provable(problem)
        self.coercive = not problem.loss.increasing or bool(np.any(problem.ridge[problem.scale > 0.0] > 0.0))
        self.floor = 0.0
        self.attempts = 0
        self.fresh = False
        self.bold = True

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
        self.metric = self.metrics.at(self.place.margins) if metric is None else metric
        self.floor = 1e-15 * self.place.value
        return self._iterate()

    def _constant_value(self) -> float:
        x, margins = self.problem.constant()
        return self.problem.value(x, margins)

    def _start(self) -> tuple[Place, Curvature | None]:
        """Where to begin: with rows enough, the solution of a sample. And the metric, if one was made."""
        size = sample_size(self.problem)
        if size is not None and self.metrics.kind == "full" and self.problem.loss.convex:
            return self.problem.at(self._sample_solution(size)), None
        return decoupled_start(self.problem, self.metrics)

    def _sample_solution(self, size: int) -> FloatArray:
        problem, part = self.problem, sample(self.problem, size)
        solved = solve(part, tol=0.1 * part.d / part.n, max_iter=30, prove=False)
        problem.cost.charge(part.cost.passes * part.n / problem.n)
        return solved.place.x

    def _length(self, place: Place, direction: FloatArray, q: FloatArray, slope: float) -> float:
        return search(self.problem.line(place, direction, q), place.value, slope)

    # Iterations

    def _iterate(self) -> Outcome:
        basin = BASIN if self.problem.loss.convex else BASIN_NOT_CONVEX
        enter = max(1.0, min(ENTER, basin / max(self.tol, 1e-300))) if self.prove else 1.0
        stuck = False
        for _ in range(self.max_iter):
            p = -self.memory.solve(self.place.gradient, self.metric.solve)
            slope = float(p @ self.place.gradient)
            decrement = -0.5 * slope
            if not decrement >= 0.0:
                decrement = 0.0
            self._record(decrement)
            if self._separated():
                return self._outcome(Status.LENGTH_DIVERGES, decrement, "newton_decrement")
            target = max(enter * self.tol, ROUNDING) * self._scale(self.place.value)
            if decrement <= target or stuck:
                if not self.prove:
                    return self._outcome(Status.CONVERGED, decrement, "newton_decrement")
                ended = self._finish(stuck)
                if ended is not None:
                    return ended
                enter, stuck = 0.01 * enter, not self._refresh()
                continue
            if self._stale(decrement, target) and self._refresh(sharper=True):
                continue
            if not self._step(p, slope):
                stuck = not self._refresh(force=True)
        if not self.prove:
            return self._outcome(Status.MAX_ITER, decrement, "newton_decrement")
        _, moved, gap, kind = self._newton()
        if moved.value <= self.place.value:
            self.place = moved
        met = self.problem.loss.convex and gap <= self.tol * self._scale(self.place.value - gap)
        return self._outcome(Status.CONVERGED if met else Status.MAX_ITER, gap, kind)

    def _step(self, p: FloatArray, slope: float) -> bool:
        """The unit step if it is tried and a good one, else one searched on cached margins."""
        problem, old = self.problem, self.place
        new: Place | None = None
        q: FloatArray | None = None
        far = -0.5 * slope > (FAR if problem.loss.convex else FAR_NOT_CONVEX) * old.value
        if self.bold and not far:
            new = problem.at(old.x + p)
            if not self._good_step(new, p, slope):  # its margins make room for their own change
                q = np.subtract(new.margins, old.margins, out=new.margins)
                new = None
        if new is None:
            new = self._searched(p, slope, q, with_length=far and problem.loss.convex)
        if new is None:
            return False
        self.memory.add(new.x - old.x, new.gradient - old.gradient)
        self.place = new
        self.fresh = False
        return True

    def _searched(
        self, p: FloatArray, slope: float, q: FloatArray | None, *, with_length: bool
    ) -> Place | None:
        """The place of the best step along p, and of the best length with it where that is asked for.

        Not for bounded losses: a greater length brings them nearer to the 0-1 loss, and into worse minima.
        """
        problem, old = self.problem, self.place
        if q is None or not CANCELLED * _largest(old.margins) < _largest(q) < math.inf:
            q = problem.slope(p)
        found = step_in_plane(problem, old, (p, q), problem.length(old)) if with_length else None
        if found is not None:
            t, new = found
        else:
            t = self._length(old, p, q, slope)
            if t == 0.0:
                return None
            q *= t
            q += old.margins
            new = problem.place(old.x + t * p, q)
        self.bold = BOLD[0] <= t <= BOLD[1]
        return new

    def _good_step(self, new: Place, p: FloatArray, slope: float) -> bool:
        sufficient = new.value <= self.place.value + DECREASE * slope
        return sufficient and abs(float(new.gradient @ p)) <= WOLFE * abs(slope)

    def _stale(self, decrement: float, target: float) -> bool:
        """Whether at the rate seen lately a new metric is the shorter way to `target`."""
        self.decrements.append(decrement)
        cost, seen = self.metrics.cost, self.decrements
        paid = PAID if self.problem.loss.convex else PAID_NOT_CONVEX
        if len(seen) < 2 or len(seen) < paid * cost + 1.0:
            return False
        last = min(2, len(seen) - 1)
        rate = (seen[-1] / seen[-1 - last]) ** (1.0 / last)
        if rate >= 1.0:
            return True
        remaining = math.log(max(target, 1e-300) / decrement) / math.log(rate)
        return remaining > cost + 2.0

    def _refresh(self, *, sharper: bool = False, force: bool = False) -> bool:
        """A metric of the curvature here, of the sharpest kind if so asked; False when there is nothing new.

        With `force` a fresh metric that gave no step is replaced by a larger one, whose steps are shorter.
        """
        if not force:
            self.metrics.damping = 0.0
        elif self.fresh and not self.metrics.damp():
            return False
        if sharper or force:
            self.metrics.sharpen(force=force)
        try:
            self.metric = self.metrics.at(self.place.margins)
        except FloatingPointError:  # φ'' has underflowed in all rows that counted
            return False
        self.memory.clear()
        self.decrements.clear()
        self.fresh = True
        return True

    # End

    def _scale(self, value: float) -> float:
        """What suboptimality is relative to."""
        return max(value, self.floor)

    def _finish(self, stuck: bool) -> Outcome | None:
        """A Newton step that certifies its own end, or None when there is more to do."""
        old = self.place
        newton, moved, gap, kind = self._newton()
        if self.attempts >= PROOFS and newton.decrement <= ROUNDING * self._scale(old.value):
            stuck = True
        if newton.escape is not None and self._escape(newton.escape):
            return None
        if not self._no_higher(moved, old):
            old = self.place = self.problem.at(old.x)  # its margins may have gathered rounding
        if self._no_higher(moved, old):
            self.place = moved
        else:
            stuck = not self._damped(newton) and stuck
        del old, moved  # vectors of n rows
        if gap <= self.tol * self._scale(self.place.value - gap):
            if self.problem.loss.convex:
                return self._outcome(Status.CONVERGED, self._polished(gap), kind)
            smallest, direction = smallest_curvature(self.problem, self.place, self.metrics.hessian_fits)
            if smallest < -CURVATURE_ROUNDING and self._escape(direction):
                return None
            return self._outcome(Status.CONVERGED, gap, kind, smallest)
        if kind == "duality_gap" and (stuck or self.attempts >= PROOFS):
            # R is too small beside rounding for a proof; the decrement of the last step can still be had.
            gap, kind = newton.decrement, "newton_decrement"
            if gap <= self.tol * self._scale(self.place.value):
                return self._outcome(Status.CONVERGED, gap, kind)
        self.attempts += 1
        return self._outcome(Status.STALLED, gap, kind) if stuck else None

    @staticmethod
    def _no_higher(new: Place, old: Place) -> bool:
        return new.value <= old.value + 1e-12 * abs(old.value)

    def _damped(self, newton: NewtonStep) -> bool:
        """Part of a Newton step that went too far."""
        old, p, q = self.place, newton.step, newton.slope
        slope = float(p @ old.gradient)
        t = self._length(old, p, q, slope) if slope < 0.0 else 0.0
        if t > 0.0:
            self.place = self.problem.place(old.x + t * p, old.margins + t * q)
        return t > 0.0

    def _polished(self, gap: float) -> float:
        """The gap after one more Newton step where that costs next to nothing: to the last digits, then."""
        if self.problem.design.n_entries > TINY:
            return gap
        self._refresh()
        _, moved, better, _ = self._newton()
        if moved.value <= self.place.value and better <= gap:
            self.place, gap = moved, better
        return gap

    def _newton(self) -> tuple[NewtonStep, Place, float, Kind]:
        """A Newton step, the place it leads to, the gap there, and how that is known."""
        problem, place = self.problem, self.place
        enough = RESIDUAL * self.tol * self._scale(place.value)
        metric = self.metric

        def proving(residual: FloatArray, _: float) -> bool:
            return 0.5 * float(residual[:-1] @ (residual[:-1] / problem.ridge)) <= enough

        def solving(residual: FloatArray, decrement: float) -> bool:
            return float(residual @ metric.solve(residual)) <= 0.02 * decrement

        newton = newton_step(
            problem,
            place,
            problem.curvature(place.margins),
            lambda g: self.memory.solve(g, metric.solve),
            proving if self.provable else solving,
            max_iter=LONGEST_NEWTON,
        )
        if self.provable:
            moved, gap = duality_gap(problem, place, newton)
            return newton, moved, gap, "duality_gap"
        moved = problem.at(place.x + newton.step)
        return newton, moved, newton.decrement, "newton_decrement"

    def _escape(self, direction: FloatArray) -> bool:
        """Go downhill along a direction of negative curvature, whichever way leads down."""
        problem, place = self.problem, self.place
        q = problem.slope(direction)
        unit = 1.0 / max(float(np.abs(q).max()), 1e-300)
        best, step, line = place.value, 0.0, problem.line(place, direction, q)
        for t in (sign * unit * 2.0**k for k in range(-6, 7) for sign in (1.0, -1.0)):
            value = line(t)[0]
            if value < best:
                best, step = value, t
        if not best < place.value - 1e-12 * abs(place.value):
            return False
        self.place = problem.place(place.x + step * direction, place.margins + step * q)
        return True

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
        row = Row(passes, seconds, self.place.value, math.sqrt(2.0 * decrement))
        self.history.append(row)
        if self.monitor is not None:
            self.monitor(row, self.place.x)

    def _outcome(self, status: Status, gap: float, kind: Kind, smallest: float | None = None) -> Outcome:
        g = self.place.gradient
        norm = math.sqrt(max(float(g @ self.metric.solve(g)), 0.0))
        best = self._scale(self.place.value - gap)
        relative = 0.0 if gap <= 0.0 else gap / best if best > 0.0 else math.inf
        if not math.isfinite(self.place.value):
            status, relative = Status.NON_FINITE, math.inf
        certificate = Certificate(status, relative, norm, kind, self.place.value, smallest, *self._errors())
        self._record(0.5 * norm**2)
        return Outcome(self.place, certificate, self.history, self.metric)


def _largest(values: FloatArray) -> float:
    return max(float(values.max()), -float(values.min()))
