"""The MLP with one hidden layer (Eq. 20) on data, trained by Algorithm 2 on the device of the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.losses import Loss, checked_loss
from gdnp.metric import Covariance
from gdnp.population.network import checked_theta
from gdnp.problem.hidden_unit import (
    LossDerivatives,
    UnitDerivatives,
    UnitLoss,
    activation_slope,
    unit_derivatives,
)
from gdnp.problem.interface import Cost, Expansion, Objective, Point

TensorLoss = Callable[[Tensor], Tensor]
"""ℓ(t) elementwise, twice differentiable by autograd."""

ROWS = 65_536
LENGTH_CAP = 1e6


class SampleMLP:
    """f_nn(W̃) = (1/n) Σ_rows ℓ(Σ_i θ_i tanh(zᵀw̃_i)), z = -y (x - x̄): Eq. 20 on rows of data.

    The rows stay where they are: a point costs a product with the n x d matrix z on its device, and vectors
    alone cross to the host. There functions of the pre-activations are evaluated and averaged in float64,
    whatever the dtype of X: by formulas where ℓ has them, else by autograd.

    Parameters
    ----------
    X : tensor or array of shape (n, d)
        float32 or float64, on any device; one centred copy of it is kept.
    y : tensor or array of shape (n,)
        -1 and +1, both present.
    theta : tensor or array of shape (m,)
        Θ, finite and without zeros.
    loss : str, Loss or callable
        ℓ: a classification loss, or an elementwise function of a tensor that autograd differentiates twice.
    center : bool
        Subtract the column means, as Assumption 1 asks; without it x̄ is 0 throughout.

    Attributes
    ----------
    z : tensor of shape (n, d)
        -y (x - x̄), in the dtype and on the device of X.
    mean : tensor of shape (d,)
        x̄.
    u, covariance : ndarray of shape (d,), Covariance
        Eq. 1 on these rows, in float64.
    cost : Cost
        Passes over z.

    Raises
    ------
    ValueError
        For shapes that do not fit, labels other than -1 and +1, values that are not finite, or a constant X.
    TypeError
        For an X that does not hold floating-point numbers.
    """

    def __init__(
        self,
        X: Tensor | ArrayLike,
        y: Tensor | ArrayLike,
        theta: Tensor | ArrayLike,
        loss: str | Loss | TensorLoss = "log_loss",
        *,
        center: bool = True,
    ) -> None:
        rows = _checked_rows(X)
        sign = _checked_labels(y, rows)
        self.theta: Final = checked_theta(on_host(theta))
        self.n_units, self.n_features = self.theta.size, rows.shape[1]
        self.mean = rows.mean(0) if center else torch.zeros_like(rows[0])
        self.z: Final = -sign[:, None] * (rows - self.mean)
        self.outer, self.slope = _derivatives(loss)
        self.cost: Final = Cost()
        self.u: Final[FloatArray] = _host(self.z.mean(0, dtype=torch.float64))
        self.covariance: Final = Covariance(_host(_second_moment(self.z)))
        self.r: Final = self.covariance.dual_norm(self.u) ** 2
        if not self.r > 0.0:
            raise ValueError(
                "X must tell the classes apart on average. Got E[-y x] = 0: no direction is best."
            )

    @cached_property
    def reach(self) -> float:
        """Σ|θ_i|: the network's outputs lie within it."""
        return float(np.abs(self.theta).sum())

    def unit(self, i: int, coef: FloatArray) -> Objective:
        """f^(i): the objective as a function of w̃_i alone, a ``gdnp.problem.interface.Objective``."""
        if np.shape(coef) != (self.n_units, self.n_features):
            raise ValueError(f"coef must have shape {(self.n_units, self.n_features)}. Got {np.shape(coef)}.")
        return _Unit(self, i, coef)

    def value(self, coef: ArrayLike) -> float:
        """f_nn at W̃ of shape (m, d)."""
        coef = np.asarray(coef, dtype=np.float64)
        return self.unit(0, coef).at(coef[0]).value

    def gradient(self, coef: ArrayLike) -> FloatArray:
        """∇f_nn of shape (m, d)."""
        coef = np.asarray(coef, dtype=np.float64)
        return np.stack([self.unit(i, coef).at(row).gradient for i, row in enumerate(coef)])

    def margins(self, w: FloatArray) -> FloatArray:
        """The n numbers zᵀw in float64: half a pass."""
        self.cost.charge(0.5)
        return _host((self.z @ torch.as_tensor(w, dtype=self.z.dtype, device=self.z.device)).double())

    def pull_back(self, residual: FloatArray) -> FloatArray:
        """(1/n) zᵀ residual, shape (d,): half a pass."""
        self.cost.charge(0.5)
        return _host((self.z.T @ torch.as_tensor(residual).to(self.z)).double()) / len(self.z)


