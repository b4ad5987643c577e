"""What ``gdnp fit`` and ``gdnp predict`` share: arguments, scores, labels and numbers as files have them."""

import math
import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import numpy as np
import typer

from gdnp.cli.errors import UsageError

__all__ = [
    "DataArgument",
    "Force",
    "JsonOption",
    "TargetOption",
    "check_out",
    "number",
    "one_of",
    "plain",
    "text",
]

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
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def check_out(out: Path | None, force: bool = False, **inputs: str | Path) -> None:
    """Refuse before the work what could not be written, what is there, and always what is read."""
    if out is None:
        if force:
            raise UsageError("--force overwrites the file that --out names: it needs --out.")
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
    if not out.exists():
        return
    for name, given in inputs.items():
        path = 0 if given == "-" else given  # the standard input may come from a file
        if os.path.exists(path) and os.path.samefile(out, path):
            raise UsageError(f"--out must not be {name} itself. Got {out}.")
        inside = os.path.isdir(path) and out.resolve().is_relative_to(Path(given).resolve())
        if inside and out.suffix != ".skops":
            raise UsageError(f"--out must not be a file of the folder {name}. Got {out}.")
    if not force:
        raise FileExistsError(f"{out} is already there: choose another --out, or overwrite it with --force.")


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
