"""Each sentence of section 5.3 as a number that decides it, for every run of Figure 3."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.paper.figure3.runs import MEASURES, Runs, at_losses
from gdnp.paper.runner.experiment import Settings

FIRST = 1000
"""Iterations in which the paper sees BN's downstream dependencies decay."""
CRITICAL = 0.1
"""Before criticality: the gradient norm has not yet fallen below this share of its largest value."""
BASES = {"iterations": "at equal iterations", "loss": "at equal training loss"}


@dataclass(frozen=True)
class Course:
    """The dependencies of one run as they are judged.

    Attributes
    ----------
    values : ndarray of shape (m, layers - 1)
        Upstream first, in the order of the layers.
    upstream : int
        How many are upstream.
    early : ndarray of shape (m,)
        Where the run is not yet near a critical point.
    last : int
        Where a decay is judged: where the first 1000 iterations end, or at the lowest loss.
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
    "decay": lambda run: _fall(run),
    "elevated": lambda run: 1.0 / _fall(run),
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
    for basis, network, measure in product(_bases(losses), runs, MEASURES):
        courses = _courses(settings, runs[network], measure, losses if basis == "loss" else None)
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
                    **_spread(numbers, statement.bound),
                }
            )
    return found


def _bases(losses: FloatArray | None) -> list[str]:
    return [basis for basis in BASES if basis == "iterations" or losses is not None]


def _spread(numbers: list[float], bound: float) -> dict[str, Any]:
    """The geometric mean over the runs, their range, and how many exceed a bound."""
    return {
        "value": float(geometric(np.array(numbers))),
        "low": min(numbers),
        "high": max(numbers),
        "holds": sum(number > bound for number in numbers),
        "of": len(numbers),
    }


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


def compare(
    settings: Settings, runs: Mapping[str, Runs], losses: FloatArray | None
) -> dict[str, dict[str, Any]]:
    """GD's downstream dependence over BN's, seed by seed, at the end of each basis.

    By basis and measure: the geometric mean, the range, and in how many seeds it exceeds 1.
    """
    found: dict[str, dict[str, Any]] = {}
    for basis, measure in product(_bases(losses), MEASURES):
        at = losses if basis == "loss" else None
        bn, gd = (_courses(settings, runs[network], measure, at) for network in ("bn", "gd"))
        ratios = [float(b.sides[1][-1] / a.sides[1][-1]) for a, b in zip(bn, gd, strict=True)]
        found.setdefault(basis, {})[measure] = _spread(ratios, 1.0)
    return found


def _fall(run: Course) -> float:
    """Of the downstream dependence: the first over that where a decay is judged."""
    down = run.sides[1]
    return float(down[0] / down[run.last])


def _least_ratio(values: FloatArray) -> float:
    """Above 1 where values fall strictly."""
    return _least(values[:-1] / values[1:])


def _least(values: FloatArray) -> float:
    return float(values.min()) if len(values) else float("nan")


def geometric(values: FloatArray) -> FloatArray:
    """The geometric mean over the first axis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.exp(np.log(values).mean(axis=0)))
