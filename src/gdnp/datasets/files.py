"""Readers for LIBSVM, CSV and Parquet files that refuse what they cannot read, in one sentence."""

import importlib
import warnings
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_svmlight_file

from gdnp.datasets.dataset import Dataset

__all__ = ["load_csv", "load_file", "load_libsvm", "load_parquet"]

FilePath = str | PathLike[str]

COMPRESSED = {".gz", ".bz2"}
LIBSVM = {"", ".libsvm", ".svm", ".svmlight", ".txt", ".t", ".tr", ".val", ".scale"}
CSV = {".csv", ".tsv"}
PARQUET = {".parquet", ".pq"}

# What the three parsers raise on bytes that are not theirs (pandas' and Arrow's own derive from these).
UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, EOFError, OSError, zlib.error)


def load_file(
    path: FilePath, *, target: str | None = None, n_features: int | None = None, zero_based: bool = False
) -> Dataset:
    """Read a file in the format its suffix names.

    Parameters
    ----------
    path : path
        ``.csv``, ``.tsv``, ``.parquet``, ``.pq``, or LIBSVM: ``.svm``, ``.libsvm``, ``.svmlight``, ``.txt``,
        ``.t``, ``.tr``, ``.val``, ``.scale`` and no suffix. LIBSVM and CSV may end in ``.gz`` or ``.bz2``.
    target : str, optional
        Column of a CSV or Parquet file that holds y; the last one by default.
    n_features, zero_based
        For LIBSVM files, see `load_libsvm`.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ValueError
        For an unknown suffix, an option of another format, and whatever the reader itself refuses.
    """
    suffix = suffix_of(path)
    if suffix in LIBSVM:
        if target is not None:
            raise ValueError(f"target names a column of a CSV or Parquet file. Got {target!r} for {path}.")
        return load_libsvm(path, n_features, zero_based=zero_based)
    if n_features is not None or zero_based:
        raise ValueError(f"n_features and zero_based are for LIBSVM files. Got them for {path}.")
    if suffix in CSV:
        return load_csv(path, target)
    if suffix in PARQUET:
        return load_parquet(path, target)
    known = ", ".join(sorted((CSV | PARQUET | LIBSVM) - {""}))
    raise ValueError(f"The suffix of a data file must be none or one of {known}. Got {path}.")


def suffix_of(path: FilePath) -> str:
    """The suffix that names the format, in small letters."""
    file = Path(path)
    return Path(file.stem if file.suffix.lower() in COMPRESSED else file.name).suffix.lower()


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


def load_csv(path: FilePath, target: str | None = None) -> Dataset:
    """Read a CSV file, or one separated by tabs when its suffix is ``.tsv``, with column names on top.

    Parameters
    ----------
    path : path
        Plain, ``.gz`` or ``.bz2``.
    target : str, optional
        Column that holds y (numbers, booleans or text); the last one by default.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ImportError
        Without pandas.
    ValueError
        For an empty or malformed file, a missing line of names, an unknown `target`, features that are not
        numbers, missing or infinite values, and fewer than two rows or columns.
    """
    frame = csv_frame(path)
    top = require("pandas", "Reading a CSV file").read_csv(path, sep=_separator(path), header=None, nrows=1)
    check_header(Path(path), top.iloc[0, :-1].tolist())
    return _from_frame(Path(path), frame, target)


def load_parquet(path: FilePath, target: str | None = None) -> Dataset:
    """Read a Parquet file.

    Parameters
    ----------
    path : path
        One file, not a folder of parts.
    target : str, optional
        Column that holds y (numbers, booleans, text or categories); the last one by default.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ImportError
        Without pandas and pyarrow.
    ValueError
        For an empty or malformed file, an unknown `target`, features that are not numbers, missing or
        infinite values, and fewer than two rows or columns.
    """
    return _from_frame(Path(path), parquet_frame(path), target)


def csv_frame(path: FilePath) -> Any:
    """A CSV file as a data frame."""
    pandas = require("pandas", "Reading a CSV file")
    file = existing_file(path)
    try:
        with warnings.catch_warnings():  # by default pandas makes a field too many the name of its row
            warnings.simplefilter("error", pandas.errors.ParserWarning)
            return pandas.read_csv(file, sep=_separator(file), low_memory=False, index_col=False)
    except pandas.errors.ParserWarning as error:
        raise ValueError(f"{file} should have one name a column. Got rows with more fields.") from error
    except UNREADABLE as error:
        raise ValueError(f"{file} should be a CSV file. Got: {first_line(error)}.") from error


