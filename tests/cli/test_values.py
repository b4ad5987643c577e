"""Labels and numbers as files have them, and the score of a prediction."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from gdnp.cli import values
from gdnp.cli.errors import UsageError, one_of
from gdnp.cli.values import check_out, plain, text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(3.0), 3),
        (np.float32(-0.0), 0),
        (0.5, 0.5),
        (2.0**53, 2.0**53),  # beyond this a whole float need not be the number that was meant
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.int64(7), 7),
    ],
)
def test_plain(value, expected):
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_labels_of_csv():
    assert [text(value) for value in ("a", 1, 0.1, True)] == ["a", "1", "0.1", "True"]


def test_words_that_are_not_known_are_met_with_the_nearest():
    one_of("--loss", None, ["huber"])
    one_of("--loss", "huber", ["huber"])
    with pytest.raises(UsageError, match=r"--loss is not known: did you mean huber\? Got 'hubber'"):
        one_of("--loss", "hubber", ["huber", "sigmoid"])
    with pytest.raises(UsageError, match="it must be one of huber, sigmoid"):
        one_of("--loss", "x", ["huber", "sigmoid"])


def test_out_must_be_a_file_in_a_folder(tmp_path):
    check_out(None)
    check_out(tmp_path / "new.csv")
    with pytest.raises(UsageError, match=r"must name a file\. Got /"):
        check_out(tmp_path)
    with pytest.raises(UsageError, match=r"must name a file\. Got -"):
        check_out(Path("-"))
    with pytest.raises(
        UsageError, match=r"in a folder that can be written to\. Got .*: No such file or directory"
    ):
        check_out(tmp_path / "absent" / "new.csv")


def test_out_must_be_in_a_folder_that_can_be_written_to(tmp_path, monkeypatch):
    """Found by writing, as rights do not tell it of a disk that is read-only or full."""
    check_out(tmp_path / "model.skops")
    assert not list(tmp_path.iterdir())

    def refused(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(dir))

    monkeypatch.setattr(values, "TemporaryFile", refused)
    with pytest.raises(UsageError, match=r"can be written to\. Got .*model\.skops: Read-only file system\."):
        check_out(tmp_path / "model.skops")
    check_out(None)


def test_what_is_read_is_never_written(tmp_path):
    """A file by any name, through the standard input, and one of a folder; but a model may lie there."""
    path = tmp_path / "t.csv"
    path.write_text("mine")
    (tmp_path / "link.csv").symlink_to(path)
    for name in ("t.csv", "link.csv"):
        with pytest.raises(UsageError, match="--out must not be DATA itself"):
            check_out(tmp_path / name, force=True, DATA=path)
    before = os.dup(0)
    try:
        with path.open() as opened:
            os.dup2(opened.fileno(), 0)
        with pytest.raises(UsageError, match="--out must not be DATA itself"):
            check_out(path, force=True, DATA="-")
    finally:
        os.dup2(before, 0)
        os.close(before)
    with pytest.raises(UsageError, match="must not be a file of the folder DATA"):
        check_out(path, force=True, DATA=tmp_path)
    (tmp_path / "m.skops").write_text("a model")
    check_out(tmp_path / "m.skops", force=True, DATA=tmp_path)
    with pytest.raises(FileExistsError, match="overwrite it with --force"):
        check_out(tmp_path / "m.skops", DATA="breast_cancer")
    check_out(path, force=True, DATA="breast_cancer")
    assert path.read_text() == "mine"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_no_file_can_be_made_in_proc():
    with pytest.raises(UsageError, match="can be written to"):
        check_out(Path("/proc/self/model.skops"))
