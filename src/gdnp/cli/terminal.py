"""Consoles, tables and progress: data on stdout, everything else on stderr."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable

if TYPE_CHECKING:
    from gdnp.paper import Table

__all__ = ["Terminal", "console_of", "print_table"]

LINE_EVERY = 5.0
"""Seconds between lines of progress where stderr is not a terminal."""


def console_of(*, stderr: bool = False) -> Console:
    """A console without any colour or weight where NO_COLOR is set, and wide where nobody is looking."""
    plain: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, highlight=False, width=width, **plain)


def print_table(console: Console, table: "Table") -> None:
    """A table of an experiment, with its note."""
    shown = RichTable(
        title=table.title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False
    )
    for k, column in enumerate(table.columns):
        shown.add_column(column, justify="left" if k == 0 else "right", no_wrap=k == 0)
    for row in table.rows:
        shown.add_row(*row)
    console.print(shown)
    if table.note:
        console.print(table.note, markup=False)


class Terminal:
    """Progress on stderr: a live bar with the time left on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def message(self, text: str) -> None:
        """One sentence."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def progress(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        """See ``gdnp.paper.runner.experiment.Reporter``."""
        show = self._bar if self._console.is_terminal else self._lines
        with show(title, total, done) as advance:
            yield advance

    @contextmanager
    def _bar(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            bar.update(task, completed=done)
            yield lambda name, cost: bar.update(task, advance=cost)

    @contextmanager
    def _lines(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        begin = said = time.monotonic()
        finished = done

        def advance(name: str, cost: float) -> None:
            nonlocal said, finished
            finished += cost
            now = time.monotonic()
            if now - said < LINE_EVERY or finished >= total:
                return
            said = now
            left = (now - begin) * (total - finished) / (finished - done)
            self.message(f"{title}: {100.0 * finished / total:.0f} %, about {left:.0f} s left")

        yield advance
