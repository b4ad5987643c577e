"""``gdnp fit``."""

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from gdnp.cli.errors import NotConverged, UsageError
from gdnp.cli.fit_summary import in_words, summary_of, worst_certificate
from gdnp.cli.values import DataArgument, JsonOption, TargetOption, check_out
from gdnp.datasets import DATASETS, Dataset, load
from gdnp.datasets.files import frame_of, require
from gdnp.estimators import GDNPClassifier, GDNPRegressor
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LOSSES
from gdnp.models import Model, save_model
from gdnp.solvers.state import Status

__all__ = ["fit"]

TASKS = ("classification", "regression")
MOST_CLASSES = 20
"""Whole numbers are labels where at most this many differ, and each stands in two rows on average."""


def _losses() -> str:
    names = {task: ", ".join(n for n, loss in LOSSES.items() if loss.task == task) for task in TASKS}
    return "; ".join(f"{task}: {names[task]}" for task in TASKS) + "."


def _check_one_of(option: str, value: str | None, allowed: Iterable[str]) -> None:
    if value is not None and value not in allowed:
        raise UsageError(f"{option} must be one of {', '.join(allowed)}. Got {value!r}.")


def _delta(delta: str, loss: str | None) -> float | str:
    robust = [name for name, known in LOSSES.items() if hasattr(known, "delta")]
    if loss not in robust:
        raise UsageError(f"--delta needs one of --loss {', '.join(robust)}. Got --loss {loss}.")
    try:
        value = math.inf if delta == "auto" else float(delta)
    except ValueError:
        value = math.nan
    if not value > 0.0 or (delta != "auto" and value == math.inf):
        raise UsageError(f"--delta must be a number above 0 or auto. Got {delta!r}.")
    return delta if delta == "auto" else value


@dataclass(frozen=True)
class FitOptions:
    """What ``gdnp fit`` was asked for, None where the data decide; `settings` go to the estimator."""

    data: str
    target: str | None
    task: str | None
    loss: str | None
    strict: bool
    out: Path | None
    as_json: bool
    force: bool
    settings: dict[str, Any]


def fit(
    data: DataArgument,
    target: TargetOption = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TASKS),
            help="By default that of --loss; else classification for text, booleans and a few whole numbers.",
        ),
    ] = None,
    loss: Annotated[str | None, typer.Option(help=_losses())] = None,
    delta: Annotated[
        str | None,
        typer.Option(help="Of huber and pseudo_huber: a number in the units of the target (1), or auto."),
    ] = None,
    alpha: Annotated[float, typer.Option(min=0.0, help="Ridge: plus alpha/2 ‖coef‖².")] = 1e-4,
    tol: Annotated[float, typer.Option(min=0.0, help="Relative suboptimality.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(min=1, help="Iterations at most.")] = 1000,
    solver: Annotated[str, typer.Option(help=f"One of {', '.join(SOLVERS)}.")] = "auto",
    no_intercept: Annotated[bool, typer.Option("--no-intercept", help="Fit through zero.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4, and save nothing, if tol is not met.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="MODEL.skops", help="Where to save the model.")] = None,
    as_json: JsonOption = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a model that is there.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line an iteration on stderr.")] = False,
) -> Callable[[], None]:
    """Fit a linear classifier or regressor, say how good it is, and save it."""
    _check_one_of("--task", task, TASKS)
    _check_one_of("--loss", loss, LOSSES)
    _check_one_of("--solver", solver, SOLVERS)
    if loss is not None and task not in (None, LOSSES[loss].task):
        raise UsageError(f"--task {task} needs a loss for it. Got --loss {loss}.")
    for name, value in (("--alpha", alpha), ("--tol", tol)):
        if not math.isfinite(value):
            raise UsageError(f"{name} must be a finite number. Got {value}.")
    if force and out is None:
        raise UsageError("--force overwrites the model that --out names: it needs --out.")
    settings = {"alpha": alpha, "fit_intercept": not no_intercept, "solver": solver, "tol": tol}
    settings |= {"max_iter": max_iter, "verbose": int(verbose)}
    if delta is not None:
        settings["delta"] = _delta(delta, loss)
    return partial(_fit, FitOptions(data, target, task, loss, strict, out, as_json, force, settings))


def _fit(options: FitOptions) -> None:
    check_out(options.out)
    if options.out is not None:
        if options.out.exists() and not options.force:
            raise FileExistsError(
                f"{options.out} is already there: choose another --out, or overwrite it with --force."
            )
        require("skops", "Saving and loading a model")
    if options.target is not None and options.data in DATASETS:
        raise UsageError(f"--target names a column of a file. Got it for the data set {options.data!r}.")
    dataset = load(options.data, target=options.target)
    task = _task(options, dataset.y)
    model, said, seconds = _fitted(options, dataset, task)
    worst = worst_certificate(model)
    converged = worst.status is Status.CONVERGED
    saved = None
    if options.out is not None and (converged or not options.strict):
        saved = save_model(model, options.out, overwrite=options.force)
    for sentence in said:
        print(f"gdnp: {sentence}", file=sys.stderr)
    summary = summary_of(options.data, dataset, task, model, seconds, saved)
    print(json.dumps(summary, indent=1, allow_nan=False) if options.as_json else in_words(summary))
    if options.strict and not converged:
        sys.stdout.flush()
        unsaved = "" if options.out is None else f"; {options.out} is not written"
        raise NotConverged(f"--strict: {worst.status.message}{unsaved}.")


def _task(options: FitOptions, y: NDArray[Any]) -> str:
    """What is asked for, and otherwise what the target looks like."""
    numeric = y.dtype.kind == "f"
    whole = numeric and bool((y == np.floor(y)).all())
    asked = options.task or (LOSSES[options.loss].task if options.loss else None)
    if asked is None:
        few = whole and len(np.unique(y)) <= min(MOST_CLASSES, len(y) / 2)
        return "classification" if few or not numeric else "regression"
    if asked == "regression" and not numeric:
        raise ValueError(f"The target of a regression must be numbers. Got {str(y[0])!r}: encode it.")
    if asked == "classification" and numeric and not whole:
        raise ValueError(
            f"The target of a classification must be labels. Got {y[y != np.floor(y)][0]:g}: "
            "use --task regression."
        )
    return asked


def _fitted(options: FitOptions, dataset: Dataset, task: str) -> tuple[Model, list[str], float]:
    """The model, what was warned of, and the seconds of the fit."""
    X = frame_of(dataset, "Data with names of columns")
    kind = GDNPClassifier if task == "classification" else GDNPRegressor
    default = "log_loss" if task == "classification" else "squared_error"
    model = kind(options.loss or default, **options.settings)
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, dataset.y)
    seconds = time.perf_counter() - begin
    model.set_params(verbose=0)
    return model, [" ".join(str(warning.message).split()) for warning in caught], seconds
