"""The runner: every part once, in any number of processes, and nothing overwritten."""

import os
from dataclasses import replace

import pytest

from gdnp.paper import Options, Stopped, Store, StoreError, redraw, reproduce
from gdnp.paper.runner.experiment import NOTES, Experiment, Table
from toys import Toy, _computed, _fail


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path / "log")


def test_damaged_part_is_computed_again(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    store = Store(tmp_path / "toy")
    (store.directory / "summary.json").unlink()
    damaged = store.parts / toy.parts(store.settings, Options())[1].filename
    damaged.write_text(damaged.read_text()[:-20])
    toy.log.unlink()
    assert reproduce(toy, out=tmp_path, workers=1).summary == {"total": 5.0}
    assert _computed(toy) == ["1"]


@pytest.mark.parametrize("workers", [1, 2])
def test_run_writes_everything(tmp_path, toy, workers):
    outcome = reproduce(toy, out=tmp_path, workers=workers)
    assert outcome.summary == {"total": 5.0}
    assert not outcome.reused
    assert outcome.figures[0].read_text() == "5.0"
    names = {path.name for path in outcome.directory.iterdir()}
    assert names == {"settings.json", "environment.json", "summary.json", "parts", "toy.png"}
    assert len(list(Store(outcome.directory).parts.iterdir())) == 4
    assert _computed(toy) == ["0", "1", "2"]


def test_processes_are_others(tmp_path, toy):
    outcome = reproduce(toy, out=tmp_path, workers=2)
    store = Store(outcome.directory)
    parts = toy.parts(store.settings, Options())
    assert os.getpid() not in {store.load(part)["pid"] for part in parts[:3]}


def test_finished_result_is_reused_and_drawn_again(tmp_path, toy):
    first = reproduce(toy, out=tmp_path, workers=1)
    before = {path: path.stat().st_mtime_ns for path in first.directory.rglob("*.json")}
    first.figures[0].unlink()
    second = reproduce(toy, out=tmp_path, workers=1)
    assert second.reused
    assert second.figures[0].exists()
    assert {path: path.stat().st_mtime_ns for path in first.directory.rglob("*.json")} == before
    assert _computed(toy) == ["0", "1", "2"]


def test_finished_result_of_another_configuration_is_refused(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    other = replace(toy, offset=10)
    with pytest.raises(StoreError, match=r"other settings \(offset\): .* --out, or --force"):
        reproduce(other, out=tmp_path, workers=1)
    assert Store(tmp_path / "toy").summary == {"total": 5.0}
    assert reproduce(other, out=tmp_path, workers=1, force=True).summary == {"total": 15.0}
    assert _computed(toy) == ["0", "0", "1", "1", "2", "2"]


def test_unfinished_result_of_another_configuration_gives_only_what_is_the_same(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    (tmp_path / "toy" / "summary.json").unlink()
    assert reproduce(replace(toy, offset=10), out=tmp_path, workers=1).summary == {"total": 15.0}
    assert _computed(toy) == ["0", "1", "2"]


def test_foreign_folder_is_left_alone(tmp_path, toy):
    (tmp_path / "toy").mkdir()
    precious = tmp_path / "toy" / "thesis.tex"
    precious.touch()
    for force in (False, True):
        with pytest.raises(StoreError, match="should be empty or hold results of gdnp"):
            reproduce(toy, out=tmp_path, workers=1, force=force)
    assert list((tmp_path / "toy").iterdir()) == [precious]


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_leaves_what_was_finished(tmp_path, toy, workers):
    broken = replace(toy, break_at=2)
    with pytest.raises(Stopped, match=r"of 4 parts are saved in .*toy") as caught:
        reproduce(broken, out=tmp_path, workers=workers)
    store = Store(tmp_path / "toy")
    assert not store.finished
    assert len(list(store.parts.iterdir())) == caught.value.done
    assert reproduce(toy, out=tmp_path, workers=1).summary == {"total": 5.0}
    if workers == 1:
        assert _computed(toy) == ["0", "1", "2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_failure_of_a_part_is_not_hidden(tmp_path, toy, workers):
    with pytest.raises(ValueError, match="no such luck"):
        reproduce(replace(toy, break_at=1, breaking=_fail), out=tmp_path, workers=workers)
    assert not Store(tmp_path / "toy").finished


def test_redraw_computes_nothing(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    toy.log.unlink()
    outcome = redraw(toy, tmp_path / "toy", tmp_path / "elsewhere")
    assert outcome.figures == [tmp_path / "elsewhere" / "toy.png"]
    assert outcome.figures[0].read_text() == "5.0"
    assert _computed(toy) == []


def test_redraw_refuses_what_is_not_whole(tmp_path, toy):
    with pytest.raises(StoreError, match=r"folder of a result of toy. Got no settings.json"):
        redraw(toy, tmp_path)
    reproduce(toy, out=tmp_path, workers=1)
    folder = tmp_path / "toy"
    settings = (folder / "settings.json").read_text()
    (folder / "settings.json").write_text(settings.replace('"toy"', '"other"'))
    with pytest.raises(StoreError, match="Got one of 'other'"):
        redraw(toy, folder)
    (folder / "settings.json").write_text(settings)
    next((folder / "parts").glob("square.1*")).unlink()
    with pytest.raises(StoreError, match=r"Got 1 missing or damaged, the first being square/1"):
        redraw(toy, folder)
    (folder / "summary.json").unlink()
    with pytest.raises(StoreError, match=r"no readable summary.json"):
        redraw(toy, folder)


def test_a_result_of_other_code_is_told(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    path = tmp_path / "toy" / "settings.json"
    settings = path.read_text()
    path.write_text(settings.replace('"offset"', '"shift"'))
    with pytest.raises(StoreError, match=r"result of this code\. Got one of other code"):
        redraw(toy, tmp_path / "toy")
    path.write_text(settings.replace("{", '{"former": null, ', 1))
    with pytest.raises(StoreError, match=r"other settings \(former\)"):
        reproduce(toy, out=tmp_path, workers=1)


def test_size_decides_folder_profile_and_head():
    class Figure9(Experiment):
        name, title, quick, full = "figure9", "Figure 9", {"n": 1, "m": 7}, {"n": 2, "m": 8}

    assert Figure9({"n": 3}).quick == {"n": 3, "m": 7}
    for full, kind, size in ((False, "quick", Figure9.quick), (True, "full", Figure9.full)):
        folder, chosen, settings = Figure9().begun(Options(full=full, seed=4))
        assert (folder, chosen) == (f"figure9-{kind}", size)
        assert (settings["experiment"], settings["profile"], settings["seed"]) == ("figure9", kind, 4)
        expected = {"experiment": "figure9", "title": "Figure 9", "profile": kind, "seed": 4}
        assert Figure9().summary_head(settings) == {**expected, "notes": []}


def test_notes_are_filled_from_settings_and_facts(monkeypatch):
    notes = {"": ["{n} rows."], "odd": ["{odd} is odd."], "even": ["nothing."]}
    monkeypatch.setitem(NOTES, "figure9", notes)
    settings = {"experiment": "figure9", "profile": "quick", "seed": 4, "n": 7}
    figure = Experiment()
    figure.name, figure.title = "figure9", "Figure 9"
    assert figure.summary_head(settings, odd=7, even=False)["notes"] == ["7 rows.", "7 is odd."]


def test_table_as_markdown():
    table = Table("T", ("a", "b"), [("1", "2"), ("3", "4")])
    assert table.markdown() == ["| a | b |", "| --- | --- |", "| 1 | 2 |", "| 3 | 4 |"]
