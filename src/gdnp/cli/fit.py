"""``gdnp fit``."""

import math
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from gdnp._files import require
from gdnp.cli.errors import UsageError
from gdnp.cli.large import fit_large
from gdnp.cli.options import (
    Data,
    Force,
    Json,
    Memory,
    NoIntercept,
    Scratch,
    TableOptions,
    Target,
    flag,
    option,
)
from gdnp.cli.report import concluded, print_columns
from gdnp.cli.scores import FEWEST, FOLDS, folds_of, held_out
from gdnp.cli.tables import Source, read_source, say, warnings_said
from gdnp.cli.terminal import console_of, print_json
from gdnp.cli.values import check_out, check_place
from gdnp.estimators import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LOSSES
from gdnp.tables import task_of
from gdnp.tables.target import numbers_of

TASKS = ("classification", "regression")
ALPHA = 1e-4
"""The ridge where there are too few rows to choose one, that of the estimators."""


def _losses() -> str:
    names = {task: ", ".join(n for n, loss in LOSSES.items() if loss.task == task) for task in TASKS}
    return "; ".join(f"{task}: {names[task]}" for task in TASKS) + "."


def _number(option: str, given: str) -> float | str:
    """A number, 0 for alpha included, or the word that leaves it to the data."""
    if given == "auto":
        return given
    least = "above 0" if option == "--delta" else "of at least 0"
    with suppress(ValueError):
        value = float(given)
        if 0.0 < value < math.inf or (value == 0.0 and option == "--alpha"):
            return value
    raise UsageError(f"{option} must be a finite number {least} or auto. Got {given!r}.")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """What ``gdnp fit`` was asked for, None where the data decide."""

    data: Data
    target: Target = None
    task: Annotated[
        str | None, option("|".join(TASKS), "By default that of --loss, or what the target tells.", TASKS)
    ] = None
    loss: Annotated[str | None, option("NAME", _losses(), known=LOSSES)] = None
    delta: Annotated[
        str | None, option("NUMBER|auto", "δ of huber losses, in the units of the target; by default 1.")
    ] = None
    alpha: Annotated[str, option("NUMBER|auto", "Ridge, alpha/2 ‖coef‖²; auto cross-validates.")] = "auto"
    test: Annotated[float | None, option("SHARE", "Hold out for the score.", min=0.0, max=0.9)] = None
    cv: Annotated[int | None, option("FOLDS", "Score by cross-validation; 0: none.", min=0)] = None
    table: TableOptions
    tol: Annotated[float, option("NUMBER", "Relative suboptimality.", min=0.0)] = 1e-8
    max_iter: Annotated[int, option("COUNT", "Iterations at most.", min=1)] = 1000
    solver: Annotated[str, option("NAME", f"One of {', '.join(SOLVERS)}.", known=SOLVERS)] = "auto"
    no_intercept: NoIntercept = False
    strict: Annotated[bool, flag("--strict", "Exit with 4, and save nothing, if tol is not met.")] = False
    dry_run: Annotated[bool, flag("--dry-run", "Say what becomes of each column, and stop.")] = False
    out: Annotated[Path | None, option("MODEL.skops", "Where to save the model.")] = None
    as_json: Json = False
    force: Force = False
    verbose: Annotated[bool, flag("--verbose", "A line an iteration on stderr.")] = False
    memory: Memory = None
    scratch: Scratch = None
    checkpoint: Annotated[Path | None, option("FILE", "Save the fit as it goes; go on from it.")] = None
    scheduler: Annotated[
        str | None, option("ADDRESS", "Fit on the Dask cluster there, which sees DATA: CSV or Parquet.")
    ] = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.loss is not None and self.task not in (None, LOSSES[self.loss].task):
            raise UsageError(f"--task {self.task} needs a loss for it. Got --loss {self.loss}.")
        if not math.isfinite(self.tol):
            raise UsageError(f"--tol must be a finite number. Got {self.tol}.")
        if self.cv == 1:
            raise UsageError("--cv must be at least 2 folds, or 0 for none. Got 1.")
        if self.test is not None and self.cv:
            raise UsageError("--test holds rows out once and --cv several times: give one of them. Got both.")
        robust = [name for name, known in LOSSES.items() if hasattr(known, "delta")]
        if self.delta is not None and self.loss not in robust:
            raise UsageError(f"--delta needs one of --loss {', '.join(robust)}. Got --loss {self.loss}.")
        _ = self.settings

    @property
    def settings(self) -> dict[str, Any]:
        """Parameters of the estimator."""
        found = {"alpha": _number("--alpha", self.alpha), "fit_intercept": not self.no_intercept}
        found |= {"solver": self.solver, "tol": self.tol, "max_iter": self.max_iter}
        found |= {} if self.delta is None else {"delta": _number("--delta", self.delta)}
        return found | {"verbose": int(self.verbose)}

    @property
    def asked_task(self) -> str | None:
        """That of the loss, where only a loss was named."""
        return self.task or (LOSSES[self.loss].task if self.loss else None)

    def estimator(self, task: str, y: Any, *, alpha: float | None = None) -> Any:
        """A new one, for the target y (n,); with `alpha`, that of a choice that was made."""
        classifies, settings = task == "classification", self.settings
        settings["loss"] = self.loss or ("log_loss" if classifies else "squared_error")
        if self.alpha != "auto" or alpha is not None:
            settings |= {} if alpha is None else {"alpha": alpha}
            return (GDNPClassifier if classifies else GDNPRegressor)(**settings)
        del settings["alpha"]
        if classifies:
            settings["cv"] = min(FOLDS, folds_of(y, classifies))
        return (GDNPClassifierCV if classifies else GDNPRegressorCV)(**settings)


