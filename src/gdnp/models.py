"""Fitted estimators as files that are safe to load, and the reading of new rows for them."""

import inspect
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn import model_selection
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from gdnp._files import existing_file, replacing, require
from gdnp._typing import FloatArray
from gdnp.datasets import DATASETS, check_there, load
from gdnp.datasets import files as readers
from gdnp.datasets.files import holds_table
from gdnp.estimators import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV
from gdnp.losses import LOSSES
from gdnp.solvers import Certificate
from gdnp.solvers.state import Status
from gdnp.tables import DateParts, Reading, Table, TableColumns, column_of, read_table
from gdnp.tables.columns import level
from gdnp.tables.target import numbers_of, texts

Model: TypeAlias = GDNPClassifier | GDNPRegressor | Pipeline

__all__ = ["Model", "Rows", "estimator_of", "load_model", "read_rows", "save_model"]


def _names(*kinds: type) -> frozenset[str]:
    return frozenset(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)


def _splits(kind: Any) -> bool:
    """Whether a name of ``sklearn.model_selection`` is a class that makes folds."""
    return inspect.isclass(kind) and hasattr(kind, "get_n_splits")


MODELS = _names(GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV, Pipeline)
TRUSTED = MODELS | _names(Certificate, Status, csr_array, csr_matrix, *map(type, LOSSES.values()))
TRUSTED |= _names(*(kind for kind in vars(model_selection).values() if _splits(kind)))
TRUSTED |= _names(TableColumns, DateParts, np.dtype) | {f"{level.__module__}.{level.__qualname__}"}
"""What a model may hold beyond the numbers, containers and scikit-learn types that skops trusts itself."""
SKOPS = "Saving and loading a model"

UNPACKED, RATIO = 1 << 26, 16
"""A model may unpack to this many bytes, and to this many times its size more."""


# --- a model


def save_model(model: Model, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
    """Write a fitted estimator with skops, data without code, whole or not at all, and return its path.

    Parameters
    ----------
    model : GDNPClassifier, GDNPRegressor or Pipeline
        Fitted; a pipeline is a ``TableColumns`` and one of the two. Its loss is a name or one of
        ``gdnp.losses``: a class of your own could not be loaded safely.
    path : path
        By convention ``*.skops``.
    overwrite : bool
        Whether a file that is already there may be replaced.

    Raises
    ------
    FileExistsError
        For a file that is there, without `overwrite`.
    ImportError
        Without skops.
    NotFittedError
        For an estimator that is not fitted.
    ValueError
        For a model of types that `load_model` would refuse.
    """
    check_is_fitted(model)
    skops = require("skops.io", SKOPS)
    file = Path(path)
    contents = skops.dumps(model)
    foreign = sorted(set(skops.get_untrusted_types(data=contents)) - TRUSTED)
    if foreign:
        raise ValueError(
            f"A saved model may only hold types of gdnp, NumPy, SciPy and scikit-learn. Got {foreign}: "
            "use a loss by its name and folds of scikit-learn, or pickle the model."
        )
    if file.exists() and not overwrite:
        raise FileExistsError(f"{file} is already there: choose another name, or allow it to be overwritten.")
    with replacing(file) as beside:
        beside.write_bytes(contents)
    return file


def load_model(path: str | os.PathLike[str]) -> Model:
    """Read what `save_model` wrote to `path`; nothing in the file is executed.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ImportError
        Without skops.
    ValueError
        For a file that is no model, is truncated or damaged, or holds types that are not trusted.
    """
    skops = require("skops.io", SKOPS)
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"A model was expected at {file}. Got nothing there: check the path.")
    with file.open("rb") as opened:
        if opened.read(2) != b"PK":
            raise ValueError(f"{file} should be a model saved by gdnp. Got a file of another kind.")
    # Parsers of bytes from anywhere raise anything.
    try:
        most = UNPACKED + RATIO * file.stat().st_size
        size = _unpacked_size(file, most)
        if size <= most:
            contents = file.read_bytes()
            root, types = _root(contents), set(skops.get_untrusted_types(data=contents))
    except Exception as error:
        raise ValueError(
            f"{file} should be a model saved by gdnp. Got another kind of archive, or one that is truncated "
            "or damaged: save or copy it again."
        ) from error
    if size > most:
        raise ValueError(
            f"{file} should unpack to at most {most >> 20} MiB, as a model of its size does. Got more: "
            "it is not loaded; save the model again."
        )
    foreign = sorted(types - TRUSTED)
    if foreign:
        raise ValueError(
            f"{file} should only hold types of gdnp, NumPy, SciPy and scikit-learn. "
            f"Got {foreign}: it is not loaded."
        )
    if root not in MODELS:
        raise ValueError(f"{file} should hold a GDNPClassifier or a GDNPRegressor. Got {root}.")
    try:
        model = skops.loads(contents, trusted=sorted(TRUSTED))
        final = estimator_of(model)
        _check_shapes(final)
        if final is not model and len(model[0].get_feature_names_out()) != final.n_features_in_:
            raise ValueError("The columns of a table should make those of its model.")
    except Exception as error:
        raise ValueError(
            f"{file} is damaged, or from an incompatible version: fit and save it again."
        ) from error
    return model


