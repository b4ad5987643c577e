"""Sparse X: CSR in row blocks that share its memory; zeros stay implicit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

import gdnp.design.compiled as compiled
from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design.base import DesignMatrix
from gdnp.design.block import Block, Second
from gdnp.design.costs import PAIR, SPARSE_COLUMNS, SPARSE_ENTRY, SPARSE_PRODUCT, sparse_gram, sparse_kernel
from gdnp.design.dense import product_with_signs

BLOCK_ENTRIES, BLOCK_ENTRIES_PER_COLUMN = 1 << 18, 8
"""Stored entries of a block: many beside the d numbers of its part of a sum."""
DENSE_ROWS_FLOATS = 1 << 17


class SparseBlock(Block):
    """Rows of a sparse matrix.

    A Gram goes through dense pieces of rows. Where these would mostly multiply zeros it is made of pairs of
    entries, or is a sparse product.
    """

    def __init__(self, rows: Any, offset: FloatArray | None = None, factor: FloatArray | None = None) -> None:
        self._stored = rows
        self._offset = offset
        self._factor = factor

    @cached_property
    def _rows(self) -> Any:
        """The rows, transformed; an offset is zero but for columns that store every row."""
        rows = self._stored
        if self._offset is None and self._factor is None:
            return rows
        data = rows.data - 0.0 if self._offset is None else rows.data - self._offset[rows.indices]
        if self._factor is not None:
            data = data * self._factor[rows.indices]
        return _like(rows, data)

    @property
    def n_rows(self) -> int:  # noqa: D102
        return int(self._stored.shape[0])

    @cached_property
    def _transposed(self) -> Any:
        return _transpose(self._rows)  # making it costs more than a short product

    def dot(self, v: FloatArray, out: FloatArray | None = None) -> FloatArray:  # noqa: D102
        product = np.asarray(self._rows @ v, dtype=np.float64)
        if out is None:
            return product
        out[:] = product
        return out

    def tdot(self, r: FloatArray) -> FloatArray:  # noqa: D102
        return np.asarray(self._transposed @ r, dtype=np.float64)

    def weighted_gram(self, weight: FloatArray, centre: FloatArray | None = None) -> FloatArray:  # noqa: D102
        if centre is not None and centre.any():
            first = self.tdot(weight)
            cross = np.outer(first - (0.5 * weight.sum()) * centre, centre)
            return self.weighted_gram(weight) - cross - cross.T
        n, d = self._rows.shape
        pairs = compiled.csr(self._rows, None, None) if _is_thin(self._rows, PAIR) else None
        if pairs is not None:
            gram = np.zeros((d, d))
            pairs.gram(0, n, weight, np.zeros(d), gram)
            return gram
        if _is_thin(self._rows, SPARSE_PRODUCT):
            weighted = sp.diags_array(weight) @ self._rows
            return np.asarray((self._transposed @ weighted).toarray(), dtype=np.float64)
        root = np.repeat(np.sqrt(np.abs(weight)), np.diff(self._rows.indptr))
        rows = _like(self._rows, self._rows.data * root)
        total = np.zeros((d, d))
        step = max(DENSE_ROWS_FLOATS // max(1, d), d // 2)  # enough rows to outweigh adding d² numbers
        for low in range(0, n, step):
            high = min(low + step, n)
            total += product_with_signs(_piece(rows, low, high).toarray(), weight[low:high])
        return total

    def weighted_squares(  # noqa: D102
        self, weight: FloatArray | None, centre: FloatArray | None = None
    ) -> FloatArray:
        rows = self._rows
        weight = np.ones(rows.shape[0]) if weight is None else weight
        squared = _transpose(_like(rows, np.square(rows.data, dtype=np.float64)))
        total = np.asarray(squared @ weight, dtype=np.float64)
        if centre is not None:
            total -= centre * (2.0 * self.tdot(weight) - weight.sum() * centre)
        return np.maximum(total, 0.0, out=total)

    def centred_moments(
        self, weight: FloatArray, targets: FloatArray, scale: FloatArray | None, second: Second
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """As the base class says; columns that have no zero here are shifted by their first entry.

        Only such a column can be nearly constant far from zero, where taking the mean off the sums cancels.
        """
        if not (weight > 0.0).all() and weight.any():  # a column may be constant where it counts
            counts = weight > 0.0
            return SparseBlock(self._rows[counts]).centred_moments(
                weight[counts], targets[counts], scale, second
            )
        offset, block = np.zeros(self._rows.shape[1]), self
        full = _full_columns(self._rows)
        if scale is not None or full.any():
            rows = sp.csr_array(self._rows, dtype=np.float64, copy=True)
            if scale is not None:
                rows.data *= scale[rows.indices]
            offset[full] = rows[[0]].toarray()[0, full]
            rows.data -= offset[rows.indices]
            block = SparseBlock(rows)
        mean = block.tdot(weight)
        weighted = weight[:, None] * targets
        U = block.tdot(weighted) - np.multiply.outer(mean, weighted.sum(axis=0))
        if second == "diagonal":
            return mean + offset, np.maximum(block.weighted_squares(weight) - mean * mean, 0.0), U
        return mean + offset, block.weighted_gram(weight) - np.outer(mean, mean), U

    def dense(self, low: int, high: int) -> FloatArray:  # noqa: D102
        return np.asarray(self._rows[low:high].toarray(), dtype=np.float64)

    def column_max(self, _: None = None) -> FloatArray:  # noqa: D102
        return np.asarray(abs(self._rows).max(axis=0).toarray(), dtype=np.float64).ravel()


class SparseDesign(DesignMatrix):
    """X in CSR form; any index type.

    Compiled, it takes 8 bytes a row for a copy of its pointers, and 2 bytes an entry for one of its indices
    where there are at most 65536 columns.

    Parameters
    ----------
    X : CSR array or matrix of shape (n, d)
        Real and finite.
    n_jobs : int or None
        Threads of a pass; None means all cores.
    offset, factor : ndarray of shape (d,) or None
        As for ``DenseDesign``.
    """

    entry_work, column_work = SPARSE_ENTRY, SPARSE_COLUMNS

    def __init__(
        self,
        X: Any,
        n_jobs: int | None = None,
        *,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
    ) -> None:
        super().__init__(X.shape, n_jobs, offset, factor)
        self._X = X
        self._bounds = _row_bounds(X)

    @property
    def bounds(self) -> list[tuple[int, int]]:  # noqa: D102
        return self._bounds

    @cached_property
    def _compiled(self) -> Any:
        return compiled.csr(self._X, self._offset, self._factor)

    def _compiles(self, verb: str) -> bool:
        return verb != "gram" or _is_thin(self._X, PAIR)

    def block(self, k: int) -> SparseBlock:  # noqa: D102
        rows = _piece(self._X, *self._bounds[k]) if len(self._bounds) > 1 else self._X
        return SparseBlock(rows, self._offset, self._factor)

    def transformed(self, offset: FloatArray | None, factor: FloatArray | None) -> SparseDesign:
        """(X - offset) · factor, the offset only on columns that store every row: others keep zeros."""
        if offset is not None:
            offset = np.where(_full_columns(self._X), offset, 0.0)
        return self._like(self._X, offset, factor)

    def _like(self, X: Any, offset: FloatArray | None, factor: FloatArray | None) -> SparseDesign:
        return SparseDesign(X, self._threads.asked, offset=offset, factor=factor)

    def _taken(self, index: NDArray[np.intp]) -> SparseDesign:
        return self._like(self._X[index], self._offset, self._factor)

    def columns(self, index: NDArray[np.intp]) -> SparseDesign:  # noqa: D102
        few = self._X[:, index]
        few.sort_indices()  # SciPy would do so on its own, in arrays that blocks share
        return self._like(few, *self._transformation_of(index))

    @property
    def n_entries(self) -> int:  # noqa: D102
        return int(self._X.nnz)

    @cached_property
    def gram_work(self) -> float:  # noqa: D102
        return sparse_gram(self.n_samples, self.n_features, float(self._X.nnz), _row_square_sum(self._X))

    @property
    def kernel_work(self) -> float:  # noqa: D102
        return sparse_kernel(self.n_samples, self.n_features, float(self._X.nnz))

    @cached_property
    def gram_passes(self) -> float:
        """Σ nnz_i² multiplications over the 2 nnz of a pass."""
        return _row_square_sum(self._X) / max(1.0, 2.0 * float(self._X.nnz))


def _piece(X: Any, low: int, high: int) -> Any:
    """Rows of a CSR matrix, sharing the memory of their entries."""
    stored = slice(X.indptr[low], X.indptr[high])
    pointers = X.indptr[low : high + 1] - X.indptr[low]
    return _of_parts(type(X), X.data[stored], X.indices[stored], pointers, (high - low, X.shape[1]))


def _like(X: Any, data: NDArray[Any]) -> Any:
    """A matrix with the pattern of X, whose memory it shares, and other entries."""
    return _of_parts(type(X), data, X.indices, X.indptr, X.shape)


def _transpose(X: Any) -> Any:
    """Xᵀ, sharing its memory."""
    return _of_parts(sp.csc_array, X.data, X.indices, X.indptr, X.shape[::-1])


def _of_parts(
    kind: Any, data: NDArray[Any], indices: NDArray[Any], pointers: NDArray[Any], shape: tuple[int, ...]
) -> Any:
    """A compressed matrix of these very arrays: SciPy's constructor copies what is part of a larger one."""
    out = kind(shape, dtype=data.dtype)
    out.data, out.indices, out.indptr = data, indices, pointers
    return out


