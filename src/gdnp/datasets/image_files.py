"""Readers for the files of MNIST and CIFAR-10 that refuse what they cannot read, in one sentence."""

import gzip
import math
import pickle
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FilePath = str | PathLike[str]
PIXELS = 3072
ARRAY_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
ARRAY_NAMES = {"_reconstruct": np.zeros(0).__reduce__()[0], "ndarray": np.ndarray, "dtype": np.dtype}
"""What the pickle of an array names, wherever a version of NumPy has it."""


def read_idx(path: FilePath) -> NDArray[np.uint8]:
    """Read an array of bytes in the IDX format, compressed by gzip.

    Raises
    ------
    OSError
        For a file that is missing or may not be read.
    ValueError
        For another format, another type of numbers, and too few or too many bytes.
    """
    compressed = Path(path).read_bytes()
    try:
        content = gzip.decompress(compressed)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} should be a whole gzip file. Got: {str(error).rstrip('.')}.") from error
    # Two zeros, 8 for unsigned bytes, the number of dimensions, and each of them as four bytes.
    start = 4 + 4 * content[3] if len(content) > 3 else 4
    if content[:3] != b"\0\0\x08" or len(content) < start:
        raise ValueError(f"{path} should be an IDX file of bytes. Got one that begins with {content[:4]!r}.")
    shape = tuple(np.frombuffer(content[4:start], dtype=">u4").tolist())
    expected = start + math.prod(shape)
    if len(content) != expected:
        raise ValueError(f"{path} should hold {expected} bytes. Got {len(content)}: download it again.")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def read_cifar_batch(path: FilePath) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read one batch of CIFAR-10's python version, which is a pickle, without running anything it names.

    A pickle may name any function to be called as it is read. This reader knows the three names that make up
    an array, and refuses every other one.

    Returns
    -------
    images : ndarray of uint8 of shape (n, 3072)
    labels : ndarray of int64 of shape (n,)

    Raises
    ------
    OSError
        For a file that is missing or may not be read.
    ValueError
        For a pickle that names anything else, a damaged one, and one of something else.
    """
    with Path(path).open("rb") as file:
        try:
            found = _Arrays(file, encoding="latin1").load()
            images, labels = np.asarray(found["data"]), found["labels"]
        except Exception as error:  # a damaged pickle raises almost anything
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise ValueError(f"{path} should be a batch of CIFAR-10. Got: {reason}.") from error
    whole = isinstance(labels, list) and all(type(label) is int and 0 <= label <= 9 for label in labels)
    if not whole or images.dtype != np.uint8 or images.shape != (len(labels), PIXELS):
        raise ValueError(
            f"{path} should be a batch of CIFAR-10: n x {PIXELS} bytes and n labels from 0 to 9. "
            f"Got images of {images.dtype} of shape {images.shape}: download it again."
        )
    return images, np.array(labels, dtype=np.int64)


class _Arrays(pickle.Unpickler):
    """Lists, dicts, strings and numbers, which need no names, and the three names of NumPy's arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """What makes an array."""
        if module not in ARRAY_MODULES or name not in ARRAY_NAMES:
            raise pickle.UnpicklingError(f"a pickle that names {module}.{name}, which is not called")
        return ARRAY_NAMES[name]
