"""The commands ``gdnp fit`` and ``gdnp predict``."""

import csv
import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from gdnp._files import replacing
from gdnp.cli import NotConverged, UsageError

if TYPE_CHECKING:
    from gdnp.datasets import Dataset
    from gdnp.models import Model
    from gdnp.newton import Certificate

__all__ = ["add_commands"]

TASKS = ("classification", "regression")
MOST_CLASSES = 20
"""Whole numbers are labels where at most this many differ, and each stands in two rows on average."""
SCORES = {"accuracy": "accuracy", "r2": "R²"}
KINDS = {
    "duality_gap": "proved by a duality gap",
    "newton_decrement": "estimated by the Newton decrement",
    "gradient_norm": "estimated from the gradient",
}


@dataclass(frozen=True)
class FitOptions:
    """What ``gdnp fit`` was asked for; None where the data or the estimator decides."""

    data: str
    target: str | None
    task: str | None
    loss: str | None
    alpha: float
    tol: float
    max_iter: int
    solver: str
    intercept: bool
    strict: bool
    out: Path | None
    as_json: bool
    force: bool
    verbose: bool


@dataclass(frozen=True)
class PredictOptions:
    """What ``gdnp predict`` was asked for."""

    model: Path
    data: str
    proba: bool
    target: str | None
    out: Path | None
    as_json: bool


def add_commands(app: Any, typer: Any) -> None:
    """Register both commands, each returning what is to be done.

    Parameters
    ----------
    app : typer.Typer
    typer : module
        Imported late by `gdnp.cli`.
    """
    DataArgument = Annotated[
        str,
        typer.Argument(metavar="DATA", help="A name of gdnp data, or a LIBSVM, CSV, TSV or Parquet file."),
    ]
    Target = Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column with the target; by default the last of a CSV or Parquet."),
    ]
    Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

    def fit(
        data: DataArgument,
        target: Target = None,
        task: Annotated[
            str | None,
            typer.Option(
                metavar="|".join(TASKS),
                help="By default that of --loss; else classification for text, booleans and a few whole "
                "numbers.",
            ),
        ] = None,
        loss: Annotated[str | None, typer.Option(help=_losses())] = None,
        alpha: Annotated[float, typer.Option(min=0.0, help="Ridge: plus alpha/2 ‖coef‖².")] = 1e-4,
        tol: Annotated[float, typer.Option(min=0.0, help="Relative suboptimality.")] = 1e-8,
        max_iter: Annotated[int, typer.Option(min=1, help="Iterations at most.")] = 1000,
        solver: Annotated[str, typer.Option(help=_solvers())] = "auto",
        no_intercept: Annotated[bool, typer.Option("--no-intercept", help="Fit through zero.")] = False,
        strict: Annotated[
            bool, typer.Option("--strict", help="Exit with 4, and save nothing, if tol is not met.")
        ] = False,
        out: Annotated[
            Path | None, typer.Option(metavar="MODEL.skops", help="Where to save the model.")
        ] = None,
        as_json: Json = False,
        force: Annotated[bool, typer.Option("--force", help="Overwrite a model that is there.")] = False,
        verbose: Annotated[bool, typer.Option("--verbose", help="A line an iteration on stderr.")] = False,
    ) -> Callable[[], None]:
        _check_one_of("--task", task, TASKS)
        _check_one_of("--loss", loss, _loss_tasks())
        _check_one_of("--solver", solver, _solver_names())
        if loss is not None and task not in (None, _loss_tasks()[loss]):
            raise UsageError(f"--task {task} needs a loss for it. Got --loss {loss}.")
        for name, value in (("--alpha", alpha), ("--tol", tol)):
            if not math.isfinite(value):
                raise UsageError(f"{name} must be a finite number. Got {value}.")
        if force and out is None:
            raise UsageError("--force overwrites the model that --out names: it needs --out.")
        intercept = not no_intercept
        choices = (data, target, task, loss, alpha, tol, max_iter, solver, intercept, strict)
        return partial(_fit, FitOptions(*choices, out, as_json, force, verbose))

    def predict(
        model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that gdnp fit saved.")],
        data: DataArgument,
        proba: Annotated[
            bool, typer.Option("--proba", help="Also the probability of each class, a column each.")
        ] = False,
        target: Target = None,
        out: Annotated[
            Path | None, typer.Option(metavar="FILE.csv", help="Where the predictions go; else stdout.")
        ] = None,
        as_json: Json = False,
    ) -> Callable[[], None]:
        return partial(_predict, PredictOptions(model, data, proba, target, out, as_json))

    app.command(help="Fit a linear classifier or regressor, say how good it is, and save it.")(fit)
    app.command(help="Predict with a saved model: one prediction a line, as CSV.")(predict)


