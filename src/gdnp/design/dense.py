"""Dense X: any numeric dtype, any memory order, never copied as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import gdnp.design.compiled as compiled
from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design.base import DesignMatrix
from gdnp.design.block import Block, Second

BLOCK_FLOATS = 1 << 18
"""2 MiB of float64: a block stays in a core's cache between the product with X and the one with Xᵀ."""
COPIED_FLOATS, COPIED_ROWS = 1 << 16, 512
"""What a Gram copies at a time, at least: half a megabyte, and rows enough for products to run at speed."""


def product_with_signs(rows: FloatArray, weight: FloatArray) -> FloatArray:
    """Aᵀ diag(sign(weight)) A for A = `rows`, shape (d, d)."""
    if np.min(weight, initial=0.0) < 0.0:
        return np.asarray(rows.T @ (rows * np.sign(weight)[:, None]))
    return np.asarray(rows.T @ rows)  # the same array twice: half the work (syrk)


class DenseBlock(Block):
    """Rows of an array, converted to float64 (and transformed) when first used."""

    def __init__(
        self, rows: NDArray[np.generic], offset: FloatArray | None = None, factor: FloatArray | None = None
    ) -> None:
        self._rows = rows
        self._offset = offset
        self._factor = factor
        self._values: FloatArray | None = None

    @property
    def values(self) -> FloatArray:
        """The rows in float64: a view where they already are, converted once otherwise."""
        if self._values is None:
            rows = np.asarray(self._rows, dtype=np.float64)
            if self._offset is not None:
                rows = rows - self._offset
            self._values = rows if self._factor is None else rows * self._factor
        return self._values

    @property
    def n_rows(self) -> int:  # noqa: D102
        return len(self._rows)

    def dot(self, v: FloatArray, out: FloatArray | None = None) -> FloatArray:  # noqa: D102
        return np.matmul(self.values, v, out=out)

    def tdot(self, r: FloatArray) -> FloatArray:  # noqa: D102
        values = self.values
        # `@` keeps the interpreter lock when the result is short, however long it takes; `dot` does not, but
        # would copy an array that is a part of the columns of another.
        return np.asarray(np.dot(values.T, r) if values.flags.forc else values.T @ r)

    def weighted_gram(self, weight: FloatArray, centre: FloatArray | None = None) -> FloatArray:  # noqa: D102
        values = self.values
        n, d = values.shape
        step = max(COPIED_ROWS, COPIED_FLOATS // max(1, d), d)
        room, equal = np.empty((min(step, n), d)), n > 0 and weight.strides[0] == 0

        def product(low: int) -> FloatArray:
            rows, s = values[low : low + step], weight[low : low + step]
            here = room[: len(rows)]
            if centre is not None:
                rows = np.subtract(rows, centre, out=here)
            if equal:
                return np.asarray(rows.T @ rows)
            return product_with_signs(np.multiply(rows, np.sqrt(np.abs(s))[:, None], out=here), s)

        total = product(0)
        for low in range(step, n, step):
            total += product(low)
        return total * weight[0] if equal else total

    def weighted_squares(  # noqa: D102
        self, weight: FloatArray | None, centre: FloatArray | None = None
    ) -> FloatArray:
        if weight is None and centre is None:
            return np.asarray(np.einsum("ij,ij->j", self.values, self.values))
        weight = np.ones(len(self.values)) if weight is None else weight
        return np.asarray(np.dot(weight, np.square(self.values if centre is None else self.values - centre)))

    def centred_moments(  # noqa: D102
        self, weight: FloatArray, targets: FloatArray, scale: FloatArray | None, second: Second
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        values = self.values if scale is None else self.values * scale
        first = values[np.argmax(weight > 0.0)]
        centred = values - first  # exactly 0 in a constant column, whatever a sum would round to
        shift = np.dot(weight, centred)
        centred -= shift
        mean = first + shift
        U = np.asarray(np.dot(centred.T, weight[:, None] * targets))
        if second == "diagonal":
            return mean, np.asarray(np.dot(weight, np.square(centred, out=centred))), U
        centred *= np.sqrt(weight)[:, None]
        return mean, np.asarray(centred.T @ centred), U

    def dense(self, low: int, high: int) -> FloatArray:  # noqa: D102
        return self.values[low:high]

    def column_max(self, _: None = None) -> FloatArray:  # noqa: D102
        return np.asarray(np.max(np.abs(self.values), axis=0, initial=0.0))


class DenseDesign(DesignMatrix):
    """X as a two-dimensional array.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Real and finite. Stored as it is; blocks of it are read in float64.
    n_jobs : int or None
        Threads of a pass; None means all cores.
    offset : ndarray of shape (d,) or None
        Taken off the columns as they are read, where taking it off the products would cancel.
    factor : ndarray of shape (d,) or None
        Then multiplied into the columns, where entries are too large or too small to be squared.
    block_rows : int or None
        Rows of a block; None is what a cache holds.
    """

    def __init__(
        self,
        X: NDArray[np.generic],
        n_jobs: int | None = None,
        *,
        offset: FloatArray | None = None,
        factor: FloatArray | None = None,
        block_rows: int | None = None,
    ) -> None:
        super().__init__(X.shape, n_jobs, offset, factor)
        self._X = X
        fitting = max(1, BLOCK_FLOATS // max(1, self.n_features))
        rows = block_rows or max(64, 1 << (fitting.bit_length() - 1))
        self._bounds = [(low, min(low + rows, self.n_samples)) for low in range(0, self.n_samples, rows)]

    @property
    def bounds(self) -> list[tuple[int, int]]:  # noqa: D102
        return self._bounds

    def block(self, k: int) -> DenseBlock:  # noqa: D102
        low, high = self._bounds[k]
        return DenseBlock(self._X[low:high], self._offset, self._factor)

    @cached_property
    def _compiled(self) -> Any:
        return compiled.dense(self._X, self._offset, self._factor)

    def in_blocks_for(self, partial_size: int) -> DenseDesign:
        """Blocks of half as many numbers, where a cache holds fewer: adding a partial result takes long."""
        rows = partial_size // (2 * max(1, self.n_features))
        if rows <= self._bounds[0][1]:
            return self
        parts = -(-self.n_samples // rows)
        parts += parts > 1 and parts % 2  # an even share for two threads
        return self._like(self._X, self._offset, self._factor, -(-self.n_samples // parts))

    def transformed(self, offset: FloatArray | None, factor: FloatArray | None) -> DenseDesign:  # noqa: D102
        return self._like(self._X, offset, factor)

    @property
    def _own(self) -> dict[str, Any]:
        """What a design of the same kind is made with beside X."""
        return {}

    def _like(
        self, X: Any, offset: FloatArray | None, factor: FloatArray | None, block_rows: int | None = None
    ) -> DenseDesign:
        """A design of the same kind."""
        frame: dict[str, Any] = {"offset": offset, "factor": factor, "block_rows": block_rows}
        return type(self)(X, self._threads.asked, **frame, **self._own)

    def shifted(self, offset: FloatArray) -> DenseDesign:
        """The same X with `offset` taken off its columns as they are read."""
        return self.transformed(offset, self._factor)

    def _read(self, index: NDArray[np.intp]) -> NDArray[Any]:
        """Some rows, copied."""
        # `take` lets other threads go on, but would first copy all of an array in another order.
        return self._X.take(index, axis=0) if self._X.flags.c_contiguous else self._X[index]

    def _taken(self, index: NDArray[np.intp]) -> DenseDesign:
        return self._in_memory(self._read(index), self._offset, self._factor)

    def _in_memory(
        self, X: NDArray[Any], offset: FloatArray | None, factor: FloatArray | None
    ) -> DenseDesign:
        return DenseDesign(X, self._threads.asked, offset=offset, factor=factor)

    def columns(self, index: NDArray[np.intp]) -> DenseDesign:  # noqa: D102
        few = self._X.take(index, axis=1)  # in rows, as files have them
        return self._in_memory(few, *self._transformation_of(index))