class _Unit:
    """f^(i) on data; see ``gdnp.population`` for the same under Assumption 2.

    ``stein_coefficient`` is Ξ of Eq. 101 with averages over the rows for expectations, and for c_j the
    coefficient of w̃_j's projection on S⁻¹u in S, uᵀw̃_j/r: where the other units are on that line, it is c_j.
    """

    alpha: Final = 0.0
    fit_intercept: Final = False
    gram_passes: Final = 0.0  # S is formed with the network, once for all units
    length_cap: Final = LENGTH_CAP

    def __init__(self, network: SampleMLP, i: int, coef: FloatArray) -> None:
        self.network, self.theta = network, float(network.theta[i])
        self.n_features, self.cost = network.n_features, network.cost
        self.u, self.covariance = network.u, network.covariance
        self.loss: Loss = UnitLoss(network.outer, self.theta, network.reach)
        zero = network.margins(np.zeros(network.n_features))
        self.rest, self.pull = zero, zero
        for j, row in enumerate(coef):
            if j != i and np.any(row):
                t, theta = network.margins(row), float(network.theta[j])
                c = float(network.u @ row) / network.r
                self.rest = self.rest + theta * np.tanh(t)
                self.pull = self.pull + ((1.0 - network.r) * theta * c) * activation_slope(np, t)
        self.origin: Final = _Point(self, np.zeros(self.n_features), zero)

    def at(self, coef: FloatArray, intercept: float = 0.0) -> _Point:
        coef = np.array(coef, dtype=np.float64)
        return _Point(self, coef, self.network.margins(coef))

    def stein_coefficient(self, point: Point) -> float:
        return point.mean_gradient - float(self.u @ point.coef) * point.mean_curvature

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        return intercept

    def mean_slope(self, t: FloatArray, d: FloatArray) -> float:
        """E ψ'(t) d."""
        output = np.tanh(t)
        output *= self.theta
        output += self.rest
        e = np.abs(t)
        e *= -2.0
        np.exp(e, out=e)
        share = 1.0 + e
        e /= np.multiply(share, share, out=share)
        e *= self.network.slope(output)
        return float(e @ d) * 4.0 * self.theta / len(d)

    def psi(self, t: FloatArray) -> UnitDerivatives:
        return unit_derivatives(np, self.network.outer, self.theta, self.rest, t)


@dataclass(frozen=True, eq=False)
class _Point:
    """w̃ with its pre-activations."""

    unit: _Unit
    coef: FloatArray
    t: FloatArray

    intercept = 0.0
    intercept_gradient = 0.0
    separates = False

    @cached_property
    def _psi(self) -> UnitDerivatives:
        return self.unit.psi(self.t)

    @cached_property
    def _means(self) -> list[float]:
        psi = self._psi
        return [_mean(each) for each in (psi.value, psi.slope + psi.cross * self.unit.pull, psi.curvature)]

    @property
    def value(self) -> float:
        return self._means[0]

    @property
    def mean_gradient(self) -> float:
        return self._means[1]

    @property
    def mean_curvature(self) -> float:
        return self._means[2]

    @cached_property
    def gradient(self) -> FloatArray:
        return self.unit.network.pull_back(self._psi.slope)

    def line(self, direction: FloatArray) -> _Line:
        return _Line(self, direction, self.unit.network.margins(direction))


