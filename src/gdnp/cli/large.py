"""``gdnp fit`` and ``gdnp predict`` of files that are never held as a whole, here or on a cluster."""

import csv
import json
import math
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from gdnp._files import replacing
from gdnp.cli.errors import UsageError
from gdnp.cli.options import TableOptions
from gdnp.cli.report import concluded, worst_certificate
from gdnp.cli.tables import say, warnings_said
from gdnp.cli.values import plain, text
from gdnp.design import Source, source
from gdnp.design.cluster import connected
from gdnp.design.source import bytes_of
from gdnp.models import save_model
from gdnp.tables.target import constant_target

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


def fit_large(options: Any, alpha: float) -> None:
    """Fit the files that `options` of ``gdnp fit`` name; `alpha` stands for auto."""
    asked = {"test": options.test, "cv": options.cv, "dry-run": options.dry_run}
    refuse_options(options.data, {name: given for name, given in asked.items() if given}, options.table)
    address = options.scheduler
    if address is not None and (options.memory or options.scratch):
        raise UsageError("--memory and --scratch are for files that are read here. Got --scheduler, too.")
    with nullcontext() if address is None else connected(address) as client:
        found = files_of(options.data, options.target, options.memory, options.scratch, client)
        _fit_source(options, found, alpha)


def _fit_source(options: Any, found: Source, alpha: float) -> None:
    task = task_of_files(found, options.target, options.asked_task)
    auto = options.alpha == "auto"
    if auto:
        say(f"of files alpha is not chosen by cross-validation: it is {alpha:g} (--alpha).")
    model, begin = options.estimator(task, None, alpha=alpha if auto else None), time.perf_counter()
    checkpoint = options.checkpoint
    about = {
        "data": str(options.data),
        "target": options.target or "the last column",
        "rows": found.design.n_samples,
        "columns": found.design.n_features,
        "task": task,
        "model": None,
    }
    with warnings_said():
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
    about["seconds"] = time.perf_counter() - begin
    last = {name: column[-1] for name, column in model.history_.items()}
    if "readings" in last:
        about["readings"] = round(float(last["readings"]), 2)
        size = float(last["bytes"])
        if options.scheduler is None:
            about["gigabytes_read"] = size / 1e9
        else:
            about |= {"rounds": int(last["rounds"]), "megabytes_sent": size / 1e6}
    concluded(model, about, options)


def refuse_options(data: str, asked: dict[str, Any], table: TableOptions) -> None:
    """Refuse what only a table in memory has."""
    for name in asked | table.given:
        raise UsageError(f"--{name} is for a table in memory. Got it for files in {data}: leave it out.")


def task_of_files(found: Source, name: str | None, asked: str | None = None) -> str:
    """What is `asked`, else what the target looks like; refused where it is the same in every row."""
    target: Any = found.target
    batches = target() if callable(target) else (one.values for one in target.seen)  # seen on a cluster
    seen: set[Any] = set()
    for batch in batches:
        seen.update(np.unique(batch).tolist())
        if len(seen) > (1 if asked else MOST_CLASSES):
            break
    if len(seen) == 1 and found.design.n_samples > 1:
        raise constant_target(f"The target {name!r}" if name else "The last column", seen.pop())
    numbers = [value for value in seen if isinstance(value, int | float)]
    broken = any(value % 1 != 0 for value in numbers)
    return asked or ("regression" if broken or len(numbers) > MOST_CLASSES else "classification")


def predict_large(model: Any, data: Path, proba: bool, target: str | None, out: Path | None) -> None:
    """Write a prediction a line, block by block; with a target say the score as well."""
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        raise UsageError(f"DATA may be a folder where the model knows its columns by name. Got {data}.")
    found = source(data, y=target, columns=names.tolist())
    header = ["prediction"]
    if proba:
        header += [f"probability_{text(plain(label))}" for label in model.classes_]
    with (
        warnings_said(),
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
