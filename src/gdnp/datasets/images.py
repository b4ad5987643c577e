"""MNIST, CIFAR-10 and scikit-learn's digits: images as rows of pixels."""

from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from gdnp.datasets.dataset import Dataset
from gdnp.datasets.fetch import data_dir, fetch_file, files_of, known_split
from gdnp.datasets.image_files import read_cifar_batch, read_idx


def fetch_mnist(split: Literal["train", "test"] = "train") -> Dataset:
    """MNIST: handwritten digits, 28 x 28 grey pixels.

    Parameters
    ----------
    split : {"train", "test"}
        60000 or 10000 rows.

    Returns
    -------
    Dataset
        X dense in float32, 784 columns in [0, 1] (bytes over 255), y the digit.

    Raises
    ------
    ValueError
        For another `split`.
    DataNotFoundError, ChecksumError, ImportError
        As `fetch_file`.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
    """
    name = "mnist" if known_split(split) == "train" else "mnist.t"
    images, labels = (read_idx(fetch_file(key)) for key in files_of(name))
    return Dataset(name, _unit_interval(images), labels.astype(np.float64))


def fetch_cifar10(
    split: Literal["train", "test"] = "train", *, batches: Collection[int] | None = None
) -> Dataset:
    """CIFAR-10: colour photographs of ten kinds of things, 32 x 32 pixels in red, green and blue.

    Parameters
    ----------
    split : {"train", "test"}
    batches : collection of int, optional
        Which of the training batches 1 to 5, each of 10000 images. By default those that are in the data
        folder (`cifar10_batches` says which), so that a part of the archive is enough to begin with; where
        there is none the archive is downloaded, and all five are read.

    Returns
    -------
    Dataset
        X dense in float32 of shape (10000 x number of batches, 3072), in [0, 1] (bytes over 255), red first;
        y the class from 0 to 9.

    Raises
    ------
    ValueError
        For another `split`, a batch that does not exist, and a file that is no batch.
    DataNotFoundError, ChecksumError, ImportError
        As `fetch_file`.

    References
    ----------
    A. Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    if known_split(split) == "test":
        if batches is not None:
            raise ValueError(f"batches chooses from the training split. Got {list(batches)} for 'test'.")
        names, name = ["test_batch"], "cifar10.t"
    else:
        chosen = cifar10_batches() or (1, 2, 3, 4, 5) if batches is None else tuple(sorted(set(batches)))
        if not chosen or not set(chosen) <= {1, 2, 3, 4, 5}:
            raise ValueError(f"batches must be some of 1, 2, 3, 4, 5. Got {list(chosen)}.")
        names, name = [f"data_batch_{number}" for number in chosen], "cifar10"
    read = [read_cifar_batch(fetch_file(f"cifar-10-batches-py/{entry}")) for entry in names]
    images, labels = (np.concatenate(pieces) for pieces in zip(*read, strict=True))
    return Dataset(name, _unit_interval(images), labels.astype(np.float64))


def cifar10_batches() -> tuple[int, ...]:
    """The numbers of CIFAR-10's training batches that are in the data folder; nothing is downloaded."""
    folder = data_dir()
    found = (folder / f"cifar-10-batches-py/data_batch_{number}" for number in range(1, 6))
    return tuple(number for number, path in enumerate(found, start=1) if path.is_file())


def load_digits() -> Dataset:
    """Digits, which come with scikit-learn: 1797 handwritten digits, 8 x 8 pixels from 0 to 16.

    X is dense of shape (1797, 64), y the digit.
    """
    bunch = sklearn_datasets.load_digits()
    return Dataset(
        "digits", bunch.data, bunch.target.astype(np.float64), tuple(map(str, bunch.feature_names))
    )


def _unit_interval(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.divide(pixels.reshape(len(pixels), -1), np.float32(255.0), dtype=np.float32)
