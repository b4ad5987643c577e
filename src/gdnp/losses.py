"""Pointwise losses φ with φ', φ'' and their bounds; no loss here ever sees data.

A loss acts on one number per row, the *argument* t. For a classification loss t = z = -y(xᵀw + b),
so a correct and confident prediction has a very negative t; for a regression loss t = r = y - xᵀw - b.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_ndtr, ndtr

from gdnp._typing import FloatArray

__all__ = [
    "LOSSES",
    "Huber",
    "LogLoss",
    "Loss",
    "Probit",
    "PseudoHuber",
    "Sigmoid",
    "Softmax",
    "SquaredError",
    "check_loss",
    "checked_loss",
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
        if not {"value", "gradient", "curvature"} & vars(cls).keys():
            return
        if "conjugate" not in vars(cls):
            cls.has_conjugate = False
        for name in {"value_and_gradient", "derivatives", "conjugate", "log_odds"} - vars(cls).keys():
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

    def log_odds(self, score: FloatArray) -> FloatArray:
        """log p/(1 - p) of the probability p that a score s stands for, in classification.

        With p φ'(-s) = (1 - p) φ'(s) at the minimiser of the expected loss it is φ'(s)/φ'(-s). A loss that
        is not convex has no such p, and φ(s)/φ(-s) is used.
        """
        link, least = self.gradient if self.convex else self.value, np.finfo(np.float64).tiny
        up, down = (np.log(np.maximum(link(s), least)) for s in (score, -score))
        return np.asarray(up - down)

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
class _Robust(Loss):
    """What losses with a δ share: quadratic near zero, slope δ far from it."""

    delta: float = 1.0

    task = "regression"
    convex = True
    max_curvature: ClassVar[float] = 1.0
    has_conjugate = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.delta) and self.delta > 0):
            kind = type(self).__name__
            raise ValueError(f"{kind} needs a finite delta > 0 (in units of the target). Got {self.delta!r}.")

    @property
    def max_gradient(self) -> float:  # type: ignore[override]
        """Sup |φ'| = δ."""
        return self.delta


@dataclass(frozen=True)
class Huber(_Robust):
    """φ(r) = r²/2 where |r| <= δ, δ|r| - δ²/2 beyond (Huber 1964); φ'' jumps there, from 1 to 0.

    ``sklearn.linear_model.HuberRegressor`` finds a scale σ with its w; with δ = epsilon σ and a ridge of
    alpha σ/n its w minimises this.

    Parameters
    ----------
    delta : float
        δ > 0, in the units of the target.
    """

    name = "huber"

    def value(self, t: FloatArray) -> FloatArray:
        """φ' (r - φ'/2)."""
        slope = self.gradient(t)
        return slope * (t - 0.5 * slope)

    def gradient(self, t: FloatArray) -> FloatArray:
        """R, clipped to [-δ, δ]."""
        return np.clip(t, -self.delta, self.delta)

    def curvature(self, t: FloatArray) -> FloatArray:
        """1 where |r| <= δ, else 0."""
        return (np.abs(t) <= self.delta).astype(np.float64)

    def conjugate(self, a: FloatArray) -> FloatArray:
        """a²/2."""
        return 0.5 * a * a


@dataclass(frozen=True)
class PseudoHuber(_Robust):
    """φ(r) = δ² (√(1 + (r/δ)²) - 1): quadratic within about δ of zero, slope δ far from it.

    Parameters
    ----------
    delta : float
        δ > 0, in the units of the target.
    """

    name = "pseudo_huber"

    def value(self, t: FloatArray) -> FloatArray:
        """Written as t²/(1 + √(1 + (t/δ)²)), which does not cancel near zero."""
        return t * t / (1.0 + np.hypot(1.0, t / self.delta))

    def gradient(self, t: FloatArray) -> FloatArray:
        """t/√(1 + (t/δ)²)."""
        return t / np.hypot(1.0, t / self.delta)

    def curvature(self, t: FloatArray) -> FloatArray:
        """(1 + (t/δ)²)^(-3/2)."""
        return _cubed(1.0 / np.hypot(1.0, t / self.delta))

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
        return np.asarray(expit(t), dtype=np.float64)

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

    def log_odds(self, score: FloatArray) -> FloatArray:
        """s itself."""
        return score


