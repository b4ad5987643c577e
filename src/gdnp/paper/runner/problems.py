"""What experiments have in common: data by name or file, the Gaussian design, starts, losses of one's own."""

import hashlib
import json
import math
import pkgutil
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse

from gdnp import datasets
from gdnp._typing import FloatArray
from gdnp.datasets import DataNotFoundError, Dataset
from gdnp.losses import Loss, check_loss, get_loss
from gdnp.metric import Metric
from gdnp.paper.runner.experiment import OptionError
from gdnp.population import Halfspace, LeastSquares
from gdnp.problem import LARGEST_GRAM
from gdnp.problem import Objective as Empirical
from gdnp.problem.interface import Objective
from gdnp.solvers.state import DecoupledState, Length
from gdnp.tables import Reading

LOSS_LABELS = {"log_loss": "softplus", "sigmoid": "sigmoid"}
WORLD_LABELS = {"population": "population", "sample": "finite sample"}


class TableFile(str):
    """The path of a table, with what was said of it: arguments of ``load_table``, as JSON."""

    asked: str


def read(source: str) -> Dataset:
    """A data set of ``gdnp.datasets`` or of a file; the last few are kept."""
    return _read(str(source), getattr(source, "asked", ""))


@lru_cache(maxsize=4)
def _read(source: str, asked: str) -> Dataset:
    if not asked:
        return datasets.load(source)
    given = json.loads(asked)
    reading = Reading(**given.get("reading", {}))
    return datasets.load_table(source, given.get("target"), reading, given.get("columns"))


def a9a() -> Dataset:
    """The training rows of a9a where they are on this machine; a check downloads nothing."""
    try:
        folder = datasets.data_dir()
    except ImportError as error:
        raise DataNotFoundError(str(error)) from error
    if not (folder / "a9a" / "a9a").exists():
        raise DataNotFoundError(
            "a9a is not on this machine: gdnp.datasets.fetch_a9a() downloads it, "
            "or GDNP_DATA names the folder that holds a9a/a9a."
        )
    return datasets.fetch_a9a()


def identified(source: str) -> dict[str, Any]:
    """What a data set is known by in settings: a name, or a file's name and the hash of its contents."""
    if source in datasets.DATASETS:
        return {"name": source, "sha256": None}
    sha256, asked = hashlib.sha256(Path(source).read_bytes()).hexdigest(), getattr(source, "asked", "")
    return {"name": Path(source).name, "sha256": sha256} | ({"asked": asked} if asked else {})


def described_rows(source: str) -> dict[str, Any]:
    """A data set as settings: all that decides its rows, and how they are prepared.

    breast_cancer is taken with its ten columns of means: with all thirty the conditioning hides every
    difference between first-order methods. It and dense data from files are centred and scaled to unit
    variance: on raw columns (condition 6e11 there) gradient descent does not move at all. Data that are
    missing, unreadable, not of two classes or too wide are refused.
    """
    data, identity = read(source), identified(source)
    means = identity["name"] == "breast_cancer"
    scaled = means or (identity["sha256"] is not None and not issparse(data.X))
    spec = {**identity, "columns": list(range(10)) if means else None, "scaled": scaled}
    spec["n"], spec["d"] = prepared_rows(spec, source)[0].shape
    if spec["d"] > LARGEST_GRAM:
        raise ValueError(
            f"{spec['name']} should have at most {LARGEST_GRAM} columns, since the minimum that the figure "
            f"measures against takes a d x d matrix. Got {spec['d']}."
        )
    return spec


def prepared_rows(spec: Mapping[str, Any], source: str) -> tuple[Any, FloatArray]:
    """X (n, d) and y (n,) of ±1, as `described_rows` says."""
    data = read(source)
    X: Any = data.X if spec["columns"] is None else data.X[:, spec["columns"]]
    if spec["scaled"]:
        X = np.asarray(X.toarray() if issparse(X) else X, dtype=np.float64)
        X = X - X.mean(axis=0)
        deviation = X.std(axis=0)
        X = X / np.where(deviation > 0.0, deviation, 1.0)
    return X, data.signs()