def fit(options: FitOptions) -> None:
    """Fit a linear classifier or regressor, say how good it is, and save it.

    \b
    gdnp fit churn.csv --target churned --out churn.skops
    gdnp fit prices.csv.gz --sep ';' --loss huber --delta auto
    gdnp fit sales.parquet --drop notes --id customer --dry-run
    gdnp fit FOLDER --target churned --memory 600MB --checkpoint fit.npz
    gdnp fit 'clicks/*.parquet' --target clicked --scheduler tcp://host:8786
    """  # noqa: D301
    check_out(options.out, options.force, DATA=options.data)
    if options.checkpoint is not None:
        check_place("--checkpoint", options.checkpoint, DATA=options.data, **{"--out": options.out})
    if options.out is not None:
        require("skops", "Saving and loading a model")
    reads_again = options.memory, options.scratch, options.checkpoint, options.scheduler
    if any(reads_again) or Path(options.data).is_dir():
        fit_large(options, ALPHA)
    else:
        _fit(options)


def _fit(options: FitOptions) -> None:
    source = read_source(options.data, options.target, options.table)
    task, why = _task(options, source)
    y: Any = source.target.labels if task == "classification" else source.target.numbers
    about = {
        "data": options.data,
        "target": source.target.name if source.columns else None,
        "rows": source.X.shape[0],
        "columns": source.raw,
        "made": source.X.shape[1],
        "table": source.columns.columns_ if source.columns else None,
        "missing": source.reading.missing,
        "mark": source.reading.mark,
        "task": task,
        "why": why,
    }
    if options.dry_run:
        _print_plan(options, about)
        return
    auto = options.alpha == "auto"
    few = len(y) < FEWEST or folds_of(y, task == "classification") < 3  # held out, left out, and left
    if auto and few:
        say(f"too few rows, or of a class, to choose alpha by cross-validation: it is {ALPHA:g} (--alpha).")
    alpha = ALPHA if auto and few else None
    make = partial(options.estimator, task, alpha=alpha)
    about["score"], chosen = held_out(make, source.X, y, options.test, options.cv)
    alpha = alpha or getattr(chosen, "alpha_", None)
    begin = time.perf_counter()
    if auto and alpha is None:
        with warnings.catch_warnings():  # the fit of all rows says what there is to say
            warnings.simplefilter("ignore")
            alpha = float(make(y).fit(source.X, y).alpha_)
    with warnings_said():
        model = options.estimator(task, y, alpha=alpha).fit(source.X, y).set_params(verbose=0)
    about |= {"auto": auto and not few, "seconds": time.perf_counter() - begin, "model": None}
    if source.columns is not None:
        model = Pipeline([("columns", source.columns), ("model", model)])
    model.sd_ = np.sqrt(StandardScaler(with_mean=False).fit(source.X).var_)
    concluded(model, about, options)


def _print_plan(options: FitOptions, about: dict[str, Any]) -> None:
    if options.as_json:
        print_json(about)
        return
    console = console_of()
    if about["table"]:
        print_columns(console, about["table"])
    because = f", since {about['why']} (--task says another)" if about["why"] else ""
    console.print(f"Task: {about['task']}{because}.", markup=False, soft_wrap=True)
    console.print("Nothing was fitted.")


def _task(options: FitOptions, source: Source) -> tuple[str, str | None]:
    """What is asked for, and otherwise what the target looks like and why."""
    target = source.target
    asked = options.asked_task
    if asked is None:
        return task_of(target)
    if asked == "regression" and target.numbers is None:
        row = int(np.flatnonzero(np.isnan(numbers_of(target.labels)))[0])
        raise ValueError(
            f"The target of a regression must be numbers. Got {str(target.labels[row])!r} in row "
            f"{np.flatnonzero(target.rows)[row] + 1} of {target.name!r}: --missing makes it a gap."
        )
    if asked == "classification" and target.numbers is not None:
        broken = target.numbers[target.numbers != np.floor(target.numbers)]
        if len(broken):
            raise ValueError(
                f"The target of a classification must be labels. Got {broken[0]:g}: use --task regression."
            )
    return asked, None
