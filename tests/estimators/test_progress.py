"""A bar for who waits at a terminal, lines for who asks, nothing for anyone else."""

import io
import sys
import time

import pytest

import gdnp.estimators.progress as progress
from gdnp.estimators.progress import counted, told


class Screen(io.StringIO):
    def isatty(self):
        return True


def run(count=3, **options):
    with counted("cross-validation:", count, **options) as advance:
        for k in range(count):
            advance(f"fit {k}")


def test_short_fits_say_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Screen())
    run()
    assert sys.stderr.getvalue() == ""


def test_a_long_one_shows_a_bar_on_a_terminal_alone(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setenv("TERM", "xterm")
    for stream, seen in ((Screen(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        run()
        assert ("cross-validation" in stream.getvalue()) == seen
        assert ("100%" in stream.getvalue()) == seen


def test_without_rich_there_is_no_bar(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    monkeypatch.setattr(sys, "stderr", Screen())
    run()
    assert sys.stderr.getvalue() == ""


def test_verbose_prints_a_line_a_fit(capsys):
    run(2, verbose=True)
    assert capsys.readouterr().err.splitlines() == [
        "gdnp  cross-validation: 1/2  fit 0",
        "gdnp  cross-validation: 2/2  fit 1",
    ]


def test_an_iteration_is_shown_on_a_terminal_and_nowhere_else(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Screen())
    with told(verbose=False, live=True) as show:
        show("3 rounds  0.01 MB")
        time.sleep(0.2)
    assert "gdnp  3 rounds  0.01 MB" in sys.stderr.getvalue()
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with told(verbose=False, live=True) as show:
        assert show is None
