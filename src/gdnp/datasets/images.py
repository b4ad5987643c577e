"""MNIST, CIFAR-10 and scikit-learn's digits: images as rows of pixels.

A file is read only where it has its checksum, so that readers need not look for damage.
"""

import gzip
import pickle
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets as sklearn_datasets

from gdnp.datasets.dataset import Dataset
from gdnp.datasets.fetch import data_dir, fetch_file, files_of, known_split

ARRAY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
ARRAY_NAMES = {"_reconstruct": np.zeros(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
"""What the pickle of an array names, wherever a version of NumPy has it."""


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
    images, labels = (_idx(fetch_file(key)) for key in files_of(name))
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
        For another `split`, and a batch that does not exist.
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
    read = [_cifar_batch(fetch_file(f"cifar-10-batches-py/{entry}")) for entry in names]
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


def _idx(path: Path) -> NDArray[np.uint8]:
    """Bytes in the IDX format: 0, 0, 8, the number of dimensions, each of them in four bytes, the entries."""
    content = gzip.decompress(path.read_bytes())
    start = 4 + 4 * content[3]
    shape = np.frombuffer(content[4:start], dtype=">u4")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def _cifar_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3072) and labels (n,) of a batch, which is a pickle; nothing that it names is run."""
    with path.open("rb") as file:
        found = _Arrays(file, encoding="latin1").load()
    return np.asarray(found["data"]), np.array(found["labels"], dtype=np.int64)


class _Arrays(pickle.Unpickler):
    """Lists, dicts, strings and numbers, which need no names, and the three names of NumPy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """What makes an array."""
        if module not in ARRAY_MODULES or name not in ARRAY_NAMES:
            raise pickle.UnpicklingError(f"a pickle that names {module}.{name}, which is not called")
        return ARRAY_NAMES[name]
