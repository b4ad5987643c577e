"""The one loop that drives every method: measure, record, judge, step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.design.threads import single_threaded_blas
from gdnp.problem.interface import Objective, Point
from gdnp.solvers.state import Certificate, Measured, Method, State, Status

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
        ‖∇f(w̃, γ)‖ in the norm of the method, S⁻¹ for those of the paper.
    length : float
        ‖w̃‖ in S; NaN in a run that does not ask for it.
    point : Point
        The handle of the current point.
    solution : callable
        () -> (w̃, b) of xᵀw̃ + b for raw columns.
    read : dict of str to float
        ``readings``, ``rounds`` and ``bytes`` so far, of rows that are not in memory.
    """

    iteration: int
    passes: float
    seconds: float
    objective: float
    gradient_norm: float
    length: float
    point: Point = field(repr=False)
    solution: Callable[[], tuple[FloatArray, float]] = field(repr=False)
    read: dict[str, float]


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
        ‖∇f‖ at the solution, the part of γ included, in the norm of the method: S⁻¹ for those of the paper.
    status : Status
        How the run ended; ``status.message`` says it in a sentence.
    n_iter : int
        Steps taken.
    history : dict of str to ndarray of shape (n_iter + 1,)
        ``passes``, ``seconds``, ``objective``, ``gradient_norm``, ``length``, start included; of rows that
        are not in memory also what ``Cost.read`` has.
    certificate : Certificate or None
        How good the solution is, from methods that know.
    state : State
        The last one.
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
    certificate: Certificate | None = None
    state: Any = field(repr=False, default=None)


def run(
    objective: Objective,
    method: Method,
    start: FloatArray | None = None,
    *,
    max_iter: int = 1000,
    tol: float = 1e-8,
    callback: Callable[[Progress], object] | None = None,
    lengths: bool = True,
) -> Result:
    """Minimise an objective with a method: what ``gdnp.minimize`` does with arguments that were checked.

    The history has the length only if `lengths`: it takes time where S is not known.
    """
    method = method.aimed(tol, max_iter)
    with (
        single_threaded_blas(),
        np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"),
    ):
        records = _Records(objective, method, tol, callback, lengths)
        state = records.timed(lambda: method.init(objective, start))
        status = records.status_at(state)
        while status is None and records.n_iter < max_iter:
            moved = records.timed(lambda state=state: method.step(objective, state))  # type: ignore[misc]
            status = records.status_at(moved)
            if status is not Status.NON_FINITE:
                state = moved
        return records.result(state, status)


class _Records:
    """What is measured of one run."""

    def __init__(
        self,
        objective: Objective,
        method: Method,
        tol: float,
        callback: Callable[[Progress], object] | None,
        lengths: bool,
    ) -> None:
        self.objective, self.method, self.tol = objective, method, tol
        self.callback, self.lengths = callback, lengths
        self.rows: list[tuple[float, ...]] = []
        self.stopped = False
        self.seconds = 0.0
        self.passes = objective.cost.passes
        with objective.cost.free():
            self.scale = method.scale(objective)

    @property
    def n_iter(self) -> int:
        """Steps recorded; -1 before the start is."""
        return len(self.rows) - 1

    def timed(self, move: Callable[[], State]) -> State:
        """The state that `move` makes, timed, with the value and gradient that it left to be computed."""
        begin = time.perf_counter()
        state = move()
        _ = state.point.value, state.point.gradient
        self.seconds += time.perf_counter() - begin
        return state

    def status_at(self, state: State) -> Status | None:
        """Add a row to the history and judge; a state that is not finite has no row."""
        objective, method = self.objective, self.method
        passes = objective.cost.passes - self.passes
        with objective.cost.free():
            measured = method.measure(objective, state)
            length = method.length_of(objective, state) if self.lengths else float("nan")
            if not (all(map(math.isfinite, measured)) and (math.isfinite(length) or not self.lengths)):
                return self._undone(measured)
            self._record(passes, measured, length, state)
            status = method.terminate(objective, state, measured, self.scale, self.tol)
            return Status.STOPPED if status is None and self.stopped else status

    def _undone(self, measured: Measured) -> Status:
        if not self.rows:
            raise ValueError(
                f"{self.method.name}: the objective must be finite at the start. "
                f"Got f = {measured.objective:g}; scale the data or the start."
            )
        return Status.NON_FINITE

    def _record(self, passes: float, measured: Measured, length: float, state: State) -> None:
        read = self.objective.cost.read
        self.rows.append((passes, self.seconds, *measured, length, *read.values()))
        if self.callback is not None:
            method, objective = self.method, self.objective  # a row that knew these records would be a circle
            head, solution = (self.n_iter, passes, self.seconds), lambda: method.solution(objective, state)
            row = Progress(*head, *measured, length, state.point, solution, read)
            self.stopped = self.callback(row) is True

    def result(self, state: State, status: Status | None) -> Result:
        """The result; without a status, the iterations ran out."""
        objective, method = self.objective, self.method
        _, _, value, gradient_norm, length, *_ = self.rows[-1]
        with objective.cost.free():
            if status is Status.STOPPED:
                state = method.stopped(objective, state)
            coef, intercept = method.solution(objective, state)
            length = length if self.lengths else method.length_of(objective, state)
            if status is None:
                status = method.unfinished(objective, state)
            if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
                status = Status.NON_FINITE  # beyond float64 in the units of raw columns
        names = *COLUMNS, *objective.cost.read
        history = dict(zip(names, np.array(self.rows).T.copy(), strict=True))
        if not self.lengths:
            del history["length"]
        unit = np.asarray(length)[..., None]
        return Result(
            coef=coef,
            intercept=intercept,
            direction=np.divide(coef, unit, out=np.zeros_like(coef), where=unit > 0.0),
            length=length,
            objective=value,
            gradient_norm=gradient_norm,
            status=status,
            n_iter=self.n_iter,
            history=history,
            certificate=method.certificate(state),
            state=state,
        )