def _loss_tasks() -> dict[str, str]:
    from gdnp.losses import LOSSES

    return {name: loss.task for name, loss in LOSSES.items()}


def _losses() -> str:
    names = {task: ", ".join(n for n, of in _loss_tasks().items() if of == task) for task in TASKS}
    return "; ".join(f"{task}: {names[task]}" for task in TASKS) + "."


def _solver_names() -> tuple[str, ...]:
    from gdnp.estimators.fitting import SOLVERS

    return SOLVERS


def _solvers() -> str:
    return "One of " + ", ".join(_solver_names()) + "."


def _check_one_of(option: str, value: str | None, allowed: Iterable[str]) -> None:
    if value is not None and value not in allowed:
        raise UsageError(f"{option} must be one of {', '.join(allowed)}. Got {value!r}.")


def _check_out(out: Path | None) -> None:
    """Refuse before the work, not after it, what could not be written."""
    if out is None:
        return
    if out.is_dir():
        raise UsageError(f"--out must name a file. Got the folder {out}.")
    if not out.parent.is_dir():
        raise UsageError(f"--out must be in a folder that exists. Got {out}.")


# --- gdnp fit


def _fit(options: FitOptions) -> None:
    from gdnp.datasets import DATASETS, load

    _check_out(options.out)
    if options.out is not None:
        _check_free(options.out, options.force)
        from gdnp.datasets.files import require

        require("skops", "Saving and loading a model")
    if options.target is not None and options.data in DATASETS:
        raise UsageError(f"--target names a column of a file. Got it for the data set {options.data!r}.")
    dataset = load(options.data, target=options.target)
    task = _task(options, dataset.y)
    model, said, seconds = _fitted(options, dataset, task)
    certificates = _certificates(model)
    converged = all(certificate.status.name == "CONVERGED" for certificate in certificates)
    saved = None
    if options.out is not None and (converged or not options.strict):
        from gdnp.models import save_model

        saved = save_model(model, options.out, overwrite=options.force)
    for sentence in said:
        print(f"gdnp: {sentence}", file=sys.stderr)
    summary = _summary(options, dataset, task, model, seconds, saved)
    print(json.dumps(summary, indent=1, allow_nan=False) if options.as_json else _in_words(summary))
    if options.strict and not converged:
        sys.stdout.flush()
        unsaved = "" if options.out is None else f"; {options.out} is not written"
        raise NotConverged(f"--strict: {_worst(certificates).status.message}{unsaved}.")


def _check_free(out: Path, force: bool) -> None:
    if out.exists() and not force:
        raise FileExistsError(f"{out} is already there: choose another --out, or overwrite it with --force.")


def _task(options: FitOptions, y: NDArray[Any]) -> str:
    """What is asked for, and otherwise what the target looks like."""
    number = y.dtype.kind == "f"
    whole = number and bool((y == np.floor(y)).all())
    asked = options.task or (_loss_tasks()[options.loss] if options.loss else None)
    if asked is None:
        few = whole and len(np.unique(y)) <= min(MOST_CLASSES, len(y) / 2)
        return "classification" if few or not number else "regression"
    if asked == "regression" and not number:
        raise ValueError(f"The target of a regression must be numbers. Got {str(y[0])!r}: encode it.")
    if asked == "classification" and number and not whole:
        raise ValueError(
            f"The target of a classification must be labels. Got {y[y != np.floor(y)][0]:g}: "
            "use --task regression."
        )
    return asked


