"""The one loop that drives every method: measure, record, judge, step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design.threads import single_threaded_blas
from gdnp.problem.interface import Objective, Point
from gdnp.solvers.lengths import ROUNDING
from gdnp.solvers.state import Method, State, Status
from gdnp.validation import checked_count, checked_number

__all__ = ["Progress", "Result", "minimize"]

COLUMNS = ("passes", "seconds", "objective", "gradient_norm", "length")


@dataclass(frozen=True)
class Progress:
    """One row of the history, as a callback sees it.

    Attributes
    ----------
    iteration : int
    passes : float
        Passes over the data that the method was charged for so far.
    seconds : float
        Time inside the method so far; measuring is not counted.
    objective : float
        f(w̃).
    gradient_norm : float
        ‖∇f(w̃, γ)‖ in S⁻¹.
    length : float
        ‖w̃‖ in S.
    point : Point
        The handle of the current point.
    """

    iteration: int
    passes: float
    seconds: float
    objective: float
    gradient_norm: float
    length: float
    point: Point = field(repr=False)


@dataclass(frozen=True)
class Result:
    """What ``minimize`` found.

    Attributes
    ----------
    coef : ndarray of shape (d,)
        w̃, in the raw coordinates of X.
    intercept : float
        b of xᵀw̃ + b for raw columns.
    direction : ndarray of shape (d,)
        w = w̃/‖w̃‖_S.
    length : float
        g = ‖w̃‖_S >= 0.
    objective : float
        f at the solution.
    gradient_norm : float
        ‖∇f‖ in S⁻¹ at the solution, the part of γ included.
    status : Status
        How the run ended; ``status.message`` says it in a sentence.
    n_iter : int
        Steps taken.
    history : dict of str to ndarray of shape (n_iter + 1,)
        ``passes``, ``seconds``, ``objective``, ``gradient_norm``, ``length``, start included.
    """

    coef: FloatArray
    intercept: float
    direction: FloatArray
    length: float
    objective: float
    gradient_norm: float
    status: Status
    n_iter: int
    history: dict[str, FloatArray]


def minimize(
    objective: Objective,
    method: Method | str = "gdnp",
    w0: FloatArray | None = None,
    *,
    max_iter: int = 1000,
    tol: float = 1e-8,
    callback: Callable[[Progress], object] | None = None,
) -> Result:
    """Minimise an objective with a method of the paper or one of its rivals.

    Parameters
    ----------
    objective : Objective
        ``gdnp.Objective`` on data, or one of ``gdnp.population``.
    method : Method or str
        A preset of ``gdnp.methods``, or its name.
    w0 : ndarray of shape (d,) or None
        The start w̃₀. None: u for methods that need a direction, 0 for the others.
    max_iter : int
        Steps at most.
    tol : float
        The run has converged when ‖∇f‖ in S⁻¹ is at most `tol` times its value at w̃ = 0. Where the length
        diverges no such point exists, and the run ends when the direction is as stationary.
    callback : callable or None
        Called with a ``Progress`` after every step and at the start. What it raises ends the run.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        For an unknown name, a start of the wrong shape or not finite, or a method that does not fit the
        objective.
    """
    from gdnp.methods import get_method

    method = get_method(method)
    start = _checked_start(w0, objective.n_features)
    max_iter = checked_count("max_iter", max_iter)
    tol = checked_number("tol", tol)
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore", under="ignore"):
        run = _Run(objective, method, tol, callback)
        state = run.measured(lambda: method.init(objective, start))
        run.record(state)
        status = run.judge(state)
        while status is None and run.n_iter < max_iter:
            moved = run.measured(lambda state=state: method.step(objective, state))  # type: ignore[misc]
            if not run.record(moved):
                status = Status.NON_FINITE
                break
            state = moved
            status = run.judge(state)
        return run.result(state, status)


class _Run:
    """The bookkeeping of one run."""

    def __init__(
        self, objective: Objective, method: Method, tol: float, callback: Callable[[Progress], object] | None
    ) -> None:
        self.objective = objective
        self.method = method
        self.tol = tol
        self.callback = callback
        self.last: Progress | None = None
        self.history: dict[str, list[float]] = {column: [] for column in COLUMNS}
        self.seconds = 0.0
        self.passes = objective.cost.passes
        with objective.cost.free():
            at_zero = self._gradient_norm(objective.origin)
        # Where 0 itself is stationary its gradient is no yardstick; that of a unit step is.
        self.scale = at_zero if at_zero > ROUNDING else objective.loss.max_curvature

    @property
    def n_iter(self) -> int:
        """Steps recorded; -1 before the start is."""
        return len(self.history["passes"]) - 1

    def measured(self, move: Callable[[], State]) -> State:
        """The state that `move` makes, timed, with the value and gradient that it left to be computed."""
        begin = time.perf_counter()
        state = move()
        _ = state.point.value, state.point.gradient
        self.seconds += time.perf_counter() - begin
        return state

    def record(self, state: State) -> bool:
        """Add a row to the history, unless the state is not finite."""
        point, objective = state.point, self.objective
        passes = objective.cost.passes - self.passes
        with objective.cost.free():
            row = Progress(
                iteration=self.n_iter + 1,
                passes=passes,
                seconds=self.seconds,
                objective=point.value,
                gradient_norm=self._gradient_norm(point),
                length=objective.covariance.norm(point.coef),
                point=point,
            )
        finite = bool(np.isfinite([row.objective, row.gradient_norm, row.length]).all())
        if finite:
            self.last = row
            for column, values in self.history.items():
                values.append(getattr(row, column))
            if self.callback is not None:
                self.callback(row)
        elif self.last is None:
            raise ValueError(
                f"{self.method.name}: the objective must be finite at the start. "
                f"Got f = {row.objective:g}; scale the data or the start."
            )
        return finite

    def judge(self, state: State) -> Status | None:
        """The status that ends the run here, if any."""
        unbounded = self._unbounded(state)
        with self.objective.cost.free():
            gap = self.history["gradient_norm"][-1] / self.scale
            if state.length_diverges:
                gap = state.directional_gap
        if gap <= self.tol:
            return Status.LENGTH_DIVERGES if unbounded else Status.CONVERGED
        if state.stalled:
            return Status.LENGTH_DIVERGES if unbounded else Status.STALLED
        return None

    def result(self, state: State, status: Status | None) -> Result:
        """The result; without a status, the iterations ran out."""
        assert self.last is not None
        last, point, metric = self.last, state.point, self.objective.covariance
        if status is None:
            status = Status.LENGTH_DIVERGES if self._unbounded(state) else Status.MAX_ITER
        return Result(
            coef=point.coef,
            intercept=self.objective.raw_intercept(point.coef, point.intercept),
            direction=metric.split(point.coef)[0] if last.length > 0.0 else np.zeros_like(point.coef),
            length=last.length,
            objective=last.objective,
            gradient_norm=last.gradient_norm,
            status=status,
            n_iter=self.n_iter,
            history={column: np.array(values) for column, values in self.history.items()},
        )

    def _gradient_norm(self, point: Point) -> float:
        return float(np.hypot(self.objective.covariance.dual_norm(point.gradient), point.intercept_gradient))

    def _unbounded(self, state: State) -> bool:
        """Whether the length has no finite minimiser, so that a small gradient means nothing.

        It was capped, or every row is on the right side, or a bounded loss is in its 0-1 limit.
        """
        o, loss = self.objective, self.objective.loss
        separated = loss.increasing and state.point.separates
        saturated = not loss.convex and self.history["length"][-1] > o.length_cap
        return state.length_diverges or (o.alpha == 0.0 and (separated or saturated))


def _checked_start(w0: FloatArray | None, d: int) -> FloatArray | None:
    if w0 is None:
        return None
    start = np.array(w0, dtype=np.float64)
    if start.shape != (d,) or not np.isfinite(start).all():
        raise ValueError(
            f"w0 must be finite with one entry per column, shape ({d},). Got shape {start.shape}."
        )
    return start
