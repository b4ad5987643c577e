"""The front door to rows of any size: what X, targets and weights are read from."""

import math
import os
import re
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gdnp.design.base import DesignMatrix
from gdnp.design.cluster import ClusterRows, client_of, is_collection, is_frame, named, parts_of, read_there
from gdnp.design.compiled import pattern_fault
from gdnp.design.dense import DenseDesign
from gdnp.design.rows import Rows, RowVector
from gdnp.design.sparse import SparseDesign
from gdnp.design.stream import StreamDesign
from gdnp.design.streams import (
    BATCH,
    ArrowStream,
    PartStream,
    RawStream,
    Stream,
    pyarrow,
    tried,
    write_parquet,
)
from gdnp.validation import checked_number

SUFFIXES = {".parquet": "parquet", ".pq": "parquet", ".arrow": "ipc", ".ipc": "ipc", ".feather": "ipc"}
ROW_BYTES = 72
"""Row vectors that a fit holds at a time, in bytes a row, about."""
COLD = 10.0
"""Time of a reading from a disk, in passes: one gives about half a gigabyte a second."""
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

Values = Callable[[], Iterator[NDArray[Any]]]
"""() -> the values of all rows, batch by batch."""


@dataclass(frozen=True, eq=False)
class Source:
    """Rows to fit or to predict.

    Attributes
    ----------
    design : DesignMatrix of shape (n, d)
    names : list of str or None
        Of the columns.
    target, weight : callable, RowVector or None
        () -> the values of all rows, batch by batch; or where the rows are, on workers.
    """

    design: DesignMatrix
    names: list[str] | None = None
    target: Any = None
    weight: Any = None

    def blocks(self) -> Iterator[NDArray[Any]]:
        """The rows themselves, some at a time."""
        return _pieces(self.design.stream if isinstance(self.design, StreamDesign) else self.design)


def _pieces(found: DesignMatrix | Stream) -> Iterator[NDArray[Any]]:
    if isinstance(found, DesignMatrix):
        return (found.block(k).dense(0, high - low) for k, (low, high) in enumerate(found.bounds))
    n, d = found.shape
    edges = [(low, min(low + BATCH, n)) for low in range(0, n, BATCH)]
    buffers = (np.empty((high - low, d), found.dtype) for low, high in edges)
    return (rows for rows, _ in found.filled(edges, buffers))


def as_design(X: Any, n_jobs: int | None = None) -> DesignMatrix:
    """The design for X, without a copy where X already is a numeric array or a CSR matrix.

    Other sparse matrices are converted to CSR, which takes as long as three passes.

    Parameters
    ----------
    X : array_like or sparse matrix of shape (n, d), or DesignMatrix
        Real and finite, n >= 1 and d >= 1.
    n_jobs : int or None
        Threads of a pass; None means all cores.

    Raises
    ------
    ValueError
        When X is not two-dimensional, is empty, or not real. (NaN and infinity are found by the first pass.)
    """
    if isinstance(X, DesignMatrix):
        return X
    sparse = sp.issparse(X)
    if not sparse:
        X = np.asarray(X)
    elif X.format not in ("csr", "csc"):
        X = X.tocsr()
    if X.ndim != 2:
        raise ValueError(
            f"X must have two dimensions, rows by columns. Got shape {X.shape}; "
            "use X.reshape(-1, 1) for a single column."
        )
    if 0 in X.shape:
        raise ValueError(f"X must have at least one row and one column. Got shape {X.shape}.")
    if X.dtype.kind not in "fiub":
        raise ValueError(f"X must hold real numbers. Got dtype {X.dtype}; encode or drop the other columns.")
    if X.dtype.itemsize > 8:  # sums are in float64; SciPy has no products of both
        X = X.astype(np.float64)
    if not sparse:
        return DenseDesign(X, n_jobs)
    fault = pattern_fault(X)
    if fault:
        raise ValueError(
            f"the indices of a sparse X must lie within its shape {X.shape}. Got {fault}; make it anew."
        )
    X = X.tocsr()
    if not X.has_canonical_format:  # an entry in two parts is one number: its square is not that of the parts
        X = X.copy()
        X.sum_duplicates()
    return SparseDesign(X, n_jobs)


