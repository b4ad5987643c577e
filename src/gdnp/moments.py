"""First and second moments of the data (Eqs. 1-3), centred, weighted, additive over row blocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gdnp._files import read_arrays, write_arrays
from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix, RowVector, Source
from gdnp.design.block import Second, Spread
from gdnp.design.source import numbers
from gdnp.metric import Covariance
from gdnp.validation import NotFiniteError, checked_number

__all__ = ["Moments", "check_finite"]

SUMS = "weight", "mean", "S", "U", "mean_y", "var_y"
"""What is merged, in the order of a partial result."""

SQUARES_LOST = (1e-250, 1e250)
"""Second moments outside this range have lost digits to underflow, or overflowed, in float64."""


@dataclass(frozen=True)
class Moments:
    """Weighted moments of rows x with targets y, merged pairwise as in Chan, Golub and LeVeque (1983).

    Nothing is ever summed uncentred, so a column with an offset of 1e3 and a scale of 1e-8 keeps its
    variance. Columns are held multiplied by `scale`, powers of two and so without rounding, so that entries
    of 1e150 or 1e-160 have squares; ``scale`` is 1 wherever that is not needed.

    Attributes
    ----------
    weight : float
        Σ s_i.
    mean : ndarray of shape (d,)
        E[x], times `scale`.
    S : ndarray of shape (d, d) or (d,)
        Cov(x), or its diagonal alone where d is too large for a Gram; times `scale` on either side.
    U : ndarray of shape (d, K)
        Cov(x, y_k), one column for each target; times `scale`. The paper's u (Eq. 1) is -U for centred x.
    mean_y, var_y : ndarray of shape (K,)
        E[y_k] and Var(y_k).
    scale : ndarray of shape (d,)
        Powers of two.
    names : tuple of str or None
        Of the columns, where these have some.

    Examples
    --------
    >>> from gdnp.design import as_design
    >>> X, y = np.array([[0.0, 1.0], [1.0, 3.0], [2.0, 2.0], [4.0, 1.0]]), np.array([1.0, 2.0, 4.0, 9.0])
    >>> whole = Moments.of(as_design(X), y)
    >>> left = whole - Moments.of(as_design(X[:1]), y[:1])
    >>> w, b = left.least_squares()
    >>> np.round(X[1:] @ w + b, 6).tolist()
    [2.0, 4.0, 9.0]
    """

    weight: float
    mean: FloatArray
    S: FloatArray
    U: FloatArray
    mean_y: FloatArray
    var_y: FloatArray
    scale: FloatArray
    names: tuple[str, ...] | None = None

    @classmethod
    def of(
        cls,
        design: DesignMatrix | Source,
        targets: RowVector | None = None,
        weight: RowVector | None = None,
        *,
        second: Second = "full",
    ) -> Moments:
        """The moments of a design, in one pass (two where entries are extreme).

        Parameters
        ----------
        design : DesignMatrix of shape (n, d), or Source
            A source brings its target, weights and names of columns.
        targets : RowVector of shape (n,) or (n, K), or None
            Row vectors in memory are arrays. None is K = 0.
        weight : RowVector of shape (n,) or None
            Non-negative sample weights; None counts every row once.
        second : {"full", "diagonal"}
            Whether S is a matrix (n d² multiplications) or its diagonal.

        Raises
        ------
        ValueError
            When X has NaN or infinite entries.
        """
        if isinstance(design, Source):
            rows, names = design.design.rows, design.names
            targets, weight = (
                None if values is None else numbers(values, role, rows)
                for role, values in (("y", design.target), ("weight", design.weight))
            )
            if weight is not None and rows.extremes(weight)[0, 0] < 0.0:
                raise ValueError("weights must be non-negative. Got one below 0: drop such rows.")
            whole = cls.of(design.design, targets, weight, second=second)
            return whole if names is None else replace(whole, names=tuple(names))
        size = design.n_features * (design.n_features if second == "full" else 2)

        def reduce(scale: FloatArray | None) -> Moments:
            sums: list[Any] = design.map(
                "moments", Spread(scale, second), reads=(targets, weight), merge=_merge, partial_size=size
            )
            scale = np.ones(design.n_features) if scale is None else scale
            return cls(**dict(zip(SUMS, sums, strict=True)), scale=scale)

        found = reduce(None)
        lost = ~((found.variance > SQUARES_LOST[0]) & (found.variance < SQUARES_LOST[1]))
        if lost.any():
            scale = _power_of_two_scale(design, lost)
            found = found if scale is None else reduce(scale)
        return found._without_constant_columns()

    def _without_constant_columns(self) -> Moments:
        """Exact zeros for columns whose variance is the rounding of their mean."""
        constant = self.variance <= (8.0 * np.finfo(np.float64).eps * self.mean) ** 2
        if not constant.any():
            return self
        S, U = self.S.copy(), self.U.copy()
        U[constant] = 0.0
        S[constant] = 0.0
        if S.ndim == 2:
            S[:, constant] = 0.0
        return replace(self, S=S, U=U)

    def save(self, file: str | Path | IO[bytes]) -> None:
        """Write to an npz file, whole or not at all, or to a binary file that is open."""
        arrays = {name: getattr(self, name) for name in (*SUMS, "scale")}
        if self.names is not None:
            arrays["names"] = np.array(self.names, dtype=np.str_)
        write_arrays(file, arrays)

    @classmethod
    def load(cls, file: str | Path | IO[bytes]) -> Moments:
        """Read what ``save`` wrote; nothing in the file is executed.

        Raises
        ------
        ValueError
            For a file of anything else.
        """
        try:
            found: dict[str, Any] = read_arrays(file)
            names = found.pop("names", None)
            new = cls(**found, names=None if names is None else tuple(names.tolist()))
            d = new.S.shape[0]
            shapes = (new.mean.shape, new.scale.shape, new.U.shape[:1], new.S.shape[-1:])
            if set(shapes) != {(d,)} or new.U.shape[1:] != new.var_y.shape or not new.weight > 0.0:
                raise ValueError("arrays of other shapes")
        except (IndexError, TypeError, ValueError) as error:
            raise ValueError(
                f"{file} must hold moments that were saved whole. Got another file; make it again."
            ) from error
        return replace(new, weight=float(new.weight))

    def least_squares(self, alpha: float = 0.0, *, fit_intercept: bool = True) -> tuple[FloatArray, Any]:
        """(w, b) that minimise E[(y - xᵀw - b)²]/2 + α/2 ‖w‖², those of the rows, to the digits of S.

        Without a ridge w is the one of least norm. No row is needed.

        Parameters
        ----------
        alpha : float
            α >= 0, in the raw coordinates of x.
        fit_intercept : bool
            b is 0 without.

        Returns
        -------
        (ndarray of shape (d,), float)
            Of several targets shapes (K, d) and (K,).

        Raises
        ------
        ValueError
            For a bad `alpha`, moments without targets, and a diagonal S.
        """
        raw = self.rescaled(np.ones_like(self.scale))
        if raw.S.ndim != 2 or not raw.U.shape[1]:
            raise ValueError(
                "least squares need the moments of a target, and S as a matrix. "
                f"Got S {raw.S.shape} and U {raw.U.shape}."
            )
        alpha = checked_number("alpha", alpha)
        S = raw.S if fit_intercept else raw.second_moment()
        U = raw.U if fit_intercept else raw.U + np.outer(raw.mean, raw.mean_y)
        W = np.apply_along_axis(Covariance(S).shifted(alpha).solve, 0, U).T
        b = raw.mean_y - W @ raw.mean if fit_intercept else np.zeros(len(W))
        return (W, b) if len(W) > 1 else (W[0], float(b[0]))

    def direction(self) -> FloatArray:
        """-S⁻¹u, where every loss has its minimum under Assumption 2, as long as ‖w‖_S = 1; shape (d,).

        u = E[-y x] of centred x (Eq. 1), so -S⁻¹u is also the direction of least squares, whatever stands for
        the two labels. Of several targets the shape is (K, d); a target that does not vary with x has zeros.
        """
        W, S = np.atleast_2d(self.least_squares()[0]), self.rescaled(np.ones_like(self.scale)).S
        length = np.sqrt(np.einsum("kj,jl,kl->k", W, S, W))
        varies = length > 8.0 * np.finfo(np.float64).eps * np.abs(self.mean_y)
        W = W * np.divide(1.0, length, out=np.zeros_like(length), where=varies)[:, None]
        return np.asarray(W if len(W) > 1 else W[0])

    @property
    def _parts(self) -> list[Any]:
        return [getattr(self, name) for name in SUMS]

    def _merged(self, other: Moments, sign: float = 1.0) -> Moments:
        """With other moments, or without them."""
        _check_compatible(self, other)
        weight, *parts = other.rescaled(self.scale)._parts
        merged = _merge(self._parts, [sign * weight, *parts])
        return replace(self, **dict(zip(SUMS, merged, strict=True)))

    @property
    def variance(self) -> FloatArray:
        """The diagonal of S, shape (d,), times `scale` squared."""
        return np.diagonal(self.S) if self.S.ndim == 2 else self.S

    def second_moment(self) -> FloatArray:
        """E[x xᵀ] (or its diagonal) about zero, times `scale` on either side."""
        return self.S + _outer(self.mean, self.S.ndim)

    def rescaled(self, scale: FloatArray) -> Moments:
        """The same moments with columns held times `scale` (powers of two: exact, short of overflow)."""
        factor = scale / self.scale
        both = np.multiply.outer(factor, factor) if self.S.ndim == 2 else factor * factor
        return replace(
            self, mean=self.mean * factor, S=self.S * both, U=self.U * factor[:, None], scale=scale
        )

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both; up to rounding those of one pass over all rows.

        Raises
        ------
        ValueError
            When the two do not describe the same columns and targets.
        """
        return self._merged(other)

    def __sub__(self, other: Moments) -> Moments:
        """Moments of the rows of self without those of other. Loses digits, unlike a sum.

        Raises
        ------
        ValueError
            When the two do not describe the same columns and targets, or when `other` cannot be a part of
            self: no weight is left, or what is left is not positive semidefinite beyond rounding.
        """
        if not self.weight - other.weight > 0.0:
            raise ValueError(
                f"the rows taken away must weigh less than the whole, {self.weight:g}. "
                f"Got {other.weight:g}; subtract a part of the same data."
            )
        difference = self._merged(other, -1.0)
        _check_semidefinite(difference, self)
        return difference


