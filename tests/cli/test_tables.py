"""Real tables from the file to the prediction: what is said of them, and what later rows find again."""

import csv
import gzip
import io
import json
import subprocess
import sys
import zipfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from gdnp.cli import main
from gdnp.models import load_model

pandas = pytest.importorskip("pandas")
pytest.importorskip("skops")
pytest.importorskip("pyarrow")


def run(capsys, *arguments, code=0):
    """stdout and stderr of a command that ends so."""
    arguments = list(map(str, arguments))
    if arguments[0] == "fit" and "--alpha" not in arguments:
        arguments[1:1] = ["--alpha", "1e-4"]  # what chooses one has tests of its own
    found = main(arguments)
    captured = capsys.readouterr()
    assert found == code, captured.err
    return captured.out, captured.err


def document(capsys, *arguments):
    return json.loads(run(capsys, *arguments, "--json")[0])


@pytest.fixture
def churn(rng):
    """400 customers as a data scientist gets them: ids, dates, categories, gaps, units of all sizes."""
    n = 400
    frame = pandas.DataFrame(
        {
            "customer_id": rng.permutation(10**6)[:n],
            "signup": pandas.Timestamp("2024-01-01") + pandas.to_timedelta(rng.integers(0, 700, n), unit="D"),
            "country": rng.choice(["DE", "FR", "NA"], n),
            "age": rng.normal(45.0, 12.0, n).round(),
            "spend": np.exp(rng.normal(9.0, 1.0, n)).round(2),
        }
    )
    score = (frame["age"] - 45.0) / 12.0 - np.log(frame["spend"]) + 9.0 + rng.standard_normal(n)
    frame["churned"] = np.where(score > 0.0, "yes", "no")
    frame.loc[::9, "age"] = None
    frame.loc[::13, "country"] = ""
    frame.loc[:4, "churned"] = ""
    return frame


def write(frame, name):
    text = frame.to_csv(index=False, date_format="%d.%m.%Y")
    if name.endswith(".zip"):
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("inside.csv", text)
    elif name.endswith(".gz"):
        Path(name).write_bytes(gzip.compress(text.encode()))
    elif name.endswith("semicolon.csv"):
        text = frame.to_csv(index=False, sep=";", decimal=",", date_format="%d.%m.%Y")
        Path(name).write_bytes(text.encode("utf-16"))
    elif name.endswith((".parquet", ".feather")):
        getattr(frame.replace({"": None}), f"to_{name.rpartition('.')[2]}")(name)
    else:
        frame.to_csv(name, index=False, sep="\t" if "tab" in name else ",", date_format="%d.%m.%Y")


FILES = ["t.csv", "tab.txt", "t.csv.gz", "t.zip", "semicolon.csv", "t.parquet", "t.feather"]


@pytest.fixture(scope="module")
def expected():
    """Coefficients of the first format, for the others."""
    return []


@pytest.mark.parametrize("name", FILES)
def test_every_format_gives_the_same_model(capsys, churn, name, expected):
    write(churn, name)
    found = document(capsys, "fit", name, "--out", "m.skops", "--test", "0.2")
    coefficients = [one["coefficient"] for one in found["coefficients"]]
    expected.extend([] if expected else coefficients)
    assert coefficients == pytest.approx(expected, rel=1e-6)
    assert {column["name"]: column["kind"] for column in found["table"]} == {
        "customer_id": "id",
        "signup": "date",
        "country": "category",
        "age": "number",
        "spend": "number",
    }
    assert (found["rows"], found["columns"]) == (395, 5)
    assert found["score"]["values"]["auc"] > 0.8 > 0.5 == found["score"]["baseline"]["auc"]
    out, err = run(capsys, "predict", "m.skops", name, "--proba", "--id", "customer_id")
    rows = list(csv.reader(io.StringIO(out)))
    assert rows[0] == ["customer_id", "prediction", "probability_no", "probability_yes"]
    assert [row[0] for row in rows[1:]] == churn["customer_id"].astype(str).tolist()
    assert "on 395 rows." in err


def test_all_that_was_found_out_is_said(capsys, churn):
    write(churn, "semicolon.csv")
    out, err = run(capsys, "fit", "semicolon.csv", "--dry-run")
    for words in (
        "read as utf-16",
        "kept apart by semicolons (--sep",
        "decimal comma (--decimal",
        "the target is the last column, 'churned' (--target",
        "5 of 400 rows have no 'churned' and are left out",
    ):
        assert words in err
    for words in ("left out: id", "Task: classification, since the target holds words", "Nothing was fitted"):
        assert words in out
    given = ["--sep", ";", "--decimal", ",", "--encoding", "utf-16", "--header", "--target", "6"]
    assert run(capsys, "fit", "semicolon.csv", "--dry-run", *given)[1].count("\n") == 1  # rows without target


