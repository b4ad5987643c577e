"""Labels and numbers as files have them, and the score of a prediction."""

import errno
import math
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import r2_score

from gdnp.cli import values
from gdnp.cli.errors import UsageError
from gdnp.cli.values import check_out, number, plain, score, text

REGRESSOR = SimpleNamespace()


def classifier(*classes):
    return SimpleNamespace(classes_=np.array(classes))


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


def test_json_has_no_infinity():
    assert [number(value) for value in (1.5, math.inf, -math.inf, math.nan)] == [1.5, None, None, None]


@pytest.mark.parametrize(
    ("classes", "predicted", "y", "share"),
    [
        (["a", "b"], ["a", "b", "a", "a"], ["a", "b", "b", "b"], 0.5),
        ([0, 1], [0, 1, 1, 1], [0.0, 1.0, 1.0, 0.0], 0.75),
        (["0", "1"], ["0", "1", "1", "1"], [0.0, 1.0, 1.0, 0.0], 0.75),  # text here, numbers there
        ([False, True], [True, True], [True, False], 0.5),
        ([False, True], [True, True], ["True", "False"], 0.5),
    ],
)
def test_accuracy(classes, predicted, y, share):
    found = score(classifier(*classes), np.array(predicted), np.array(y))
    assert found == {"name": "accuracy", "value": share}


def test_placeholders_give_no_score(rng):
    predicted, y = rng.standard_normal((2, 9))
    assert score(classifier("a", "b"), np.array(["a", "b"]), np.array([-9.0, -9.0])) is None
    assert score(REGRESSOR, predicted, np.zeros(9)) is None
    assert score(REGRESSOR, predicted[:1], y[:1]) is None
    assert score(REGRESSOR, predicted, np.array(["x"] * 9)) is None
    assert score(REGRESSOR, predicted, y) == {"name": "r2", "value": pytest.approx(r2_score(y, predicted))}


def test_out_must_be_a_file_in_a_folder(tmp_path):
    check_out(None)
    check_out(tmp_path / "new.csv")
    with pytest.raises(UsageError, match=r"must name a file\. Got the folder"):
        check_out(tmp_path)
    with pytest.raises(UsageError, match="in a folder that exists"):
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


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc")
def test_no_file_can_be_made_in_proc():
    with pytest.raises(UsageError, match="can be written to"):
        check_out(Path("/proc/self/model.skops"))
