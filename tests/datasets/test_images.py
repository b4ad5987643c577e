"""MNIST, CIFAR-10 and digits: rows of pixels and what they show; readers that call nothing."""

import os
import pickle

import numpy as np
import pytest

from downloads import REFUSED, batch_of, here, idx, pickled_batch, register_archive
from gdnp import datasets
from gdnp.datasets.images import _cifar_batch, _idx


@pytest.mark.parametrize(
    ("split", "n", "first", "ones"),
    [("train", 60000, [5, 0, 4, 1, 9], 6742), ("test", 10000, [7, 2, 1, 0, 4], 1135)],
)
def test_published_mnist(split, n, first, ones):
    here(*datasets.files_of("mnist" if split == "train" else "mnist.t"))
    data = datasets.fetch_mnist(split)
    assert data.X.shape == (n, 784)
    assert data.X.dtype == np.float32
    assert data.X.min() == 0.0
    assert data.X.max() == 1.0
    assert data.y[:5].tolist() == first
    assert np.count_nonzero(data.y == 1.0) == ones
    image = np.round(255.0 * data.X[0]).reshape(28, 28)
    assert image[:4].sum() == 0.0  # the margin above a digit
    assert data.name == ("mnist" if split == "train" else "mnist.t")


def test_published_cifar10():
    here("cifar-10-batches-py/data_batch_1")
    data = datasets.fetch_cifar10(batches=[1])
    assert data.X.shape == (10000, 3072)
    assert data.X.dtype == np.float32
    assert np.count_nonzero(np.round(255.0 * data.X)) == 30643889
    assert np.bincount(data.y.astype(int)).tolist() == [
        1005,
        974,
        1032,
        1016,
        999,
        937,
        1030,
        1001,
        1025,
        981,
    ]
    assert data.y[:5].tolist() == [6, 9, 9, 4, 1]  # a frog, two lorries, a deer, a car
    assert 1 in datasets.cifar10_batches()


def test_digits():
    data = datasets.load("digits")
    assert data.X.shape == (1797, 64)
    assert set(data.y) == set(range(10))
    assert len(data.feature_names) == 64


def test_batches_that_are_there_are_enough(cache, monkeypatch, small_cifar):
    _, checksum, members, batches = small_cifar
    register_archive(monkeypatch, checksum, members, REFUSED)
    (cache / "cifar-10-batches-py").mkdir()
    for number in (2, 4):
        path = cache / f"cifar-10-batches-py/data_batch_{number}"
        path.write_bytes(pickled_batch(*batches[number - 1]))
    assert datasets.cifar10_batches() == (2, 4)
    assert datasets.fetch_cifar10().y.tolist() == batches[1][1] + batches[3][1]
    assert datasets.fetch_cifar10(batches=[4]).y.tolist() == batches[3][1]
    assert datasets.fetch_cifar10(batches=[4, 2, 4]).y.tolist() == batches[1][1] + batches[3][1]
    with pytest.raises(datasets.DataNotFoundError, match=r"data_batch_3 \(md5 \w{32}\) is not at"):
        datasets.fetch_cifar10(batches=[3])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "validation"}, "split must be 'train' or 'test'. Got 'validation'"),
        ({"split": "test", "batches": [1]}, r"from the training split. Got \[1\] for 'test'"),
        ({"batches": [0]}, r"some of 1, 2, 3, 4, 5. Got \[0\]"),
        ({"batches": []}, r"some of 1, 2, 3, 4, 5. Got \[\]"),
    ],
)
def test_cifar10_refuses_what_does_not_exist(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.fetch_cifar10(**options)
    if "batches" not in options:
        with pytest.raises(ValueError, match=message):
            datasets.fetch_mnist(**options)


def test_a_pickle_that_calls_something_calls_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    images, labels = batch_of(2)
    for content in ({"data": Evil(), "labels": labels}, {"data": images, "labels": labels, "extra": Evil()}):
        (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol=3))
        with pytest.raises(pickle.UnpicklingError, match=r"names posix\.mkdir, which is not called"):
            _cifar_batch(tmp_path / "batch")
    (tmp_path / "batch").write_bytes(b"cnumpy\nload\n(S'x'\ntR.")
    with pytest.raises(pickle.UnpicklingError, match=r"names numpy\.load, which is not called"):
        _cifar_batch(tmp_path / "batch")
    assert not (tmp_path / "called").exists()


def test_batch_and_idx_are_read_as_written(tmp_path):
    written, labels = batch_of(3)
    for layout in (written, np.asfortranarray(written)):
        (tmp_path / "batch").write_bytes(pickled_batch(layout, labels))
        images, found = _cifar_batch(tmp_path / "batch")
        np.testing.assert_array_equal(images, written)
        assert found.tolist() == labels
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    (tmp_path / "idx.gz").write_bytes(idx(array))
    np.testing.assert_array_equal(_idx(tmp_path / "idx.gz"), array)
