"""``gdnp predict``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from sklearn.pipeline import Pipeline

from gdnp._files import replacing, require
from gdnp.cli.errors import UsageError
from gdnp.cli.large import predict_large
from gdnp.cli.options import Data, Force, Names, ReadingOptions, SavedModel, Target, flag, option
from gdnp.cli.scores import NAMES, scores_of
from gdnp.cli.tables import say, warnings_said
from gdnp.cli.values import check_out, plain, text
from gdnp.models import Model, Rows, estimator_of, load_model, read_rows
from gdnp.tables import column_of
from gdnp.tables.target import GAPS, TRUTH, numbers_of, texts


def predict(
    model: SavedModel,
    data: Data,
    *,
    proba: Annotated[bool, flag("--proba", "Also the probability of each class.")] = False,
    target: Target = None,
    id: Annotated[Names, option("COLUMN", "Written beside the predictions; repeatable.")] = None,
    table: ReadingOptions,
    out: Annotated[Path | None, option("FILE", "Where to write, .parquet or CSV; else stdout.")] = None,
    force: Force = False,
) -> None:
    """Predict with a saved model: a prediction for each row, and a score where the target is there.

    \b
    gdnp predict churn.skops new.csv --id customer_id
    gdnp predict churn.skops new.csv --proba --out predictions.parquet
    """  # noqa: D301
    check_out(out, force, MODEL=model, DATA=data)
    loaded = load_model(model)
    linear = estimator_of(loaded)
    classes = getattr(linear, "classes_", ())
    if proba and not len(classes):
        raise UsageError(f"--proba needs a classifier. Got a regressor in {model}.")
    if Path(data).is_dir():
        if id:
            raise UsageError("A folder is predicted line by line: leave out --id.")
        predict_large(loaded, Path(data), proba, target, out)
        return
    rows = read_rows(loaded, data, target=target, reading=table.reading)
    for note in rows.notes:
        say(f"{note}.")
    if id and rows.frame is None:
        raise UsageError(f"--id names a column of a table. Got it for {data}.")
    named = [column_of(rows.frame.columns, i, "--id") for i in id or ()]
    ids = {name: rows.frame[name].tolist() for name in named}
    X = rows.X
    with warnings_said():
        if isinstance(loaded, Pipeline):
            try:
                X = loaded[0].transform(X)
            except ValueError as error:
                raise ValueError(f"{data}: {error}") from error
        columns = ids | {"prediction": [plain(value) for value in linear.predict(X)]}
        shares = linear.predict_proba(X).T.tolist() if proba else []
    columns |= {f"probability_{text(plain(c))}": share for c, share in zip(classes, shares, strict=False)}
    if out is None:
        _write(columns, sys.stdout)
    else:
        with replacing(out) as beside:
            _write(columns, beside)
        say(f"{len(columns['prediction']):,} predictions are in {out}.")
    if rows.y is not None:
        _say_score(linear, X, rows)


def _say_score(model: Model, X: Any, rows: Rows) -> None:
    """On the rows that have a target that the model knows; in a table, why others have none."""
    known, has = _known(model, rows.y)
    classes = [text(plain(label)) for label in getattr(model, "classes_", ())]
    if rows.frame is not None:
        labels = texts(require("pandas", "Reading a table").Series(rows.y))
        missed = labels[~has & ~labels.isin(GAPS)]  # gaps are no news
        if len(missed):
            wanted = f"classes of the model ({', '.join(classes[:8])})" if classes else "numbers"
            count = f"{len(missed):,} of {len(labels):,} rows"
            say(f"no score for {count}: the target should hold {wanted}. Got {missed.iloc[0]!r}.")
    if len(known) and (classes or np.ptp(known) > 0.0):
        values = scores_of(model, X[has], known)
        shown = ", ".join(f"{NAMES[name]} {value:.4f}" for name, value in values.items())
        say(f"{shown} on {len(known):,} rows.")


def _known(model: Model, y: Any) -> tuple[Any, Any]:
    """Numbers, or classes by their text or else as numbers, True being 1; and which rows have one."""
    if not hasattr(model, "classes_"):
        numbers = numbers_of(y)
        return numbers[np.isfinite(numbers)], np.isfinite(numbers)
    known = {text(plain(label)): label for label in model.classes_}
    truth = {word.lower(): label for word, label in known.items() if word.lower() in TRUTH}
    words = [text(plain(value)) for value in y]
    found = [known.get(word, truth.get(word.lower())) for word in words]
    numbers = numbers_of(model.classes_)
    if None in found and np.isfinite(numbers).all() and len(np.unique(numbers)) == len(numbers):
        named = dict(zip(numbers.tolist(), model.classes_, strict=True))
        values = numbers_of(y).tolist()
        found = [named.get(v) if label is None else label for v, label in zip(values, found, strict=True)]
    return np.array([v for v in found if v is not None]), np.array([v is not None for v in found])


def _write(columns: dict[str, list[Any]], to: Any) -> None:
    """As Parquet where the name says so, else as CSV."""
    frame = require("pandas", "Writing a table").DataFrame(columns)
    if isinstance(to, Path) and to.suffix.lower() in (".parquet", ".pq"):
        frame.to_parquet(to, index=False)
    else:
        frame.to_csv(to, index=False, lineterminator="\n", sep="\t" if str(to).endswith(".tsv") else ",")
