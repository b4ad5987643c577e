"""``gdnp fit``: what is fitted, what is said of it, and what is saved."""

import json
import re
import sys
from pathlib import Path

import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedShuffleSplit

from command import one_sentence
from gdnp import GDNPClassifierCV
from gdnp.cli import main
from gdnp.models import load_model

pandas = pytest.importorskip("pandas")
pytest.importorskip("skops")


def _fit(*arguments):
    return main(["fit", "--alpha", "1e-4", *map(str, arguments)])


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
    assert len(found["certificates"]) == 1  # one loss of all classes
    assert found["certificate"]["kind"] == "duality_gap"
    linear = model[-1]
    assert found["certificate"]["gap"] == linear.certificate_.gap <= 1e-8
    assert found["objective"] == pytest.approx(linear.certificate_.objective)
    assert found["iterations"] == linear.n_iter_
    assert found["parameters"]["alpha"] == linear.alpha == 0.01
    assert not linear.fit_intercept
    assert [one["coefficient"] for one in found["coefficients"]] == linear.coef_.ravel().tolist()
    assert found["model"] == "m.skops"


@pytest.mark.parametrize("name", ["iris.csv", "iris.svm"])
def test_coefficients_are_given_per_standard_deviation_of_dense_and_sparse_columns(capsys, iris, name):
    assert _fit(name, "--json") == 0
    found = json.loads(capsys.readouterr().out)["coefficients"]
    sd = iris.iloc[:, :4].std(ddof=0).tolist() * 3  # of each class
    assert [one["sd"] for one in found] == pytest.approx(sd)
    assert [one["per_sd"] / one["coefficient"] for one in found] == pytest.approx(sd)


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
    assert load_model("m.skops")[-1].alpha == 1.0


def test_interrupted_while_saving(capsys, iris, monkeypatch):
    def interrupt(self, contents):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", interrupt)
    before = set(Path().iterdir())
    assert _fit("iris.csv", "--out", "m.skops") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "gdnp: Stopped."
    assert set(Path().iterdir()) == before


@pytest.mark.parametrize("limit", [["--solver", "gd", "--max-iter", "2"], ["--tol", "1e-300"]])
def test_not_converged(capsys, limit):
    assert _fit("breast_cancer", *limit, "--out", "m.skops") == 0
    captured = capsys.readouterr()
    assert re.fullmatch(r"gdnp: tol=\S+ was not met .*\n", captured.err)
    assert re.search(r"optimum +not found", captured.out)
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
        (["breast_cancer", "--task", "ranking"], "--task is not known: it must be one of classification"),
        (["breast_cancer", "--loss", "hinge"], "--loss is not known: it must be one of squared_error"),
        (["breast_cancer", "--loss", "sigmoid", "--delta", "1"], "--delta needs one of --loss huber"),
        (["breast_cancer", "--loss", "huber", "--delta", "-1"], "--delta must be a finite number above 0"),
        (["breast_cancer", "--loss", "huber", "--delta", "inf"], "--delta must be a finite number above 0"),
        (["breast_cancer", "--loss", "huber", "--delta", "x"], "--delta must be a finite number above 0"),
        (["breast_cancer", "--solver", "adam"], "--solver is not known: it must be one of auto"),
        (["breast_cancer", "--task", "regression", "--loss", "sigmoid"], "needs a loss for it"),
        (["breast_cancer", "--alpha", "-1"], "--alpha must be a finite number of at least 0 or auto"),
        (["breast_cancer", "--alpha", "nan"], "--alpha"),
        (["breast_cancer", "--alpha", "inf"], "--alpha must be a finite number"),
        (["breast_cancer", "--tol", "inf"], "--tol must be a finite number"),
        (["breast_cancer", "--max-iter", "0"], "Invalid value"),
        (["breast_cancer", "--force"], "it needs --out"),
        (["breast_cancer", "--target", "y"], "--target is for a table. Got it for the data set"),
        (["breast_cancer", "--out", "."], "must name a file"),
        (["breast_cancer", "--out", "absent/m.skops"], "folder that can be written to"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_of_fit(capsys, arguments, message):
    assert _fit(*arguments) == 2
    assert message in one_sentence(capsys)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("x,y\n1,2\n1,a,b\n", [], "d.csv should be a table of text. Got: 3 fields on line 3, where"),
        (
            "x,y\n1,a\n2,a\n",
            [],
            "The target 'y' of d.csv should have at least two values. Got 'a' in every row",
        ),
        (
            "x,y\n1,2.5\n2,2.5\n",
            [],
            "The target 'y' of d.csv should have at least two values. Got '2.5' in every row",
        ),
        ("x,y\n1,a\n2,b\n", ["--task", "regression"], "must be numbers. Got 'a' in row 1 of 'y'"),
        ("x,y\n1,0.5\n2,1\n", ["--task", "classification"], "Got 0.5: use --task regression"),
        ("x,y\n1,0.5\n2,1\n", ["--target", "z"], "one of x, y, or count it."),
    ],
)
def test_data_that_cannot_be_fitted(capsys, text, options, message):
    Path("d.csv").write_text(text)
    assert _fit("d.csv", "--out", "m.skops", *options) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err.splitlines()[-1]
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


def test_alpha_is_chosen_by_cross_validation(capsys):
    assert _fit("breast_cancer", "--json", "--test", "0.2", "--alpha", "auto") == 0
    found = json.loads(capsys.readouterr().out)
    X, y = load_breast_cancer(return_X_y=True)
    train = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(y, y))[0]
    assert found["parameters"]["alpha"] == GDNPClassifierCV().fit(X[train], y[train]).alpha_
    assert found["auto"]
    assert _fit("breast_cancer", "--json", "--cv", "0", "--alpha", "auto") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["parameters"]["alpha"] == GDNPClassifierCV().fit(X, y).alpha_
    assert found["score"] is None


def test_too_few_rows_to_choose_alpha(capsys):
    Path("d.csv").write_text("x,y\n" + "".join(f"{k},{k % 2}\n" for k in range(9)))
    assert _fit("d.csv", "--json", "--alpha", "auto") == 0
    captured = capsys.readouterr()
    assert (
        "too few rows, or of a class, to choose alpha by cross-validation: it is 0.0001 (--alpha)."
        in captured.err
    )
    found = json.loads(captured.out)
    assert (found["parameters"]["alpha"], found["auto"]) == (1e-4, False)


@pytest.mark.parametrize("rare", [1, 2, 3, 5])
def test_a_rare_class_is_fitted_whatever_is_held_out(capsys, rng, rare):
    y = ["often"] * 60 + ["rare"] * rare
    pandas.DataFrame({"x": rng.normal(size=60 + rare), "y": y}).to_csv("d.csv", index=False)
    assert _fit("d.csv", "--json", "--alpha", "auto") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["classes"] == ["often", "rare"]
    assert found["auto"] == (rare > 2) == ("of a class" not in captured.err)
    assert (found["score"] is None) == (rare == 1)
