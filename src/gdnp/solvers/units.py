"""Algorithm 2: the units of a hidden layer in turn, each by the one loop that minimises everything else."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective
from gdnp.solvers.loop import Progress, Result
from gdnp.solvers.methods import minimize
from gdnp.solvers.state import ROUNDING, Method, Status
from gdnp.validation import checked_count, checked_number


class Network(Protocol):
    """f_nn(W̃) with frozen output weights: what Algorithm 2 asks of data and of a population alike."""

    @property
    def n_units(self) -> int:
        """The number of hidden units, m."""

    @property
    def n_features(self) -> int:
        """The dimension d."""

    def unit(self, i: int, coef: FloatArray) -> Objective:
        """f^(i): the objective in w̃_i alone, the other rows of `coef`, shape (m, d), being held."""


@dataclass(frozen=True)
class UnitsResult:
    """What ``minimize_units`` found.

    CONVERGED speaks of all units at once. One sweep seldom gets there: a unit's best length changes when a
    later unit is added.
    """

    coef: FloatArray  # W̃, one row a unit, shape (m, d)
    objective: float  # f_nn
    gradient_norm: float  # (Σ_i ‖∇_{w̃_i} f_nn‖²)^½, each norm in S⁻¹
    status: Status
    history: dict[str, FloatArray]  # ``objective``, ``gradient_norm``, start included, shape (n_sweeps + 1,)
    runs: tuple[tuple[Result, ...], ...]  # ``runs[sweep][i]``: the run of unit i


def minimize_units(
    network: Network,
    method: Method | str = "gdnp",
    *,
    start: FloatArray | None = None,
    sweeps: int = 1,
    max_iter: int = 100,
    tol: float = 1e-6,
    callback: Callable[[int, int, Progress], object] | None = None,
) -> UnitsResult:
    """Algorithm 2, and as many further sweeps over the units as are asked for; one as printed.

    The first sweep starts from W̃ = 0, which is how w_k = 0 for the units to come is read (Eq. 9 gives a zero
    vector no length); later ones start where the units are. A unit's run that ends above where it began, as a
    length search on a function with several minima can, is not kept.

    On a population all units stay on the line of S⁻¹u, and a critical point there can be a saddle of f_nn (it
    is for two units with θ = 1, log loss and r = .6; see claim lemma-2). On data no unit is exactly on that
    line, and further sweeps may leave it.

    `start`, shape (m, d), has w₀ of every unit's first run, with ρ(w₀) ≠ 0; None is u for all. `max_iter` is
    T_d, and `tol` that of each run; sweeps end where the network's gradient is `tol` times that at W̃ = 0.
    `callback` is called with the sweep, the unit and a ``Progress`` after every step. Raises ValueError for a
    start of the wrong shape, numbers outside their range, or a population one of whose units has not reached
    its line when the next one's turn comes.
    """
    sweeps, max_iter = checked_count("sweeps", sweeps, least=1), checked_count("max_iter", max_iter)
    tol = checked_number("tol", tol)
    coef = np.zeros((network.n_units, network.n_features))
    first = _checked_start(start, coef.shape)
    values, norms = [network.unit(0, coef).origin.value], [_gradient_norm(network, coef)]
    runs: list[tuple[Result, ...]] = []
    for sweep in range(sweeps):
        begin, report = first if sweep == 0 else list(coef), callback and partial(callback, sweep)
        runs.append(_sweep(network, method, coef, begin, max_iter, tol, report))
        values.append(network.unit(0, coef).at(coef[0]).value)
        norms.append(_gradient_norm(network, coef))
        status = _status({run.status for run in runs[-1]}, norms[-1] <= tol * norms[0])
        if status in (Status.NON_FINITE, Status.CONVERGED):
            break
    return UnitsResult(
        coef=coef,
        objective=values[-1],
        gradient_norm=norms[-1],
        status=status,
        history={"objective": np.array(values), "gradient_norm": np.array(norms)},
        runs=tuple(runs),
    )


def _status(ends: set[Status], small: bool) -> Status:
    """That of a sweep whose units end so, and whether the gradient is small."""
    for status in (Status.NON_FINITE, Status.LENGTH_DIVERGES):
        if status in ends:
            return status
    unmet = Status.STALLED if ends == {Status.STALLED} else Status.MAX_ITER
    return Status.CONVERGED if small else unmet


def _sweep(
    network: Network,
    method: Method | str,
    coef: FloatArray,
    begin: list[FloatArray | None] | list[FloatArray],
    max_iter: int,
    tol: float,
    report: Callable[[int, Progress], object] | None,
) -> tuple[Result, ...]:
    """One run for every unit; each that is kept is written into `coef`."""
    results = []
    for i in range(network.n_units):
        unit = network.unit(i, coef)
        before = unit.at(coef[i]).value
        w0 = begin[i] if begin[i] is not None and np.any(begin[i]) else None
        result = minimize(
            unit, method, w0, max_iter=max_iter, tol=tol, callback=report and partial(report, i)
        )
        if result.objective <= before + ROUNDING * abs(before):
            coef[i] = result.coef
        results.append(result)
    return tuple(results)


def _gradient_norm(network: Network, coef: FloatArray) -> float:
    norms = []
    for i, row in enumerate(coef):
        unit = network.unit(i, coef)
        norms.append(unit.covariance.dual_norm(unit.at(row).gradient))
    return float(np.linalg.norm(norms))


def _checked_start(start: FloatArray | None, shape: tuple[int, ...]) -> list[FloatArray | None]:
    if start is None:
        return [None] * shape[0]
    array = np.array(start, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(
            f"start must be finite with one row per unit, shape {shape}. Got shape {array.shape}."
        )
    return list(array)
