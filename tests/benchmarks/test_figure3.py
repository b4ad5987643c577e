"""Figure 3 at size: the curves that are kept are all that is needed, and a run goes on where it was."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from gdnp.paper import Store
from paper_problems import SIZE3


@pytest.fixture(scope="module")
def script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[2] / "benchmarks" / "figure3.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_figure3", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def sizes():
    """Those of the script, tiny."""
    one = {**SIZE3, "seeds": 1, "steps": (0.1,)}
    return {"curves": SIZE3, "fewer": {**SIZE3, "rows": 20}, "equal": one}


@pytest.fixture(scope="module")
def finished(script, tmp_path_factory):
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("figure3-at-size")
    return out, script.run(out, sizes(), "digits", 1)


def test_figure_and_verdicts_come_from_the_curves_alone(script, finished, tmp_path, capsys):
    out, (path, _, _) = finished
    written = script.draw(path, tmp_path / "figure")
    assert {file.suffix for file in written} == {".png", ".pdf"}
    assert all(file.stat().st_size > 0 for file in written)
    assert "|" in capsys.readouterr().out
    document = json.loads(path.read_text())
    assert all("state" not in found for found in document["results"].values())
    summary = script.Figure3().summarise(document["settings"], document["results"])
    whole = Store(next((out / "curves").iterdir())).summary
    assert shape_of(summary) == shape_of(whole)
    ends = [found["networks"]["bn"]["step"] for found in (summary, whole)]
    assert ends[0] == ends[1]


def shape_of(summary):
    """In how many runs each statement holds."""
    keys = ("id", "network", "measure", "basis", "holds", "of")
    return [[verdict[key] for key in keys] for verdict in summary["verdicts"]]


def test_an_equal_step_is_the_same_for_both_networks(finished):
    document = json.loads(finished[1][2].read_text())
    assert {document["results"][f"{network}/step"]["step"] for network in ("bn", "gd")} == {0.1}
    assert document["settings"]["seeds"] == 1


def test_what_is_there_is_not_trained_again(script, finished, monkeypatch):
    out, paths = finished
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr("gdnp.paper.figure3.training.segment", None)
    again = script.run(out, sizes(), "digits", 1)
    assert [path.read_bytes() for path in again] == before


def test_the_size_is_that_of_one_batch(script):
    size = script.AT_SIZE
    assert [size[key] for key in ("rows", "seeds", "iterations", "every")] == [10_000, 5, 2000, 200]
    assert len(size["steps"]) == 5
    assert {**size, "seeds": 1, "pilot": 1, "steps": (0.1,)} == script.SIZES["equal"]
    assert script.SIZES["fewer"]["rows"] == 2000


def test_the_page_has_a_section_of_every_run_and_keeps_the_rest(script, finished, tmp_path):
    out, _ = finished
    page = tmp_path / "figure3.md"
    page.write_text(
        f"# Before\n\n{script.BEGIN}\n\nwhat was there\n\n{script.END}\n\nafter\n", encoding="utf-8"
    )
    for _ in range(2):  # a second time changes nothing
        written = script.page(out, tmp_path, tmp_path)
        text = page.read_text(encoding="utf-8")
        assert text.startswith("# Before\n")
        assert text.endswith("\nafter\n")
        assert "what was there" not in text
        assert text.count("![Figure 3 at") == 3
    assert all(path.is_file() for path in written)
    assert (tmp_path / "curves.json").read_bytes() == (out / "curves.json").read_bytes()
    summary = Store(next((out / "curves").iterdir())).summary
    assert summary["panels"][0]["findings"][0] in text
