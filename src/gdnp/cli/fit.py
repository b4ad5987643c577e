"""``gdnp fit``."""

import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from gdnp._files import require
from gdnp.cli.errors import UsageError, one_of
from gdnp.cli.large import CheckpointOption, MemoryOption, SchedulerOption, ScratchOption, fit_large
from gdnp.cli.report import concluded, print_columns, spread_of
from gdnp.cli.scores import FEWEST, FOLDS, folds_of, held_out
from gdnp.cli.tables import Source, TableOptions, read_source, say, with_table_options
from gdnp.cli.terminal import console_of, print_json
from gdnp.cli.values import DataArgument, Force, JsonOption, TargetOption, check_out, check_place, plain, text
from gdnp.estimators import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LOSSES
from gdnp.models import Model
from gdnp.tables import task_of
from gdnp.tables.target import numbers_of

TASKS = ("classification", "regression")
ALPHA = 1e-4
"""The ridge where there are too few rows to choose one, that of the estimators."""


def _losses() -> str:
    names = {task: ", ".join(n for n, loss in LOSSES.items() if loss.task == task) for task in TASKS}
    return "; ".join(f"{task}: {names[task]}" for task in TASKS) + "."


def _positive(option: str, given: str | None, word: str) -> float | str | None:
    """A number, 0 for alpha included, or a word that stands for one."""
    if given is None or given == word:
        return given
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf or (option == "--delta" and value == 0.0):
        least = "above 0" if option == "--delta" else "of at least 0"
        raise UsageError(f"{option} must be a finite number {least} or {word}. Got {given!r}.")
    return value


@dataclass(frozen=True)
class FitOptions:
    """What ``gdnp fit`` was asked for, None where the data decide; `settings` go to the estimator."""

    data: str
    target: str | None
    table: TableOptions
    task: str | None
    loss: str | None
    test: float | None
    folds: int | None
    dry_run: bool
    strict: bool
    out: Path | None
    as_json: bool
    force: bool
    settings: dict[str, Any]

    @property
    def auto(self) -> bool:
        """Whether cross-validation chooses alpha."""
        return bool(self.settings["alpha"] == "auto")

    def estimator(self, task: str, y: Any, *, alpha: float | None = None) -> Any:
        """A new one, for the target y (n,); with `alpha`, that of a choice that was made."""
        classifies = task == "classification"
        loss = self.loss or ("log_loss" if classifies else "squared_error")
        if self.auto and alpha is None:
            chosen = {name: value for name, value in self.settings.items() if name != "alpha"}
            if classifies:
                chosen["cv"] = min(FOLDS, folds_of(y, classifies))
            return (GDNPClassifierCV if classifies else GDNPRegressorCV)(loss, **chosen)
        settings = self.settings | ({} if alpha is None else {"alpha": alpha})
        return (GDNPClassifier if classifies else GDNPRegressor)(loss, **settings)


