"""Consoles, tables, and progress that says how long it will take."""

import io

import pytest
from rich.console import Console

from gdnp.cli import terminal
from gdnp.cli.terminal import Terminal, console_of, print_table


@pytest.fixture
def shown():
    """(console of a terminal of 60 columns, what it has shown)."""
    stream = io.StringIO()
    return Console(file=stream, width=60, highlight=False), stream


def test_consoles_are_wide_where_nobody_looks(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    assert (console_of().width, console_of(stderr=True).stderr) == (120, True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert console_of().color_system is None


def test_table_is_whole(shown):
    console, stream = shown
    rows = [("gd", "1,234"), ("[bold]x", "5")]
    print_table(console, "Title", ("method", "steps"), rows, "A [note].")
    lines = [line.rstrip() for line in stream.getvalue().splitlines() if line.strip()]
    assert lines[0] == "Title"
    assert lines[1].split() == ["method", "steps"]
    assert lines[3].split() == ["gd", "1,234"]
    assert lines[-1] == "A [note]."  # not taken for markup
    assert lines[3].endswith("1,234")
    assert lines[4].endswith("    5")  # numbers on the right


def test_messages_are_no_markup_and_one_line(shown):
    console, stream = shown
    Terminal(console).message("[red]" + 80 * "x")
    assert stream.getvalue() == "[red]" + 80 * "x" + "\n"


def test_lines_of_progress_come_now_and_then_with_the_time_that_is_left(shown, monkeypatch):
    """Ten units of which two were there; each of the others takes two seconds."""
    console, stream = shown
    now = 100.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    with Terminal(console).progress("Figure", 10.0, 2.0) as advance:
        for k in range(8):
            now += 2.0
            advance(f"part {k}", 1.0)
    assert stream.getvalue().splitlines() == ["Figure: 50 %, about 10 s left", "Figure: 80 %, about 4 s left"]


def test_a_terminal_has_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    with Terminal(console).progress("Figure", 4.0, 1.0) as advance:
        advance("part", 1.0)
    assert "Figure" in stream.getvalue()
    assert "left:" in stream.getvalue()
