"""Files that are there whole or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from gdnp import _files
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


KILLED = """
import os, signal, sys
from pathlib import Path
from gdnp._files import replacing
with replacing(Path(sys.argv[1])) as beside:
    beside.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_what_a_killed_writer_leaves_goes_a_day_later_with_another_write(path):
    before = contents(path)
    done = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(contents(path)) - set(before)
    other = path.with_name(".mine-0123abcd-hidden.json")
    other.write_text("not of this module")
    for age, kept in ((0.5, True), (1.5, False)):
        for old in (path.with_name(left), other):
            then = old.stat().st_mtime - age * _files.ABANDONED
            os.utime(old, (then, then))
        with replacing(path.with_name("other.json")) as beside:
            beside.write_text("whole")
        assert (left in contents(path)) is kept
    assert contents(path) == {**before, other.name: "not of this module", "other.json": "whole"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_named_with_its_file(path):
    before = contents(path)

    def write():
        with replacing(path) as beside:
            beside.symlink_to("/dev/full")
            beside.write_text("half")

    with pytest.raises(OSError, match=r"No space left on device; free some.*result\.json") as caught:
        write()
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert contents(path) == before


def test_a_folder_that_is_not_there_is_named_with_the_file(tmp_path):
    path = tmp_path / "no" / "result.json"
    with pytest.raises(FileNotFoundError) as caught, replacing(path) as beside:
        beside.write_text("x")
    assert caught.value.filename == str(path)


def test_long_names_are_no_obstacle(tmp_path):
    path = tmp_path / ("x" * 240 + ".json")
    with replacing(path) as beside:
        beside.write_text("whole")
    assert path.read_text() == "whole"
