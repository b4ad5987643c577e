"""The store of results: parts saved whole, found by configuration, damaged ones computed again."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from gdnp.paper import Part, Store
from gdnp.store import environment, plain, write_json
from toys import AWKWARD, _fail, _square, _total


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


def test_results_are_those_that_are_found(tmp_path):
    store = Store(tmp_path / "r")
    store.begin({"experiment": "toy"})
    assert store.environment == {}
    parts = [Part(name, _square, {"k": k}) for k, name in enumerate("abc")]
    for part in parts[:2]:
        store.save(part, {"value": part.config["k"]})
    (store.parts / parts[0].filename).write_text("{")
    assert store.results(parts) == {"b": {"value": 1}}
    store.finish({}, seed=3)
    assert store.environment["seed"] == 3
