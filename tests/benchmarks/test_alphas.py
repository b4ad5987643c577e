"""The race for a ridge: on something tiny all solvers choose among the same fits."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from problems import draw


@pytest.fixture(scope="module")
def script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "alphas.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_alphas", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_both_choose_among_the_same_fits(script, rng, monkeypatch, capsys):
    X, y = draw(rng, 103, 3)
    monkeypatch.setattr(script, "CLASSIFICATION", {"tiny": lambda: (X, y)})
    monkeypatch.setattr(script, "REGRESSION", {"small": lambda: (X, X[:, 0] + y)})
    monkeypatch.setattr(script, "CS", np.logspace(-2, 2, 3))
    assert script.main(["--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    kinds = [tuple(line.split()[:3]) for line in lines if line.startswith("tiny")]
    assert kinds == [
        ("tiny", solver, kind) for solver in ("gdnp", "newton-cholesky") for kind in ("default", "equal")
    ]
    assert [line.split()[0] for line in lines if "RidgeCV" in line] == ["small", "small"]
    assert [line for line in lines if line.startswith("newton-cholesky equal: ")]


def test_ridge_cv_has_the_same_scores(script, rng):
    X = rng.standard_normal((50, 3))
    y = X[:, 0] + rng.standard_normal(50)
    for folds in (None, 5):
        ours, theirs = (script.regressor(name, folds, 50).fit(X, y) for name in ("gdnp", "RidgeCV"))
        assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-6)


def test_an_unknown_set_is_refused(script, capsys):
    with pytest.raises(SystemExit):
        script.main(["nothing"])
    assert "no such set: nothing" in capsys.readouterr().err
