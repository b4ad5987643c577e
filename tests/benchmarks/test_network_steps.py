"""The benchmark of steps prints a ratio for each way, that of BatchNorm being one."""

import importlib
from pathlib import Path

import pytest

pytest.importorskip("torch")

FOLDER = Path(__file__).parents[2] / "benchmarks"


def test_a_row_for_each_width(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(FOLDER))
    steps = importlib.import_module("network_steps")
    monkeypatch.setattr(steps, "WORK", 1.0)
    steps.main(["4", "6", "--rows", "20", "--turns", "2"])
    head, _, *rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [row[:2] for row in rows] == [["4", "20"], ["6", "20"]]
    for row in rows:
        assert row[head.index("BatchNorm")] == "1.00"
        assert all(0.0 < float(cell) < 50.0 for cell in row[2:])