def _separator(path: FilePath) -> str:
    return "\t" if ".tsv" in map(str.lower, Path(path).suffixes) else ","


def parquet_frame(path: FilePath) -> Any:
    """A Parquet file as a data frame."""
    pandas = require("pandas", "Reading a Parquet file")
    require("pyarrow", "Reading a Parquet file")
    file = existing_file(path)
    try:
        return pandas.read_parquet(file, engine="pyarrow")
    except UNREADABLE as error:
        raise ValueError(f"{file} should be a readable Parquet file. Got: {first_line(error)}.") from error


def require(module: str, purpose: str) -> Any:
    """Import an optional module, or say in one sentence what to install."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise ImportError(f'{purpose} needs {module}: pip install "gdnp[cli]".', name=module) from error


def frame_of(dataset: Dataset, purpose: str) -> Any:
    """X as a data frame, so that its columns can be matched by name; X itself where they have none."""
    if dataset.feature_names is None:
        return dataset.X
    pandas = require("pandas", purpose)
    return pandas.DataFrame(dataset.X, columns=list(dataset.feature_names), copy=False)


def existing_file(path: FilePath) -> Path:
    """The path, of a file that is there, may be read and holds something."""
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"A data file was expected at {file}. Got nothing there: check the path.")
    if not file.is_file():
        raise ValueError(f"{file} should be one data file. Got a folder or device: pass a file in it.")
    with file.open("rb") as opened:  # and a file one may not read is a PermissionError, not a bad format
        if not opened.read(1):
            raise ValueError(f"{file} should hold data. Got an empty file: write or download it again.")
    return file


def _from_frame(file: Path, frame: Any, target: str | None) -> Dataset:
    """Split a data frame into numeric features and a target."""
    types = importlib.import_module("pandas").api.types
    frame = frame.rename(columns=str)
    if frame.shape[1] < 2:
        raise ValueError(
            f"{file} should have a target and at least one feature. Got {frame.shape[1]} column."
        )
    _check_rows(file, len(frame))
    if target is None:
        target = frame.columns[-1]
    if target not in frame.columns:
        raise ValueError(f"target must be a column of {file}: {list(frame.columns)[:8]}. Got {target!r}.")
    features = frame.drop(columns=target)
    text = [name for name in features.columns if not types.is_numeric_dtype(features[name])]
    if text:
        raise ValueError(
            f"The features of {file} must be numbers: encode or drop these columns. Got {text[:8]}."
        )
    X = features.to_numpy(dtype=np.float64, na_value=np.nan)
    y = labels_of(file, frame[target])
    check_finite(file, X, y)
    return Dataset(file.name, np.ascontiguousarray(X), y, tuple(features.columns))


def labels_of(file: Path, column: Any) -> NDArray[Any]:
    """Numbers as float64, booleans as bool, text as str; a category as what it stands for."""
    types = importlib.import_module("pandas").api.types
    if column.isna().any():
        raise ValueError(
            f"The target of {file} should have no gaps. Got {column.isna().sum()}: drop those rows."
        )
    if isinstance(column.dtype, types.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if types.is_bool_dtype(column):
        return np.asarray(column, dtype=np.bool_)
    if types.is_numeric_dtype(column):
        return np.asarray(column, dtype=np.float64)
    if types.is_string_dtype(column):
        return np.asarray(column.tolist(), dtype=np.str_)
    raise ValueError(f"The target of {file} must be numbers, booleans or text. Got {column.dtype}.")


def _check_rows(file: Path, rows: int) -> None:
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


def check_header(file: Path, names: list[Any]) -> None:
    """Refuse a first line of data, which would be lost as column names; 0, 1, ... or 1, 2, ... are names."""
    plain = {str(name).strip() for name in names}
    counted = any(plain == {str(i + first) for i in range(len(names))} for first in (0, 1))
    if names and not counted and all(map(_is_number, plain)):
        raise ValueError(
            f"The first line of {file} should name the columns. Got the numbers {names[:4]}: add the names."
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def first_line(error: BaseException) -> str:
    """What a parser says, without the lines that quote the file."""
    return str(error).strip().split("\n")[0].rstrip(".")