def test_columns_are_dropped_kept_and_named(capsys, churn):
    write(churn, "t.csv")
    given = ["--drop", "signup", "--keep", "customer_id", "--id", "3", "--category", "age"]
    found = document(capsys, "fit", "t.csv", "--dry-run", *given)
    kinds = {column["name"]: column["kind"] for column in found["table"]}
    assert kinds == {
        "customer_id": "number",
        "signup": "dropped",
        "country": "id",
        "age": "category",
        "spend": "number",
    }
    assert "Did you mean 'signup'?" in run(capsys, "fit", "t.csv", "--drop", "singup", code=1)[1]


def test_labels_come_back_as_written(capsys):
    labels = ["01", "02", "NA", "EU"]
    Path("t.csv").write_text("x,y\n" + "".join(f"{k},{labels[k // 10]}\n" for k in range(40)))
    _, err = run(capsys, "fit", "t.csv", "--out", "m.skops")
    assert "'NA' is a label (10 rows)" in err
    out, _ = run(capsys, "predict", "m.skops", "t.csv")
    assert set(out.split()[1:]) == set(labels)
    found = document(capsys, "fit", "t.csv", "--missing", "NA")
    assert (found["classes"], found["rows"]) == (["01", "02", "EU"], 30)


def test_the_saved_model_predicts_from_raw_frames(capsys, churn):
    write(churn, "t.csv")
    document(capsys, "fit", "t.csv", "--out", "m.skops")
    out, _ = run(capsys, "predict", "m.skops", "t.csv")
    frame = churn.assign(signup=churn["signup"].dt.strftime("%d.%m.%Y"))
    assert load_model("m.skops").predict(frame).tolist() == out.split()[1:]


def test_later_rows_with_surprises_are_predicted_and_counted(capsys, churn):
    write(churn, "t.csv")
    document(capsys, "fit", "t.csv", "--out", "m.skops")
    Path("new.csv").write_text("country,age,spend,signup\nXX,old,5,01.02.2024\n")
    out, err = run(capsys, "predict", "m.skops", "new.csv")
    assert len(out.split()) == 2
    assert "age: 1 value taken for a gap, being no number" in err
    assert "country: 1 row with a level that was not seen before" in err
    Path("new.csv").write_text("country;age;spend;signup\nDE;4,5;5;01.02.2024\n")
    err = run(capsys, "predict", "m.skops", "new.csv")[1]
    assert "fields are kept apart by semicolons" in err
    assert "numbers have a decimal comma" in err
    Path("new.csv").write_text("country,age\nDE,4\n")
    assert "Missing: 'signup', 'spend'" in run(capsys, "predict", "m.skops", "new.csv", code=1)[1]


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "p.tsv"])
def test_predictions_as_a_file(capsys, churn, name):
    write(churn, "t.csv")
    document(capsys, "fit", "t.csv", "--out", "m.skops")
    run(capsys, "predict", "m.skops", "t.csv", "--proba", "--id", "1", "--out", name)
    reader = pandas.read_parquet if name == "p.parquet" else pandas.read_csv
    found = reader(name, **({"sep": "\t"} if name == "p.tsv" else {}))
    assert found.columns.tolist() == ["customer_id", "prediction", "probability_no", "probability_yes"]
    assert len(found) == 400


