"""One hidden unit as a function of its own pre-activation, the other units held: ψ(t) = ℓ(rest + θ tanh t).

With t = zᵀw̃ the objective f^(i)(w̃) = E ψ(t) of Algorithm 2 is a halfspace whose loss differs from row to
row (or from node to node of a quadrature) through `rest`, what the other units contribute.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import Loss

LossDerivatives = Callable[[FloatArray], tuple[FloatArray, FloatArray, FloatArray]]
"""t -> (ℓ, ℓ', ℓ'') elementwise."""

MAX_TANH_CURVATURE = 4.0 / 27.0**0.5
"""sup |tanh''|."""


class UnitDerivatives(NamedTuple):
    """ψ, ψ' = θ ℓ'φ', ψ'' = θ² ℓ''φ'² + θ ℓ'φ'' and ∂ψ'/∂rest = θ ℓ''φ', elementwise."""

    value: FloatArray
    slope: FloatArray
    curvature: FloatArray
    cross: FloatArray


def activation_slope(t: FloatArray) -> FloatArray:
    """Of φ = tanh, φ' = 4e/(1 + e)² with e = e^(-2|t|): 1 - tanh² would cancel in the tails."""
    e: FloatArray = np.exp(-2.0 * np.abs(t))
    return 4.0 * e / (1.0 + e) ** 2


def unit_derivatives(
    outer: LossDerivatives, theta: float, rest: FloatArray | float, t: FloatArray
) -> UnitDerivatives:
    """ψ at t = zᵀw̃_i for ℓ = `outer`, θ_i = `theta`, `rest` = Σ_{j≠i} θ_j φ(zᵀw̃_j) broadcast against t."""
    phi, slope = np.tanh(t), activation_slope(t)
    value, first, second = outer(rest + theta * phi)
    cross = theta * second * slope
    pull = theta * first * slope
    return UnitDerivatives(value, pull, theta * cross * slope - 2.0 * pull * phi, cross)


@dataclass(frozen=True)
class UnitLoss(Loss):
    """What the solvers ask of a loss, for ψ: bounds over every value that the other units can take.

    F = Σ θ_j φ_j stays within ±Σ|θ_j|, so |ψ'| <= |θ_i| sup|ℓ'| and |ψ''| <= θ_i² sup|ℓ''| + |θ_i| sup|ℓ'|
    sup|φ''|, the suprema of ℓ over that interval. As a function of one number it is the unit alone,
    ℓ(θ_i tanh t).
    """

    outer: LossDerivatives  # ℓ and its derivatives, on float64 arrays
    theta: float  # θ_i
    reach: float  # Σ|θ_j|, over all units

    name = "hidden_unit"
    task = "classification"
    convex = False

    def _suprema(self) -> tuple[float, float]:
        _, first, second = self.outer(np.linspace(-self.reach, self.reach, 513))
        return float(np.abs(first).max()), float(np.abs(second).max())

    @property
    def max_gradient(self) -> float:  # type: ignore[override]
        """sup |ψ'|."""
        return abs(self.theta) * self._suprema()[0]

    @property
    def max_curvature(self) -> float:  # type: ignore[override]
        """A bound on sup |ψ''|."""
        first, second = self._suprema()
        return self.theta**2 * second + abs(self.theta) * first * MAX_TANH_CURVATURE

    def value(self, t: FloatArray) -> FloatArray:
        """ℓ(θ tanh t)."""
        return self.derivatives(t)[0]

    def gradient(self, t: FloatArray) -> FloatArray:
        """Its derivative."""
        return self.derivatives(t)[1]

    def curvature(self, t: FloatArray) -> FloatArray:
        """Its second derivative."""
        return self.derivatives(t)[2]

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One reading of ℓ for all three."""
        return unit_derivatives(self.outer, self.theta, 0.0, t)[:3]