@dataclass(frozen=True)
class Softmax(LogLoss):
    """φ(η) = log Σ_k e^(η_k) - η_y of K scores and a label y: multinomial logistic regression.

    As a function of one number it is that of two classes. Scores of shape (n, K) are worked on in place.

    Parameters
    ----------
    classes : int
        K.
    """

    classes: int

    max_gradient: ClassVar[float] = math.sqrt(2.0)
    max_curvature: ClassVar[float] = 0.5

    def shares(self, eta: FloatArray) -> FloatArray:
        """p_k = e^(η_k)/Σ e^η, in place."""
        eta -= eta.max(axis=1, keepdims=True)
        np.exp(eta, out=eta)
        eta /= eta.sum(axis=1, keepdims=True)
        return eta

    def pull(self, eta: FloatArray, labels: NDArray[np.intp]) -> FloatArray:
        """φ, shape (n,), and in the place of η its gradient p - e_y, whose entry at y is minus all others."""
        own = np.arange(len(eta)), labels
        eta -= eta[own][:, None]
        top = eta.max(axis=1)  # the label's own is 0
        eta -= top[:, None]
        np.exp(eta, out=eta)
        eta[own] = 0.0
        rest, lost = eta.sum(axis=1), np.expm1(-top)
        eta /= (rest + (1.0 + lost))[:, None]
        eta[own] = -rest / (rest + (1.0 + lost))
        return np.asarray(top + np.log1p(rest + lost))


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
        return np.asarray(expit(t), dtype=np.float64)

    def gradient(self, t: FloatArray) -> FloatArray:
        """e^(-|z|)/(1 + e^(-|z|))²."""
        e = _exp_minus_abs(t)
        return e / np.square(1.0 + e)

    def curvature(self, t: FloatArray) -> FloatArray:
        """-sign(z) e^(-|z|) (1 - e^(-|z|))/(1 + e^(-|z|))³."""
        e = _exp_minus_abs(t)
        return np.copysign(1.0, t) * e * np.expm1(-np.abs(t)) * _cubed(1.0 / (1.0 + e))

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

    def log_odds(self, score: FloatArray) -> FloatArray:
        """s itself."""
        return score


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

    def log_odds(self, score: FloatArray) -> FloatArray:
        """log Φ(s) - log Φ(-s)."""
        return np.asarray(log_ndtr(score) - log_ndtr(-score))


def _exp_minus_abs(t: FloatArray) -> FloatArray:
    """e^(-|t|), in place: a new array may cost more than the sum that it holds."""
    e = np.asarray(np.abs(t))
    np.negative(e, out=e)
    np.exp(e, out=e)
    return e


def _cubed(x: FloatArray) -> FloatArray:
    """x³; ``**`` takes ten times as long."""
    return x * x * x


def zero_one(t: FloatArray) -> FloatArray:
    """The 0-1 loss of z = -y(xᵀw + b): 1 where z >= 0 (a tie counts as an error). Evaluation only."""
    return (np.asarray(t) >= 0.0).astype(np.float64)


LOSSES: dict[str, Loss] = {
    loss.name: loss for loss in (SquaredError(), Huber(), PseudoHuber(), LogLoss(), Sigmoid(), Probit())
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


def checked_loss(loss: str | Loss) -> Loss:
    """As ``get_loss``, and checked by ``check_loss`` where it is not one of this library."""
    found = get_loss(loss)
    if type(found).__module__.partition(".")[0] != "gdnp":
        check_loss(found)
    return found


ATTRIBUTES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda x: isinstance(x, str), "a text"),
    "task": (lambda x: x in ("classification", "regression"), "'classification' or 'regression'"),
    **{
        name: (lambda x: isinstance(x, bool | np.bool_), "True or False")
        for name in ("convex", "quadratic", "increasing", "has_conjugate")
    },
    **{
        name: (lambda x: isinstance(x, int | float | np.number) and bool(x > 0.0), "a positive number")
        for name in ("max_gradient", "max_curvature")
    },
}
"""What the attributes of a loss must be."""
STEPS = 10.0 ** -np.arange(2.0, 7.0, 1.5)
"""Steps of difference quotients, in units of the point or the bend of the loss; one that agrees will do."""
AGREES = 1e-4
"""Relative difference between two ways to compute a number that is none."""


def check_loss(loss: Loss) -> None:
    """Check that a loss of your own keeps what ``Loss`` asks for, at points on both sides of zero.

    φ' and φ'' are compared with difference quotients of φ and φ', and with their bounds and signs;
    ``value_and_gradient`` and ``derivatives`` with the three methods; the conjugate with φ*(φ'(t)) =
    t φ'(t) - φ(t). The estimators and objectives do this with every loss that is not of this library.

    Raises
    ------
    TypeError
        For anything but a ``Loss``.
    ValueError
        For the first thing that is not so, with the point and the two numbers that disagree.
    """
    if not isinstance(loss, Loss):
        raise TypeError(f"loss must be a gdnp.losses.Loss. Got {type(loss).__name__}; subclass it.")
    _LossCheck(loss).run()