def test_a_target_that_is_not_there(capsys, churn):
    write(churn, "t.csv")
    document(capsys, "fit", "t.csv", "--out", "m.skops")
    for command in (["fit", "t.csv"], ["diagnose", "t.csv"], ["predict", "m.skops", "t.csv"]):
        assert "Did you mean 'churned'?" in run(capsys, *command, "--target", "churnd", code=1)[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fit", "https://x.org/t.csv"], 1, "download it first"),
        (["fit", "t.scv"], 3, "did you mean t.csv?"),
        (["fit", "."], 1, "Got ['.csv']; pass a file in it"),
        (["diagnose", "."], 1, "Got ['.csv']; pass a file in it"),
        (["fit", "t.csv", "--out", "absent/m.skops"], 2, "folder that can be written to"),
        (["fit", "t.csv", "--decimal", ";"], 2, "--decimal must be . or a comma"),
        (["fit", "t.csv", "--test", "0.2", "--cv", "5"], 2, "give one of them"),
        (["fit", "t.csv", "--task", "regression"], 1, "must be numbers. Got 'no' in row 6 of 'churned'"),
        (["fit", "breast_cancer", "--drop", "x"], 2, "--drop is for a table"),
        (["fit", "breast_cancer", "--date-format", "%d"], 2, "--date-format is for a table"),
        (["fit", "breast_cancer", "--sep", ";"], 2, "--sep is for a table"),
        (["fit", "t.csv", "--cv", "1"], 2, "at least 2 folds, or 0 for none"),
        (["fit", "t.csv", "--out", "t.csv", "--force"], 2, "--out must not be DATA itself"),
        (["fit", "t.csv", "--out", "./t.csv"], 2, "--out must not be DATA itself"),
        (["diagnose", "t.csv", "--out", "t.csv", "--force"], 2, "--out must not be DATA itself"),
        (["fit", ".", "--out", "t.csv", "--force"], 2, "must not be a file of the folder DATA"),
        (["fit", "t.csv", "--force"], 2, "it needs --out"),
        (["fit", "t.csv", "--target", "99"], 1, "it counts from 1 to 6. Got 99"),
        (["fit", "header.csv"], 1, "header.csv should hold rows of data. Got a header and no rows."),
        (["predict", "t.csv", "t.csv"], 1, "file of another kind"),
        (["fit", "inf.csv"], 1, "inf.csv: 'x' should be finite. Got infinity in row 3: --drop"),
        (["diagnose", "inf.csv"], 1, "inf.csv: 'x' should be finite. Got infinity in row 3: --drop"),
    ],
)
def test_refusals_name_what_to_type(capsys, churn, arguments, code, message):
    churn.loc[5, "churned"] = "no"
    write(churn, "t.csv")
    Path("inf.csv").write_text("x,y\n1,\n2,a\ninf,b\n4,a\n")  # the first row has no target, and counts
    Path("header.csv").write_text("x,y\n")
    before = Path("t.csv").read_bytes()
    out, err = run(capsys, *arguments, code=code)
    assert out == ""
    assert Path("t.csv").read_bytes() == before
    assert message in err.splitlines()[-1]


def test_a_date_format_without_dates_is_said(capsys, churn):
    write(churn.drop(columns="signup"), "t.csv")
    said = "--date-format %d.%m.%Y changes nothing: no column is a date in that format."
    assert said in run(capsys, "fit", "t.csv", "--dry-run", "--date-format", "%d.%m.%Y")[1]
    write(churn, "t.csv")
    assert said not in run(capsys, "fit", "t.csv", "--dry-run", "--date-format", "%d.%m.%Y")[1]


def test_a_kept_column_whose_levels_are_all_rare(capsys, churn):
    churn.insert(0, "code", [f"C{k:05d}" for k in range(len(churn))])
    write(churn, "t.csv")
    found = next(
        c
        for c in document(capsys, "fit", "t.csv", "--dry-run", "--keep", "code")["table"]
        if c["name"] == "code"
    )
    assert (found["kind"], found["makes"]) == ("rare", 0)
    assert found["note"] == "none of its 395 levels is in 3 rows, so they would all be one"


def test_one_class_in_two_spellings(capsys, churn):
    churn["churned"] = np.where(churn["churned"] == churn["churned"].iloc[0], "1", "0")
    churn.loc[3:5, "churned"] = churn.loc[3:5, "churned"] + ".0"
    write(churn, "t.csv")
    found = document(capsys, "fit", "t.csv")
    assert found["classes"] == ["0", "1"]
    assert found["why"] == "the target holds 2 different whole numbers"


def test_a_pipe(capsys, churn):
    """Rows through standard input, as a process of its own."""
    write(churn, "t.csv")
    document(capsys, "fit", "t.csv", "--out", "m.skops")
    command = [sys.executable, "-m", "gdnp", "predict", "m.skops", "-"]
    done = subprocess.run(command, input=Path("t.csv").read_bytes(), capture_output=True, check=True)
    assert (
        done.stdout.decode().split()[1:]
        == load_model("m.skops")
        .predict(churn.assign(signup=churn["signup"].dt.strftime("%d.%m.%Y")))
        .tolist()
    )


def test_penguins(capsys):
    pytest.importorskip("palmerpenguins")
    folder = files("palmerpenguins") / "data"
    found = document(capsys, "fit", folder / "penguins.csv", "--target", "species")
    assert found["classes"] == ["Adelie", "Chinstrap", "Gentoo"]
    assert found["score"]["values"]["accuracy"] > 0.97
    raw = document(capsys, "fit", folder / "penguins-raw.csv", "--target", "Sex", "--missing", "NA")
    assert raw["rows"] == 333
    assert raw["score"]["values"]["accuracy"] > 0.85
    assert next(c["kind"] for c in raw["table"] if c["name"] == "Date Egg") == "date"


def test_airports(capsys):
    pytest.importorskip("vega_datasets")
    path = files("vega_datasets") / "_data" / "airports.csv"
    found = document(capsys, "fit", path, "--target", "latitude")
    kinds = {column["name"]: column["kind"] for column in found["table"]}
    assert kinds == {
        "iata": "id",
        "name": "free text",
        "city": "id",
        "state": "category",
        "country": "category",
        "longitude": "number",
    }
    assert found["task"] == "regression"
    assert found["score"]["values"]["r2"] > 0.8
