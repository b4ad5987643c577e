"""Readers of image files: they read what was written, refuse what they cannot read, and call nothing."""

import gzip
import os
import pickle

import numpy as np
import pytest

from downloads import SMALL, batch_of, idx, pickled_batch
from gdnp.datasets.image_files import read_cifar_batch, read_idx


def test_pickle_that_calls_something_is_refused_and_calls_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    images, labels = batch_of(2)
    for content in ({"data": Evil(), "labels": labels}, {"data": images, "labels": labels, "extra": Evil()}):
        (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol=3))
        with pytest.raises(ValueError, match=r"a pickle that names posix\.mkdir, which is not called"):
            read_cifar_batch(tmp_path / "batch")
    (tmp_path / "batch").write_bytes(b"cnumpy\nload\n(S'x'\ntR.")
    with pytest.raises(ValueError, match=r"names numpy\.load, which is not called"):
        read_cifar_batch(tmp_path / "batch")
    assert not (tmp_path / "called").exists()


BATCH, LABELS = batch_of(3)


BAD_BATCHES = {
    "empty": (b"", "Got: Ran out of input"),
    "truncated": (pickled_batch(BATCH, LABELS)[:5000], "should be a batch of CIFAR-10. Got: "),
    "no pickle": (SMALL, "should be a batch of CIFAR-10. Got: "),
    "a list": (pickle.dumps([1, 2]), "should be a batch of CIFAR-10. Got: "),
    "no labels": (pickle.dumps({"data": BATCH}, protocol=3), "Got: 'labels'"),
    "floats": (pickled_batch(BATCH.astype(float), LABELS), r"Got images of float64 of shape \(3, 3072\)"),
    "objects": (pickled_batch(np.array([None, 1]), LABELS), "Got images of object"),
    "fewer columns": (pickled_batch(BATCH[:, :9], LABELS), r"Got images of uint8 of shape \(3, 9\)"),
    "fewer labels": (pickled_batch(BATCH, LABELS[:2]), r"Got images of uint8 of shape \(3, 3072\)"),
    "label 10": (pickled_batch(BATCH, [0, 1, 10]), "n labels from 0 to 9"),
    "label True": (pickled_batch(BATCH, [0, 1, True]), "n labels from 0 to 9"),
}


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_unusable_batch(tmp_path, case):
    content, message = BAD_BATCHES[case]
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_cifar_batch(tmp_path / "batch")


def test_batch_and_idx_are_read_as_written(tmp_path):
    for written in (BATCH, np.asfortranarray(BATCH)):
        (tmp_path / "batch").write_bytes(pickled_batch(written, LABELS))
        images, labels = read_cifar_batch(tmp_path / "batch")
        np.testing.assert_array_equal(images, BATCH)
        assert labels.tolist() == LABELS
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    (tmp_path / "idx.gz").write_bytes(idx(array))
    np.testing.assert_array_equal(read_idx(tmp_path / "idx.gz"), array)


ARRAY = np.arange(12).reshape(3, 4)


BAD_IDX = {
    "no gzip": (b"abc", "should be a whole gzip file. Got: Not a gzipped file"),
    "truncated gzip": (idx(ARRAY)[:20], "should be a whole gzip file. Got: Compressed file ended"),
    "truncated": (gzip.compress(gzip.decompress(idx(ARRAY))[:-1]), "should hold 24 bytes. Got 23: download"),
    "too long": (gzip.compress(gzip.decompress(idx(ARRAY)) + b"x"), "should hold 24 bytes. Got 25"),
    "header alone": (gzip.compress(b"\0\0\x08\x03\0\0"), "should be an IDX file of bytes"),
    "integers": (
        gzip.compress(b"\0\0\x0c\x01\0\0\0\0"),
        "should be an IDX file of bytes. Got one that begins",
    ),
    "nothing": (gzip.compress(b""), "should be an IDX file of bytes"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_unusable_idx(tmp_path, case):
    content, message = BAD_IDX[case]
    (tmp_path / "idx.gz").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_idx(tmp_path / "idx.gz")
