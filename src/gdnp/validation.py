"""Checks of what users give: targets, weights, numbers. One sentence for whatever is wrong."""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.losses import Loss


class NotFiniteError(ValueError):
    """NaN or infinity in X; it knows the columns, `names` what they are called."""

    def __init__(self, columns: NDArray[np.intp], names: NDArray[Any] | None = None) -> None:
        shown = (columns if names is None else names[columns])[:5].tolist()
        super().__init__(
            f"X must be finite. Got NaN or infinity in {len(columns)} column(s), the first being {shown}; "
            "drop or impute those rows."
        )
        self.columns = columns


def checked_targets(y: Any, n: int, loss: Loss) -> FloatArray:
    """`y` in float64, shape (n,): finite, or of any two labels -1 and +1 for a classification loss."""
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y must have one entry per row of X, shape ({n},). Got shape {y.shape}.")
    if loss.task == "classification" and y.dtype.kind not in "fciub":
        return _signs(y, loss)
    try:
        targets: FloatArray = y.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must hold numbers. Got dtype {y.dtype}; convert them first.") from error
    if not np.isfinite(targets).all():
        raise ValueError("y must be finite. Got NaN or infinity; drop those rows.")
    if loss.task == "classification" and not (np.abs(targets) == 1.0).all():
        return _signs(targets, loss)
    return targets


def _signs(y: NDArray[Any], loss: Loss) -> FloatArray:
    """-1 for the lesser of two labels, +1 for the greater; -1 and +1 alone stand for themselves."""
    try:
        labels, codes = np.unique(y, return_inverse=True)
    except TypeError as error:
        raise ValueError(
            f"y must have labels of one kind for {loss.name}. Got {y.dtype} of several; make them all text."
        ) from error
    if len(labels) != 2:
        shown = ", ".join(str(label) for label in labels[:5])
        more = ", ..." if len(labels) > 5 else ""
        raise ValueError(
            f"y must have two labels for {loss.name}. Got {len(labels)}: {shown}{more}; "
            "keep two, fit one class against the rest, or use GDNPClassifier."
        )
    return np.where(codes == 1, 1.0, -1.0)


def checked_weights(sample_weight: Any, y: FloatArray, loss: Loss) -> FloatArray | None:
    """Weights divided by their sum, or None for equal ones."""
    try:
        s = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers. Got {sample_weight!r:.80}.") from error
    if s is not None:
        if s.shape != y.shape:
            raise ValueError(f"sample_weight must have one entry per row, {y.shape}. Got shape {s.shape}.")
        check_weights(s.min(initial=0.0), s.sum())
        s = s / s.sum()
    if loss.task == "classification":
        present = y if s is None else y[s > 0.0]
        if np.ptp(present) == 0.0:
            raise ValueError(f"y must have rows of both classes for {loss.name}. Got {present[0]:g} alone.")
    return s


def check_weights(least: float, whole: float) -> None:
    """Refuse weights by the least of them and their sum."""
    if not (least >= 0.0 and 0.0 < whole < math.inf):
        raise ValueError(
            "sample_weight must be finite and non-negative with a positive sum. "
            f"Got minimum {least:g} and sum {whole:g}."
        )


def checked_number(name: str, value: object, *, positive: bool = False) -> float:
    """`value`, a finite number that is positive or else non-negative."""
    kind = "positive" if positive else "non-negative"
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    if not 0.0 <= number < math.inf or (positive and number == 0.0):
        raise ValueError(f"{name} must be finite and {kind}. Got {value!r}.")
    return number


def checked_flag(name: str, value: object) -> bool:
    """`value`, True or False: any text would count as True."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False. Got {value!r}; pass one of the two.")
    return bool(value)


def checked_count(name: str, value: object, *, least: int = 0) -> int:
    """`value`, a whole number that is at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}. Got {value!r}.")
    return int(value)
