"""The example and its page run, in small, and draw what they say."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def example(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))  # no MNIST there: digits
    spec = importlib.util.spec_from_file_location("s_norm_mnist", ROOT / "examples" / "s_norm_mnist.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_networks_begin_as_the_same_function(example):
    name, (X, _), _ = example.images(300)
    assert name == "digits"
    plain = example.network(X.shape[1])
    for damping in example.DAMPINGS:
        torch.testing.assert_close(example.with_metric(plain, X, damping)(X), plain(X), atol=1e-4, rtol=1e-4)


def test_example_draws_its_picture(example, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(example, "draw", lambda *a, draw=example.draw: drawn.append(a) or draw(*a))
    written = example.main(tmp_path / "picture.png", rows=300, epochs=3)
    assert [path.name for path in written] == ["picture.png", "picture.pdf"]
    _, curves, scores, _ = drawn[0]
    assert list(curves) == list(scores) == ["plain", "λ = 0.01", "λ = 1", "λ = 100"]
    starts = [curve[0] for curve in curves.values()]
    assert max(starts) - min(starts) < 1e-3
    assert all(curve[-1] < 0.7 * curve[0] for curve in curves.values())
    assert curves["λ = 0.01"][-1] < curves["plain"][-1]
    assert all(0.4 < score <= 1.0 for score in scores.values())
    assert len(re.findall(r"training loss \d", capsys.readouterr().out)) == 4


def test_page_runs_and_names_what_exists(capsys):
    page = ROOT / "docs" / "gallery" / "s-norm.md"
    text = page.read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    state = torch.get_rng_state()
    exec(compile(code, str(page), "exec"), {})
    torch.set_rng_state(state)
    assert re.fullmatch(r"\{'3': 'full'\}\nLinear [01]\.\d\d\n", capsys.readouterr().out)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / target).is_file()
