"""``gdnp fit``: what is fitted, what is said of it, and what is saved."""

import json
import re
import sys
from pathlib import Path

import pytest

from command import one_sentence
from gdnp.cli import main
from gdnp.models import load_model

pandas = pytest.importorskip("pandas")
pytest.importorskip("skops")


def _fit(*arguments):
    return main(["fit", *map(str, arguments)])


@pytest.mark.parametrize(
    ("column", "options", "task"),
    [
        ([0, 1] * 5, [], "classification"),
        ([True, False] * 5, [], "classification"),
        (["a", "b"] * 5, [], "classification"),
        ([0.5, 1.0] * 5, [], "regression"),
        (list(range(10)), [], "regression"),
        ([0, 1] * 5, ["--task", "regression"], "regression"),
        ([0, 1] * 5, ["--loss", "squared_error"], "regression"),
        (list(range(10)), ["--loss", "sigmoid"], "classification"),
    ],
)
def test_task_is_told_by_the_target(capsys, rng, column, options, task):
    pandas.DataFrame({"x": rng.normal(size=10), "y": column}).to_csv("d.csv", index=False)
    assert _fit("d.csv", "--json", "--alpha", 1, "--tol", 1e-4, *options) == 0
    assert json.loads(capsys.readouterr().out)["task"] == task


def test_fit_prints_one_document(capsys, iris):
    assert _fit("iris.csv", "--json", "--out", "m.skops", "--alpha", "0.01", "--no-intercept") == 0
    found = json.loads(capsys.readouterr().out)
    model = load_model("m.skops")
    assert found["status"] == "CONVERGED"
    assert found["converged"]
    assert found["classes"] == ["setosa", "versicolor", "virginica"]
    assert len(found["certificates"]) == 3
    assert found["certificate"]["kind"] == "duality_gap"
    assert found["certificate"]["gap"] == max(one.gap for one in model.certificate_) <= 1e-8
    assert found["objective"] == pytest.approx(sum(one.objective for one in model.certificate_))
    assert found["iterations"] == model.n_iter_
    assert found["parameters"]["alpha"] == model.alpha == 0.01
    assert not model.fit_intercept
    assert found["score"] == {
        "name": "accuracy",
        "value": pytest.approx(model.score(iris.drop(columns="species"), iris.species)),
    }
    assert found["model"] == "m.skops"


def test_without_out_nothing_is_written(capsys, iris):
    before = set(Path().iterdir())
    assert _fit("iris.csv") == 0
    assert "not saved" in capsys.readouterr().out
    assert set(Path().iterdir()) == before


def test_a_model_is_not_overwritten(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    before = Path("m.skops").read_bytes()
    assert _fit("iris.csv", "--alpha", 1, "--out", "m.skops") == 1
    assert "--force" in one_sentence(capsys)
    assert Path("m.skops").read_bytes() == before
    assert _fit("iris.csv", "--alpha", 1, "--out", "m.skops", "--force") == 0
    assert load_model("m.skops").alpha == 1.0


def test_interrupted_while_saving(capsys, iris, monkeypatch):
    def interrupt(self, contents):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", interrupt)
    before = set(Path().iterdir())
    assert _fit("iris.csv", "--out", "m.skops") == 130
    assert "Stopped" in one_sentence(capsys)
    assert set(Path().iterdir()) == before


@pytest.mark.parametrize("limit", [["--solver", "gd", "--max-iter", "2"], ["--tol", "1e-300"]])
def test_not_converged(capsys, limit):
    assert _fit("breast_cancer", *limit, "--out", "m.skops") == 0
    captured = capsys.readouterr()
    assert re.fullmatch(r"gdnp: tol=\S+ was not met .*\n", captured.err)
    assert re.search(r"status +(MAX_ITER|STALLED)", captured.out)
    assert load_model("m.skops").coef_.shape == (1, 30)
    assert _fit("breast_cancer", *limit, "--out", "strict.skops", "--strict", "--json") == 4
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert not found["converged"]
    assert found["model"] is None
    assert "strict.skops is not written" in captured.err.splitlines()[-1]
    assert not Path("strict.skops").exists()


def test_strict_and_converged(capsys):
    assert _fit("breast_cancer", "--strict", "--out", "m.skops") == 0
    assert capsys.readouterr().err == ""
    assert Path("m.skops").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["breast_cancer", "--task", "ranking"], "--task must be one of classification, regression"),
        (["breast_cancer", "--loss", "hinge"], "--loss must be one of squared_error"),
        (["breast_cancer", "--loss", "sigmoid", "--delta", "1"], "--delta needs one of --loss huber"),
        (["breast_cancer", "--loss", "huber", "--delta", "-1"], "--delta must be a number above 0 or auto"),
        (["breast_cancer", "--loss", "huber", "--delta", "inf"], "--delta must be a number above 0 or auto"),
        (["breast_cancer", "--loss", "huber", "--delta", "x"], "--delta must be a number above 0 or auto"),
        (["breast_cancer", "--solver", "adam"], "--solver must be one of auto"),
        (["breast_cancer", "--task", "regression", "--loss", "sigmoid"], "needs a loss for it"),
        (["breast_cancer", "--alpha", "-1"], "Invalid value"),
        (["breast_cancer", "--alpha", "nan"], "--alpha"),
        (["breast_cancer", "--alpha", "inf"], "--alpha must be a finite number"),
        (["breast_cancer", "--tol", "inf"], "--tol must be a finite number"),
        (["breast_cancer", "--max-iter", "0"], "Invalid value"),
        (["breast_cancer", "--force"], "it needs --out"),
        (["breast_cancer", "--target", "y"], "--target names a column of a file"),
        (["breast_cancer", "--out", "."], "must name a file"),
        (["breast_cancer", "--out", "absent/m.skops"], "folder that exists"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_of_fit(capsys, arguments, message):
    assert _fit(*arguments) == 2
    assert message in one_sentence(capsys)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x,y\n1,2\n1,a,b\n", [], "CSV"),
        ("x,y\n1,a\n2,a\n", [], "at least two classes"),
        ("x,y\n1,a\n2,b\n", ["--task", "regression"], "must be numbers. Got 'a'"),
        ("x,y\n1,0.5\n2,1\n", ["--task", "classification"], "Got 0.5: use --task regression"),
        ("x,y\n1,0.5\n2,1\n", ["--target", "z"], "target must be a column"),
        ("x,y\n,0.5\n2,1\n", [], "NaN"),
    ],
)
def test_data_that_cannot_be_fitted(capsys, text, options, message):
    Path("d.csv").write_text(text)
    assert _fit("d.csv", "--out", "m.skops", *options) == 1
    assert message in one_sentence(capsys)
    assert not Path("m.skops").exists()


@pytest.mark.parametrize("missing", ["skops", "pandas"])
def test_missing_extra(capsys, monkeypatch, iris, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert _fit("iris.csv", "--out", "m.skops") == 1
    assert f'needs {missing}: pip install "gdnp[cli]"' in one_sentence(capsys)


def test_verbose_goes_to_stderr(capsys):
    assert _fit("breast_cancer", "--verbose", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["converged"]
    assert "passes" in captured.err
