"""Row vectors in files: the numbers of those in memory, and a sentence where the disk is full."""

import errno
import os

import numpy as np
import pytest

from gdnp.design.rows import Rows, ScratchRows

N = 70_001


@pytest.fixture
def both(tmp_path):
    return Rows(N, 2), ScratchRows(N, 2, tmp_path)


def test_every_verb_does_as_in_memory(both, rng):
    a, b = rng.standard_normal(N), rng.random(N)
    found = []
    for rows in both:
        u, v = rows.hold(a), rows.hold(b)
        w = rows.combine((2.0, u), (-1.0, v), (1.0, u))
        rows.combine((1.0, w), (3.0, v), out=w)
        choice = rows.sample(v, 100, 3)
        found.append(
            [
                rows.gather(w),
                rows.extremes(u, w),
                rows.quantiles(u, np.array([0.1, 0.5])),
                rows.above(u, 1.0).index,
                choice.index,
                rows.gather(u, choice),
                rows.total(lambda x, y: [float(x @ y)], u, w)[0],
            ]
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_written_survives_that_its_pages_are_given_back(both):
    rows = both[1]
    v = rows.empty(dtype=np.int16)
    rows.array(v)[:] = np.arange(N) % 1000
    rows.release(0, N, v)
    rows.release(5, 6, v, None)
    np.testing.assert_array_equal(rows.array(v), np.arange(N) % 1000)


def test_files_have_no_name(both, tmp_path):
    v = both[1].empty(3)
    assert v.shape == (N, 3)
    assert list(tmp_path.iterdir()) == []


def test_one_number_for_all_rows_takes_no_file(both):
    v = both[1].hold(np.broadcast_to(2.0, N))
    assert v.map is None
    assert both[1].hold(v) is v


def test_a_full_folder_is_one_sentence(both, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=rf"scratch file needs 1 MB in {tmp_path}. Got: No space left"):
        both[1].empty()
