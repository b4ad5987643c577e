"""Row vectors in files: for rows so many that a few numbers for each of them do not fit in memory."""

import math
import mmap
import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design.rows import Choice, Rows, RowVector
from gdnp.design.threads import Threads

FEW = 256
"""Rows that are gathered at a time."""


class _Mapped:
    """A vector in a file that has no name any more: it goes with the last that holds it."""

    __slots__ = ("map", "shape", "values")

    def __init__(self, values: NDArray[Any], mapping: mmap.mmap | None) -> None:
        self.values, self.map, self.shape = values, mapping, values.shape


class ScratchRows(Rows):
    """Row vectors in files of a folder, mapped; pages that nobody looks at are left to the system.

    No folder is that of temporary files.
    """

    gives_back = True

    def __init__(self, n: int, n_jobs: int | Threads, folder: str | os.PathLike[str] | None = None) -> None:
        super().__init__(n, n_jobs)
        self._folder = folder

    def empty(self, k: int | None = None, dtype: Any = np.float64) -> RowVector:
        """A vector to be written to, with room for all of it on the disk."""
        shape = (self.n,) if k is None else (self.n, k)
        size = max(1, math.prod(shape) * np.dtype(dtype).itemsize)
        try:
            with TemporaryFile(dir=self._folder, prefix="gdnp-") as file:
                if hasattr(os, "posix_fallocate"):  # a page that finds no room later would end the process
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                mapping = mmap.mmap(file.fileno(), size)
        except OSError as error:
            where = Path(self._folder) if self._folder is not None else "the folder of temporary files"
            raise OSError(
                f"a scratch file needs {size / 1e6:.0f} MB in {where}. Got: {error.strerror}; "
                "free some, choose another folder with scratch=, or allow more memory."
            ) from error
        values = np.frombuffer(mapping, dtype=dtype, count=math.prod(shape)).reshape(shape)
        return _Mapped(values, mapping)

    def hold(self, values: NDArray[Any]) -> RowVector:  # noqa: D102
        if isinstance(values, _Mapped):
            return values
        if values.strides[0] == 0:  # one number that stands for all takes no room
            return _Mapped(values, None)
        made = self.empty(None if values.ndim == 1 else values.shape[1], values.dtype)
        for (strip,), low in zip(self._strips(made), range(0, self.n, self.strip), strict=True):
            strip[:] = values[low : low + len(strip)]
        return made

    def array(self, v: RowVector) -> NDArray[Any]:
        """What is behind a vector; arrays of a design in memory pass."""
        return v.values if isinstance(v, _Mapped) else v  # type: ignore[return-value]

    def gather(self, v: RowVector, choice: Choice | None = None) -> FloatArray:
        """The numbers themselves; a row brings pages along, which are given back before there are many."""
        if choice is None:
            return super().gather(v)
        some = np.array_split(choice.index, 1 + len(choice.index) // FEW)
        return np.concatenate(
            [super(ScratchRows, self).gather(v, Choice(index, len(index))) for index in some]
        )

    def release(self, low: int, high: int, *vectors: RowVector | None) -> None:
        """Give the pages back; what is written to them is in the file."""
        if not hasattr(mmap, "MADV_DONTNEED"):
            return
        for v in vectors:
            if isinstance(v, _Mapped) and v.map is not None and high > low:
                row = v.values.nbytes // max(1, self.n)
                begin = low * row // mmap.PAGESIZE * mmap.PAGESIZE
                v.map.madvise(mmap.MADV_DONTNEED, begin, min(high * row, v.values.nbytes) - begin)
