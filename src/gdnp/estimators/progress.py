"""How far a long fit is, on stderr: lines, or one that changes on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from typing import Any

from gdnp.solvers import Progress

PATIENCE = 2.0
"""Seconds until a terminal shows anything."""


@contextmanager
def told(*, verbose: bool, live: bool) -> Iterator[Callable[[str], None] | None]:
    """A function to be called with words on what was done: printed, or shown by rich if `live`; or None."""
    begin = time.monotonic()
    status: Any = None
    live = live and sys.stderr.isatty() and find_spec("rich") is not None
    with ExitStack() as stack:

        def show(words: str) -> None:
            nonlocal status
            if verbose:
                print(f"gdnp  {words}", file=sys.stderr)
            elif status is not None:
                status.update(f"gdnp  {words}")
            elif time.monotonic() - begin > PATIENCE:
                from rich.console import Console

                console = Console(stderr=True, highlight=False)
                status = stack.enter_context(console.status(f"gdnp  {words}"))

        yield show if verbose or live else None


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
