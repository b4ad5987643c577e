"""The runs of Figure 3 as arrays, and each sentence of section 5.3 as a number that decides it in a run."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.paper.runner.experiment import Results, Settings

LABELS = {"bn": "BN", "gd": "GD"}
MEASURES = ("raw", "scaled")
LEVELS = 12
"""Losses at which the networks are compared."""


@dataclass(frozen=True)
class Runs:
    """All runs of one network.

    ``loss`` and ``gradient_norm`` are (seeds, iterations + 1). ``dependencies`` by measure are (seeds, m,
    layers - 1) at the m iterations in ``times``: raw, ‖∂²f/∂W_k∂W_i‖_F, directional part; scaled, times
    ‖W_k‖_F ‖W_i‖_F.
    """

    step: float
    loss: FloatArray
    gradient_norm: FloatArray
    times: NDArray[np.int64]
    dependencies: dict[str, FloatArray]

    @property
    def measured_loss(self) -> FloatArray:
        """Loss at ``times``, of shape (seeds, m)."""
        return self.loss[:, self.times]


def layer_numbers(settings: Settings) -> list[int]:
    """The layers that the central one is compared with, in order."""
    shape = settings["network"]
    return [i for i in range(1, shape["depth"] + 2) if i != shape["layer"]]


def collect(settings: Settings, results: Results, network: str) -> Runs:
    """The runs of a network, ``bn`` or ``gd``: the segments of every seed joined."""
    starts = range(0, settings["iterations"], settings["segment"])
    chains = [[results[f"{network}/{k}/{start}"] for start in starts] for k in range(settings["seeds"])]
    records = [[record for piece in chain for record in piece["records"]] for chain in chains]

    def joined(key: str) -> FloatArray:
        rows = [[value for piece in chain for value in piece[key]] for chain in chains]
        return np.array(rows, dtype=np.float64)  # None, which stands for NaN in JSON, becomes NaN

    norm, weights = (
        np.array([[record[key] for record in row] for row in records], dtype=np.float64)
        for key in ("norm", "weights")
    )
    central = settings["network"]["layer"] - 1
    scale = weights[:, :, [central]] * np.delete(weights, central, axis=2)
    return Runs(
        step=results[f"{network}/step"]["step"],
        loss=joined("loss"),
        gradient_norm=joined("gradient_norm"),
        times=np.array([record["iteration"] for record in records[0]]),
        dependencies={"raw": norm, "scaled": norm * scale},
    )


def common_losses(runs: Mapping[str, Runs]) -> FloatArray | None:
    """Losses (LEVELS,), falling, that every run of every network passes between two of its measurements.

    None where the runs have no range in common, or one has diverged.
    """
    losses = [row for entry in runs.values() for row in entry.measured_loss]
    if not all(np.isfinite(row).all() for row in losses):
        return None
    high, low = min(row[0] for row in losses), max(row.min() for row in losses)
    return np.geomspace(high, low, LEVELS) if 0.0 < low < high else None


def at_losses(runs: Runs, measure: str, losses: FloatArray) -> FloatArray:
    """Dependencies (seeds, p, layers - 1) where the training loss first falls to each of `losses` (p,).

    `losses` fall, and `measure` is one of ``MEASURES``. Between measurements both are linear on logarithms.
    """
    found = []
    for loss, values in zip(runs.measured_loss, runs.dependencies[measure], strict=True):
        lowest = np.minimum.accumulate(loss)
        record = np.concatenate([[True], lowest[1:] < lowest[:-1]])  # a rise is waited out
        x, y = -np.log(lowest[record]), np.log(values[record])
        columns = [np.interp(-np.log(losses), x, column) for column in y.T]
        found.append(np.exp(np.stack(columns, axis=1)))
    return np.stack(found)


# --- what is said of them

FIRST = 1000
"""Iterations in which the paper sees BN's downstream dependencies decay."""
CRITICAL = 0.1
"""Before criticality: the gradient norm has not yet fallen below this share of its largest value."""
BASES = {"iterations": "at equal iterations", "loss": "at equal training loss"}


