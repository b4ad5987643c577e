"""Sparse X: CSR in row blocks that share its memory, CSC whole; zeros stay implicit."""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp

from gdnp.design.base import Block, DesignMatrix, FloatArray, Second
from gdnp.design.dense import DenseBlock

__all__ = ["SparseBlock", "SparseDesign"]

BLOCK_ENTRIES = 1 << 16
DENSE_ROWS_FLOATS = 1 << 18
SPARSE_PRODUCT_COST = 50.0
"""One multiplication of a sparse-sparse product in multiplications of a dense one (measured)."""


class SparseBlock(Block):
    """Rows of a sparse matrix.

    A Gram goes through dense pieces of rows, or through a sparse product where rows are so thin that
    the dense piece would mostly multiply zeros.
    """

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def dot(self, v: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(self._rows @ v, dtype=np.float64)

    def tdot(self, r: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(self._rows.T @ r, dtype=np.float64)

    @cached_property
    def _sparse_product_is_cheaper(self) -> bool:
        n, d = self._rows.shape
        return bool(n * d * d > SPARSE_PRODUCT_COST * _row_square_sum(self._rows))

    def _pieces(self) -> list[tuple[slice, DenseBlock]]:
        n, d = self._rows.shape
        step = max(16, DENSE_ROWS_FLOATS // max(1, d))
        pieces = (slice(low, min(low + step, n)) for low in range(0, n, step))
        return [(piece, DenseBlock(self._rows[piece].toarray())) for piece in pieces]

    def gram(self, weight: FloatArray) -> FloatArray:  # noqa: D102
        if self._sparse_product_is_cheaper:
            weighted = sp.diags_array(weight) @ self._rows
            return np.asarray((self._rows.T @ weighted).toarray(), dtype=np.float64)
        total = np.zeros((self._rows.shape[1],) * 2)
        for piece, block in self._pieces():
            total += block.gram(weight[piece])
        return total

    def centred_moments(
        self, weight: FloatArray, targets: FloatArray, scale: FloatArray | None, second: Second
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As the base class says; columns that have no zero here are shifted by their first entry.

        Only such a column can be nearly constant far from zero, where taking the mean off the sums cancels.
        """
        rows = sp.csr_array(self._rows, dtype=np.float64, copy=scale is not None)
        if scale is not None:
            rows.data *= scale[rows.indices]
        n, d = rows.shape
        offset = np.zeros(d)
        full = np.bincount(rows.indices, minlength=d) == n
        if full.any():
            offset[full] = rows[[0]].toarray()[0, full]
            rows = sp.csr_array((rows.data - offset[rows.indices], rows.indices, rows.indptr), rows.shape)
        mean = np.asarray(rows.T @ weight)
        weighted = weight[:, None] * targets
        U = np.asarray(rows.T @ weighted - np.multiply.outer(mean, weighted.sum(axis=0)))
        if second == "diagonal":
            squares = np.asarray(rows.multiply(rows).T @ weight)
            return mean + offset, np.maximum(squares - mean * mean, 0.0), U
        return mean + offset, SparseBlock(rows).gram(weight) - np.outer(mean, mean), U

    def column_max(self) -> FloatArray:  # noqa: D102
        return np.asarray(abs(self._rows).max(axis=0).toarray(), dtype=np.float64).ravel()


class SparseDesign(DesignMatrix):
    """X in CSR or CSC form; any index type.

    CSR is read in row blocks on several threads. CSC is read whole on one thread, because its rows are not
    contiguous and a converted copy would double the memory: convert it yourself where speed matters more.

    Parameters
    ----------
    X : sparse array or matrix of shape (n, d), CSR or CSC
        Real and finite.
    n_jobs : int or None
        Threads of a pass; None means all cores.
    """

    def __init__(self, X: Any, n_jobs: int | None = None) -> None:
        super().__init__(n_jobs)
        self.n_samples, self.n_features = X.shape
        self._X = X
        self._bounds = _row_bounds(X) if X.format == "csr" else [(0, self.n_samples)]
        self._blocks = [
            SparseBlock(X[low:high] if len(self._bounds) > 1 else X) for low, high in self._bounds
        ]

    @property
    def bounds(self) -> list[tuple[int, int]]:  # noqa: D102
        return self._bounds

    def block(self, k: int) -> SparseBlock:  # noqa: D102
        return self._blocks[k]

    @property
    def n_entries(self) -> int:  # noqa: D102
        return int(self._X.nnz)

    @cached_property
    def gram_passes(self) -> float:
        """Σ nnz_i² multiplications over the 2 nnz of a pass."""
        return _row_square_sum(self._X) / max(1.0, 2.0 * float(self._X.nnz))


def _row_square_sum(X: Any) -> float:
    """Σ nnz_i², the multiplications of a sparse XᵀX."""
    counts = np.diff(X.indptr) if X.format == "csr" else np.bincount(X.indices, minlength=X.shape[0])
    return float(np.square(counts, dtype=np.float64).sum())


def _row_bounds(X: Any) -> list[tuple[int, int]]:
    """Row ranges of about ``BLOCK_ENTRIES`` stored entries each."""
    blocks = max(1, -(-int(X.nnz) // BLOCK_ENTRIES))
    cuts = np.searchsorted(X.indptr, np.linspace(0, X.nnz, blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [X.shape[0]])))
    return [(int(low), int(high)) for low, high in pairwise(edges)]
