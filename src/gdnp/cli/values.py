"""What ``gdnp fit`` and ``gdnp predict`` share: arguments, scores, labels and numbers as files have them."""

import math
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.metrics import r2_score

from gdnp.cli.errors import UsageError
from gdnp.models import Model

__all__ = [
    "SCORES",
    "DataArgument",
    "JsonOption",
    "TargetOption",
    "check_out",
    "number",
    "plain",
    "score",
    "text",
]

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A name of gdnp data, or a LIBSVM, CSV, TSV or Parquet file.")
]
TargetOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Column with the target; by default the last of a CSV or Parquet."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
SCORES = {"accuracy": "accuracy", "r2": "R²"}


def check_out(out: Path | None) -> None:
    """Refuse before the work, not after it, what could not be written."""
    if out is None:
        return
    if out.is_dir():
        raise UsageError(f"--out must name a file. Got the folder {out}.")
    if not out.parent.is_dir():
        raise UsageError(f"--out must be in a folder that exists. Got {out}.")
    try:
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"--out must be in a folder that can be written to. Got {out}: {error.strerror}."
        ) from error


def score(model: Model, predicted: NDArray[Any], y: NDArray[Any]) -> dict[str, Any] | None:
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
    return {"name": "r2", "value": float(r2_score(y, predicted))}


def plain(value: Any) -> Any:
    """A label or number of NumPy as JSON has it; files give every number as a float, also 0 and 1."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def text(value: Any) -> str:
    """A label or number as CSV and probability columns have it."""
    return value if isinstance(value, str) else repr(value)


def _texts(labels: NDArray[Any]) -> NDArray[np.str_]:
    return np.array([text(plain(label)) for label in labels], dtype=np.str_)


def number(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if math.isfinite(value) else None
