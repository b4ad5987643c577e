"""Parts are computed in this process or in others, and what a run is told does not change what it finds."""

import pytest

from gdnp.parts import Reporter, Stopped, computed
from gdnp.store import Part, Store


def square(config, *needed):
    return {"value": config["x"] ** 2 + sum(found["value"] for found in needed)}


def chain():
    first = Part("first", square, {"x": 2})
    return [first, Part("second", square, {"x": 3}, (first,))]


def test_processes_find_what_one_finds(tmp_path):
    parts = [Part(str(k), dict, {"x": k}) for k in range(3)]
    found = [computed("copies", parts, Store(tmp_path / str(n)), n, Reporter()) for n in (1, 2)]
    assert found[0] == found[1] == {str(k): {"x": k} for k in range(3)}


def test_a_part_gets_the_results_that_it_needs(tmp_path):
    found = computed("squares", chain(), Store(tmp_path), 1, Reporter())
    assert {name: result["value"] for name, result in found.items()} == {"first": 4, "second": 13}


def test_what_is_saved_is_not_computed_again(tmp_path):
    computed("squares", chain(), Store(tmp_path), 1, Reporter())
    parts = [Part(part.name, None, part.config, part.needs) for part in chain()]
    assert computed("squares", parts, Store(tmp_path), 1, Reporter())["second"] == {"value": 13}


def test_an_interrupt_says_how_much_is_saved(tmp_path):
    def stop(config):
        raise KeyboardInterrupt

    parts = [chain()[0], Part("never", stop, {"x": 0})]
    with pytest.raises(Stopped, match="1 of 2 parts are saved"):
        computed("squares", parts, Store(tmp_path), 1, Reporter())
