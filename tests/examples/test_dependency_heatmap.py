"""The example and its page run, in small, and draw what they say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("heatmap", ROOT / "examples" / "dependency_heatmap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_example_draws_its_picture(example, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(example, "draw", lambda *a, draw=example.draw: drawn.append(a) or draw(*a))
    state = torch.get_rng_state()
    written = example.main(tmp_path / "map.png", rows=60, iterations=20, probes=4)
    torch.set_rng_state(state)
    assert [path.name for path in written] == ["map.png", "map.pdf"]
    assert written[0].stat().st_size > 20_000
    names, maps, _ = drawn[0]
    assert names == ["conv1", "conv2", "dense", "output"]
    before, after = maps.values()
    for matrix in (before, after):
        np.testing.assert_array_equal(matrix, matrix.T)
        assert np.isnan(np.diagonal(matrix)).all()
        assert (matrix[~np.eye(4, dtype=bool)] > 0.0).all()
    assert np.nanmax(after) < np.nanmax(before)


def test_page_runs_and_names_what_exists(capsys):
    page = ROOT / "docs" / "gallery" / "dependency-heatmap.md"
    text = page.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    state = torch.get_rng_state()
    exec(compile(code, str(page), "exec"), {})
    torch.set_rng_state(state)
    assert len(re.findall(r"^\d with \d: \d+\.\d{3} ± 0\.\d{3}$", capsys.readouterr().out, re.MULTILINE)) == 2
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / target).is_file()
