"""The script that measures times: it runs, it has a row for every number, and ratios are ratios."""

import importlib.util
import math
import sys
from pathlib import Path

import pytest

from gdnp.design import costs


@pytest.fixture(scope="module")
def script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "costs.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_costs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("threads", ["1", "2"])
def test_quick_table_has_every_number_of_the_code(script, capsys, threads):
    script.main(["--quick", "--threads", threads])
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert first.startswith(f"passes on {threads} of ")
    assert head.split() == ["name", "code", "here", "ratio"]
    names = {row.split()[0].split("(")[0] for row in rows}
    numbers = {name for name, value in vars(costs).items() if isinstance(value, float)}
    functions = {f"{kind}_{what}" for kind in ("dense", "sparse") for what in ("gram", "kernel")}
    assert names == numbers | functions
    for row in rows:
        code, here, ratio = (float(x) for x in row.split()[-3:])
        assert code > 0.0
        assert not math.isnan(here)
        if math.isfinite(here):
            assert ratio == pytest.approx(here / code, abs=0.02 * (1.0 + abs(ratio)))


def test_two_threads_pay_from_the_last_change_of_sign(script):
    assert script.break_even({8: 1.0, 16: -1.0, 32: -2.0}) == pytest.approx(math.sqrt(8 * 16))
    assert script.break_even({8: 0.5, 16: -0.5, 32: 0.25, 64: -0.75}) == pytest.approx(32 * 2**0.25)
    assert script.break_even({8: -1.0, 16: -2.0}) == 8.0
    assert script.break_even({8: -1.0, 16: 0.1}) == math.inf


def test_calls_are_timed_in_turn(script):
    seen = []
    clock = script.Clock(repeats=3, least=0.0)
    found = clock.medians(
        {name: lambda name=name: seen.append(name) for name in "ab"},
        {"ratio": lambda one: one["a"] / one["b"], "two": lambda one: 2.0},
    )
    assert seen == ["a", "a", "b", "b"] + ["a", "b"] * 3  # each is warmed up, then counted, first
    assert found["two"] == 2.0
    assert found["ratio"] > 0.0