@dataclass(frozen=True, eq=False)
class _Line:
    """f^(i) along w̃ + t d, given the pre-activations of both."""

    start: _Point
    direction: FloatArray
    d: FloatArray

    def expansion(self, t: float, c: float = 0.0) -> Expansion:
        at = self.start.t + t * self.d
        found = _Expansion(0.0, self.start.unit.mean_slope(at, self.d), 0.0, 0.0, 0.0, 0.0)
        found.line, found.at = self, at
        return found

    def point(self, t: float, c: float = 0.0, *, last: bool = False) -> _Point:
        return _Point(self.start.unit, self.start.coef + t * self.direction, self.start.t + t * self.d)


class _Expansion(Expansion):
    """Value and curvature when they are asked for: a bisection asks for slopes alone."""

    line: _Line
    at: FloatArray

    @cached_property
    def _rest(self) -> list[float]:
        psi, d = self.line.start.unit.psi(self.at), self.line.d
        return [_mean(psi.value), _mean(psi.curvature * d * d)]

    value = property(lambda self: self._rest[0])
    f_tt = property(lambda self: self._rest[1])


def on_host(values: Tensor | ArrayLike) -> ArrayLike:
    """A small tensor from any device, or what is an array already."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def _mean(column: FloatArray) -> float:
    return float(np.add.reduce(column)) / len(column)


def _host(tensor: Tensor) -> FloatArray:
    array: FloatArray = tensor.cpu().numpy()
    return array


def _derivatives(loss: str | Loss | TensorLoss) -> tuple[LossDerivatives, Callable[[FloatArray], FloatArray]]:
    """ℓ, ℓ' and ℓ'' on arrays, and ℓ' alone."""
    if isinstance(loss, str | Loss):
        known = checked_loss(loss)
        if known.task != "classification":
            raise ValueError(f"loss must be one of classification, or a function. Got {known.name!r}.")
        return known.derivatives, known.gradient
    if not callable(loss):
        raise TypeError(f"loss must be a name or a function of a tensor. Got {type(loss).__name__}.")

    def jet(t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        with torch.enable_grad():
            leaf = torch.as_tensor(t).clone().requires_grad_()
            value = loss(leaf)
            (first,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
            second = torch.zeros_like(leaf)
            if first.requires_grad:  # ℓ' of a linear loss is a constant
                (second,) = torch.autograd.grad(first.sum(), leaf, allow_unused=True, materialize_grads=True)
        return value.detach().numpy(), first.detach().numpy(), second.numpy()

    return jet, lambda t: jet(t)[1]


def _second_moment(z: Tensor) -> Tensor:
    """zᵀz/n accumulated in float64, some rows at a time."""
    d = z.shape[1]
    total = torch.zeros((d, d), dtype=torch.float64, device=z.device)
    for block in torch.split(z, ROWS):
        rows = block.double()
        total += rows.T @ rows
    return total / len(z)


def _checked_rows(X: Any) -> Tensor:
    if isinstance(X, np.ndarray) and not X.flags.writeable:
        X = X.copy()  # PyTorch warns of sharing what must not be written to
    rows = torch.as_tensor(X).detach()
    if rows.ndim != 2 or rows.numel() == 0:
        raise ValueError(f"X must have shape (n, d). Got {tuple(rows.shape)}.")
    if rows.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"X must hold float32 or float64. Got {rows.dtype}; convert it first.")
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("X must be finite. Got NaN or infinity; drop those rows.")
    return rows


def _checked_labels(y: Any, rows: Tensor) -> Tensor:
    labels = torch.as_tensor(np.array(y) if isinstance(y, np.ndarray) else y).detach().to(rows)
    if labels.shape != rows.shape[:1]:
        raise ValueError(
            f"y must have one entry per row of X, shape ({len(rows)},). Got {tuple(labels.shape)}."
        )
    if not bool((labels.abs() == 1).all() and (labels == 1).any() and (labels == -1).any()):
        shown = ", ".join(f"{label:g}" for label in np.unique(_host(labels))[:5])
        raise ValueError(f"y must hold both classes, as -1 and +1. Got {shown}; map the two classes to them.")
    return labels
