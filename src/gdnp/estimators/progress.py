"""How far a long fit is, on stderr: lines, or something live on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from gdnp.solvers import Progress

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


@contextmanager
def told(verbose: bool, live: bool) -> Iterator[Callable[[str], None] | None]:
    """A function to be called with words on each iteration: printed, or shown on a terminal if `live`."""
    if verbose:
        yield lambda words: print(f"gdnp  {words}", file=sys.stderr)
        return
    try:
        from rich.console import Console
    except ImportError:
        live = False
    if not (live and sys.stderr.isatty()):
        yield None
        return
    with Console(stderr=True, highlight=False).status("gdnp") as status:
        yield lambda words: status.update(f"gdnp  {words}")


def words_of(row: Progress, *, newton: bool) -> str:
    """What is said of an iteration; the gradient of Newton's method tells the decrease in sight."""
    sizes = {"readings": (1.0, "readings"), "rounds": (1.0, "rounds"), "bytes": (1e-6, "MB")}
    read = [
        f"{row.read[name] * unit:.4g} {word}  " for name, (unit, word) in sizes.items() if name in row.read
    ]
    gap = 0.5 * row.gradient_norm**2 / max(row.objective, 1e-300)
    return (
        f"{row.seconds:8.3f} s  {row.passes:8.1f} passes  {''.join(read)}objective {row.objective:.10g}  "
        f"gradient {row.gradient_norm:.2e}" + (f"  gap about {gap:.1e}" if newton and read else "")
    )


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