def check_finite(design: DesignMatrix) -> FloatArray:
    """The largest size in each column of `design`, shape (d,); ``NotFiniteError`` where one is no number."""
    largest: FloatArray = design.map("column_max", merge=np.maximum)
    bad = np.flatnonzero(~np.isfinite(largest))
    if bad.size:
        raise NotFiniteError(bad)
    return largest


def _power_of_two_scale(design: DesignMatrix, lost: NDArray[np.bool_]) -> FloatArray | None:
    """Scales that bring the `lost` columns near 1; None where their size is not what lost their digits."""
    largest = check_finite(design)
    exponent = np.frexp(largest)[1]
    extreme = lost & (largest > 0.0) & (np.abs(exponent) > 100)
    power = np.minimum(-exponent, np.finfo(np.float64).maxexp - 1)  # of subnormal entries
    return np.ldexp(1.0, np.where(extreme, power, 0)) if extreme.any() else None


def _outer(v: FloatArray, ndim: int) -> FloatArray:
    return np.outer(v, v) if ndim == 2 else v * v


def _merge(a: list[Any], b: list[Any]) -> list[Any]:
    """Weight, mean, S, U, mean and variance of the targets, of the rows of both.

    A negative weight in b takes its rows away: the formulas are the same.
    """
    total = a[0] + b[0]
    if total == 0.0:
        return a
    p, q = a[0] / total, b[0] / total
    (_, mean, S, U, mean_y, var_y), (_, mean_b, S_b, U_b, mean_y_b, var_y_b) = a, b
    shift, shift_y = mean_b - mean, mean_y_b - mean_y
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        return [
            total,
            mean + q * shift,
            p * S + q * S_b + p * q * _outer(shift, S.ndim),
            p * U + q * U_b + p * q * np.outer(shift, shift_y),
            mean_y + q * shift_y,
            p * var_y + q * var_y_b + p * q * shift_y**2,
        ]


