"""The last line for who waits at a terminal, all for who asks, nothing for anyone else."""

import io
import sys
import time

import pytest

import gdnp.estimators.progress as progress
from gdnp.estimators.progress import told


class Screen(io.StringIO):
    def isatty(self):
        return True


def run(stream, monkeypatch, **options):
    """What is shown of two fits."""
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with told(**{"verbose": False, "live": True, **options}) as show:
        for k in range(2):
            if show is not None:
                show(f"fit {k}")
                time.sleep(0.2)
    return stream.getvalue()


def test_short_fits_say_nothing(monkeypatch):
    assert run(Screen(), monkeypatch) == ""


def test_a_long_one_is_shown_on_a_terminal_and_nowhere_else(monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    shown = run(Screen(), monkeypatch)
    assert "gdnp  fit 0" in shown
    assert "gdnp  fit 1" in shown
    assert run(io.StringIO(), monkeypatch) == run(Screen(), monkeypatch, live=False) == ""


def test_without_rich_nothing_is_shown(monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert run(Screen(), monkeypatch) == ""


def test_verbose_prints_a_line_a_fit(monkeypatch):
    assert run(io.StringIO(), monkeypatch, verbose=True).splitlines() == ["gdnp  fit 0", "gdnp  fit 1"]
