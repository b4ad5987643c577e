"""Whether a hyperplane has the rows of two classes on its two sides, decided by linear programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.optimize import linprog

from gdnp._typing import FloatArray
from gdnp.problem import LARGEST_GRAM

__all__ = ["Separability", "chosen", "separability_of"]

LARGEST_PROGRAM = 3_000_000
"""Entries of X up to which linear programs decide; no more than LARGEST_GRAM columns either."""
STRICT = 1e-6
"""Margin, on columns of unit variance, above which a linear program counts as having a row on one side."""


@dataclass(frozen=True)
class Separability:
    """Whether a hyperplane has the rows on their right sides.

    Attributes
    ----------
    kind : {"complete", "partial", "none", "not decided"}
        Partial: some rows strictly, the others on the hyperplane itself; the log loss has no minimum then
        either.
    rows : int or None
        Rows strictly on their side, where known.
    columns : tuple of str
        Columns that do alone what `kind` says.
    """

    kind: str
    rows: int | None
    columns: tuple[str, ...]


def separability_of(
    X: Any, y: FloatArray, mean: FloatArray, unit: FloatArray, names: Sequence[str]
) -> Separability:
    """Whether some hyperplane separates the rows with y = 1 from those with y = -1, wholly or in part.

    X, dense or sparse, has shape (n, d), and y holds both labels. `mean` and `unit`, of shape (d,), are the
    means of the columns, and 1/sd or 0 for one that is constant.
    """
    weak, strict = _single_columns(X, y)
    if strict.any():
        return Separability("complete", len(y), chosen(names, strict))
    columns = chosen(names, weak & (unit > 0.0))  # a constant column touches itself
    entries = X.nnz if sp.issparse(X) else X.size
    too_large = entries > LARGEST_PROGRAM or X.shape[1] > LARGEST_GRAM
    rows = None if too_large else _separated_rows(X, y, mean, unit)
    if rows is None:
        return Separability("partial" if columns else "not decided", None, columns)
    if rows == len(y):
        return Separability("complete", rows, ())
    return Separability("partial" if rows else "none", rows, columns)


def _single_columns(X: Any, y: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns whose values in one class do not go beyond those in the other: at most touching, and apart."""
    extremes = []
    for label in (-1.0, 1.0):
        if sp.issparse(X):
            part = sp.csr_matrix(X)[y == label]
            extremes += [part.min(axis=0).toarray().ravel(), part.max(axis=0).toarray().ravel()]
        else:
            mine = (y == label)[:, None]
            extremes += [
                np.min(X, axis=0, where=mine, initial=np.inf),
                np.max(X, axis=0, where=mine, initial=-np.inf),
            ]
    low, high, other_low, other_high = extremes
    return (high <= other_low) | (other_high <= low), (high < other_low) | (other_high < low)


def _separated_rows(X: Any, y: FloatArray, mean: FloatArray, unit: FloatArray) -> int | None:
    """Rows that some hyperplane has strictly on their sides while it has no row on the wrong one.

    Each linear program maximises Σ y(xᵀw + b) under y(xᵀw + b) >= 0 and |w|, |b| <= 1. Rows that come out
    positive stay so when later solutions are added with small factors, and are left out from then on: the
    last program finds nothing, or no row is left. None where a program did not end.
    """
    # Centring moves b alone, but keeps columns far from zero in the range of the programs' tolerances.
    scaled = X @ sp.diags_array(unit) if sp.issparse(X) else (X - mean) * unit
    rows = sp.csr_matrix(sp.hstack([sp.csr_matrix(scaled), np.ones((len(y), 1))])).multiply(y[:, None])
    rows = sp.csr_matrix(rows)
    while rows.shape[0]:
        total = np.asarray(rows.sum(axis=0)).ravel()
        found = linprog(-total, A_ub=-rows, b_ub=np.zeros(rows.shape[0]), bounds=(-1.0, 1.0), method="highs")
        if found.status != 0:
            return None
        left = rows @ found.x <= STRICT
        if left.all():
            break
        rows = rows[left]
    return len(y) - int(rows.shape[0])


def chosen(names: Sequence[str], mask: NDArray[np.bool_]) -> tuple[str, ...]:
    """The names where `mask` is true."""
    return tuple(name for name, kept in zip(names, mask, strict=True) if kept)