def estimator_of(model: Model) -> GDNPClassifier | GDNPRegressor:
    """The linear model itself, without the columns of its table."""
    if not isinstance(model, Pipeline):
        return model
    if len(model) != 2 or not isinstance(model[0], TableColumns) or isinstance(model[1], Pipeline):
        raise ValueError("A pipeline should be TableColumns and a GDNPClassifier or GDNPRegressor.")
    final: GDNPClassifier | GDNPRegressor = model[1]
    return final


def _unpacked_size(file: Any, most: int, *, inner: bool = False) -> int:
    """Bytes that an archive unpacks to, with those of sparse matrices, which are archives in it.

    No reader takes more of a member than it says. Beyond `most` nothing is unpacked any more.
    """
    with ZipFile(file) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        for member in members:
            if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):  # others unpack what they read at once
                raise BadZipFile(f"Compression {member.compress_type}.")
            if not inner and size <= most:
                with archive.open(member) as opened:
                    if opened.read(2) == b"PK":
                        size += _unpacked_size(opened, most, inner=True)
    return size


def _root(contents: bytes) -> str:
    """The type of what an archive holds, from its text alone; ``BadZipFile`` where a byte has changed."""
    with ZipFile(io.BytesIO(contents)) as archive:
        if archive.testzip() is not None:
            raise BadZipFile("A checksum is wrong.")
        schema = json.loads(archive.read("schema.json"))
    return f"{schema['__module__']}.{schema['__class__']}"


def _check_shapes(model: Any) -> None:
    """The arrays that prediction uses fit together, so that it does not fail later and elsewhere."""
    d = model.n_features_in_
    if isinstance(model, GDNPClassifier):
        rows = len(model.classes_) if len(model.classes_) > 2 else 1
        expected: list[tuple[int, ...]] = [(rows, d), (rows,)]
    else:
        expected = [(d,), ()] if np.ndim(model.coef_) == 1 else [(len(model.coef_), d), (len(model.coef_),)]
    names = getattr(model, "feature_names_in_", None)
    found = [np.shape(model.coef_), np.shape(model.intercept_)]
    if found != expected or (names is not None and np.shape(names) != (d,)):
        raise ValueError(f"Shapes should be {expected}. Got {found}.")
    if issparse(model.coef_):
        model.coef_.check_format(full_check=True)
    coef = model.coef_.data if issparse(model.coef_) else model.coef_
    if not (np.isfinite(coef).all() and np.isfinite(model.intercept_).all()):
        raise ValueError("Coefficients should be finite.")
    known = getattr(model, "certificate_", ())
    if not all(isinstance(one, Certificate) for one in (known if isinstance(known, tuple) else (known,))):
        raise ValueError("A certificate should be a Certificate, or one for each class or target.")


