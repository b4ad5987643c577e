"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to, renamed to `path` at the end and deleted on an error.

    Nothing bears the name before the caller opens it: a Ctrl-C at any moment leaves no file behind.

    Parameters
    ----------
    path : Path
        The final name; its suffix is kept.
    """
    beside = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield beside
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
