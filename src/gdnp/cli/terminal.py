"""Consoles, tables and progress: data on stdout, everything else on stderr."""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table as RichTable
from rich.text import Text

from gdnp.parts import Reporter
from gdnp.store import plain

Advance = Callable[[str, float], None]
LINE_EVERY = 5.0
"""Seconds between lines of progress where stderr is not a terminal."""


def console_of(*, stderr: bool = False) -> Console:
    """A console without any colour or weight where NO_COLOR is set, and wide where nobody is looking."""
    colours: dict[str, Any] = {"color_system": None} if os.environ.get("NO_COLOR") else {}
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(stderr=stderr, highlight=False, width=width, **colours)


def print_json(document: Any) -> None:
    """For programs, on stdout; paths and dates as text."""
    print(json.dumps(plain(document), indent=1, allow_nan=False, ensure_ascii=False, default=str))


def print_table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = ""
) -> None:
    """Rows under the names of columns, the first of which names the row, and a note."""
    shown = RichTable(box=SIMPLE_HEAD, pad_edge=False)
    for k, column in enumerate(columns):
        words = not all(re.fullmatch(r"[-+\d.,e± %]*", row[k]) for row in rows)
        shown.add_column(column, justify="left" if k == 0 or words else "right", no_wrap=k == 0)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print(Text(title, "bold"), shown, sep="\n")
    if note:
        console.print(note, markup=False)


class Terminal(Reporter):
    """Progress on stderr: a live bar with the time left on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def message(self, text: str) -> None:
        """One sentence."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, title: str, total: float, done: float) -> AbstractContextManager[Advance]:
        """See ``gdnp.parts.Reporter``."""
        show = self._bar if self._console.is_terminal else self._lines
        return show(title, total, done)

    @contextmanager
    def _bar(self, title: str, total: float, done: float) -> Iterator[Advance]:
        words = ("{task.description}", BarColumn(), "{task.percentage:3.0f} %", TimeElapsedColumn(), "left:")
        with Progress(*words, TimeRemainingColumn(), console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            bar.update(task, completed=done)
            yield lambda name, cost: bar.update(task, advance=cost)

    @contextmanager
    def _lines(self, title: str, total: float, done: float) -> Iterator[Advance]:
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
