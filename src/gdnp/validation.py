"""Checks of what users give: targets, weights, numbers. One sentence for whatever is wrong."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import Loss

__all__ = ["checked_count", "checked_number", "checked_targets", "checked_weights"]


def checked_targets(y: Any, n: int, loss: Loss) -> FloatArray:
    """`y` in float64, shape (n,): finite, and -1 or +1 for a classification loss."""
    y = np.asarray(y)
    if y.shape != (n,):
        raise ValueError(f"y must have one entry per row of X, shape ({n},). Got shape {y.shape}.")
    try:
        targets: FloatArray = y.astype(np.float64, copy=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"y must hold numbers. Got dtype {y.dtype}; encode the labels as -1 and +1."
        ) from error
    if not np.isfinite(targets).all():
        raise ValueError("y must be finite. Got NaN or infinity; drop those rows.")
    if loss.task == "classification" and not (np.abs(targets) == 1.0).all():
        shown = ", ".join(f"{label:g}" for label in np.unique(targets)[:5])
        raise ValueError(f"y must be -1 or +1 for {loss.name}. Got {shown}; map the two classes to them.")
    return targets


def checked_weights(sample_weight: Any, y: FloatArray, loss: Loss) -> FloatArray | None:
    """Weights divided by their sum, or None for equal ones."""
    try:
        s = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must hold numbers. Got {sample_weight!r:.80}.") from error
    if s is not None:
        if s.shape != y.shape:
            raise ValueError(f"sample_weight must have one entry per row, {y.shape}. Got shape {s.shape}.")
        if not (np.isfinite(s).all() and (s >= 0.0).all() and 0.0 < s.sum() < math.inf):
            raise ValueError(
                "sample_weight must be finite and non-negative with a positive sum. "
                f"Got minimum {s.min():g} and sum {s.sum():g}."
            )
        s = s / s.sum()
    if loss.task == "classification":
        present = y if s is None else y[s > 0.0]
        if np.ptp(present) == 0.0:
            raise ValueError(f"y must have rows of both classes for {loss.name}. Got {present[0]:g} alone.")
    return s


def checked_number(name: str, value: object, *, positive: bool = False) -> float:
    """`value`, a finite number that is positive or else non-negative."""
    kind = "positive" if positive else "non-negative"
    if not isinstance(value, Real) or not math.isfinite(value) or value < 0.0 or (positive and value == 0.0):
        raise ValueError(f"{name} must be finite and {kind}. Got {value!r}.")
    return float(value)


def checked_count(name: str, value: object, *, least: int = 0) -> int:
    """`value`, a whole number that is at least `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}. Got {value!r}.")
    return int(value)
