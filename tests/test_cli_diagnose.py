"""``gdnp diagnose``, and the page that ``gdnp reproduce`` writes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gdnp.cli import main
from gdnp.paper import EXPERIMENTS
from gdnp.paper.figure2.experiment import Figure2, Profile

TINY = Figure2(
    quick=Profile(data=("gaussian",), rows=200, starts=2, max_iter=6, grid=(1.0, 4.0)), methods=("gd", "agd")
)


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GDNP_DEBUG", raising=False)


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


# --- the page


def reproduced(monkeypatch, *arguments):
    monkeypatch.setitem(EXPERIMENTS, "figure2", TINY)
    return main(["reproduce", "figure2", "--jobs", "1", "--out", "here", *arguments])


def test_reproduce_writes_the_page_and_says_where(capsys, monkeypatch):
    assert reproduced(monkeypatch) == 0
    assert capsys.readouterr().out.endswith("here/report.html\n")
    assert "Figure 2" in Path("here/report.html").read_text(encoding="utf-8")
    assert reproduced(monkeypatch, "--json") == 0
    assert json.loads(capsys.readouterr().out)["report"] == "here/report.html"


def test_reproduce_without_plotly_says_so_and_goes_on(capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "plotly", None)
    assert reproduced(monkeypatch) == 0
    captured = capsys.readouterr()
    assert "plotly" in captured.err
    assert not Path("here/report.html").exists()
    assert "summary.json" in captured.out


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
