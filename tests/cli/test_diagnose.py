"""``gdnp diagnose``: a table for people, a document for programs, a sentence where nothing can be audited."""

import json
import re
from pathlib import Path

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
    assert captured.out.startswith("Diagnosis of breast_cancer\n")
    for words in ("κ 6.32e+11", "separable", "What this means", "Suggested solver: gdnp_metric"):
        assert words in captured.out
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
    assert main(["diagnose", "data.csv", "--target", "label"]) == 0
    assert re.search(r"\((age \[years\]|income)\)", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.csv"], 3, "Data must be a file or one of"),
        (["one.csv", "--target", "label"], 1, "exactly two classes. Got 1"),
        (["one.csv", "--target", "missing"], 1, "missing"),
        (["broken.csv"], 1, "broken.csv"),
        (["breast_cancer", "--target", "label"], 1, "for files"),
        ([], 2, "DATA"),
    ],
)
def test_what_cannot_be_audited_is_one_sentence(capsys, rng, arguments, code, message):
    table("one.csv", rng, labels=("same",))
    Path("broken.csv").write_bytes(b"\x00\xff\xfe,1\n\x00")
    assert main(["diagnose", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.fullmatch(r"gdnp: .+\n", captured.err)
    assert message in captured.err


def test_out_keeps_the_document_and_is_never_overwritten(capsys, tmp_path):
    out = tmp_path / "audit.json"
    assert main(["diagnose", "breast_cancer", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["name"] == "breast_cancer"
    before = out.read_bytes()
    capsys.readouterr()
    assert main(["diagnose", "breast_cancer", "--out", str(out)]) == 1
    assert "--out should name a new file. Got" in capsys.readouterr().err
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]
