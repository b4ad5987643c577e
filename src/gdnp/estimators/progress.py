"""How far a long fit is: a bar on a terminal, once it has taken a while."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

__all__ = ["counted"]

PATIENCE = 2.0
"""Seconds without a bar."""


@contextmanager
def counted(what: str, total: int, *, verbose: bool = False) -> Iterator[Callable[[str], None]]:
    """A function to be called after each of `total` fits with a word on it, which `verbose` prints."""
    begin, done = time.monotonic(), 0
    bar: Any = None
    with ExitStack() as stack:

        def advance(word: str) -> None:
            nonlocal bar, done
            done += 1
            if verbose:
                print(f"gdnp  {what} {done}/{total}  {word}", file=sys.stderr)
            elif bar is None and time.monotonic() - begin > PATIENCE and sys.stderr.isatty():
                bar = _bar(stack, what, total)
            if bar is not None:
                bar(done)

        yield advance


def _bar(stack: ExitStack, what: str, total: int) -> Callable[[int], None]:
    """rich's bar, nothing where that is not installed."""
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ImportError:
        return lambda done: None
    progress = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = progress.add_task(what, total=total)
    return lambda done: progress.update(task, completed=done)