def bytes_of(memory: int | float | str | None) -> float:
    """A size in bytes, of a number or a text like "600MB"; None is half of the memory of the machine."""
    if memory is None:
        try:
            return 0.5 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, OSError, ValueError):  # not on Windows
            return 4.0 * UNITS["GB"]
    found = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT]?B)?\s*", str(memory).upper().replace("IB", "B"))
    size = float(found[1]) * UNITS[found[2] or ""] if found and found[1].count(".") < 2 else math.nan
    if not 0.0 < size < math.inf:
        raise ValueError(f'memory must be a number of bytes, or a text like "600MB". Got {memory!r}.')
    return size


def is_remote(X: Any) -> bool:
    """Whether X is no array in memory, so that it is to be read as a source."""
    if X is None or isinstance(X, np.ndarray | list | tuple) or sp.issparse(X):
        return False
    lazy = "chunks", "sink_parquet", "get_fragments", "npartitions", "fetch_arrow_reader", "to_batches"
    if isinstance(X, Source | DesignMatrix | str | os.PathLike) or any(hasattr(X, name) for name in lazy):
        return True
    arrays = "__array__", "iloc", "__dlpack__", "__len__"
    return hasattr(X, "__iter__") and not any(hasattr(X, name) for name in arrays)


def source(
    obj: Any,
    *,
    y: Any = None,
    columns: Sequence[str] | None = None,
    weight: Any = None,
    dtype: Any = None,
    shape: tuple[int, int] | None = None,
    memory: int | float | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    read_cost: float | None = None,
    client: Any = None,
) -> Source:
    """Rows of any size, read again and again and never held as a whole.

    Parameters
    ----------
    obj : object
        One of these:

        - a path to an npy file, to Parquet or Arrow, or to a folder of them, partitioned or not;
        - with `dtype` and `shape` a path to a raw file;
        - a pyarrow Table or Dataset, or a data frame;
        - a lazy frame or a relation, which is written to a scratch file once;
        - an array or a frame of Dask, whose rows stay on the workers; `y` and `weight` are in the same parts;
          with `client` also a path that the workers see, to CSV or Parquet;
        - what can be iterated again and again, and gives (X, y) or (X, y, weight) each time;
        - an array in memory, or a design.
    y, weight : str, int, array_like, path or None
        A column by its name or its number; or the n values, also of an npy file.
        Such a column is not among the features. Parts bring their own.
    columns : sequence of str or None
        The features, where columns have names; None is all the others.
    dtype, shape : dtype, (int, int)
        Of a raw file.
    memory : int, float, str or None
        What the process may take, like "600MB"; None is half of the machine's. Row vectors that would take
        more than half of it go to scratch files, and larger files are taken to be read from the disk.
    scratch : path or None
        A folder for scratch files; None is that of temporary files.
    read_cost : float or None
        Time of a reading of files, in passes over the same rows in memory; None is known from the kind of
        file. Where it is 1 a fit takes the steps of rows in memory, and has their coefficients.
    client : distributed.Client, str or None
        Of Dask collections: a client, the address of a scheduler, or None for the client that is there.

    Raises
    ------
    ImportError
        For Parquet and Arrow without pyarrow.
    ValueError
        For columns that are text, differ between files or are not there, no rows, and objects of other kinds.
    """
    if isinstance(obj, Source):
        if y is not None or weight is not None:
            raise ValueError("y and weight of a Source are its own. Got them again; leave them out.")
        return obj
    if client is not None and isinstance(obj, str | os.PathLike):
        client, obj = read_there(client, os.fspath(obj))
    if is_collection(obj):
        if memory is not None or scratch is not None:
            raise ValueError("memory and scratch are for files: Dask has limits and a folder of its own.")
        return _of_collection(obj, y, columns, weight, client)
    if client is not None:
        raise ValueError(
            f"client is for Dask arrays, frames and paths. Got it for {type(obj).__name__}; leave it out."
        )
    room = bytes_of(memory)
    if isinstance(obj, str | os.PathLike):
        found = _of_path(Path(obj), dtype, shape, room)
    elif isinstance(obj, DesignMatrix | np.ndarray) or sp.issparse(obj):
        found = as_design(obj)
    else:
        found = _of_object(obj, scratch)
    names: list[str] | None = None
    if isinstance(found, tuple):
        dataset, title, folder = found
        known = dataset.schema.names
        y, weight = (_name_of(known, one) for one in (y, weight))
        found = ArrowStream(dataset, columns, title, [one for one in (y, weight) if isinstance(one, str)])
        names = found.names
        if folder is not None:
            weakref.finalize(found.sound, shutil.rmtree, folder, True)
    else:
        words = [one for one in (y, weight) if isinstance(one, str) and not one.endswith(".npy")]
        if words:
            raise ValueError(
                "y and weight must be values, or numbers of columns where these have no names. "
                f"Got {words[0]!r}."
            )
    values = [_values(one, role, found) for role, one in (("y", y), ("weight", weight))]
    if taken := [int(one) % found.shape[1] for one in (y, weight) if isinstance(one, int | np.integer)]:
        found = found.columns(np.setdiff1d(np.arange(found.shape[1]), taken))
    if isinstance(found, Stream):
        if read_cost is not None:
            found.read_cost = checked_number("read_cost", read_cost, positive=True)
        fits = 2 * ROW_BYTES * found.shape[0] <= room
        found = StreamDesign(found, shared=None if fits else os.fspath(scratch or ""))
    return Source(found, names, *values)


