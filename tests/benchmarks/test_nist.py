"""Least squares on NIST's certified sets: every digit that the stored numbers determine."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest


def _script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "nist.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_nist", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


nist = _script()
SETS = nist.sets()
OF_TODAY = {"Filip": 7.5, "Wampler2": 13.1}
"""What the powers of x leave, where others may be nearer to the certified values by luck."""


@pytest.mark.parametrize("name", SETS)
def test_the_digits_of_every_certified_set(name):
    """As many as the exact solution of the numbers in float64 has."""
    X, y, intercept, certified = SETS[name]
    found = {way: nist.digits(solve(X, y, intercept), certified) for way, solve in nist.WAYS.items()}
    assert found["gdnp"] >= found["exact"] - 0.1
    assert found["gdnp"] >= min(max(found["lstsq"], found["qr"]), OF_TODAY.get(name, np.inf)) - 0.1


@pytest.mark.parametrize("name", SETS)
def test_the_certified_values_are_those_of_the_decimal_data(name):
    """No set was mistyped: to the digits that rounding of the data to float64 leaves."""
    X, y, intercept, certified = SETS[name]
    assert nist.digits(nist.exact(X, y, intercept), certified) >= OF_TODAY.get(name, 13.4)


def test_eleven_sets_of_their_sizes():
    assert {name: X.shape for name, (X, *_) in SETS.items()} == {
        "Norris": (36, 1),
        "Pontius": (40, 2),
        "NoInt1": (11, 1),
        "NoInt2": (3, 1),
        "Filip": (82, 10),
        "Longley": (16, 6),
    } | {f"Wampler{k}": (21, 5) for k in range(1, 6)}


def test_digits():
    assert nist.digits([1.0, 2.0], np.array([1.0, 2.0])) == 15.0
    assert nist.digits([1.0, 2.02], np.array([1.0, 2.0])) == pytest.approx(2.0)


def test_the_table_is_printed(monkeypatch, capsys):
    monkeypatch.setattr(nist, "sets", lambda: {"NoInt2": SETS["NoInt2"]})
    nist.main()
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["digits", *nist.WAYS]
    assert row.split() == ["NoInt2", *["15.0"] * len(nist.WAYS)]