def _fitted(options: FitOptions, dataset: "Dataset", task: str) -> "tuple[Model, list[str], float]":
    """The model, what was warned of, and the seconds of the fit."""
    from gdnp.datasets.files import require
    from gdnp.estimators import GDNPClassifier, GDNPRegressor

    X: Any = dataset.X
    if dataset.feature_names is not None:  # so that prediction can match the columns by name
        X = require("pandas", "Data with names of columns").DataFrame(
            X, columns=list(dataset.feature_names), copy=False
        )
    kind = GDNPClassifier if task == "classification" else GDNPRegressor
    default = "log_loss" if task == "classification" else "squared_error"
    model = kind(
        options.loss or default,
        alpha=options.alpha,
        fit_intercept=options.intercept,
        solver=options.solver,
        tol=options.tol,
        max_iter=options.max_iter,
        verbose=int(options.verbose),
    )
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, dataset.y)
    seconds = time.perf_counter() - begin
    model.set_params(verbose=0)
    return model, [" ".join(str(warning.message).split()) for warning in caught], seconds


def _certificates(model: "Model") -> "tuple[Certificate, ...]":
    found = model.certificate_
    return found if isinstance(found, tuple) else (found,)


def _worst(certificates: "tuple[Certificate, ...]") -> "Certificate":
    """Of those that did not converge, if there are any, the one with the largest gap."""
    failed = [one for one in certificates if one.status.name != "CONVERGED"]
    return max(failed or certificates, key=lambda one: math.inf if math.isnan(one.gap) else one.gap)


def _summary(
    options: FitOptions, dataset: "Dataset", task: str, model: "Model", seconds: float, saved: Path | None
) -> dict[str, Any]:
    certificates = _certificates(model)
    worst = _worst(certificates)
    classes = [_plain(label) for label in model.classes_] if task == "classification" else None
    rows, columns = dataset.X.shape
    return {
        "data": options.data,
        "rows": rows,
        "columns": columns,
        "task": task,
        "classes": classes,
        "parameters": {
            name: getattr(model, name)
            for name in ("loss", "alpha", "fit_intercept", "solver", "tol", "max_iter")
        },
        "status": worst.status.name,
        "message": worst.status.message,
        "converged": worst.status.name == "CONVERGED",
        "objective": _number(sum(one.objective for one in certificates)),
        "certificate": {"kind": worst.kind, "proved": worst.proved, "gap": _number(worst.gap)},
        "certificates": [_certificate(one) for one in certificates],
        "iterations": int(model.n_iter_),
        "score": _score(model, model.predict(_values(model, dataset)), dataset.y),
        "seconds": seconds,
        "model": None if saved is None else str(saved),
    }


def _values(model: "Model", dataset: "Dataset") -> Any:
    if dataset.feature_names is None:
        return dataset.X
    import pandas

    return pandas.DataFrame(dataset.X, columns=model.feature_names_in_, copy=False)


def _certificate(certificate: "Certificate") -> dict[str, Any]:
    fields = asdict(certificate)
    return {name: _number(value) if isinstance(value, float) else value for name, value in fields.items()} | {
        "status": certificate.status.name
    }


def _in_words(summary: dict[str, Any]) -> str:
    task, classes, certificate = summary["task"], summary["classes"], summary["certificate"]
    many = len(summary["certificates"])
    what = "GDNPClassifier" if task == "classification" else "GDNPRegressor"
    head = f"{what} on {summary['data']}: {summary['rows']} rows, {summary['columns']} columns"
    if classes:
        shown = ", ".join(_text(label) for label in classes[:8]) + (", ..." if len(classes) > 8 else "")
        head += f", classes {shown}"
    gap = "unknown" if certificate["gap"] is None else f"{certificate['gap']:.2g} relative"
    score = summary["score"]
    lines = {
        "loss": f"{summary['parameters']['loss']}, alpha {summary['parameters']['alpha']:g}",
        "status": f"{summary['status']}: {summary['message']}",
        "objective": _shown(summary["objective"]) + (f", the sum over {many} classes" if many > 1 else ""),
        "gap": f"{gap}, {KINDS[certificate['kind']]}" + (", of the worst class" if many > 1 else ""),
        "iterations": str(summary["iterations"]) + (", of the slowest class" if many > 1 else ""),
    }
    if score is not None:
        lines[SCORES[score["name"]]] = f"{score['value']:.4f} on the training rows"
    lines["seconds"] = f"{summary['seconds']:.3g}"
    lines["model"] = summary["model"] or "not saved; --out MODEL.skops saves it"
    return "\n".join([head, *(f"  {name:<11} {value}" for name, value in lines.items())])