def _name_of(known: Sequence[str], one: Any) -> Any:
    """The name of a column that is given by its number; all else as it is."""
    if not isinstance(one, int | np.integer):
        return one
    if not -len(known) <= one < len(known):
        raise ValueError(f"X must have column {one}, counted from 0. Got {len(known)} columns.")
    return known[int(one)]


def _of_collection(obj: Any, y: Any, columns: Sequence[str] | None, weight: Any, client: Any) -> Source:
    """Rows on the workers of a cluster."""
    client, names = client_of(client), None
    if is_frame(obj):
        y, weight = (_name_of(list(map(str, obj.columns)), one) for one in (y, weight))
        taken = [one for one in (y, weight) if isinstance(one, str)]
        obj = named(obj, [*taken, *(columns or ())])
        names = [name for name in obj.columns if name not in taken] if columns is None else list(columns)
    design, values = parts_of(client, obj, names, y=y, sample_weight=weight)
    return Source(design, names, *values)


def _values(one: Any, role: str, found: Any) -> Values | None:
    """What reads a target or weights."""
    if isinstance(found, PartStream) and one is None:
        position = 1 if role == "y" else 2
        return (lambda: found.values(position)) if found.arrays > position else None
    if one is None:
        return None
    if isinstance(one, int | np.integer):
        column = found.columns(np.array([int(one) % found.shape[1]]))
        return lambda: (rows[:, 0] for rows in _pieces(column))
    if isinstance(one, str) and isinstance(found, ArrowStream):
        return lambda: found.values(one)
    if isinstance(one, str | os.PathLike):
        path, one = Path(one), np.load(one, mmap_mode="r")
        if one.ndim == 1 and one.dtype.kind in "fiub":  # read, not mapped
            raw = RawStream(path, (len(one), 1), one.dtype, one.offset)
            return lambda: (rows[:, 0] for rows in _pieces(raw))
    array = np.asarray(one)
    return lambda: (array[low : low + BATCH] for low in range(0, len(array), BATCH))


