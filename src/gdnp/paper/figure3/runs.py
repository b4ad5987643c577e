"""The runs of Figure 3 as arrays, at equal iterations and at equal training loss."""

from collections.abc import Mapping
from dataclasses import dataclass
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

    Attributes
    ----------
    step : float
    loss, gradient_norm : ndarray of shape (seeds, iterations + 1)
    times : ndarray of shape (m,)
        Iterations that were measured.
    dependencies : dict of ndarray of shape (seeds, m, layers - 1)
        ``raw``: ‖∂²f/∂W_k∂W_i‖_F, directional part; ``scaled``: times ‖W_k‖_F ‖W_i‖_F.
    error : float
        The largest relative standard error of an estimate.
    """

    step: float
    loss: FloatArray
    gradient_norm: FloatArray
    times: NDArray[np.int64]
    dependencies: dict[str, FloatArray]
    error: float

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
    norm, error, weights = (
        np.array([[record[key] for record in row] for row in records], dtype=np.float64)
        for key in ("norm", "error", "weights")
    )
    central = settings["network"]["layer"] - 1
    scale = weights[:, :, [central]] * np.delete(weights, central, axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = error / norm
    return Runs(
        step=results[f"{network}/step"]["step"],
        loss=_joined(chains, "loss"),
        gradient_norm=_joined(chains, "gradient_norm"),
        times=np.array([record["iteration"] for record in records[0]]),
        dependencies={"raw": norm, "scaled": norm * scale},
        error=float(np.nanmax(relative, initial=0.0)),
    )


def _joined(chains: list[list[dict[str, Any]]], key: str) -> FloatArray:
    rows = [[value for piece in chain for value in piece[key]] for chain in chains]
    return np.array(rows, dtype=np.float64)  # None, which stands for NaN in JSON, becomes NaN


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
