"""What ``gdnp fit`` and ``gdnp predict`` share: arguments, scores, labels and numbers as files have them."""

import math
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import numpy as np
import typer

from gdnp.cli.errors import UsageError

__all__ = ["DataArgument", "JsonOption", "TargetOption", "check_out", "number", "one_of", "plain", "text"]

DataArgument = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="CSV, TSV, Parquet, Arrow or LIBSVM, packed or not; - is stdin; or a name of gdnp data.",
    ),
]
TargetOption = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="What is predicted, by name or number; by default the last column."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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


def one_of(what: str, given: str | None, known: Iterable[str]) -> None:
    """Refuse a word that is not known, with the nearest that is; None is no word."""
    if given is not None and given not in known:
        near = get_close_matches(given, known, 1)
        advice = f"did you mean {near[0]}?" if near else f"it must be one of {', '.join(known)}."
        raise UsageError(f"{what} is not known: {advice} Got {given!r}.")


def plain(value: Any) -> Any:
    """A label or number of NumPy as JSON has it; files give every number as a float, also 0 and 1."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def text(value: Any) -> str:
    """A label or number as CSV and probability columns have it."""
    return value if isinstance(value, str) else repr(value)


def number(value: float) -> float | None:
    """JSON has no infinity."""
    return float(value) if math.isfinite(value) else None
