"""Designs: how X is stored and read. ``as_design`` picks the one that fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from gdnp.design.base import DesignMatrix, Job
from gdnp.design.block import Block
from gdnp.design.compiled import pattern_fault
from gdnp.design.dense import DenseDesign
from gdnp.design.rows import Choice, Rows, RowVector
from gdnp.design.sparse import SparseDesign

__all__ = [
    "Block",
    "Choice",
    "DenseDesign",
    "DesignMatrix",
    "Job",
    "RowVector",
    "Rows",
    "SparseDesign",
    "as_design",
]


def as_design(X: Any, n_jobs: int | None = None) -> DesignMatrix:
    """The design for X, without a copy where X already is a numeric array or a CSR or CSC matrix.

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
    if not X.has_canonical_format:  # an entry in two parts is one number: its square is not that of the parts
        X = X.copy()
        X.sum_duplicates()
    return SparseDesign(X, n_jobs)
