"""Files that are there whole or not at all, and modules that may not be."""

import errno
import importlib
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

ABANDONED = 86_400.0
"""Seconds without a write after which a file beside another one is nobody's."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to `path` at the end and deleted on an error.

    Nothing bears the name before the caller opens it: a Ctrl-C at any moment leaves no file behind. What a
    process that was killed has left goes a day later, when another one writes to the folder.

    Parameters
    ----------
    path : Path
        The final name; its suffix is kept, and an error of writing names it.
    """
    _clear(path.parent)
    beside = path.with_name(f".{path.stem[:64]}-{os.getpid()}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(beside)):
            raise
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        advice = "; free some, or choose another place" if full else ""
        raise OSError(error.errno, f"{error.strerror}{advice}", str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def _clear(folder: Path) -> None:
    """Delete what writers left that have not written for a day."""
    with suppress(OSError):
        for found in folder.glob(".*"):
            left = re.fullmatch(r"\..*-\d+-[0-9a-f]{8}(\.[^.]*)?", found.name)
            if left and time.time() - found.stat().st_mtime > ABANDONED:
                found.unlink(missing_ok=True)


def require(module: str, purpose: str) -> Any:
    """Import an optional module, or say in one sentence what to install."""
    package = module.partition(".")[0]
    try:
        importlib.import_module(package)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in (module, package):
            raise
        raise ImportError(f'{purpose} needs {package}: pip install "gdnp[cli]".', name=package) from error


def write_arrays(file: str | os.PathLike[str] | IO[bytes], arrays: dict[str, Any]) -> None:
    """Write arrays by their names to an npz file, whole or not at all, or to a binary file that is open."""
    if not isinstance(file, str | os.PathLike):
        np.savez(file, **arrays)
        return
    with replacing(Path(file)) as beside, beside.open("wb") as opened:
        np.savez(opened, **arrays)


def read_arrays(file: str | os.PathLike[str] | IO[bytes]) -> dict[str, NDArray[Any]]:
    """What ``write_arrays`` wrote, nothing of which is executed; ValueError for any other file."""
    with nullcontext(file) if not isinstance(file, str | os.PathLike) else open(file, "rb") as opened:
        try:
            with np.load(opened) as stored:
                return {name: stored[name] for name in stored.files}
        except (AttributeError, BadZipFile, EOFError, TypeError, ValueError, zlib.error) as error:
            raise ValueError(f"{file} must be an npz file that was written whole.") from error


def existing_file(path: str | os.PathLike[str]) -> Path:
    """The path, of a file that is there, may be read and holds something."""
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"A data file was expected at {file}. Got nothing there: check the path.")
    if not file.is_file():
        raise ValueError(f"{file} should be one data file. Got a folder or device: pass a file in it.")
    with file.open("rb") as opened:  # and a file one may not read is a PermissionError, not a bad format
        if not opened.read(1):
            raise ValueError(f"{file} should hold data. Got an empty file: write or download it again.")
    return file
