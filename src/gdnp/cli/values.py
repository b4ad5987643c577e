"""What ``gdnp fit`` and ``gdnp predict`` share: arguments, scores, labels and numbers as files have them."""

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from gdnp.cli.errors import UsageError


def check_out(out: Path | None, force: bool = False, **inputs: str | Path) -> None:
    """Refuse before the work what could not be written, what is there, and always what is read."""
    if out is None:
        if force:
            raise UsageError("--force overwrites the file that --out names: it needs --out.")
        return
    check_place("--out", out, **inputs)
    if out.exists() and not force:
        raise FileExistsError(f"{out} is already there: choose another --out, or overwrite it with --force.")


def check_place(option: str, path: Path, **inputs: str | Path | None) -> None:
    """Refuse a file that could not be written, or that is one of the inputs or in their folder."""
    if path.is_dir() or str(path) == "-":
        raise UsageError(f"{option} must name a file. Got {path}.")
    try:
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(
            f"{option} must be in a folder that can be written to. Got {path}: {error.strerror}."
        ) from error
    for name, given in inputs.items():
        if given is None:
            continue
        there = 0 if given == "-" else given  # the standard input may come from a file
        whole, other = path.resolve(), Path(given).resolve()
        if whole == other or (path.exists() and os.path.exists(there) and os.path.samefile(path, there)):
            raise UsageError(f"{option} must not be {name} itself. Got {path}.")
        if os.path.isdir(there) and whole.is_relative_to(other) and path.suffix != ".skops":
            raise UsageError(f"{option} must not be a file of the folder {name}. Got {path}.")


def plain(value: Any) -> Any:
    """A label or number of NumPy as JSON has it; files give every number as a float, also 0 and 1."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def text(value: Any) -> str:
    """A label or number as CSV and probability columns have it."""
    return value if isinstance(value, str) else repr(value)
