"""How the report is made: from files alone, of finished results."""

import base64
import json
import shutil

import pytest

from gdnp.paper import EXPERIMENTS, Store, StoreError
from gdnp.paper.claims import recorded_results
from gdnp.paper.figure1.experiment import Figure1
from gdnp.paper.figure2 import Figure2
from gdnp.paper.report.write import NAME, find_results, write_report
from gdnp.paper.table1 import Table1
from paper_problems import FIGURE1, FIGURE2, embedded


def test_page_is_made_from_files_alone(finished, text, monkeypatch):
    for experiment in (Figure1, Figure2, Table1):
        monkeypatch.setattr(experiment, "summarise", None)
    monkeypatch.delattr("gdnp.paper.table1.summary._findings")
    monkeypatch.setattr(Table1, "interactive", lambda self, settings, results: [])
    with_images = write_report(None, finished, EXPERIMENTS).read_text(encoding="utf-8")
    assert "data:image/png;base64," in with_images


def test_page_repeats_exactly(finished, text):
    assert write_report(None, finished, EXPERIMENTS).read_text(encoding="utf-8") == text


def test_outcomes_choose_what_is_shown(finished, tmp_path):
    path = write_report([finished / "figure1-quick"], tmp_path / "elsewhere", EXPERIMENTS)
    found = path.read_text(encoding="utf-8")
    assert path == tmp_path / "elsewhere" / NAME
    assert FIGURE1.title in found
    assert FIGURE2.title not in found


def test_page_without_results_has_the_verdicts_alone(tmp_path):
    found = write_report([], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert "Verdicts</h2>" in found
    assert len(found) < 500_000


def test_folder_that_is_no_result_is_refused(tmp_path):
    (tmp_path / "other").mkdir()
    assert find_results(tmp_path) == []
    with pytest.raises(StoreError, match="should hold a finished result"):
        write_report([tmp_path / "other"], tmp_path, EXPERIMENTS)
    assert list(tmp_path.glob("*.html")) == []


def unregistered(folder, **settings):
    """A finished result of an experiment that this version does not have."""
    store = Store(folder)
    store.begin({"experiment": "figure9", **settings})
    store.finish({"title": "Figure 9: <b>&", "notes": ["1 < 2 & 1e-4"]}, seed=0)
    png = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    )
    (folder / "figure9.png").write_bytes(png)
    return folder


def test_images_stand_in_for_what_is_not_interactive(tmp_path):
    found = write_report([unregistered(tmp_path / "nine")], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,iVBOR' in found
    assert "Figure 9: &lt;b&gt;&amp;" in found
    assert "<b>&" not in found
    assert ">&lt;</mo><mn>2</mn></math> &amp; 1e\N{NON-BREAKING HYPHEN}4" in found


def test_result_of_another_version_is_shown_as_images(finished, tmp_path):
    folder = shutil.copytree(finished / "figure2-quick", tmp_path / "old")
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    (folder / "settings.json").write_text(json.dumps({**settings, "gdnp": "0.0.1"}), encoding="utf-8")
    found = write_report([folder], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert found.count("data:image/png") == 4
    assert 'class="plot"' not in found


def test_damaged_part_leaves_the_images(finished, tmp_path):
    folder = shutil.copytree(finished / "figure2-quick", tmp_path / "damaged")
    next((folder / "parts").glob("*.json")).write_text("{", encoding="utf-8")
    assert "data:image/png" in write_report([folder], tmp_path, EXPERIMENTS).read_text(encoding="utf-8")


def test_experiment_may_bring_its_own_figures(finished, tmp_path):
    figure = {
        "data": [{"type": "bar", "y": [1, 2]}],
        "layout": {"title": "Ours </script>", "meta": {"wide": True}},
    }

    class Ours(Figure2):
        def interactive(self, settings, results):
            return [figure]

    found = write_report([finished / "figure2-quick"], tmp_path, {"figure2": Ours()}).read_text(
        encoding="utf-8"
    )
    assert "<h3>Ours &lt;/script&gt;</h3>" in found
    assert '<figure class="wide">' in found
    assert embedded(found)[0]["data"] == figure["data"]


def test_verdicts_of_a_result_of_theorems_are_shown(tmp_path):
    store = Store(tmp_path / "theorems")
    store.begin({"experiment": "theorems"})
    recorded = recorded_results()[1]
    entry = {
        "id": recorded.claim.id,
        "verdict": recorded.outcome,
        "measured": 12.5,
        "bound": 20.0,
        "source": "Eq. 0",
    }
    entry |= {"evidence": "seen just now", "counterexample": None}
    absent = {"id": "assumption-1-a9a", "measured": None, "evidence": "a9a is not here", "missing": "data"}
    claims = [entry, {**entry, "id": "no longer there"}, absent]
    store.finish({"claims": claims, "counts": {}, "disagreements": []}, seed=0)
    found = write_report(None, tmp_path, EXPERIMENTS).read_text(encoding="utf-8")
    assert found.count('class="badge') == 2
    assert "seen just now" in found
    assert "a9a is not here" in found
    assert ">12.5</td>" in found
