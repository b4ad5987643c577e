"""``gdnp diagnose``: a table for people, a document for programs, a sentence where nothing can be audited."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gdnp.cli import main


def table(path, rng, labels=("no", "yes")):
    x = rng.standard_normal(40)
    y = [labels[int(v > 0.0) % len(labels)] for v in x + rng.standard_normal(40)]
    lines = [f"{a:.4f},{b},{c:.4f}" for a, b, c in zip(x, y, rng.standard_normal(40), strict=True)]
    Path(path).write_text("age [years],label,income\n" + "\n".join(lines) + "\n")


def test_table_for_people(capsys):
    assert main(["diagnose", "breast_cancer"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.startswith("Diagnosis of breast_cancer: 569 rows, 30 columns\n")
    for words in ("6.32e+11", "worst area by", "What is the matter", "Suggested solver: auto"):
        assert words in captured.out
    assert not re.search("[κμ⁻]|[Aa]ssumption", captured.out)
    assert max(map(len, captured.out.splitlines())) <= 120
    assert "\x1b" not in captured.out


def test_json_is_one_document(capsys, rng):
    table("data.csv", rng)
    assert main(["diagnose", "data.csv", "--target", "label", "--json"]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert captured.err == ""
    assert (found["name"], found["n"], found["d"]) == ("data.csv", 40, 2)
    assert found["findings"]


def test_names_of_columns_are_no_markup(capsys, rng):
    table("data.csv", rng)
    assert main(["diagnose", "data.csv", "--target", "label", "--symbols"]) == 0
    assert re.search(r"\((age \[years\]|income)\)", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (lambda t: np.where(t > 0.0, "yes", "no"), ""),
        (lambda t: np.digitize(t, [-1.0, 1.0]).astype(str), ""),
        (lambda t: t, "rows above 0.\\d+ are compared with those up to it"),
    ],
)
def test_files_block_by_block_say_what_a_table_says(column, said, capsys, rng):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    X = rng.standard_normal((3000, 3)) * [1.0, 1e-3, 50.0] + [0.0, 0.0, 400.0]
    t = X @ [1.0, 500.0, 0.01] - 4.0 + rng.logistic(size=3000)
    table = pa.table(dict(zip("abc", X.T, strict=True)) | {"y": column(t)})
    pq.write_table(table, "t.parquet", row_group_size=700)
    assert main(["diagnose", "t.parquet", "--json"]) == 0
    whole = capsys.readouterr()
    assert main(["diagnose", "t.parquet", "--json", "--memory", "100KB", "--scratch", "."]) == 0
    blocks = capsys.readouterr()
    assert re.search(said, blocks.err)
    assert re.search(said, whole.err)
    pairs = [json.loads(one.out) for one in (whole, blocks)]
    for one, other in zip(*(each.get("classes", [each]) for each in pairs), strict=True):
        assert other["findings"] == one["findings"]
        assert other.get("class") == one.get("class")
        assert other["n"] == one["n"] == 3000
        assert other["separability"]["kind"] == one["separability"]["kind"] == "none"
        assert other["fit"]["angle"] == pytest.approx(one["fit"]["angle"], rel=1e-3)
    assert main(["diagnose", "t.parquet", "--memory", "100KB", "--scratch", "."]) == 0
    assert capsys.readouterr().out.startswith("Diagnosis of t.parquet: 3,000 rows, 3 columns\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["one.csv", "--memory", "1MB"], 1, "must be npy, Parquet or Arrow"),
        (["one.csv", "--memory", "1MB", "--sep", ";"], 2, "--sep is for a table in memory"),
        (["nowhere.csv"], 3, "Data must be a file: did you mean"),
        (["one.csv", "--target", "label"], 1, "should have at least two values. Got 'same' in every row"),
        (["one.csv", "--target", "missing"], 1, "missing"),
        (["broken.csv"], 1, "broken.csv"),
        (["breast_cancer", "--target", "label"], 2, "--target is for a table. Got it for the data set"),
        ([], 2, "DATA"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(capsys, rng, arguments, code, message):
    table("one.csv", rng, labels=("same",))
    Path("broken.csv").write_bytes(b"\x00\xff\xfe,1\n\x00")
    assert main(["diagnose", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"(gdnp: .+\n)+", captured.err)
    assert message in captured.err.splitlines()[-1]


def test_out_keeps_the_document_and_is_never_overwritten(capsys, tmp_path):
    out = tmp_path / "audit.json"
    assert main(["diagnose", "breast_cancer", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["name"] == "breast_cancer"
    before = out.read_bytes()
    capsys.readouterr()
    assert main(["diagnose", "breast_cancer", "--out", str(out)]) == 1
    assert "is already there" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


def test_symbols_on_demand(capsys):
    assert main(["diagnose", "breast_cancer", "--symbols"]) == 0
    out = capsys.readouterr().out
    for words in ("κ 6.32e+11", "r = uᵀS⁻¹u", "What the paper says", "Along the fitted direction z"):
        assert words in out


def test_several_classes_and_columns_by_name(capsys, rng):
    pandas = pytest.importorskip("pandas")
    n = 300
    x = rng.standard_normal(n)
    frame = pandas.DataFrame(
        {"id": range(n), "x": x, "twice": 2.0 * x, "z": rng.standard_normal(n), "unit": "kg"}
    )
    frame["kind"] = rng.choice(["a", "b", "c"], n)
    frame["y"] = np.array(["low", "middle", "high"])[np.digitize(x + rng.standard_normal(n), [-1.0, 1.0])]
    frame.loc[frame["y"] == "high", "z"] += 50.0
    frame.loc[::10, "x"] = None
    frame.to_csv("t.csv", index=False)
    assert main(["diagnose", "t.csv"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Rows with gaps: x (10 %)." in out
    assert "Left out: id (id: another number in every row), unit (constant: always kg)." in out
    assert "high against the rest" in out
    assert "One column is enough (z)" in out
    assert "low against the rest" not in out  # nothing is the matter there alone
    assert "can be computed from the others" not in out  # how the kinds are coded is no news
    assert main(["diagnose", "t.csv", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["class"] for one in found["classes"]] == ["high", "low", "middle"]
    assert found["classes"][0]["separability"]["kind"] == "complete"
    assert {column["name"] for column in found["table"]} == {"id", "x", "twice", "z", "unit", "kind"}


def test_a_number_is_cut_at_its_median(capsys):
    pytest.importorskip("pandas")
    Path("t.csv").write_text("x,y\n" + "".join(f"{k % 7},{k + 0.5}\n" for k in range(40)))
    assert main(["diagnose", "t.csv", "--json"]) == 0
    captured = capsys.readouterr()
    assert "the target is a number: rows above 20 are compared with those up to it." in captured.err
    assert json.loads(captured.out)["positive"] == 0.5


@pytest.mark.parametrize(
    ("values", "said"), [([1.5], "should have at least two values"), ([1.5, np.nan], "must be finite")]
)
def test_targets_of_files_that_tell_nothing_are_refused(values, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X = np.random.default_rng(0).standard_normal((200, 3))
    X[:, 2] = np.resize(values, 200)
    np.save("X.npy", X)
    assert main(["diagnose", "X.npy", "--memory", "600MB"]) != 0
    assert said in capsys.readouterr().err
