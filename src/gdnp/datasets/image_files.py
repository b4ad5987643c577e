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

    A pickle may name any function to be called as it is read. This reader takes the three names that make up
    an array for labels of inert records, builds the array from their bytes itself, and refuses every other
    name.

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
            found = _Inert(file, encoding="latin1").load()
            images, labels = found["data"].bytes(), found["labels"]
        except Exception as error:  # a damaged pickle raises almost anything
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise ValueError(f"{path} should be a batch of CIFAR-10. Got: {reason}.") from error
    whole = isinstance(labels, list) and all(type(label) is int and 0 <= label <= 9 for label in labels)
    if not whole or images.shape != (len(labels), PIXELS):
        raise ValueError(
            f"{path} should be a batch of CIFAR-10: n x {PIXELS} bytes and n labels from 0 to 9. "
            f"Got images of shape {images.shape}: download it again."
        )
    return images, np.array(labels, dtype=np.int64)


class _Record:
    """Stands for the array, or its dtype, that a pickle describes: what it was made from, and its state."""

    state: Any = None

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def bytes(self) -> NDArray[np.uint8]:
        """The array, of unsigned bytes in the order of C."""
        _, shape, dtype, fortran, content = self.state
        if dtype.arguments[0] != "u1" or fortran:
            raise ValueError(f"an array of type {dtype.arguments[0]!r}, which are not bytes row by row")
        raw = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


class _Inert(pickle.Unpickler):
    """Lists, dicts, strings and numbers, which need no names, and records of arrays."""

    known = (
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    )

    def find_class(self, module: str, name: str) -> Any:
        """A record, whatever is named, if that may be named."""
        if (module, name) not in self.known:
            raise pickle.UnpicklingError(f"a pickle that names {module}.{name}, which is not called")
        return _Record