# --- rows to predict for


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in the columns of a model.

    Attributes
    ----------
    X : DataFrame, ndarray or CSR matrix of shape (n, d)
        What the model predicts from; raw columns for a model of a table.
    y : ndarray of shape (n,) or None
        The target as it is written, "" where a row has none; None where the data has no such column.
    frame : DataFrame or None
        The whole table.
    notes : tuple of str
        What had to be found out of how it is written.
    """

    X: Any
    y: NDArray[Any] | None
    frame: Any = None
    notes: tuple[str, ...] = ()


def read_rows(
    model: Model, data: str | os.PathLike[str], *, target: str | None = None, reading: Reading | None = None
) -> Rows:
    """Read the columns a model was fitted on from a registered data set or a file.

    Columns are matched by name where the model and the data have names, and otherwise by position; further
    columns of named data are left out. LIBSVM files may leave out the model's last columns.

    Parameters
    ----------
    model : GDNPClassifier, GDNPRegressor or Pipeline
        Fitted.
    data : str or path
        As for `gdnp.datasets.load`; one row is enough.
    target : str, optional
        Column of a table that holds y; by default the one that the model was fitted on, if it is there, or
        the last one where a model without names leaves it over.
    reading : Reading, optional
        How the text of a table is written, where that would be guessed wrong; what stands for a gap is by
        default what it was in the table that the model was fitted on.

    Raises
    ------
    FileNotFoundError
        For neither a name nor a file.
    ValueError
        For columns that are missing or too many, and what no reader understands.
    """
    name = os.fspath(data)
    check_there(name)
    raw = isinstance(model, Pipeline)
    if name not in DATASETS and holds_table(name):
        about, given = json.loads(getattr(model, "report_", "{}")), reading or Reading()
        missing = given.missing or tuple(about.get("missing", ()))
        table = read_table(name, replace(given, missing=missing, mark=about.get("mark")))
        return _from_table(model, table, target, about.get("target"))
    if target is not None:
        raise ValueError(f"target names a column of a table. Got {target!r} for {name}.")
    if raw:
        raise ValueError(f"The model was fitted on a table: its rows must be one too. Got {name}.")
    if name not in DATASETS:
        return _from_libsvm(model, Path(name))
    known = load(name)
    if known.feature_names is None:
        _check_count(model, name, known.X.shape[1])
        return Rows(known.X, known.y)
    return Rows(_by_name(model, name, readers.frame_of(known, "Matching columns by name")), known.y)


def _from_libsvm(model: Model, path: Path) -> Rows:
    file = existing_file(path)
    X, y = readers.svmlight(file)
    if X.shape[1] > model.n_features_in_:
        _check_count(model, file, X.shape[1])
    X.resize(X.shape[0], model.n_features_in_)
    readers.check_finite(file, X.data, y)
    if X.shape[0] == 0:
        raise ValueError(f"{file} should hold at least one row. Got none.")
    return Rows(X, y)


def _from_table(model: Model, table: Table, target: str | None, known: str | None) -> Rows:
    frame = table.frame
    columns = frame.columns.tolist()
    names = getattr(model, "feature_names_in_", None)
    if target is not None:
        target = column_of(columns, target)
    elif isinstance(model, Pipeline):
        target = known if known in columns else None
    elif columns[-1] not in names if names is not None else len(columns) == model.n_features_in_ + 1:
        target = columns[-1]
    y = None if target is None else texts(frame[target]).to_numpy(dtype=object)
    rest = frame if target is None else frame.drop(columns=target)
    return Rows(
        rest if isinstance(model, Pipeline) else _by_name(model, table.name, rest), y, frame, table.notes
    )


def _by_name(model: Model, file: str, frame: Any) -> FloatArray:
    """The model's columns of a frame as numbers, in the model's order."""
    names: Sequence[str] | None = getattr(model, "feature_names_in_", None)
    if names is None:
        names = list(frame.columns)
        _check_count(model, file, len(names))
    missing = [name for name in names if name not in frame.columns]
    if missing:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        listed = ", ".join(map(repr, missing[:8]))
        raise ValueError(f"{file} should have the columns the model was fitted on. Missing: {listed}{more}.")
    X = np.empty((len(frame), len(names)))
    for j, name in enumerate(names):
        X[:, j] = numbers_of(frame[name])
        if not np.isfinite(X[:, j]).all():
            row = int(np.flatnonzero(~np.isfinite(X[:, j]))[0])
            raise ValueError(
                f"{name!r} of {file} must be finite numbers, as the model knows no gaps. "
                f"Got {str(frame[name].iloc[row])!r} in row {row + 1}: fit a table with gaps, or fill it."
            )
    return X


def _check_count(model: Model, file: str | Path, columns: int) -> None:
    if columns != model.n_features_in_:
        raise ValueError(
            f"{file} should have the {model.n_features_in_} columns of the model. Got {columns}."
        )
