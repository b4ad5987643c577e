"""What rows can be read from, again and again: raw files, parts, Parquet and Arrow."""

import copy
import os
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._files import replacing

BATCH, STRIP = 1 << 16, 1 << 12
"""Rows that Arrow decodes at a time, and that its columns are turned into rows at a time."""
FAR_APART = 64
"""Rows between two others are left out where they are more than this."""
DECODING = 8.0
"""Time of decoding Parquet, in passes over what it holds."""
ROW_GROUP_ENTRIES = 1 << 21
MARK = re.compile(r"\.gdnp-([0-9a-f]{8})\.parquet$")
"""A file that ``write_parquet`` made has its checksum in its name: no byte of it can hold that of all."""

Batch = tuple[int, int, Callable[[int, NDArray[Any]], None]]
"""First row, number of rows, and what writes those from a row of the batch on to an array."""


class Changed(ValueError):
    """A source that is another one than when it was opened, or cannot be read any more."""


class Stream(ABC):
    """n rows of d numbers of one type, for which `width` columns are read of `all`.

    `read_cost` is the time of a reading, in passes over the same numbers in memory.
    """

    chosen: NDArray[np.intp] | None = None
    seeks = False
    """Whether rows between others can be left out."""

    def __init__(self, title: str, shape: tuple[int, int], dtype: Any, read_cost: float = DECODING) -> None:
        self.title, self.shape, self.dtype, self.read_cost = title, shape, np.dtype(dtype), read_cost
        self.width = self.all = shape[1]
        if 0 in shape:
            raise ValueError(f"{title} must have at least one row and one column. Got shape {shape}.")
        if self.dtype.kind not in "fiub":
            raise ValueError(f"{title} must hold real numbers. Got dtype {dtype}; encode it first.")

    @property
    def nbytes(self) -> int:
        """Bytes of one reading."""
        return int(self.shape[0] * self.width * self.dtype.itemsize)

    def columns(self, index: NDArray[np.intp]) -> Any:
        """The stream of some columns."""
        few = copy.copy(self)
        few.chosen = np.asarray(index if self.chosen is None else self.chosen[index])
        few.shape = self.shape[0], len(few.chosen)
        return few

    def batches(self, first: int = 0) -> Iterator[Batch]:
        """All rows in order, from the batch with row `first` on."""
        for start, count, write in self._batches(first):
            yield start, count, write if self.chosen is None else partial(self._some, write)

    def _some(self, write: Callable[[int, NDArray[Any]], None], low: int, out: NDArray[Any]) -> None:
        rows = np.empty((len(out), self.all), self.dtype)
        write(low, rows)
        np.take(rows, np.asarray(self.chosen), axis=1, out=out)

    @abstractmethod
    def _batches(self, first: int) -> Iterator[Batch]:
        """Those of all columns."""

    def filled(
        self, edges: Sequence[tuple[int, int]], buffers: Iterable[NDArray[Any]]
    ) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """The rows between edges, which rise, and the buffer that they were written to."""
        batches, n = self.batches(edges[0][0]), self.shape[0]
        start = count = 0
        write: Any = None
        for (low, high), buffer in zip(edges, buffers, strict=True):
            out, at = buffer[: high - low], low
            while at < high:
                while at >= start + count:
                    start, count, write = next(batches, (n, n, None))
                    if write is None:
                        raise self._changed("fewer rows")
                step = min(high, start + count) - at
                write(at - start, out[at - low : at - low + step])
                at += step
            yield out, buffer
        if edges[-1][1] == n and next(batches, None) is not None:
            raise self._changed("more rows")

    def _changed(self, what: str) -> Changed:
        return Changed(f"{self.title} must stay as it is while it is read. Got {what}; fit again.")

    def take(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], int]:
        """Some rows, and how many bytes were read for them."""
        order = np.argsort(index, kind="stable")
        ordered, out = index[order], np.empty((len(index), self.shape[1]), self.dtype)
        apart = (np.diff(ordered) > FAR_APART) | (np.diff(ordered // BATCH) > 0)
        runs = np.split(np.arange(len(index)), 1 + np.flatnonzero(apart))
        edges = [(int(ordered[run[0]]), int(ordered[run[-1]]) + 1) for run in runs]
        buffers = (np.empty((high - low, self.shape[1]), self.dtype) for low, high in edges)
        for run, (low, _), (rows, _) in zip(runs, edges, self.filled(edges, buffers), strict=True):
            out[order[run]] = rows[ordered[run] - low]
        passed = sum(high - low for low, high in edges) if self.seeks else edges[-1][1] - edges[0][0]
        return out, self.nbytes * passed // self.shape[0]


class _File:
    """A file as it was found."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.known = self._seen()

    def _seen(self) -> tuple[int, int, int]:
        seen = self.path.stat()
        return seen.st_size, seen.st_mtime_ns, seen.st_ino

    def check(self) -> None:
        """Raise where it is another one now."""
        try:
            got = "" if self._seen() == self.known else "another file there"
        except OSError as error:
            got = f"{error.strerror}"
        if got:
            raise Changed(f"{self.path} must stay as it is while it is read. Got {got}; fit again.")


class RawStream(Stream):
    """Rows that lie one after the other in a file, `offset` bytes from its start."""

    seeks = True

    def __init__(self, path: Path, shape: tuple[int, int], dtype: Any, offset: int = 0) -> None:
        super().__init__(str(path), shape, dtype, 1.0)
        self._file, self._offset = _File(path), offset
        if self._file.known[0] < offset + self.nbytes:
            raise ValueError(
                f"{path} must hold {shape[0]} rows of {shape[1]} {self.dtype}, {offset + self.nbytes} bytes. "
                f"Got {self._file.known[0]}; copy it again, or give its shape."
            )

    def _batches(self, first: int = 0) -> Iterator[Batch]:
        row = self.all * self.dtype.itemsize
        self._file.check()
        with self._file.path.open("rb", buffering=0) as opened:

            def write(low: int, out: NDArray[Any]) -> None:
                opened.seek(self._offset + low * row)
                view, at = memoryview(out.view(np.uint8).reshape(-1)), 0  # type: ignore[arg-type]
                while at < len(view):
                    got = opened.readinto(view[at:])
                    if not got:
                        raise self._changed("a shorter file")
                    at += got

            yield 0, self.shape[0], write
        self._file.check()


def _copied(rows: NDArray[Any], low: int, out: NDArray[Any]) -> None:
    out[:] = rows[low : low + len(out)]


class PartStream(Stream):
    """What can be iterated again and again, with (X, y) or (X, y, weight) each time."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self._parts, self._lengths = parts, list[int]()
        first: Any = None
        for k, part in enumerate(parts):
            if not isinstance(part, tuple | list) or not 0 < len(part) < 4:
                raise ValueError(f"part {k} must be (X, y) or (X, y, weight). Got {type(part).__name__}.")
            rows = np.asarray(part[0])
            seen = rows.ndim, rows.shape[1:], rows.dtype, len(part)
            first = first or seen
            if seen != first or rows.ndim != 2 or not len(rows):
                raise ValueError(
                    f"part {k} must have rows, and columns, type and number of arrays of the first. "
                    f"Got X of shape {rows.shape} and {rows.dtype}, {len(part)} in all."
                )
            self._lengths.append(len(rows))
        name = f"the {type(parts).__name__}"
        if first is None:
            raise ValueError(
                f"{name} must give parts (X, y). Got none; an iterator is over once it was read."
            )
        super().__init__(name, (sum(self._lengths), first[1][0]), first[2])
        self.arrays = first[3]

    def values(self, position: int) -> Iterator[NDArray[Any]]:
        """The rows, targets or weights, part by part."""
        for k, part in enumerate(self._parts):
            found = np.asarray(part[position])
            if k >= len(self._lengths) or len(found) != self._lengths[k]:
                raise self._changed(f"{len(found)} rows in part {k}")
            yield found

    def _batches(self, first: int) -> Iterator[Batch]:
        start = 0
        for rows in self.values(0):
            yield start, len(rows), partial(_copied, rows)
            start += len(rows)


# Arrow


def pyarrow(name: str = "pyarrow") -> Any:
    """A module of Arrow, or one sentence on what to install."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = 'Reading Parquet and Arrow needs pyarrow: pip install "gdnp[cli]".'
        raise ImportError(message, name=name) from error


def tried(name: str, read: Callable[[], Any]) -> Any:
    """What Arrow reads; an error names the part."""
    try:
        return read()
    except (OSError, ValueError, NotImplementedError, StopIteration, pyarrow().ArrowException) as error:
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise Changed(f"{name} must be readable. Got: {reason}; copy or convert it again.") from error


class ArrowStream(Stream):
    """Numeric columns of a pyarrow dataset, row group by row group: `names`, or all but those of `without`.

    `sound` has the files that were read to their end and have the bytes that were written.
    """

    def __init__(
        self, dataset: Any, names: Sequence[str] | None, title: str, without: Sequence[str] = ()
    ) -> None:
        schema, types = dataset.schema, pyarrow().types
        missing = [name for name in (*without, *(names or ())) if name not in schema.names]
        if missing:
            raise ValueError(f"{title} must have a column {missing[0]!r}. Got {schema.names[:8]}.")
        self.names = [name for name in schema.names if name not in without] if names is None else list(names)
        fields = [schema.field(name) for name in self.names]
        numeric = (types.is_integer, types.is_floating, types.is_boolean)
        others = [f"{f.name} ({f.type})" for f in fields if not any(kind(f.type) for kind in numeric)]
        if others:
            raise ValueError(
                f"the features of {title} must be numbers. Got {', '.join(others[:5])}: leave them out, or "
                "fit a table that fits in memory with gdnp fit TABLE."
            )
        self._rows = list[int]()
        self._schema, self._parts, self.sound = schema, list[tuple[str, Any, _File | None]](), set[Path]()
        for fragment in dataset.get_fragments():
            self._add(fragment)
        self._edges = np.cumsum([0, *self._rows])
        single = bool(fields) and all(types.is_float32(field.type) for field in fields)
        kind = np.float32 if single else np.float64
        super().__init__(
            title, (int(self._edges[-1]), len(self.names)), kind, DECODING if self._files else 1.0
        )

    @property
    def _files(self) -> list[_File]:
        return [file for _, _, file in self._parts if file is not None]

    def _add(self, fragment: Any) -> None:
        """The row groups of a file, or a file or table as a whole, once its columns were looked at."""
        path = getattr(fragment, "path", "")
        name = path or "a table"
        file = _File(path) if path and os.path.exists(path) else None
        here = tried(name, lambda: fragment.physical_schema)
        keys = pyarrow("pyarrow.dataset").get_partition_keys(fragment.partition_expression)
        expected = {field.name: field.type for field in self._schema if field.name not in keys}
        got = dict(zip(here.names, here.types, strict=True))
        for column in [*expected, *got]:
            if expected.get(column) != got.get(column):
                raise ValueError(
                    f"column {column!r} must be the same in all files, {expected.get(column, 'absent')}. "
                    f"Got {got.get(column, 'no such column')} in {name}; write that file again."
                )
        groups = hasattr(fragment, "split_by_row_group")
        for k, part in enumerate(tried(name, fragment.split_by_row_group) if groups else [fragment]):
            rows = part.row_groups[0].num_rows if groups else tried(name, part.count_rows)
            if rows:
                self._parts.append((f"{name}, row group {k}," if groups else name, part, file))
                self._rows.append(rows)

    def columns(self, index: NDArray[np.intp]) -> Any:
        """Some columns; the others are not read."""
        few = copy.copy(self)
        few.names = [self.names[j] for j in index]
        few.shape, few.width = (self.shape[0], len(few.names)), len(few.names)
        return few

    def _of_part(self, k: int, names: list[str]) -> Iterator[Any]:
        name, part, file = self._parts[k]
        if file is not None:
            file.check()
        options: dict[str, Any] = {"batch_size": BATCH, "batch_readahead": 1, "fragment_readahead": 1}
        if hasattr(part, "split_by_row_group"):
            scan = pyarrow("pyarrow.dataset").ParquetFragmentScanOptions
            options["fragment_scan_options"] = scan(pre_buffer=False, page_checksum_verification=True)
        found = tried(name, lambda: part.to_batches(self._schema, columns=names, **options))
        count, end = 0, object()
        while (batch := tried(name, lambda: next(found, end))) is not end:
            count += batch.num_rows
            yield batch
        if file is not None:
            file.check()
        if count != self._edges[k + 1] - self._edges[k]:
            raise Changed(f"{name} must have all of its rows. Got {count}; copy or convert the file again.")

    def _batches(self, first: int) -> Iterator[Batch]:
        for k in range(int(np.searchsorted(self._edges, first, side="right")) - 1, len(self._parts)):
            start = int(self._edges[k])
            for batch in self._of_part(k, self.names):
                columns = [batch.column(j).to_numpy(zero_copy_only=False) for j in range(len(self.names))]
                yield start, batch.num_rows, partial(_turned, columns)
                start += batch.num_rows
            file = self._parts[k][2]
            last = k + 1 == len(self._parts) or self._parts[k + 1][2] is not file
            if file is not None and last and self.width == self.all and file.path not in self.sound:
                _check_bytes(file.path)
                self.sound.add(file.path)

    def values(self, name: str) -> Iterator[NDArray[Any]]:
        """One column of any type, batch by batch; gaps are refused."""
        for k, (part, _, _) in enumerate(self._parts):
            for batch in self._of_part(k, [name]):
                column = batch.column(0)
                if column.null_count:
                    where = f"{column.null_count} in {part.rstrip(',')}"
                    raise ValueError(f"column {name!r} must have no gaps. Got {where}; drop those rows.")
                decoded = column.dictionary_decode() if hasattr(column, "dictionary_decode") else column
                found = decoded.to_numpy(zero_copy_only=False)
                yield found.astype(np.str_) if found.dtype.kind == "O" else found


def _turned(columns: list[NDArray[Any]], low: int, out: NDArray[Any]) -> None:
    for begin in range(0, len(out), STRIP):
        strip = out[begin : begin + STRIP]
        for j, column in enumerate(columns):
            strip[:, j] = column[low + begin : low + begin + len(strip)]


def _checksum(path: Path) -> int:
    found = 0
    with path.open("rb") as opened:
        while piece := opened.read(1 << 22):
            found = zlib.crc32(piece, found)
    return found


def _check_bytes(path: Path) -> None:
    mark = MARK.search(path.name)
    if mark and int(mark[1], 16) != _checksum(path):
        raise Changed(f"{path} must have the bytes that were written. Got others; copy or convert it again.")


def write_parquet(batches: Iterable[Any], folder: Path) -> Path:
    """Write record batches of one schema to a Parquet file with checksums, and return its path."""
    whole, writer = folder / "part.parquet", None
    with replacing(whole) as beside:
        for table in _grouped(batches):
            if writer is None:
                kind = pyarrow("pyarrow.parquet").ParquetWriter
                writer = kind(beside, table.schema, write_page_checksum=True)
            writer.write_table(table, row_group_size=table.num_rows)
        if writer is None:
            raise ValueError("data must have rows. Got none: nothing is written.")
        writer.close()
        checksum = _checksum(beside)
    return whole.replace(folder / f"part.gdnp-{checksum:08x}.parquet")


def _grouped(batches: Iterable[Any]) -> Iterator[Any]:
    """The same rows in tables of the size of a row group."""
    waiting: list[Any] = []
    rows = 0
    for batch in batches:
        most = max(1, ROW_GROUP_ENTRIES // max(1, batch.num_columns))
        for low in range(0, batch.num_rows, most):
            piece = batch.slice(low, most)
            if rows and rows + piece.num_rows > most:
                yield pyarrow().Table.from_batches(waiting)
                waiting, rows = [], 0
            waiting, rows = [*waiting, piece], rows + piece.num_rows
    if rows:
        yield pyarrow().Table.from_batches(waiting)
