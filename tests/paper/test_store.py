"""The store and the runner of experiments: parts saved whole, found by configuration, never overwritten."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gdnp._files import replacing
from gdnp.paper import Options, Part, Stopped, Store, StoreError, redraw, reproduce
from gdnp.paper.runner.experiment import Table
from gdnp.paper.runner.store import environment, plain, write_json

AWKWARD = [0.1, 1e-320, np.nextafter(1.0, 2.0), -0.0, 1.7976931348623157e308, 3.0]


def _square(config):
    with open(config["log"], "a") as log:  # which parts were computed, from any process
        log.write(f"{config['k']}\n")
    return {"value": np.array(AWKWARD) * 0.0 + config["k"] ** 2, "pid": os.getpid()}


def _total(config, *parts):
    return {"value": sum(part["value"][0] for part in parts) + config["offset"]}


def _interrupt(config):
    raise KeyboardInterrupt


def _fail(config):
    raise ValueError("no such luck")


@dataclass(frozen=True)
class Toy:
    """Three squares and their sum."""

    log: Path
    offset: int = 0
    break_at: int | None = None
    breaking: object = _interrupt
    name = "toy"
    title = "Toy"

    def settings(self, options):
        return "toy", {"experiment": "toy", "offset": self.offset, "seed": options.seed}

    def parts(self, settings, options):
        squares = tuple(
            Part(
                f"square/{k}",
                self.breaking if k == self.break_at else _square,
                {"k": k, "log": str(self.log)},
            )
            for k in range(3)
        )
        return [*squares, Part("total", _total, {"offset": settings["offset"]}, squares)]

    def summarise(self, settings, results):
        return {"total": results["total"]["value"]}

    def draw(self, settings, results, directory):
        with replacing(directory / "toy.png") as beside:
            beside.write_text(str(results["total"]["value"]))
        return [directory / "toy.png"]

    def tables(self, summary):
        return [Table("Toy", ("total",), [(str(summary["total"]),)])]


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path / "log")


def _computed(toy):
    return sorted(toy.log.read_text().split()) if toy.log.exists() else []


# --- files


def test_floats_are_read_back_exactly(tmp_path):
    write_json(tmp_path / "a.json", plain({"x": np.array(AWKWARD)}))
    found = json.loads((tmp_path / "a.json").read_text())["x"]
    assert np.array(found).tobytes() == np.array(AWKWARD).tobytes()


def test_what_json_lacks_becomes_null():
    assert plain({"x": np.array([np.nan, 1.0, -np.inf]), 3: (np.int64(2), np.bool_(True))}) == {
        "x": [None, 1.0, None],
        "3": [2, True],
    }


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_json(path, {"new": object()})
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"new": float("nan")})
    assert json.loads(path.read_text()) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a file that open() lost
def test_an_interrupt_at_any_line_leaves_a_whole_file_or_none(tmp_path):
    path, line = tmp_path / "a.json", 0

    def interrupt(frame, event, argument):
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    while True:
        left, line = line, line + 1
        sys.settrace(interrupt)
        try:
            write_json(path, {"new": [1, 2, 3]})
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            sys.settrace(before)
        found = list(tmp_path.iterdir())
        assert [json.loads(file.read_text()) for file in found] in ([], [{"new": [1, 2, 3]}])
        assert found in ([], [path])
        path.unlink(missing_ok=True)
    assert line > 20  # the lines of the standard library are among them
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_as_readable_as_any_other(tmp_path):
    (tmp_path / "plain").touch()
    write_json(tmp_path / "a.json", {})
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_environment_names_what_made_a_result():
    found = environment(seed=7)
    assert found["seed"] == 7
    assert found["cores"] >= 1
    assert found["date"].endswith("+00:00")
    assert {"gdnp", "numpy", "scipy", "scikit-learn"} <= {k for k, v in found["packages"].items() if v}


# --- parts


def test_key_depends_on_the_configuration_and_on_what_is_needed():
    part = Part("a", _square, {"k": 1, "log": "x"})
    assert part.key == replace(part, cost=9.0, function=_fail).key
    assert part.key != replace(part, config={"k": 2, "log": "x"}).key
    assert part.key != replace(part, name="b").key
    after = Part("c", _total, {"offset": 0}, (part,))
    assert after.key != replace(after, needs=(replace(part, config={"k": 2, "log": "x"}),)).key


def test_part_of_another_configuration_is_not_found(tmp_path):
    store, part = Store(tmp_path / "r"), Part("a/b", _square, {"k": 1})
    store.begin({"experiment": "toy"})
    assert store.save(part, {"x": np.arange(2.0)}) == {"x": [0.0, 1.0]} == store.load(part)
    other = replace(part, config={"k": 2})
    assert store.load(other) is None
    # not even under the name that the other would have
    (store.parts / part.filename).rename(store.parts / other.filename)
    assert store.load(other) is None


def test_damaged_part_is_computed_again(tmp_path, toy):
    reproduce(toy, out=tmp_path, workers=1)
    store = Store(tmp_path / "toy")
    (store.directory / "summary.json").unlink()
    damaged = store.parts / toy.parts(store.settings, Options())[1].filename
    damaged.write_text(damaged.read_text()[:-20])
    toy.log.unlink()
    assert reproduce(toy, out=tmp_path, workers=1).summary == {"total": 5.0}
    assert _computed(toy) == ["1"]


# --- the runner


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


# --- redraw


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
