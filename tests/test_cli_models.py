"""The commands ``gdnp fit`` and ``gdnp predict`` on real files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import dump_svmlight_file, load_iris

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.cli import main
from gdnp.models import load_model

pandas = pytest.importorskip("pandas")
skops = pytest.importorskip("skops.io")
pytest.importorskip("typer")
pytest.importorskip("pyarrow")

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDNP_DEBUG", raising=False)


@pytest.fixture
def iris():
    """iris.csv and iris.parquet with names of species, iris.svm with numbers."""
    X, y = load_iris(return_X_y=True)
    frame = pandas.DataFrame(X, columns=NAMES)
    frame["species"] = np.array(["setosa", "versicolor", "virginica"])[y]
    frame.to_csv("iris.csv", index=False)
    frame.to_parquet("iris.parquet")
    dump_svmlight_file(X, y, "iris.svm", zero_based=False)
    return frame


def _fit(*arguments):
    return main(["fit", *map(str, arguments)])


def _predict(*arguments):
    return main(["predict", *map(str, arguments)])


def _rows(frame):
    """As the command has them: the order in memory decides the last bit of a sum."""
    return np.ascontiguousarray(frame.to_numpy())


def _one_sentence(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"gdnp: .+\n", captured.err), captured.err
    return captured.err


def _column(text):
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["prediction"]
    return [row[0] for row in rows[1:]]


# --- there and back


@pytest.mark.parametrize("file", ["iris.csv", "iris.parquet"])
def test_labels_of_text(capsys, iris, file):
    assert _fit(file, "--out", "m.skops") == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "150 rows, 4 columns, classes setosa, versicolor, virginica" in captured.out
    assert re.search(r"accuracy +0\.9\d+ on the training rows", captured.out)
    assert "proved by a duality gap" in captured.out
    assert "m.skops" in captured.out
    X = _rows(iris[NAMES])
    known = GDNPClassifier().fit(X, iris["species"])
    assert _predict("m.skops", file) == 0
    captured = capsys.readouterr()
    assert _column(captured.out) == known.predict(X).tolist()
    assert re.fullmatch(r"gdnp: accuracy 0\.9\d+ on 150 rows\.\n", captured.err)
    loaded = load_model("m.skops")
    assert_array_equal(loaded.coef_, known.coef_)
    assert loaded.feature_names_in_.tolist() == NAMES


def test_libsvm_labels_are_printed_as_they_stand(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    assert "classes 0, 1, 2" in capsys.readouterr().out
    assert _predict("m.skops", "iris.svm") == 0
    X, y = load_iris(return_X_y=True)
    known = GDNPClassifier().fit(X, y).predict(X)
    assert _column(capsys.readouterr().out) == [str(label) for label in known]


def test_columns_in_another_order_and_no_target(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    assert _predict("m.skops", "iris.csv") == 0
    known = _column(capsys.readouterr().out.partition("m.skops\n")[2])
    iris[NAMES[::-1]].assign(id="x")[["id", *NAMES[::-1]]].to_csv("new.csv", index=False)
    assert _predict("m.skops", "new.csv") == 0
    captured = capsys.readouterr()
    assert _column(captured.out) == known
    assert captured.err == ""


def test_probabilities(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "iris.csv", "--proba") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    labels = ["setosa", "versicolor", "virginica"]
    assert rows[0] == ["prediction", *(f"probability_{label}" for label in labels)]
    shares = np.array([row[1:] for row in rows[1:]], dtype=float)
    known = GDNPClassifier().fit(_rows(iris[NAMES]), iris["species"]).predict_proba(_rows(iris[NAMES]))
    assert_array_equal(shares, known)
    assert [row[0] for row in rows[1:]] == [labels[k] for k in shares.argmax(axis=1)]


def test_regression(capsys, iris):
    assert _fit("iris.csv", "--target", "petal width", "--out", "m.skops") == 1
    assert "must be numbers" in _one_sentence(capsys)
    iris[NAMES].to_csv("numbers.csv", index=False)
    assert _fit("numbers.csv", "--target", "sepal length", "--loss", "pseudo_huber", "--out", "m.skops") == 0
    assert re.search(r"R² +0\.\d{4} on the training rows", capsys.readouterr().out)
    X = _rows(iris[NAMES[1:]])
    known = GDNPRegressor("pseudo_huber").fit(X, iris["sepal length"]).predict(X)
    assert _predict("m.skops", "numbers.csv", "--target", "sepal length") == 0
    captured = capsys.readouterr()
    assert_array_equal(np.array(_column(captured.out), dtype=float), known)
    assert "R² 0." in captured.err
    assert _predict("m.skops", "iris.csv", "--proba") == 2
    assert "--proba needs a classifier" in _one_sentence(capsys)


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


@pytest.mark.parametrize(("labels", "shown"), [([True, False], "True"), ([3, 7], "7"), (["ä,b", "c"], "c")])
def test_labels_of_any_kind_come_back(capsys, labels, shown):
    frame = pandas.DataFrame({"x": [0.0, 1.0] * 5, "y": labels * 5})
    frame.to_csv("d.csv", index=False)
    assert _fit("d.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "d.csv") == 0
    captured = capsys.readouterr()
    assert _column(captured.out) == [str(label) for label in labels * 5]
    assert shown in captured.out
    assert "accuracy 1.0000" in captured.err


# --- documents


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
        "value": pytest.approx(model.score(iris[NAMES], iris.species)),
    }
    assert found["model"] == "m.skops"


def test_predict_prints_one_document(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "iris.svm", "--json", "--proba") == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["classes"] == [0, 1, 2]
    assert set(found["predictions"]) == {0, 1, 2}
    assert np.shape(found["probabilities"]) == (150, 3)
    assert found["score"]["value"] > 0.9
    assert "accuracy" in captured.err
    assert _predict("m.skops", "iris.svm", "--json", "--out", "p.csv") == 0
    assert json.loads(capsys.readouterr().out)["predictions"] == found["predictions"]
    assert _column(Path("p.csv").read_text()) == [str(label) for label in found["predictions"]]


def test_placeholders_are_no_target(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    capsys.readouterr()
    Path("new.svm").write_text("-9 1:5 2:3\n")
    assert _predict("m.skops", "new.svm", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["score"] is None
    assert captured.err == ""


# --- files


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
    assert "--force" in _one_sentence(capsys)
    assert Path("m.skops").read_bytes() == before
    assert _fit("iris.csv", "--alpha", 1, "--out", "m.skops", "--force") == 0
    assert load_model("m.skops").alpha == 1.0


def test_a_failing_write_of_predictions(capsys, iris, monkeypatch):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    Path("p.csv").write_text("mine")
    capsys.readouterr()
    before = set(Path().iterdir())

    def half(opened, *_):
        opened.write("prediction\nset")
        raise OSError(28, "No space left on device", "p.csv")

    monkeypatch.setattr("gdnp.cli.predict._write_csv", half)
    assert _predict("m.skops", "iris.csv", "--out", "p.csv") == 1
    assert "No space left on device: p.csv" in _one_sentence(capsys)
    assert Path("p.csv").read_text() == "mine"
    assert set(Path().iterdir()) == before


def test_interrupted_while_saving(capsys, iris, monkeypatch):
    def interrupt(self, contents):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.write_bytes", interrupt)
    before = set(Path().iterdir())
    assert _fit("iris.csv", "--out", "m.skops") == 130
    assert "Stopped" in _one_sentence(capsys)
    assert set(Path().iterdir()) == before


def test_predictions_never_replace_what_they_come_from(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    for out in ("m.skops", "./iris.csv"):
        assert _predict("m.skops", "iris.csv", "--out", out) == 2
        assert "--out must not be" in _one_sentence(capsys)


# --- not converged


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


# --- errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["breast_cancer", "--task", "ranking"], "--task must be one of classification, regression"),
        (["breast_cancer", "--loss", "hinge"], "--loss must be one of squared_error"),
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
    assert message in _one_sentence(capsys)


def test_missing_data(capsys):
    assert _fit("absent.csv") == 3
    assert "Got 'absent.csv'" in _one_sentence(capsys)
    assert _predict("absent.skops", "breast_cancer") == 3
    assert "A model was expected at absent.skops" in _one_sentence(capsys)


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
    assert message in _one_sentence(capsys)
    assert not Path("m.skops").exists()


def test_unusable_models(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    contents = Path("m.skops").read_bytes()
    Path("half.skops").write_bytes(contents[: len(contents) // 2])
    Path("untrusted.skops").write_bytes(skops.dumps({"f": subprocess.Popen}))
    for name, message in (
        ("iris.csv", "file of another kind"),
        ("half.skops", "truncated or damaged"),
        ("untrusted.skops", "subprocess.Popen']: it is not loaded"),
        (".", "directory"),
    ):
        assert _predict(name, "iris.csv") == 1
        assert message in _one_sentence(capsys)


def test_rows_that_do_not_fit_the_model(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    iris.drop(columns=["sepal width", "petal width"]).to_csv("new.csv", index=False)
    assert _predict("m.skops", "new.csv") == 1
    assert "Missing: ['sepal width', 'petal width']." in _one_sentence(capsys)
    assert _predict("m.skops", "breast_cancer") == 1
    assert "Missing: ['sepal length'" in _one_sentence(capsys)
    Path("new.svm").write_text("1 7:2\n")
    assert _predict("m.skops", "new.svm") == 1
    assert "should have the 4 columns of the model. Got 7" in _one_sentence(capsys)


@pytest.mark.parametrize("missing", ["skops", "pandas"])
def test_missing_extra(capsys, monkeypatch, iris, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    assert _fit("iris.csv", "--out", "m.skops") == 1
    assert f'needs {missing}: pip install "gdnp[cli]"' in _one_sentence(capsys)


def test_help_names_every_option(capsys):
    assert _fit("--help") == 0
    shown = capsys.readouterr().out
    options = "--target --task --loss --alpha --tol --max-iter --solver --no-intercept --strict --out --json"
    assert all(option in shown for option in [*options.split(), "--force", "--verbose"])
    assert _predict("--help") == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--proba", "--target", "--out", "--json"))


def test_verbose_goes_to_stderr(capsys):
    assert _fit("breast_cancer", "--verbose", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["converged"]
    assert "passes" in captured.err


# --- processes


def _process(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "gdnp_cli_for_tests", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ".", **environment},
    )


@pytest.fixture
def command():
    Path("gdnp_cli_for_tests.py").write_text("import sys\nfrom gdnp.cli import main\nsys.exit(main())\n")
    return _process


def test_no_color_and_no_warnings(command):
    process = command("fit", "breast_cancer", NO_COLOR="1", FORCE_COLOR="1", TTY_COMPATIBLE="1")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert "\x1b" not in out


def test_closed_pipe_is_no_traceback(command):
    assert _fit("gaussian", "--task", "classification", "--out", "m.skops") == 0
    process = command("predict", "m.skops", "gaussian", "--proba")
    assert process.stdout.readline().startswith("prediction,")
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=60) == 1
    process.stderr.close()
    assert "Traceback" not in err
    assert "BrokenPipe" not in err


@pytest.mark.skipif("GDNP_DATA" not in os.environ, reason="needs a9a: set GDNP_DATA to a folder that has it")
def test_a9a_end_to_end(capsys):
    folder = Path(os.environ["GDNP_DATA"]) / "a9a"
    if not (folder / "a9a").is_file() or not (folder / "a9a.t").is_file():
        pytest.skip(f"no a9a and a9a.t in {folder}")
    assert _fit(folder / "a9a", "--strict", "--out", "a9a.skops", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["columns"], found["classes"]) == (32561, 123, [-1, 1])
    assert _predict("a9a.skops", folder / "a9a.t", "--out", "p.csv") == 0  # 122 columns are in that file
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "accuracy 0.8498" in captured.err
    assert set(_column(Path("p.csv").read_text())) == {"-1", "1"}
    assert _predict("a9a.skops", "a9a.t") == 0
    assert capsys.readouterr().out == Path("p.csv").read_text()