def _full_columns(X: Any) -> NDArray[np.bool_]:
    """Which columns store every row; none where an entry in two parts would count as two rows."""
    stored = np.bincount(X.indices, minlength=X.shape[1])
    return np.asarray((stored == X.shape[0]) & X.has_canonical_format)


def _row_square_sum(X: Any) -> float:
    """Σ nnz_i², the multiplications of a sparse XᵀX."""
    return float(np.square(np.diff(X.indptr), dtype=np.float64).sum())


def _is_thin(X: Any, product: float) -> bool:
    """Whether a Gram of stored entries, each product so dear, takes less time than one through dense rows."""
    n, d = X.shape
    return bool(n * d * d > product * _row_square_sum(X))


def _row_bounds(X: Any) -> list[tuple[int, int]]:
    """Row ranges of about equally many stored entries."""
    blocks = max(1, -(-int(X.nnz) // max(BLOCK_ENTRIES, BLOCK_ENTRIES_PER_COLUMN * X.shape[1])))
    blocks += blocks > 1 and blocks % 2  # an even share for two threads
    cuts = np.searchsorted(X.indptr, np.linspace(0, X.nnz, blocks + 1)[1:-1])
    edges = np.unique(np.concatenate(([0], cuts, [X.shape[0]])))
    return [(int(low), int(high)) for low, high in pairwise(edges)]
