"""``gdnp predict``: what was fitted comes back from the file, for rows in any form that has its columns."""

import csv
import io
import json
import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.datasets import load_iris

from command import one_sentence
from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.cli import main
from gdnp.models import load_model

pandas = pytest.importorskip("pandas")
skops = pytest.importorskip("skops.io")

NAMES = ["sepal length", "sepal width", "petal length", "petal width"]


def _fit(*arguments):
    return main(["fit", "--alpha", "1e-4", *map(str, arguments)])


def _predict(*arguments):
    return main(["predict", *map(str, arguments)])


def _rows(frame):
    """As the command has them: the order in memory decides the last bit of a sum."""
    return np.ascontiguousarray(frame.to_numpy())


def _column(text):
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["prediction"]
    return [row[0] for row in rows[1:]]


@pytest.mark.parametrize("file", ["iris.csv", "iris.parquet"])
def test_labels_of_text(capsys, iris, file):
    assert _fit(file, "--out", "m.skops") == 0
    captured = capsys.readouterr()
    assert captured.err == "gdnp: the target is the last column, 'species' (--target names another).\n"
    assert "150 rows, 4 columns" in captured.out
    assert "setosa, versicolor, virginica" in captured.out
    assert re.search(r"accuracy +0\.9\d+ ± \S+ +0.33", captured.out)
    assert "a duality gap proves it" in captured.out
    assert "m.skops" in captured.out
    X = _rows(iris[NAMES])
    known = GDNPClassifier().fit(X, iris["species"])
    assert _predict("m.skops", file) == 0
    captured = capsys.readouterr()
    assert _column(captured.out) == known.predict(X).tolist()
    assert re.fullmatch(r"gdnp: AUC 0\.9\d+, log loss 0\.\d+, accuracy 0\.9\d+ on 150 rows\.\n", captured.err)
    loaded = load_model("m.skops")
    assert_array_equal(loaded[-1].coef_, known.coef_)
    assert loaded[0].get_feature_names_out().tolist() == NAMES
    assert_array_equal(loaded.predict(iris), known.predict(X))