def _shown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.10g}"


# --- gdnp predict


def _predict(options: PredictOptions) -> None:
    _check_out(options.out)
    if options.out is not None and options.out.exists():
        for name, path in (("MODEL", options.model), ("DATA", Path(options.data))):
            if path.exists() and options.out.samefile(path):
                raise UsageError(f"--out must not be {name} itself. Got {options.out}.")
    from gdnp.models import load_model, read_rows

    model = load_model(options.model)
    classifies = hasattr(model, "classes_")
    if options.proba and not classifies:
        raise UsageError(f"--proba needs a classifier. Got a regressor in {options.model}.")
    rows = read_rows(model, options.data, target=options.target)
    with warnings.catch_warnings():
        # The columns are matched already; scikit-learn only sees an array without names.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        predicted = model.predict(rows.X)
        shares = model.predict_proba(rows.X) if options.proba else None
    classes = [_plain(label) for label in model.classes_] if classifies else None
    score = None if rows.y is None else _score(model, predicted, rows.y)
    header = ["prediction"]
    if shares is not None and classes is not None:
        header += [f"probability_{_text(label)}" for label in classes]
    if options.out is not None:
        with replacing(options.out) as beside, beside.open("w", encoding="utf-8", newline="") as opened:
            _write_csv(opened, header, predicted, shares)
        print(f"gdnp: {len(predicted)} predictions are in {options.out}.", file=sys.stderr)
    if options.as_json:
        document = {
            "model": str(options.model),
            "data": options.data,
            "rows": len(predicted),
            "score": score,
            "classes": classes,
            "predictions": [_plain(value) for value in predicted],
            "probabilities": None if shares is None else shares.tolist(),
            "out": None if options.out is None else str(options.out),
        }
        print(json.dumps(document, allow_nan=False))
    elif options.out is None:
        _write_csv(sys.stdout, header, predicted, shares)
    if score is not None:
        print(
            f"gdnp: {SCORES[score['name']]} {score['value']:.4f} on {len(predicted)} rows.", file=sys.stderr
        )


def _write_csv(
    opened: TextIO, header: list[str], predicted: NDArray[Any], shares: NDArray[np.float64] | None
) -> None:
    writer = csv.writer(opened, lineterminator="\n")
    writer.writerow(header)
    if shares is None:
        writer.writerows([_text(_plain(value))] for value in predicted)
    else:
        for value, row in zip(predicted, shares.tolist(), strict=True):
            writer.writerow([_text(_plain(value)), *row])


def _score(model: "Model", predicted: NDArray[Any], y: NDArray[Any]) -> dict[str, Any] | None:
    """Accuracy or R²; None where the target is a placeholder, as LIBSVM files without labels have."""
    if hasattr(model, "classes_"):
        classes = model.classes_
        if {classes.dtype.kind, y.dtype.kind} not in ({"f"}, {"i", "f"}, {"b"}, {"U"}):
            classes, predicted, y = map(_texts, (classes, predicted, y))
        if not np.isin(y, classes).any():
            return None
        return {"name": "accuracy", "value": float(np.mean(predicted == y))}
    if y.dtype.kind != "f" or len(y) < 2 or y.min() == y.max():
        return None
    from sklearn.metrics import r2_score

    return {"name": "r2", "value": float(r2_score(y, predicted))}


def _plain(value: Any) -> Any:
    """A label or number of NumPy as JSON has it; files give every number as a float, also 0 and 1."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _texts(labels: NDArray[Any]) -> NDArray[np.str_]:
    return np.array([_text(_plain(label)) for label in labels], dtype=np.str_)


def _number(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if math.isfinite(value) else None
