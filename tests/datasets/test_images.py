"""MNIST, CIFAR-10 and digits: rows of pixels and what they show."""

import numpy as np
import pytest

from downloads import REFUSED, here, pickled_batch, register_archive
from gdnp import datasets


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
