"""The example and its page run, draw what they say, and say what there is."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import fields
from pathlib import Path

import pytest

from gdnp.solvers import Certificate
from gdnp.solvers.state import Status

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gallery" / "raw-data.md"


@pytest.fixture
def example():
    spec = importlib.util.spec_from_file_location("raw_data", ROOT / "examples" / "raw_data.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_example_draws_what_the_page_says(example, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(example, "draw", lambda *a, draw=example.draw: drawn.append(a[0]) or draw(*a))
    written = example.main(tmp_path / "picture.png")
    assert [path.name for path in written] == ["picture.png", "picture.pdf"]
    assert all(path.stat().st_size > 10_000 for path in written)
    raw, scales, standardised = drawn[0].values()
    for found in raw, scales, standardised:
        assert list(found) == ["gdnp", *example.PEERS]
        assert not found["gdnp"].warned
        assert -1e-12 < found["gdnp"].gap < 1e-8
        assert all(stop.gap > -1e-11 for stop in found.values())  # none is below the proved bound
    for found in raw, scales:
        assert all(not found[name].warned for name in ("newton-cg", "liblinear"))
        assert all(2e-4 < found[name].gap < 4e-2 for name in ("newton-cg", "liblinear"))
        assert all(found[name].warned for name in ("lbfgs", "sag", "saga"))
    assert raw["newton-cholesky"].gap < 1e-8 < 1e-2 < scales["newton-cholesky"].gap
    near = [name for name, stop in standardised.items() if stop.gap < 1e-4]
    assert set(found) - set(near) == {"sag", "saga"}
    assert capsys.readouterr().out.count("warned") == sum(
        stop.warned for found in drawn[0].values() for stop in found.values()
    )


def test_page_runs(capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    names = {}
    exec(compile(code, str(PAGE), "exec"), names)
    plt.close("all")
    printed = capsys.readouterr().out.strip()
    assert f"It prints `{printed}`" in text
    passes = [names[name].history_["passes"][-1] for name in ("model", "paper")]
    assert 0.2 < passes[0] / passes[1] < 0.33  # about a quarter
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (PAGE.parent / target).is_file()


def test_page_names_every_status_and_field():
    text = PAGE.read_text(encoding="utf-8")
    listed = set(re.findall(r"`(\w+)`", text))
    assert {status.name for status in Status} <= listed
    assert {field.name for field in fields(Certificate)} - {"status"} <= listed