class _LossCheck:
    """φ, φ' and φ'' at the points t."""

    def __init__(self, loss: Loss) -> None:
        self.loss, self.kind = loss, type(loss).__name__
        for name, (fits, expected) in ATTRIBUTES.items():
            value = getattr(loss, name, None)
            if not fits(value):
                shown = "nothing" if value is None else repr(value)
                raise ValueError(f"{self.kind}.{name} must be {expected}. Got {shown}; set it in the class.")
        bend = loss.max_gradient / loss.max_curvature
        self.bend = bend if 0.0 < bend < math.inf else 1.0
        spread = np.sinh(np.linspace(-4.1, 4.07, 61))
        self.t = np.concatenate([spread, self.bend * spread])
        self.value, self.gradient, self.curvature = map(self.of, ("value", "gradient", "curvature"))

    def of(self, name: str, t: FloatArray | None = None) -> Any:
        """What a method returns at t: new arrays of its shape, finite."""
        t = self.t if t is None else t
        given = t.copy()
        with np.errstate(all="ignore"):
            found = getattr(self.loss, name)(given)
        for part in found if isinstance(found, tuple) else (found,):
            shown = f"{part.dtype} of shape {part.shape}" if isinstance(part, np.ndarray) else repr(part)[:40]
            if not (isinstance(part, np.ndarray) and part.shape == t.shape and part.dtype == t.dtype):
                raise ValueError(
                    f"{self.kind}.{name} must return float64 of the shape of its argument, {t.shape}. "
                    f"Got {shown}; compute it with NumPy on whole arrays."
                )
            if np.shares_memory(part, given) or not np.array_equal(given, t):
                raise ValueError(
                    f"{self.kind}.{name} must return a new array and leave its argument alone. "
                    "Got the argument itself, or another than it was given; copy it first."
                )
            if not np.isfinite(part).all():
                at = int(np.flatnonzero(~np.isfinite(part))[0])
                raise ValueError(
                    f"{self.kind}.{name} must be finite. Got {part[at]} at t = {t[at]:.6g}; "
                    "write it so that nothing overflows there."
                )
        return found

    def refuse(self, wrong: Any, name: str, got: Any, expected: Any, rule: str) -> None:
        """Raise for the point at which `got` is most wrong."""
        got, expected = (np.broadcast_to(part, self.t.shape) for part in (got, expected))
        if wrong.any():
            at = int(np.where(wrong, np.abs(got - expected), -1.0).argmax())
            raise ValueError(
                f"{self.kind}.{name} must be {rule}. Got {got[at]:.9g} at t = {self.t[at]:.6g}, "
                f"where that is {expected[at]:.9g}; mend the one that is wrong."
            )

    def run(self) -> None:
        """Compare everything that can be compared."""
        loss, t = self.loss, self.t
        self._derivative("gradient", "value", self.gradient)
        self._derivative("curvature", "gradient", self.curvature)
        for name, values in (("max_gradient", self.gradient), ("max_curvature", self.curvature)):
            size, bound = np.abs(values), getattr(loss, name)
            self.refuse(size > bound * (1.0 + AGREES), name, bound, size, f"at least |{_SYMBOLS[name]}|")
        bend, pull, slack = self.curvature, self.gradient, AGREES * loss.max_curvature
        if loss.convex:
            self.refuse(bend < -slack, "curvature", bend, 0.0, "at least 0, as convex is True")
        if loss.increasing:
            self.refuse(pull < 0.0, "gradient", pull, 0.0, "at least 0, as increasing is True")
        if loss.quadratic:
            apart = np.abs(bend - bend[0]) > slack
            self.refuse(apart, "curvature", bend, bend[0], "constant, as quadratic is True")
        three = (self.value, self.gradient, self.curvature)
        for name, parts in (("value_and_gradient", three[:2]), ("derivatives", three)):
            for got, expected, part in zip(self.of(name), parts, _PARTS, strict=False):
                self._close(name, got, expected, np.abs(expected).max(), f"what {part} is")
        if loss.convex and loss.has_conjugate:
            a = self.gradient
            self._close("dual_clip", loss.dual_clip(a.copy()), a, np.abs(a), "φ' where it is given φ'")
            size = np.abs(t * a) + np.abs(self.value)
            self._close("conjugate", self.of("conjugate", a), t * a - self.value, size, "t φ' - φ at φ'")

    def _close(self, name: str, got: FloatArray, expected: FloatArray, size: Any, rule: str) -> None:
        self.refuse(~(np.abs(got - expected) <= AGREES * size), name, got, expected, rule)

    def _derivative(self, name: str, of: str, slope: FloatArray) -> None:
        step = STEPS[:, None] * np.maximum(np.abs(self.t), min(1.0, self.bend))
        high, low = self.t + step, self.t - step
        above, below = (self.of(of, t.ravel()).reshape(t.shape) for t in (high, low))
        quotient = (above - below) / (high - low)
        noise = 4.0 * np.finfo(np.float64).eps * (np.abs(above) + np.abs(below)) / (high - low)
        size = np.maximum(np.maximum(np.abs(slope), np.abs(quotient)), np.finfo(np.float64).tiny)
        miss = np.maximum(np.abs(quotient - slope) - noise, 0.0) / size
        nearest = (miss.argmin(axis=0), np.arange(len(self.t)))
        self.refuse(miss[nearest] > AGREES, name, slope, quotient[nearest], f"the derivative of {of}")


_PARTS = ("value", "gradient", "curvature")
_SYMBOLS = {"max_gradient": "φ'", "max_curvature": "φ''"}