def test_libsvm_labels_are_printed_as_they_stand(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    assert re.search("classes +0, 1, 2", capsys.readouterr().out)
    assert _predict("m.skops", "iris.svm") == 0
    X, y = load_iris(return_X_y=True)
    known = GDNPClassifier().fit(X, y).predict(X)
    assert _column(capsys.readouterr().out) == [str(label) for label in known]


def test_columns_in_another_order_and_no_target(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "iris.csv") == 0
    known = _column(capsys.readouterr().out)
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
    iris[NAMES].to_csv("numbers.csv", index=False)
    assert _fit("numbers.csv", "--target", "sepal length", "--loss", "pseudo_huber", "--out", "m.skops") == 0
    assert re.search(r"R² +0\.\d+ ± ", capsys.readouterr().out)
    X = _rows(iris[NAMES[1:]])
    known = GDNPRegressor("pseudo_huber").fit(X, iris["sepal length"]).predict(X)
    assert _predict("m.skops", "numbers.csv", "--target", "sepal length") == 0
    captured = capsys.readouterr()
    assert_array_equal(np.array(_column(captured.out), dtype=float), known)
    assert "R² 0." in captured.err
    assert _predict("m.skops", "iris.csv", "--proba") == 2
    assert "--proba needs a classifier" in one_sentence(capsys)


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


def test_predictions_of_numbers_in_a_file(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "iris.svm", "--proba") == 0
    captured = capsys.readouterr()
    assert "accuracy 0.9" in captured.err
    rows = list(csv.reader(io.StringIO(captured.out)))
    assert rows[0] == ["prediction", "probability_0", "probability_1", "probability_2"]
    assert _predict("m.skops", "iris.svm", "--out", "p.csv") == 0
    assert _column(Path("p.csv").read_text()) == [row[0] for row in rows[1:]]


def test_placeholders_are_no_target(capsys, iris):
    assert _fit("iris.svm", "--out", "m.skops") == 0
    capsys.readouterr()
    Path("new.svm").write_text("-9 1:5 2:3\n")
    assert _predict("m.skops", "new.svm") == 0
    captured = capsys.readouterr()
    assert len(_column(captured.out)) == 1
    assert captured.err == ""


def test_a_failing_write_of_predictions(capsys, iris, monkeypatch):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    Path("p.csv").write_text("mine")
    capsys.readouterr()
    before = set(Path().iterdir())

    def half(columns, to):
        to.write_text("prediction\nset")
        raise OSError(28, "No space left on device", "p.csv")

    monkeypatch.setattr("gdnp.cli.predict._write", half)
    assert _predict("m.skops", "iris.csv", "--out", "p.csv", "--force") == 1
    assert "No space left on device: p.csv" in one_sentence(capsys)
    assert Path("p.csv").read_text() == "mine"
    assert set(Path().iterdir()) == before


def test_predictions_never_replace_what_they_come_from(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    for out in ("m.skops", "./iris.csv"):
        assert _predict("m.skops", "iris.csv", "--out", out, "--force") == 2
        assert "--out must not be" in one_sentence(capsys)


def test_a_file_that_is_there_is_replaced_by_force_alone(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    Path("p.csv").write_text("mine")
    capsys.readouterr()
    assert _predict("m.skops", "iris.csv", "--out", "p.csv") == 1
    assert "overwrite it with --force" in one_sentence(capsys)
    assert Path("p.csv").read_text() == "mine"
    assert _predict("m.skops", "iris.csv", "--out", "p.csv", "--force") == 0
    assert len(_column(Path("p.csv").read_text())) == len(iris)


@pytest.mark.parametrize(
    ("fitted", "given"),
    [
        (["0", "1"], ["0.0", "1.0"]),
        (["0", "1"], ["False", "True"]),
        (["False", "True"], ["0", "1"]),
        (["7.0", "9.0"], ["7", "+9"]),
    ],
)
def test_labels_of_another_spelling_are_scored(capsys, fitted, given):
    for name, labels in (("d.csv", fitted), ("new.csv", given)):
        pandas.DataFrame({"x": [0.0, 1.0] * 5, "y": labels * 5}).to_csv(name, index=False)
    assert _fit("d.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    assert _predict("m.skops", "new.csv") == 0
    captured = capsys.readouterr()
    assert "accuracy 1.0000 on 10 rows" in captured.err
    assert set(_column(captured.out)) == set(fitted)


def test_why_there_is_no_score(capsys):
    frame = pandas.DataFrame({"x": [0.0, 1.0] * 5, "y": ["a", "b"] * 5})
    frame.to_csv("d.csv", index=False)
    assert _fit("d.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    for labels, rows in ((["yes", "no"] * 5, 10), (["a", "b", "c"] + ["a", "b"] * 3 + [""], 1)):
        frame.assign(y=labels).to_csv("new.csv", index=False)
        assert _predict("m.skops", "new.csv") == 0
        said = capsys.readouterr().err.splitlines()
        unknown = labels[0 if rows == 10 else 2]
        assert said[0] == (
            f"gdnp: no score for {rows} of 10 rows: the target should hold classes of the model (a, b). "
            f"Got {unknown!r}."
        )
        assert len(said) == (1 if rows == 10 else 2)
    frame.assign(y="").to_csv("new.csv", index=False)  # to be filled in: no news
    assert _predict("m.skops", "new.csv") == 0
    assert capsys.readouterr().err == ""


def test_missing_data(capsys):
    assert _fit("absent.csv") == 3
    assert "Got 'absent.csv'" in one_sentence(capsys)
    assert _predict("absent.skops", "breast_cancer") == 3
    assert "A model was expected at absent.skops" in one_sentence(capsys)


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
        assert message in one_sentence(capsys)


def test_rows_that_do_not_fit_the_model(capsys, iris):
    assert _fit("iris.csv", "--out", "m.skops") == 0
    capsys.readouterr()
    iris.drop(columns=["sepal width", "petal width"]).to_csv("new.csv", index=False)
    assert _predict("m.skops", "new.csv") == 1
    assert "Missing: 'sepal width', 'petal width'." in one_sentence(capsys)
    assert _predict("m.skops", "breast_cancer") == 1
    assert "fitted on a table: its rows must be one too. Got breast_cancer" in one_sentence(capsys)
    assert _fit("iris.svm", "--out", "svm.skops") == 0
    capsys.readouterr()
    Path("new.svm").write_text("1 7:2\n")
    assert _predict("svm.skops", "new.svm") == 1
    assert "should have the 4 columns of the model. Got 7" in one_sentence(capsys)


def test_help_names_every_option(capsys):
    assert _fit("--help") == 0
    shown = capsys.readouterr().out
    options = "--target --task --loss --alpha --tol --max-iter --solver --no-intercept --strict --out --json"
    options += " --sep --encoding --decimal --no-header --missing --drop --keep --id --category --date-format"
    assert all(option in shown for option in [*options.split(), "--force", "--verbose"])
    assert _predict("--help") == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("--proba", "--target", "--out"))


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
