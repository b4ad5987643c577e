"""What claims are checked on: random populations, critical points, runs of a method."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.problem.interface import Objective
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import FixedLength
from gdnp.solvers.state import DecoupledState
from gdnp.solvers.step_sizes import AdaptiveStep

FIXED = DecoupledDescent("fixed", "covariance", AdaptiveStep(), FixedLength(), guarded=False)
"""The direction step of Eq. 17 alone: it keeps the length it is given."""


def populations(
    count: int, *, seed: int = 0, kappa: float | None = None
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """(u, S) of random populations: d from 2 to 20, κ to 1e4, r from .02 to .98, L from 1e-4 to 1e4."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        d, scale = int(rng.integers(2, 21)), float(10.0 ** rng.uniform(-2.0, 2.0))
        condition = float(10.0 ** rng.uniform(0.0, 4.0)) if kappa is None else kappa
        r = float(rng.uniform(0.02, 0.98))
        u, S = gaussian_parameters(d, kappa=condition, r=r, seed=int(rng.integers(2**31)))
        yield scale * u, scale**2 * S


def states(
    method: DecoupledDescent, objective: Objective, start: FloatArray | None, steps: int
) -> list[DecoupledState]:
    """The states of a run, start included: `steps` + 1 of them."""

    def run() -> Iterator[DecoupledState]:
        state = method.init(objective, start)
        while True:
            yield state
            state = method.step(objective, state)

    return list(islice(run(), steps + 1))


def solved(A: FloatArray, b: FloatArray) -> FloatArray:
    """A⁻¹b."""
    return np.asarray(np.linalg.solve(A, b), dtype=np.float64)


def relative(found: FloatArray, expected: FloatArray) -> float:
    """‖found - expected‖/‖expected‖."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def largest(*values: Any) -> float:
    """As ``max``, and NaN where a value is."""
    return float(np.max(values if len(values) > 1 else list(values[0])))


def least(*values: Any) -> float:
    """As ``min``, and NaN where a value is."""
    return float(np.min(values if len(values) > 1 else list(values[0])))


def torch_of() -> Any:
    """PyTorch, or one sentence that says how to install it."""
    import gdnp.nn  # noqa: F401

    return import_module("torch")


def yes(seen: object) -> str:
    """For a sentence."""
    return "yes" if seen else "no"


def only(bound: str, error: float) -> str:
    """The bound that an error is within, or the error."""
    return bound if error <= float(bound) else f"{error:.1e} only"


def listed(values: Iterable[Any], form: str = "") -> str:
    """Values in a sentence, each in the same form."""
    return ", ".join(format(value, form) for value in values)
