"""``gdnp predict``."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from sklearn.pipeline import Pipeline

from gdnp._files import replacing, require
from gdnp.cli.errors import UsageError
from gdnp.cli.large import predict_large
from gdnp.cli.options import Data, Force, Json, ReadingOptions, SavedModel, Target, flag, option
from gdnp.cli.scores import NAMES, scores_of
from gdnp.cli.tables import say, warnings_said
from gdnp.cli.values import check_out, plain, text
from gdnp.models import Model, estimator_of, load_model, read_rows
from gdnp.tables import column_of
from gdnp.tables.target import GAPS, TRUTH, numbers_of, texts


def predict(
    model: SavedModel,
    data: Data,
    *,
    proba: Annotated[bool, flag("--proba", "Also the probability of each class, a column each.")] = False,
    target: Target = None,
    id: Annotated[list[str] | None, option("COLUMN", "Written beside the predictions; repeatable.")] = None,
    table: ReadingOptions,
    out: Annotated[Path | None, option("FILE", "Where to write, .parquet or CSV; else stdout.")] = None,
    as_json: Json = False,
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
    classes = [plain(label) for label in getattr(linear, "classes_", ())] or None
    if proba and classes is None:
        raise UsageError(f"--proba needs a classifier. Got a regressor in {model}.")
    if Path(data).is_dir():
        if id or as_json:
            raise UsageError(f"A folder is predicted line by line: leave out {'--id' if id else '--json'}.")
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
        predictions = [plain(value) for value in linear.predict(X)]
        shares = linear.predict_proba(X) if proba else None
    columns = ids | {"prediction": predictions}
    if shares is not None:
        columns |= {f"probability_{text(c)}": shares[:, k].tolist() for k, c in enumerate(classes or ())}
    scored = None if rows.y is None else _scores(linear, X, rows.y)
    if out is not None:
        with replacing(out) as beside:
            _write(columns, beside)
        say(f"{len(predictions):,} predictions are in {out}.")
    if as_json:
        document = {
            "model": str(model),
            "data": data,
            "rows": len(predictions),
            "score": scored,
            "classes": classes,
            "predictions": predictions,
            "probabilities": None if shares is None else shares.tolist(),
            "ids": ids,
            "out": None if out is None else str(out),
        }
        print(json.dumps(document, allow_nan=False, ensure_ascii=False, default=str))
    elif out is None:
        _write(columns, sys.stdout)
    if rows.frame is not None and rows.y is not None and (unscored := _unscored(linear, rows.y)):
        say(unscored)
    if scored is not None:
        shown = ", ".join(f"{NAMES[name]} {value:.4f}" for name, value in scored["values"].items())
        say(f"{shown} on {scored['rows']:,} rows.")


def _scores(model: Model, X: Any, y: Any) -> dict[str, Any] | None:
    """On the rows that have a target that the model knows; None where no row has."""
    known, rows = _known(model, y)
    if not rows.any() or (not hasattr(model, "classes_") and len(np.unique(known)) < 2):
        return None
    return {"rows": int(rows.sum()), "values": scores_of(model, X[rows], known)}


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


def _unscored(model: Model, y: Any) -> str | None:
    """What is said of a target in a table that has no score, or not in every row; gaps are no news."""
    labels = texts(require("pandas", "Reading a table").Series(y))
    missed = labels[~_known(model, y)[1] & ~labels.isin(GAPS)]
    if missed.empty:
        return None
    classes = [text(plain(label)) for label in getattr(model, "classes_", [])]
    wanted = f"classes of the model ({', '.join(classes[:8])})" if classes else "numbers"
    count = f"{len(missed):,} of {len(labels):,} rows"
    return f"no score for {count}: the target should hold {wanted}. Got {missed.iloc[0]!r}."


def _write(columns: dict[str, list[Any]], to: Any) -> None:
    """As Parquet where the name says so, else as CSV."""
    frame = require("pandas", "Writing a table").DataFrame(columns)
    if isinstance(to, Path) and to.suffix.lower() in (".parquet", ".pq"):
        frame.to_parquet(to, index=False)
    else:
        frame.to_csv(to, index=False, lineterminator="\n", sep="\t" if str(to).endswith(".tsv") else ",")