def _of_path(path: Path, dtype: Any, shape: tuple[int, int] | None, room: float) -> Any:
    if not path.exists():
        raise FileNotFoundError(f"A data file was expected at {path}. Got nothing there: check the path.")
    files = [path]
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file() and not _is_hidden(file, path)]
    kinds = {SUFFIXES.get(file.suffix.lower(), file.suffix) for file in files}
    if dtype is None and shape is None and len(kinds) == 1 and kinds <= {"parquet", "ipc"}:
        options = {"format": kinds.pop(), "partitioning": "hive" if path.is_dir() else None}
        return _opened(
            lambda make: make([str(file) for file in files], partition_base_dir=str(path), **options), path
        )
    if path.is_dir():
        raise ValueError(
            f"{path} must be a folder of Parquet files, or of Arrow files. "
            f"Got {sorted(kinds) or 'no files'}; pass a file in it, or convert that with gdnp data convert."
        )
    offset = 0
    if kinds == {".npy"}:
        array = np.load(path, mmap_mode="r")
        if array.ndim != 2 or not array.flags.c_contiguous:
            return as_design(array)
        dtype, shape, offset = array.dtype, array.shape, array.offset
    if dtype is None or shape is None:
        raise ValueError(
            f"{path} must be npy, Parquet or Arrow, a folder of these, or raw with both dtype and shape. "
            f"Got {path.suffix or 'no suffix'}; gdnp data convert makes Parquet of CSV and LIBSVM."
        )
    raw = RawStream(path, (int(shape[0]), int(shape[1])), dtype, offset)
    raw.read_cost = 1.0 if raw.nbytes <= room else COLD
    return raw


def _is_hidden(file: Path, folder: Path) -> bool:
    return any(name.startswith((".", "_")) for name in file.relative_to(folder).parts)


def _opened(made: Callable[[Any], Any], title: Any, folder: Any = None) -> tuple[Any, str, Any]:
    """A dataset of Arrow, what it is called, and the scratch folder that goes with it."""
    dataset = pyarrow("pyarrow.dataset").dataset
    return tried(str(title), lambda: made(dataset)), str(title), folder


def _of_object(obj: Any, scratch: Any) -> Any:
    name = f"the {type(obj).__name__}"
    if hasattr(obj, "iloc") and not hasattr(obj, "npartitions"):
        obj = pyarrow().Table.from_pandas(obj, preserve_index=False)
    if hasattr(obj, "get_fragments"):
        return obj, name, None
    if hasattr(obj, "to_batches") and hasattr(obj, "num_rows"):
        return _opened(lambda dataset: dataset(obj), name)
    if any(hasattr(obj, way) for way in ("sink_parquet", "__arrow_c_stream__", "fetch_arrow_reader")):
        folder = Path(mkdtemp(dir=scratch, prefix="gdnp-"))
        path = folder / "part.parquet"
        if hasattr(obj, "sink_parquet"):
            obj.sink_parquet(path)
        else:
            exports = hasattr(obj, "__arrow_c_stream__")
            reader = pyarrow().RecordBatchReader.from_stream(obj) if exports else obj.fetch_arrow_reader()
            path = write_parquet(reader, folder)
        return _opened(lambda dataset: dataset(str(path), format="parquet"), name, folder)
    if hasattr(obj, "__iter__") and not any(
        hasattr(obj, n) for n in ("__next__", "npartitions", "chunks", "__len__")
    ):
        return PartStream(obj)
    raise ValueError(
        "X must be an array, a path, a table, or what can be iterated again and again. "
        f"Got {name}; write it to Parquet, give slices of it as parts, or take what fits in memory."
    )


def filled(
    values: Values, role: str, rows: Rows, dtype: Any, made: Callable[[NDArray[Any]], NDArray[Any]]
) -> RowVector:
    """A vector of what is made of the values."""
    low, v, expected = 0, rows.empty(dtype=dtype), f"{role} must have one entry per row of X, {rows.n}."
    for batch in values():
        high = low + len(batch)
        out: Any = rows.piece(v, low, high)
        if out.shape != batch.shape:
            raise ValueError(f"{expected} Got more, or several a row.")
        out[:] = made(batch)
        rows.release(low, high, v)
        low = high
    if low != rows.n:
        raise ValueError(f"{expected} Got {low}.")
    return v


def numbers(values: Any, role: str, rows: Rows) -> RowVector:
    """Finite numbers, one a row."""

    def checked(given: Any) -> Any:
        if given.dtype.kind not in "fiub":
            raise ValueError(f"{role} must hold numbers. Got {given.dtype}; encode them first.")
        if not np.isfinite(rows.extremes(given) if isinstance(rows, ClusterRows) else given).all():
            raise ValueError(f"{role} must be finite. Got NaN or infinity; drop those rows.")
        return given

    if isinstance(rows, ClusterRows):
        return rows.floats(checked(values))  # type: ignore[no-any-return]
    return filled(values, role, rows, np.float64, checked)
