"""Readers of LIBSVM files and of tables that refuse what they cannot read, in one sentence."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_svmlight_file

from gdnp._files import existing_file, require
from gdnp.datasets.dataset import Dataset
from gdnp.tables import Reading, Table, TableColumns, Target, is_table, read_table, taken
from gdnp.tables.reading import UNREADABLE, first_line

FilePath = str | PathLike[str]

LIBSVM = {".libsvm", ".svm", ".svmlight"}
TABLES = {".csv", ".tsv", ".tab", ".parquet", ".pq", ".arrow", ".feather", ".zip", ".json", ".jsonl", ".npy"}
PACKED = {".gz", ".bz2", ".xz"}


def holds_table(path: FilePath) -> bool:
    """Whether a file is a table: by its suffix, or by its first lines where that does not tell."""
    name = str(path)
    suffix = Path(Path(name).stem if Path(name).suffix.lower() in PACKED else name).suffix.lower()
    return name == "-" or suffix in TABLES or (suffix not in LIBSVM and is_table(path))


def load_libsvm(path: FilePath, n_features: int | None = None, *, zero_based: bool = False) -> Dataset:
    """Read a LIBSVM file, ``label index:value index:value ...`` a line, into a CSR matrix.

    Parameters
    ----------
    path : path
        Plain, ``.gz`` or ``.bz2``.
    n_features : int, optional
        d; by default the highest index. Needed when the last columns of a file happen to be empty.
    zero_based : bool
        Whether the first column is index 0 rather than 1. Never guessed: a training and a test file would
        be shifted against each other when only one of them contains index 0.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ValueError
        For an empty or malformed file, index 0 in a file that starts at 1, an index beyond `n_features`,
        NaN or infinity, and fewer than two rows.
    """
    file = existing_file(path)
    X, y = svmlight(file, zero_based=zero_based, hint="; pass zero_based=True if its first column is 0")
    if X.nnz == 0 and n_features is None:
        raise ValueError(
            f"{file} should hold at least two rows with features. Got {X.shape[0]} rows, all empty."
        )
    if n_features is not None:
        if n_features < X.shape[1]:
            raise ValueError(
                f"{file} should have at most n_features = {n_features} columns. Got {X.shape[1]}: raise it."
            )
        X.resize(X.shape[0], n_features)
    if X.nnz < 2**31:  # the parser's int64 indices would cost a third more memory traffic in every pass
        X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    _check_rows(file, len(y))
    check_finite(file, X.data, y)
    return Dataset(file.name, X, y)


def svmlight(file: Path, *, zero_based: bool = False, hint: str = "") -> tuple[Any, NDArray[np.float64]]:
    """X and y of a LIBSVM file; `hint` is for one that has an index 0."""
    try:
        return load_svmlight_file(str(file), zero_based=zero_based)  # type: ignore[no-any-return]
    except UNREADABLE as error:
        hint = hint if "Invalid index 0 " in str(error) else ""
        raise ValueError(
            f"{file} should be a LIBSVM file, 'label index:value ...' a line with indices rising from 1. "
            f"Got: {first_line(error)}{hint}."
        ) from error


def load_table(
    path: FilePath,
    target: str | None = None,
    reading: Reading | None = None,
    columns: Mapping[str, Any] | None = None,
) -> Dataset:
    """Read a table, as ``gdnp.tables.read_table`` does, and make numbers of its columns.

    Parameters
    ----------
    path : path
    target : str, optional
        Column that holds y, by its name or number; the last one by default. Rows without it are left out.
    reading : Reading, optional
        How a text is written, where that would be guessed wrong.
    columns : mapping, optional
        Parameters of ``gdnp.tables.TableColumns``.

    Returns
    -------
    Dataset
        y as numbers where that loses nothing, as text where it does: "01" is not "1".

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ImportError
        Without pandas, or pyarrow for Parquet.
    ValueError
        For what is no table, an unknown `target`, and fewer than two rows or columns.
    """
    table = read_table(path, reading)
    found = taken(table, target)
    made = TableColumns(**dict(columns or {}))
    X, y = encoded(table, found, made), found.labels
    if found.numbers is not None and len(np.unique(found.numbers)) == len(np.unique(y)):
        y = y if y.dtype.kind == "b" else found.numbers
    return Dataset(Path(table.name).name, X, y, tuple(made.get_feature_names_out()))


def encoded(table: Table, target: Target, columns: TableColumns) -> Any:
    """The rows with a target as numbers, by `columns`, which are fitted; names of rows are left out."""
    _check_rows(table.name, int(target.rows.sum()))
    frame = table.frame.drop(columns=target.name)[target.rows]
    columns.ids = [*columns.ids, *(name for name in table.row_names if name in frame)]
    try:
        return columns.fit_transform(frame)
    except ValueError as error:
        raise ValueError(f"{table.name}: {error}") from error


def frame_of(dataset: Dataset, purpose: str) -> Any:
    """X as a data frame, so that its columns can be matched by name; X itself where they have none."""
    if dataset.feature_names is None:
        return dataset.X
    pandas = require("pandas", purpose)
    return pandas.DataFrame(dataset.X, columns=list(dataset.feature_names), copy=False)


def _check_rows(file: Path | str, rows: int) -> None:
    if rows < 2:
        raise ValueError(f"{file} should hold at least two rows. Got {rows}.")


def check_finite(file: Path, X: NDArray[np.float64], y: NDArray[Any]) -> None:
    """Refuse NaN and infinity, in y where that holds numbers."""
    numbers = {"X": X, "y": y} if y.dtype.kind == "f" else {"X": X}
    for name, values in numbers.items():
        bad = values.size - np.count_nonzero(np.isfinite(values))
        if bad:
            raise ValueError(
                f"{file} should hold finite numbers. Got {bad} NaN or infinite in {name}: fill or drop them."
            )