@with_table_options
def fit(
    data: DataArgument,
    target: TargetOption = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TASKS),
            autocompletion=lambda: list(TASKS),
            help="By default that of --loss; else classification for text, booleans and a few whole numbers.",
        ),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(metavar="NAME", help=_losses(), autocompletion=lambda: list(LOSSES))
    ] = None,
    delta: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER|auto", help="Of huber and pseudo_huber, in the units of the target; else 1."
        ),
    ] = None,
    alpha: Annotated[
        str, typer.Option(metavar="NUMBER|auto", help="Ridge: plus alpha/2 ‖coef‖²; auto cross-validates.")
    ] = "auto",
    test: Annotated[
        float | None, typer.Option(min=0.0, max=0.9, metavar="SHARE", help="Hold out for the score.")
    ] = None,
    cv: Annotated[
        int | None, typer.Option(min=0, metavar="FOLDS", help="Score by cross-validation; 0: none.")
    ] = None,
    table: Any = None,
    tol: Annotated[float, typer.Option(min=0.0, metavar="NUMBER", help="Relative suboptimality.")] = 1e-8,
    max_iter: Annotated[int, typer.Option(min=1, metavar="COUNT", help="Iterations at most.")] = 1000,
    solver: Annotated[
        str,
        typer.Option(
            metavar="NAME", help=f"One of {', '.join(SOLVERS)}.", autocompletion=lambda: list(SOLVERS)
        ),
    ] = "auto",
    no_intercept: Annotated[bool, typer.Option("--no-intercept", help="Fit through zero.")] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 4, and save nothing, if tol is not met.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done with each column, and stop.")
    ] = False,
    out: Annotated[Path | None, typer.Option(metavar="MODEL.skops", help="Where to save the model.")] = None,
    as_json: JsonOption = False,
    force: Force = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="A line an iteration on stderr.")] = False,
    memory: MemoryOption = None,
    scratch: ScratchOption = None,
    checkpoint: CheckpointOption = None,
    scheduler: SchedulerOption = None,
) -> None:
    """Fit a linear classifier or regressor, say how good it is, and save it.

    \b
    gdnp fit churn.csv --target churned --out churn.skops
    gdnp fit prices.csv.gz --sep ';' --loss huber --delta auto
    gdnp fit sales.parquet --drop notes --id customer --dry-run
    gdnp fit FOLDER --target churned --memory 600MB --checkpoint fit.npz
    gdnp fit 'clicks/*.parquet' --target clicked --scheduler tcp://host:8786
    """  # noqa: D301
    one_of("--task", task, TASKS)
    one_of("--loss", loss, LOSSES)
    one_of("--solver", solver, SOLVERS)
    if loss is not None and task not in (None, LOSSES[loss].task):
        raise UsageError(f"--task {task} needs a loss for it. Got --loss {loss}.")
    if not math.isfinite(tol):
        raise UsageError(f"--tol must be a finite number. Got {tol}.")
    if cv == 1:
        raise UsageError("--cv must be at least 2 folds, or 0 for none. Got 1.")
    if test is not None and cv:
        raise UsageError("--test holds rows out once and --cv several times: give one of them. Got both.")
    settings = {"alpha": _positive("--alpha", alpha, "auto"), "fit_intercept": not no_intercept}
    settings |= {"solver": solver, "tol": tol, "max_iter": max_iter, "verbose": int(verbose)}
    if delta is not None:
        robust = [name for name, known in LOSSES.items() if hasattr(known, "delta")]
        if loss not in robust:
            raise UsageError(f"--delta needs one of --loss {', '.join(robust)}. Got --loss {loss}.")
        settings["delta"] = _positive("--delta", delta, "auto")
    options = FitOptions(
        data, target, table, task, loss, test, cv, dry_run, strict, out, as_json, force, settings
    )
    large = {"memory": memory, "scratch": scratch, "checkpoint": checkpoint, "scheduler": scheduler}
    if checkpoint is not None:
        check_place("--checkpoint", checkpoint, DATA=data, **{"--out": out})
    if any(value is not None for value in large.values()) or Path(data).is_dir():
        fit_large(options, large, ALPHA)
    else:
        _fit(options)


def _fit(options: FitOptions) -> None:
    check_out(options.out, options.force, DATA=options.data)
    if options.out is not None:
        require("skops", "Saving and loading a model")
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
    few = len(y) < FEWEST or folds_of(y, task == "classification") < 3  # held out, left out, and left
    if options.auto and few:
        say(f"too few rows, or of a class, to choose alpha by cross-validation: it is {ALPHA:g} (--alpha).")
    alpha = ALPHA if options.auto and few else None
    score, chosen = held_out(
        lambda y: options.estimator(task, y, alpha=alpha), source.X, y, options.test, options.folds
    )
    chosen = chosen if score is not None and score["spread"] is None else None
    model, said, seconds = _fitted(options, source, task, y, alpha or getattr(chosen, "alpha_", None))
    if score is not None:
        mean = (
            f"{float(np.mean(y)):.4g}, the mean"
            if task == "regression"
            else f"{_commonest(y)!r} for every row"
        )
        score["note"] = f"The baseline says {mean}. Below is the model of all rows."
    about |= {"score": score, "auto": options.auto and not few, "seconds": seconds, "model": None}
    for sentence in said:
        say(sentence)
    model.sd_ = spread_of(source.X)
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


def _commonest(y: NDArray[Any]) -> str:
    labels, counts = np.unique(y, return_counts=True)
    return text(plain(labels[counts.argmax()]))


def _task(options: FitOptions, source: Source) -> tuple[str, str | None]:
    """What is asked for, and otherwise what the target looks like and why."""
    target = source.target
    asked = options.task or (LOSSES[options.loss].task if options.loss else None)
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


def _fitted(
    options: FitOptions, source: Source, task: str, y: Any, alpha: float | None
) -> tuple[Model, list[str], float]:
    """The model of all rows, what was warned of, and the seconds; `alpha` is known where it was chosen."""
    begin = time.perf_counter()
    if options.auto and alpha is None:
        with warnings.catch_warnings():  # the fit of all rows says what there is to say
            warnings.simplefilter("ignore")
            alpha = float(options.estimator(task, y).fit(source.X, y).alpha_)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = options.estimator(task, y, alpha=alpha).fit(source.X, y)
    seconds = time.perf_counter() - begin
    model.set_params(verbose=0)
    if source.columns is not None:
        model = Pipeline([("columns", source.columns), ("model", model)])
    return model, [" ".join(str(warning.message).split()) for warning in caught], seconds
