"""``gdnp predict``."""

import csv
import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO

import numpy as np
import typer
from numpy.typing import NDArray

from gdnp._files import replacing
from gdnp.cli.errors import UsageError
from gdnp.cli.values import SCORES, DataArgument, JsonOption, TargetOption, check_out, plain, score, text
from gdnp.models import load_model, read_rows

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model that gdnp fit saved.")],
    data: DataArgument,
    proba: Annotated[
        bool, typer.Option("--proba", help="Also the probability of each class, a column each.")
    ] = False,
    target: TargetOption = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Where the predictions go; else stdout.")
    ] = None,
    as_json: JsonOption = False,
) -> Callable[[], None]:
    """Predict with a saved model: one prediction a line, as CSV."""
    return partial(_predict, model, data, proba, target, out, as_json)


def _predict(file: Path, data: str, proba: bool, target: str | None, out: Path | None, as_json: bool) -> None:
    check_out(out)
    if out is not None and out.exists():
        for name, path in (("MODEL", file), ("DATA", Path(data))):
            if path.exists() and out.samefile(path):
                raise UsageError(f"--out must not be {name} itself. Got {out}.")
    model = load_model(file)
    classifies = hasattr(model, "classes_")
    if proba and not classifies:
        raise UsageError(f"--proba needs a classifier. Got a regressor in {file}.")
    rows = read_rows(model, data, target=target)
    with warnings.catch_warnings():
        # The columns are matched already; scikit-learn only sees an array without names.
        warnings.filterwarnings("ignore", message="X does not have valid feature names", category=UserWarning)
        predicted = model.predict(rows.X)
        shares = model.predict_proba(rows.X) if proba else None
    classes = [plain(label) for label in model.classes_] if classifies else None
    scored = None if rows.y is None else score(model, predicted, rows.y)
    header = ["prediction"]
    if shares is not None and classes is not None:
        header += [f"probability_{text(label)}" for label in classes]
    if out is not None:
        with replacing(out) as beside, beside.open("w", encoding="utf-8", newline="") as opened:
            _write_csv(opened, header, predicted, shares)
        print(f"gdnp: {len(predicted)} predictions are in {out}.", file=sys.stderr)
    if as_json:
        document = {
            "model": str(file),
            "data": data,
            "rows": len(predicted),
            "score": scored,
            "classes": classes,
            "predictions": [plain(value) for value in predicted],
            "probabilities": None if shares is None else shares.tolist(),
            "out": None if out is None else str(out),
        }
        print(json.dumps(document, allow_nan=False))
    elif out is None:
        _write_csv(sys.stdout, header, predicted, shares)
    if scored is not None:
        print(
            f"gdnp: {SCORES[scored['name']]} {scored['value']:.4f} on {len(predicted)} rows.", file=sys.stderr
        )


def _write_csv(
    opened: TextIO, header: list[str], predicted: NDArray[Any], shares: NDArray[np.float64] | None
) -> None:
    writer = csv.writer(opened, lineterminator="\n")
    writer.writerow(header)
    if shares is None:
        writer.writerows([text(plain(value))] for value in predicted)
    else:
        for value, row in zip(predicted, shares.tolist(), strict=True):
            writer.writerow([text(plain(value)), *row])