def _check_compatible(a: Moments, b: Moments) -> None:
    if a.names is not None and b.names is not None and a.names != b.names:
        raise ValueError(
            f"moments must be of the same columns in their order, {', '.join(a.names[:5])}. "
            f"Got {', '.join(b.names[:5])}; compute both from the same features."
        )
    if a.S.shape != b.S.shape or a.U.shape != b.U.shape:
        raise ValueError(
            f"moments must describe the same columns and targets: S {a.S.shape} and U {a.U.shape}. "
            f"Got S {b.S.shape} and U {b.U.shape}; compute both from the same features."
        )


def _check_semidefinite(difference: Moments, whole: Moments) -> None:
    """Refuse an S below zero by more than the rounding of the whole, measured in the whole's own scale."""
    sd = np.sqrt(whole.variance)
    sd = np.where(sd > 0.0, sd, 1.0)
    ratio = difference.variance / sd**2
    if difference.S.ndim == 2:
        ratio = np.linalg.eigvalsh(difference.S / np.outer(sd, sd))
    rounding = 1e3 * np.finfo(float).eps * len(sd) * whole.weight / difference.weight
    if not np.min(ratio) >= -rounding:
        raise ValueError(
            "what is left after subtracting moments must be positive semidefinite. Got an eigenvalue of "
            f"{np.min(ratio):.2g} in units of the variance; subtract a part of the same data."
        )
