"""The benchmark of diagnostics, small: a line for each, and numbers that are counts of something."""

import importlib
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")


def test_a_line_for_each(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    costs = importlib.import_module("network_diagnostics")
    monkeypatch.setattr(costs, "ROWS", 64)
    monkeypatch.setattr(costs, "WIDTHS", ((4, 6),))
    monkeypatch.setattr(costs.networks_rivals, "CHANNELS", 2)
    costs.main(["--repeats", "1"])
    deep, residual, fit, step = capsys.readouterr().out.splitlines()
    assert "7 layers, 8 probes" in deep
    assert "8 layers, 4 probes" in residual
    numbers = [float(re.findall(r": ([\d.]+) ", line)[0]) for line in (deep, residual, fit, step)]
    assert all(number > 0.0 for number in numbers)
