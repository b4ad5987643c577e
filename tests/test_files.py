"""Files that are there whole or not at all."""

import pytest

from gdnp._files import replacing


@pytest.fixture(params=[None, "mine"], ids=["new", "there before"])
def path(request, tmp_path):
    path = tmp_path / "result.json"
    if request.param is not None:
        path.write_text(request.param)
    return path


def contents(path):
    return {found.name: found.read_text() for found in path.parent.iterdir()}


def test_the_file_appears_at_the_end(path):
    before = contents(path)
    with replacing(path) as beside:
        assert contents(path) == before  # nothing bears the name until the caller opens it
        assert (beside.parent, beside.suffix) == (path.parent, path.suffix)
        beside.write_text("whole")
        assert contents(path) == {**before, beside.name: "whole"}
    assert contents(path) == {"result.json": "whole"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_leaves_what_was_there(path, error):
    before = contents(path)

    def fail():
        with replacing(path) as beside:
            beside.write_text("half")
            raise error("in the middle")

    with pytest.raises(error, match="in the middle"):
        fail()
    assert contents(path) == before


def test_two_at_a_time_do_not_meet(path):
    with replacing(path) as first, replacing(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert contents(path) == {"result.json": "first"}  # which was left last
