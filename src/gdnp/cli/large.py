"""``gdnp fit`` and ``gdnp predict`` of files that are never held as a whole, here or on a cluster."""

import csv
import json
import math
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from gdnp._files import replacing
from gdnp.cli.errors import UsageError
from gdnp.cli.report import concluded, worst_certificate
from gdnp.cli.tables import say
from gdnp.cli.values import check_out, plain, text
from gdnp.design import Source, source
from gdnp.design.cluster import connected
from gdnp.design.source import bytes_of
from gdnp.losses import LOSSES
from gdnp.models import save_model
from gdnp.tables.target import constant_target

MemoryOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Read npy, Parquet or a folder again and again, in so much memory."),
]
ScratchOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="With --memory: where numbers of the rows go.")
]
CheckpointOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Save the fit there as it goes, and go on from it.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Fit on a Dask cluster, whose workers see DATA: CSV or Parquet."),
]
MOST_CLASSES = 20
"""Whole numbers are labels where at most this many differ."""


def files_of(
    data: str, target: str | None, memory: str | None = None, scratch: Path | None = None, client: Any = None
) -> Source:
    """The rows of files, in so much memory or on a cluster; the target is by default the last column.

    Columns of npy have no names, but numbers from 1 on.
    """
    numbered = target is not None and target.isdecimal() and data.endswith(".npy")
    y = -1 if target is None else int(target) - 1 if numbered else target
    try:
        bytes_of(memory)
    except ValueError as error:
        raise UsageError(str(error).replace("memory", "--memory", 1)) from error
    try:
        return source(data, y=y, memory=memory, scratch=scratch, client=client)
    except ValueError as error:
        raise ValueError(
            str(error).replace("fit a table that fits in memory with gdnp fit TABLE", "encode it first")
        ) from error


def fit_large(options: Any, large: dict[str, Any], alpha: float) -> None:
    """Fit the files that `options` of ``gdnp fit`` name, read as `large` says; `alpha` stands for auto."""
    check_out(options.out, options.force, DATA=options.data)
    asked = {"test": options.test, "cv": options.folds, "dry-run": options.dry_run}
    refuse_options(options.data, options.table, **asked)
    if large["scheduler"] is not None and (large["memory"] or large["scratch"]):
        raise UsageError("--memory and --scratch are for files that are read here. Got --scheduler, too.")
    with nullcontext() if large["scheduler"] is None else connected(large["scheduler"]) as client:
        _fit_source(options, large, alpha, client)


def _fit_source(options: Any, large: dict[str, Any], alpha: float, client: Any) -> None:
    found = files_of(options.data, options.target, large["memory"], large["scratch"], client)
    _check_varied(found, options.target)
    task = options.task or (LOSSES[options.loss].task if options.loss else task_of_files(found))
    if options.auto:
        say(f"of files alpha is not chosen by cross-validation: it is {alpha:g} (--alpha).")
    model, begin = options.estimator(task, None, alpha=alpha if options.auto else None), time.perf_counter()
    checkpoint = large["checkpoint"]
    about = {
        "data": str(options.data),
        "target": options.target or "the last column",
        "rows": found.design.n_samples,
        "columns": found.design.n_features,
        "task": task,
        "model": None,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            model.fit(found, **({} if checkpoint is None else {"checkpoint": checkpoint}))
        except KeyboardInterrupt:
            saves = options.out is not None and not options.strict and hasattr(model, "coef_")
            if saves:
                model.report_ = json.dumps(about | {"model": str(options.out)})
                save_model(model.set_params(verbose=0), options.out, overwrite=options.force)
                gap = worst_certificate(model).gap
                away = f", about {gap:.1g} of f above the least" if math.isfinite(gap) else ""
                say(f"{options.out} has the best model so far{away}.")
            if checkpoint is not None and checkpoint.exists():
                with_force = " with --force" if saves and not options.force else ""
                say(f"{checkpoint} has the last point; the same command{with_force} goes on from it.")
            raise
    model.set_params(verbose=0)
    for warning in caught:
        say(" ".join(str(warning.message).split()))
    about["seconds"] = time.perf_counter() - begin
    if "readings" in model.history_:
        about["readings"] = round(float(model.history_["readings"][-1]), 2)
        size = float(model.history_["bytes"][-1])
        if client is None:
            about["gigabytes_read"] = size / 1e9
        else:
            about |= {"rounds": int(model.history_["rounds"][-1]), "megabytes_sent": size / 1e6}
    concluded(model, about, options)


def refuse_options(data: str, table: Any, **asked: Any) -> None:
    """Refuse what only a table in memory has."""
    asked |= {"sep" if name == "separator" else name: given for name, given in vars(table.reading).items()}
    for name, given in (asked | table.columns).items():
        if given or (name == "header" and given is not None):
            option = name.replace("_", "-")
            raise UsageError(
                f"--{option} is for a table in memory. Got it for files in {data}: leave it out."
            )


def _targets(found: Source) -> Iterator[NDArray[Any]]:
    """The values of the target, some at a time; on a cluster those that were seen."""
    assert found.target is not None
    return found.target() if callable(found.target) else (one.values for one in found.target.seen)


def _check_varied(found: Source, name: str | None) -> None:
    """Refuse a target that is the same in every row."""
    first: Any = None
    for batch in _targets(found):
        first = batch[:1] if first is None else first
        if (batch != first).any():
            return
    if found.design.n_samples > 1:
        raise constant_target(f"The target {name!r}" if name else "The last column", first[0])


def task_of_files(found: Source) -> str:
    """What the target looks like."""
    seen: set[Any] = set()
    for batch in _targets(found):
        if batch.dtype.kind not in "fiu":
            return "classification"
        if (batch != np.floor(batch)).any():
            return "regression"
        seen.update(np.unique(batch).tolist())
        if len(seen) > MOST_CLASSES:
            return "regression"
    return "classification"


def predict_large(model: Any, data: Path, proba: bool, target: str | None, out: Path | None) -> None:
    """Write a prediction a line, block by block; with a target say the score as well."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        raise UsageError(f"DATA may be a folder where the model knows its columns by name. Got {data}.")
    found = source(data, y=target, columns=names.tolist())
    header = ["prediction"]
    if proba:
        header += [f"probability_{text(plain(label))}" for label in model.classes_]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        with (
            nullcontext() if out is None else replacing(out) as beside,
            nullcontext(sys.stdout)
            if beside is None
            else beside.open("w", encoding="utf-8", newline="") as opened,
        ):
            writer = csv.writer(opened, lineterminator="\n")
            writer.writerow(header)
            for rows in found.blocks():
                shares = model.predict_proba(rows).tolist() if proba else [[]] * len(rows)
                labels = model.predict(rows)
                writer.writerows([text(plain(a)), *b] for a, b in zip(labels, shares, strict=True))
    if out is not None:
        say(f"{found.design.n_samples:,} predictions are in {out}.")
    if target is not None:
        name = "accuracy" if hasattr(model, "classes_") else "R²"
        say(f"{name} {model.score(found):.4f} on {found.design.n_samples:,} rows.")