def gaussian_moments(spec: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """u (d,) and S (d, d) of the Gaussian design with this ``d``, ``kappa``, ``r`` and ``seed``."""
    return datasets.gaussian_parameters(spec["d"], kappa=spec["kappa"], r=spec["r"], seed=spec["seed"])


def gaussian_rows(spec: Mapping[str, Any]) -> tuple[FloatArray, FloatArray]:
    """X (n, d) and y (n,) of ±1, drawn from the Gaussian design of `gaussian_moments`."""
    data = datasets.gaussian_design(spec["n"], spec["d"], kappa=spec["kappa"], r=spec["r"], seed=spec["seed"])
    return np.asarray(data.X), data.signs()


def population(u: FloatArray, S: FloatArray, loss: str) -> Objective:
    """The objective under Assumption 2, exactly; least squares has a form of its own."""
    return LeastSquares(u, S) if loss == "squared_error" else Halfspace(u, S, loss)


def gaussian_objective(spec: Mapping[str, Any], world: str, loss: str) -> Objective:
    """The objective of the Gaussian design, without ridge or intercept.

    `spec` has ``n``, ``d``, ``kappa``, ``r`` and ``seed``; `world`, a key of ``WORLD_LABELS``, says whether f
    is that of the population or of a sample of n rows.
    """
    if world == "population":
        return population(*gaussian_moments(spec), loss)
    return Empirical(*gaussian_rows(spec), loss, n_jobs=1)  # one thread, since parts run in processes


def start_at(d: int, seed: int, number: int) -> FloatArray:
    """w̃₀ ~ N(0, I/d), shape (d,), the same for every loss and method."""
    return np.asarray(np.random.default_rng([seed, number]).standard_normal(d) / math.sqrt(d))


def state_at(f: Objective, metric: Metric, w: FloatArray, g: float) -> DecoupledState:
    """The state at w̃ = g w/‖w‖, from which a step of any decoupled method can be taken."""
    return DecoupledState(point=f.at(metric.join(w, g)), metric=metric, direction=w, length=Length(g))


# --- losses and methods of one's own, named MODULE:OBJECT as an entry point is


def named(name: str) -> Any:
    """The object of that name; an ``OptionError`` where there is none."""
    try:
        if ":" not in name:
            raise ValueError("there is no colon")
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(
            "A loss or method of your own should be MODULE:OBJECT that can be imported from here. "
            f"Got {name!r}: {error}."
        ) from error


def loss_of(name: str) -> Loss:
    """The loss of that name, of this library or one's own."""
    found = named(name) if ":" in name else name
    return get_loss(found() if isinstance(found, type) else found)


def called(name: str, labels: Mapping[str, str]) -> str:
    """What figures call it: one's own by the name of the object."""
    return labels.get(name, name.rpartition(":")[2])


def measured_as(loss: str) -> str:
    """The loss of the paper whose measure it has: log_loss the suboptimality, sigmoid the gradient norm."""
    return "log_loss" if loss == "log_loss" else "sigmoid"


def hashes(losses: tuple[str, ...], methods: tuple[str, ...]) -> dict[str, str]:
    """{module: SHA-256 of its file} of what is one's own: other code is another result.

    A name that leads nowhere, a loss whose derivatives disagree and a method that cannot be called are
    refused.
    """
    for name in losses:
        try:
            loss = loss_of(name)
            if loss.task != "classification":
                raise ValueError("the loss should be one for classification.")
            check_loss(loss)
        except (TypeError, ValueError) as error:
            raise OptionError(f"{name}: {error}") from error
    for name in methods:
        if not callable(named(name)) or isinstance(named(name), type):
            raise OptionError(
                f"--method should name a function (field, starts, multiples) of states. Got {name!r}."
            )
    found = {}
    for module in sorted({name.partition(":")[0] for name in (*losses, *methods) if ":" in name}):
        path = Path(getattr(sys.modules[module], "__file__", None) or "")
        if path.is_file():
            found[module] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