@dataclass(frozen=True)
class Course:
    """The dependencies of one run as they are judged: `values` (m, layers - 1) in the order of the layers.

    The first `upstream` of them are upstream. `early` (m,) is true where the run is not yet near a critical
    point, and a decay is judged at `last`: where the first 1000 iterations end, or at the lowest loss.
    """

    values: FloatArray
    upstream: int
    early: NDArray[np.bool_]
    last: int

    @property
    def typical(self) -> FloatArray:
        """The geometric mean along the run."""
        return geometric(self.values)

    @property
    def sides(self) -> tuple[FloatArray, FloatArray]:
        """Root of the sum of squares over the layers upstream, and over those downstream."""
        up, down = self.values[:, : self.upstream], self.values[:, self.upstream :]
        return np.linalg.norm(up, axis=1), np.linalg.norm(down, axis=1)

    @property
    def same_size(self) -> FloatArray:
        """Upstream over downstream, geometric mean of the pairs at one distance with blocks of one size."""
        pairs = range(1, self.upstream)  # the input layer and the output layer are of other sizes
        found = [self.values[:, self.upstream - k] / self.values[:, self.upstream + k - 1] for k in pairs]
        return geometric(np.array(found or [np.full(len(self.values), np.nan)]))

    @property
    def fall(self) -> float:
        """Of the downstream dependence: the first over that where a decay is judged."""
        down = self.sides[1]
        return float(down[0] / down[self.last])


@dataclass(frozen=True)
class Statement:
    """A sentence and the number that decides it: it holds in a run where the number exceeds the bound.

    `expected` says for which networks the paper says so; for the others the number is shown beside it.
    """

    id: str
    text: str
    bound: float
    expected: Sequence[str]
    number: Callable[[Course], float]


NUMBERS: dict[str, Callable[[Course], float]] = {
    "depth": lambda run: _least_ratio(run.typical),
    "distance-downstream": lambda run: _least_ratio(run.typical[run.upstream :]),
    "distance-upstream": lambda run: _least_ratio(run.typical[run.upstream - 1 :: -1]),
    "upstream": lambda run: float(geometric(np.divide(*run.sides))),
    "upstream-same-size": lambda run: float(geometric(run.same_size)),
    "before-criticality": lambda run: _least(np.divide(*run.sides)[run.early]),
    "before-criticality-same-size": lambda run: _least(run.same_size[run.early]),
    "decay": lambda run: run.fall,
    "elevated": lambda run: 1.0 / run.fall,
}
STATEMENTS = [
    Statement(**about, number=NUMBERS[about["id"]])
    for about in json.loads(Path(__file__).with_name("statements.json").read_text(encoding="utf-8"))
]


def judge(settings: Settings, runs: Mapping[str, Runs], losses: FloatArray | None) -> list[dict[str, Any]]:
    """Every statement for every basis, network and measure.

    Each entry has the geometric mean over the runs, their range, and in how many of them the statement holds.
    Without common `losses` (see ``common_losses``) there is no basis of equal loss.
    """
    found = []
    bases = {"iterations": None} if losses is None else {"iterations": None, "loss": losses}
    for basis, network, measure in product(bases, runs, MEASURES):
        courses = _courses(settings, runs[network], measure, bases[basis])
        for statement in STATEMENTS:
            with np.errstate(divide="ignore", invalid="ignore"):  # a run that has diverged
                numbers = [statement.number(course) for course in courses]
            found.append(
                {
                    "id": statement.id,
                    "network": network,
                    "measure": measure,
                    "basis": basis,
                    "expected": network in statement.expected,
                    "bound": statement.bound,
                    "value": float(geometric(np.array(numbers))),
                    **{"low": min(numbers), "high": max(numbers), "of": len(numbers)},
                    "holds": sum(number > statement.bound for number in numbers),
                }
            )
    return found


def _courses(settings: Settings, runs: Runs, measure: str, losses: FloatArray | None) -> list[Course]:
    """One for each seed."""
    upstream = settings["network"]["layer"] - 1
    if losses is None:
        values = runs.dependencies[measure]
        gradient = runs.gradient_norm[:, runs.times]
        last = int(np.flatnonzero(runs.times <= FIRST)[-1])
    else:
        values, last = at_losses(runs, measure, losses), len(losses) - 1
        pairs = zip(runs.loss, runs.gradient_norm, strict=True)
        gradient = np.stack([_at_first(loss, norm, losses) for loss, norm in pairs])
    early = gradient >= CRITICAL * np.maximum.accumulate(gradient, axis=1)
    return [
        Course(row, upstream, np.logical_and.accumulate(mask), last)
        for row, mask in zip(values, early, strict=True)
    ]


def _at_first(loss: FloatArray, gradient: FloatArray, losses: FloatArray) -> FloatArray:
    """The gradient norm at the first iteration whose loss is as low as each of `losses`."""
    lowest = np.minimum.accumulate(loss)
    index = np.searchsorted(-lowest, -losses * (1.0 + 1e-12))
    return gradient[np.minimum(index, len(gradient) - 1)]


def _least_ratio(values: FloatArray) -> float:
    """Above 1 where values fall strictly."""
    return _least(values[:-1] / values[1:])


def _least(values: FloatArray) -> float:
    return float(values.min()) if len(values) else float("nan")


def geometric(values: FloatArray) -> FloatArray:
    """The geometric mean over the first axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(np.log(values).mean(axis=0)))
