"""Pointwise losses φ with φ', φ'' and their bounds; no loss here ever sees data.

A loss acts on one number per row, the *argument* t. For a classification loss t = z = -y(xᵀw + b),
so a correct and confident prediction has a very negative t; for a regression loss t = r = y - xᵀw - b.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import ndtr

from gdnp._typing import FloatArray

LEAST_EXPONENT = -709.7
"""e^709.7 is the last that float64 holds; below, φ' of the log loss is 0 to within 1e-308."""

OLD_NAME = "Loss.jet is called Loss.derivatives now, and the old name goes with the next release; rename it."

__all__ = [
    "LOSSES",
    "LogLoss",
    "Loss",
    "Probit",
    "PseudoHuber",
    "Sigmoid",
    "SquaredError",
    "get_loss",
    "zero_one",
]


class Loss(ABC):
    """A twice differentiable function φ of one real argument (Assumption 3 of the paper).

    A loss of your own is a subclass with three methods and the class attributes below; pass an instance
    wherever a name is accepted. All methods take and return float64 arrays of one shape, and return new ones.
    ``value_and_gradient`` and ``derivatives`` follow from the three; override them where they
    share work. A subclass with another φ inherits none of them from its parent, nor the conjugate.

    Attributes
    ----------
    name : str
        What the loss is called in messages and in ``LOSSES``.
    task : {"classification", "regression"}
        What the argument t is: ``-y (xᵀw + b)`` with y in {-1, +1}, or ``y - xᵀw - b``.
    convex : bool
        Whether φ'' >= 0 everywhere.
    quadratic : bool
        Whether φ'' is the same everywhere, so that one Newton step is all there is to do.
    increasing : bool
        Whether φ' > 0 everywhere, so that data which is separable has no finite minimiser.
    max_gradient : float
        sup |φ'| (Φ of Assumption 3; ``inf`` where there is none).
    max_curvature : float
        sup |φ''|.
    has_conjugate : bool
        Whether ``conjugate`` and ``dual_clip`` are there, so that a duality gap can be computed.
    """

    name: ClassVar[str]
    task: ClassVar[Literal["classification", "regression"]]
    convex: ClassVar[bool]
    quadratic: ClassVar[bool] = False
    increasing: ClassVar[bool] = False
    max_gradient: ClassVar[float]
    max_curvature: ClassVar[float]
    has_conjugate: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        """Do without what a parent derives from its own φ, where φ is another."""
        super().__init_subclass__(**options)
        if callable(vars(cls).get("jet")) and "derivatives" not in vars(cls):
            warnings.warn(OLD_NAME, DeprecationWarning, stacklevel=2)
            cls.derivatives = vars(cls)["jet"]  # type: ignore[method-assign]
        if not {"value", "gradient", "curvature"} & vars(cls).keys():
            return
        if "conjugate" not in vars(cls):
            cls.has_conjugate = False
        for name in {"value_and_gradient", "derivatives", "conjugate"} - vars(cls).keys():
            setattr(cls, name, vars(Loss)[name])

    @abstractmethod
    def value(self, t: FloatArray) -> FloatArray:
        """φ(t)."""

    @abstractmethod
    def gradient(self, t: FloatArray) -> FloatArray:
        """φ'(t)."""

    @abstractmethod
    def curvature(self, t: FloatArray) -> FloatArray:
        """φ''(t)."""

    def value_and_gradient(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """φ(t) and φ'(t); override where the two share work."""
        return self.value(t), self.gradient(t)

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """φ(t), φ'(t) and φ''(t) for sums over rows; override where they share work.

        An override may give φ'' to the accuracy of its largest values, where ``curvature`` keeps every digit.
        """
        return *self.value_and_gradient(t), self.curvature(t)

    def jet(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The old name of ``derivatives``."""
        warnings.warn(OLD_NAME, DeprecationWarning, stacklevel=2)
        return self.derivatives(t)

    def constant(self, mean: float) -> float:
        """The constant prediction η that a fit starts from, given the mean label or target.

        In classification the log-odds of the mean label, at which the log loss is least; 0 where one class
        is alone. In regression the mean.
        """
        if self.task == "regression":
            return mean
        return math.log((1.0 + mean) / (1.0 - mean)) if abs(mean) < 1.0 else 0.0

    def convex_start(self) -> Loss:
        """The convex loss whose minimiser a fit starts from where this one is not convex.

        In regression it is quadratic as far as this loss may be: its δ is the least distance from zero at
        which φ' can be largest, so it follows the units of the loss.
        """
        if self.task == "classification":
            return LogLoss()
        bend = self.max_gradient / self.max_curvature
        return PseudoHuber(bend) if 0.0 < bend < math.inf else SquaredError()

    def conjugate(self, a: FloatArray) -> FloatArray:
        """φ*(a) = sup_t a t - φ(t), of a convex loss, for a as ``dual_clip`` leaves it."""
        raise NotImplementedError(f"{self.name} has no conjugate; set has_conjugate and define it.")

    def dual_clip(self, a: FloatArray) -> FloatArray:
        """The nearest point where φ* is finite."""
        return np.clip(a, 0.0 if self.increasing else -self.max_gradient, self.max_gradient)


@dataclass(frozen=True)
class SquaredError(Loss):
    """φ(r) = r²/2: least squares, half of Eq. 10."""

    name = "squared_error"
    task = "regression"
    convex = True
    quadratic = True
    max_gradient: ClassVar[float] = math.inf
    max_curvature: ClassVar[float] = 1.0
    has_conjugate = True

    def value(self, t: FloatArray) -> FloatArray:
        """r²/2."""
        return 0.5 * t * t

    def gradient(self, t: FloatArray) -> FloatArray:
        """r."""
        return t.copy()

    def curvature(self, t: FloatArray) -> FloatArray:
        """1."""
        return np.ones_like(t)

    def conjugate(self, a: FloatArray) -> FloatArray:
        """a²/2."""
        return 0.5 * a * a


@dataclass(frozen=True)
class PseudoHuber(Loss):
    """φ(r) = δ² (√(1 + (r/δ)²) - 1): quadratic within about δ of zero, slope δ far from it.

    Parameters
    ----------
    delta : float
        δ > 0, in the units of the target.
    """

    delta: float = 1.0

    name = "pseudo_huber"
    task = "regression"
    convex = True
    max_curvature: ClassVar[float] = 1.0
    has_conjugate = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.delta) and self.delta > 0):
            raise ValueError(
                f"PseudoHuber needs a finite delta > 0 (in units of the target). Got {self.delta!r}."
            )

    @property
    def max_gradient(self) -> float:  # type: ignore[override]
        """Sup |φ'| = δ."""
        return self.delta

    def value(self, t: FloatArray) -> FloatArray:
        """Written as t²/(1 + √(1 + (t/δ)²)), which does not cancel near zero."""
        return t * t / (1.0 + np.hypot(1.0, t / self.delta))

    def gradient(self, t: FloatArray) -> FloatArray:
        """t/√(1 + (t/δ)²)."""
        return t / np.hypot(1.0, t / self.delta)

    def curvature(self, t: FloatArray) -> FloatArray:
        """(1 + (t/δ)²)^(-3/2)."""
        return _cubed(1.0 / np.hypot(1.0, t / self.delta))

    def value_and_gradient(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One square root for both."""
        root = np.hypot(1.0, t / self.delta)
        return t * t / (1.0 + root), t / root

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One square root for all three."""
        root = np.hypot(1.0, t / self.delta)
        return t * t / (1.0 + root), t / root, _cubed(1.0 / root)

    def conjugate(self, a: FloatArray) -> FloatArray:
        """δ² (1 - √(1 - (a/δ)²)), written so that it does not cancel near zero."""
        ratio = np.square(a / self.delta)
        return a * a / (1.0 + np.sqrt(np.maximum(1.0 - ratio, 0.0)))


@dataclass(frozen=True)
class LogLoss(Loss):
    """φ(z) = log(1 + eᶻ), the softplus: logistic regression."""

    name = "log_loss"
    task = "classification"
    convex = True
    increasing = True
    max_gradient: ClassVar[float] = 1.0
    max_curvature: ClassVar[float] = 0.25
    has_conjugate = True

    def value(self, t: FloatArray) -> FloatArray:
        """max(z, 0) + log(1 + e^(-|z|)), in place."""
        value = _exp_minus_abs(t)
        np.log1p(value, out=value)
        value += np.maximum(t, 0.0)
        return value

    def gradient(self, t: FloatArray) -> FloatArray:
        """1/(1 + e^(-z))."""
        return np.reciprocal(_one_plus_exp_minus(t))

    def value_and_gradient(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """φ' = e^(z - φ), which keeps its relative accuracy in both tails."""
        value = self.value(t)
        gradient = t - value
        return value, np.exp(gradient, out=gradient)

    def curvature(self, t: FloatArray) -> FloatArray:
        """e^(-|z|)/(1 + e^(-|z|))²."""
        e = _exp_minus_abs(t)
        return e / np.square(1.0 + e)

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One exponential for all three."""
        e = _exp_minus_abs(t)
        value = np.log1p(e)
        value += np.maximum(t, 0.0)
        share = 1.0 / (1.0 + e)
        e *= share
        gradient = np.where(t >= 0.0, share, e)
        e *= share
        return value, gradient, e

    def conjugate(self, a: FloatArray) -> FloatArray:
        """a log a + (1 - a) log(1 - a), 0 at both ends."""
        inner = np.clip(a, 1e-300, 1.0 - 2.0**-53)  # both terms vanish at their ends
        return np.asarray(inner * np.log(inner) + (1.0 - inner) * np.log1p(-inner))


@dataclass(frozen=True)
class Sigmoid(Loss):
    """φ(z) = 1/(1 + e^(-z)), a smooth 0-1 loss: bounded, so far outliers cost at most 1. Not convex."""

    name = "sigmoid"
    task = "classification"
    convex = False
    increasing = True
    max_gradient: ClassVar[float] = 0.25
    max_curvature: ClassVar[float] = math.sqrt(3.0) / 18.0

    def value(self, t: FloatArray) -> FloatArray:
        """1/(1 + e^(-z))."""
        return _logistic(t, _exp_minus_abs(t))

    def gradient(self, t: FloatArray) -> FloatArray:
        """e^(-|z|)/(1 + e^(-|z|))²."""
        e = _exp_minus_abs(t)
        return e / np.square(1.0 + e)

    def curvature(self, t: FloatArray) -> FloatArray:
        """-sign(z) e^(-|z|) (1 - e^(-|z|))/(1 + e^(-|z|))³."""
        e = _exp_minus_abs(t)
        return np.copysign(1.0, t) * e * np.expm1(-np.abs(t)) * _cubed(1.0 / (1.0 + e))

    def value_and_gradient(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """One exponential for both."""
        e = _exp_minus_abs(t)
        return _logistic(t, e), e / np.square(1.0 + e)

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One exponential for all three."""
        e = _exp_minus_abs(t)
        share = 1.0 / (1.0 + e)
        e *= share
        value = np.where(t >= 0.0, share, e)
        gradient = e * share
        e -= share
        np.copysign(e, t, out=e)
        np.negative(e, out=e)
        e *= gradient
        return value, gradient, e


@dataclass(frozen=True)
class Probit(Loss):
    """φ(z) = Φ(z), the normal cdf as a smooth 0-1 loss (not probit regression's -log Φ). Not convex."""

    name = "probit"
    task = "classification"
    convex = False
    increasing = True
    max_gradient: ClassVar[float] = 1.0 / math.sqrt(2.0 * math.pi)
    max_curvature: ClassVar[float] = math.exp(-0.5) / math.sqrt(2.0 * math.pi)

    def value(self, t: FloatArray) -> FloatArray:
        """Φ(z)."""
        return np.asarray(ndtr(t), dtype=np.float64)

    def gradient(self, t: FloatArray) -> FloatArray:
        """The normal density."""
        return np.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)

    def curvature(self, t: FloatArray) -> FloatArray:
        """-z times the normal density."""
        return -t * self.gradient(t)

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One density for both derivatives."""
        gradient = self.gradient(t)
        return self.value(t), gradient, -t * gradient


def _exp_minus_abs(t: FloatArray) -> FloatArray:
    """e^(-|t|), in place: a new array may cost more than the sum that it holds."""
    e = np.asarray(np.abs(t))
    np.negative(e, out=e)
    np.exp(e, out=e)
    return e


def _cubed(x: FloatArray) -> FloatArray:
    """x³; ``**`` takes ten times as long."""
    return x * x * x


def _one_plus_exp_minus(t: FloatArray) -> FloatArray:
    """1 + e^(-t), in place and without ``errstate``: the inner loop of a pass over the data."""
    e = np.maximum(t, LEAST_EXPONENT)
    np.negative(e, out=e)
    np.exp(e, out=e)
    e += 1.0
    return e


def _logistic(t: FloatArray, e: FloatArray) -> FloatArray:
    """1/(1 + e^(-t)) given e = e^(-|t|), accurate in both tails."""
    return np.where(t >= 0.0, 1.0, e) / (1.0 + e)


def zero_one(t: FloatArray) -> FloatArray:
    """The 0-1 loss of z = -y(xᵀw + b): 1 where z >= 0 (a tie counts as an error). Evaluation only."""
    return (np.asarray(t) >= 0.0).astype(np.float64)


LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (SquaredError(), PseudoHuber(), LogLoss(), Sigmoid(), Probit())
}


def get_loss(loss: str | Loss) -> Loss:
    """The loss of that name, or the instance itself.

    Raises
    ------
    ValueError
        For a name that is not in ``LOSSES``.
    TypeError
        For anything that is neither a name nor a ``Loss``.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a name or a gdnp.losses.Loss. Got {type(loss).__name__}.")
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {sorted(LOSSES)} or a gdnp.losses.Loss. Got {loss!r}.")
    return LOSSES[loss]
