"""The MLP with one hidden layer (Eq. 20) on the population of Assumption 2, one unit at a time.

For units on the line of S⁻¹u (where Lemma 2 has them, and where Theorem 3 assumes them) all they know of z is
s₁ = zᵀS⁻¹u/√r ~ N(√r, 1 - r). A further unit, anywhere, knows t = zᵀw̃ = A s₁ + B s₂ with A = uᵀw̃/√r, B the
S-length of its part off the line and s₂ ~ N(0, 1) independent of s₁: every expectation is two-dimensional.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from gdnp._typing import FloatArray
from gdnp.losses import Loss, checked_loss
from gdnp.metric import Covariance
from gdnp.population.halfspace import Expectations, Halfspace, Population, PopulationPoint
from gdnp.population.quadrature import gaussian_rule
from gdnp.problem.hidden_unit import UnitDerivatives, UnitLoss, activation_slope, unit_derivatives
from gdnp.problem.interface import Point

LENGTH_CAP = 64.0
ALIGNED = 1e-6


class PopulationMLP:
    """f_nn(W̃) = E ℓ(Σ_i θ_i tanh(zᵀw̃_i)) for z ~ N(u, S - u uᵀ), by two-dimensional quadrature.

    Eq. 20 with the output weights Θ frozen: tanh is odd, so -y F_x(W̃) is that sum at z = -y x.

    Parameters
    ----------
    u, S
        As for `Halfspace`, of shapes (d,) and (d, d); u is not 0.
    theta : array-like of shape (m,)
        Θ, finite and without zeros.
    loss : str or Loss
        ℓ, a classification loss. A convex one has a finite best length for every unit, about 1/θ_i times that
        of a halfspace; sigmoid and probit have none, and lengths then end at 64, where tanh is nearly a sign.

    Attributes
    ----------
    covariance : Covariance
        S, as a metric.
    optimal_direction, r
        S⁻¹u and uᵀS⁻¹u.

    Raises
    ------
    ValueError
        For moments that no Gaussian has, u = 0, or output weights that are zero or not finite.

    Examples
    --------
    >>> network = PopulationMLP([0.6, 0.0], np.diag([1.0, 4.0]), theta=[1.0, 1.0])
    >>> print(round(network.value(np.zeros((2, 2))), 6))  # log 2
    0.693147
    """

    def __init__(self, u: ArrayLike, S: ArrayLike, theta: ArrayLike, loss: str | Loss = "log_loss") -> None:
        self.loss: Final = checked_loss(loss)
        plain = Halfspace(u, S, self.loss)  # checks u, S and the loss
        if not plain.r > 0.0:
            raise ValueError("u must not be 0: without a signal no direction is better than another.")
        self.u, self.S, self.r = plain.u, plain.S, plain.r
        self.optimal_direction: Final = plain.optimal_direction
        self.covariance: Final[Covariance] = plain.covariance
        self.theta: Final = checked_theta(theta)
        self.n_units, self.n_features = self.theta.size, self.u.size

    def unit(self, i: int, coef: ArrayLike) -> HiddenUnit:
        """f^(i): the objective as a function of w̃_i alone, a ``gdnp.problem.interface.Objective``.

        Parameters
        ----------
        i : int
            Which unit.
        coef : array-like of shape (m, d)
            W̃; row `i` is not used. The other rows must be 0 or on the line of S⁻¹u: at most 1e-6 of their
            S-length may be off it, and is dropped.

        Raises
        ------
        ValueError
            When another unit is off the line.
        """
        coef = np.asarray(coef, dtype=np.float64)
        if coef.shape != (self.n_units, self.n_features):
            raise ValueError(f"coef must have shape {(self.n_units, self.n_features)}. Got {coef.shape}.")
        signal = coef @ self.u / math.sqrt(self.r)
        off = coef - np.outer(signal / math.sqrt(self.r), self.optimal_direction)
        for j in range(self.n_units):
            length, part = self.covariance.norm(coef[j]), self.covariance.norm(off[j])
            if j != i and part > ALIGNED * length:
                raise ValueError(
                    f"units other than {i} must be on the line of S⁻¹u, where the population is known. Got "
                    f"unit {j} with {part / length:.1g} of its length off it: take more steps, or use data."
                )
        others = np.arange(self.n_units) != i
        return HiddenUnit(self, float(self.theta[i]), signal[others], self.theta[others])

    def value(self, coef: ArrayLike) -> float:
        """f_nn at W̃ of shape (m, d): all units but the first 0 or on the line of S⁻¹u."""
        return self.unit(0, coef).at(np.asarray(coef)[0]).value

    def gradient(self, coef: ArrayLike) -> FloatArray:
        """∇f_nn of shape (m, d), for units that are 0 or on the line of S⁻¹u."""
        coef = np.asarray(coef, dtype=np.float64)
        return np.stack([self.unit(i, coef).at(row).gradient for i, row in enumerate(coef)])


class HiddenUnit(Population):
    """f^(i)(w̃) = E ψ(zᵀw̃): a halfspace whose loss ψ depends on s₁ through the other units.

    By Stein's lemma ∇f^(i) = Ξ u + c₂ S w̃ with c₂ = E ψ'' = θ_i (β_ii + γ_i) and
    Ξ = θ_i (α_i + (1-r) Σ_{j≠i} β_ij c_j) - c₂ uᵀw̃, w̃_j = c_j S⁻¹u. So with `mean_gradient` read as what
    stands before the last term, ``stein_coefficient`` is Ξ, and Eq. 17's step is that of Eqs. 100-101.
    ``PopulationMLP.unit`` makes it of the `network`, the unit's `theta`, and of the other units their lengths
    (`signal`) and weights (`output`).
    """

    length_cap = LENGTH_CAP
    """64, where tanh is a sign but for one z in fifty."""

    def __init__(self, network: PopulationMLP, theta: float, signal: FloatArray, output: FloatArray) -> None:
        outer = network.loss.derivatives
        reach = abs(theta) + float(np.abs(output).sum())
        super().__init__(network.u, network.S, UnitLoss(outer, theta, reach), alpha=0.0)
        self.network, self._outer, self._theta = network, outer, theta
        active = signal != 0.0
        self._signal, self._output = signal[active], output[active]
        self._sharpness = float(np.abs(self._signal).max(initial=0.0))
        # ℓ(F) has its nearest singularity at F = iπ, and tanh(iy) = i tan y: the sum gets there at this y.
        self._strip = math.atan(math.pi / reach)

    def coupling(self, point: Point) -> float:
        """θ_i (1-r) Σ_{j≠i} β_ij c_j: the part of Ξ at `point` that the other units add."""
        a, q = float(self.u @ point.coef), self.covariance.norm(point.coef) ** 2
        nodes, psi = self._at(a, math.sqrt(max(q - a * a / self.r, 0.0)))
        return nodes.mean(psi.cross * self._pull(nodes.s1))

    def _rest(self, s1: FloatArray) -> FloatArray:
        """Σ_{j≠i} θ_j tanh(C_j s₁) for zᵀw̃_j = C_j s₁."""
        units = zip(self._signal, self._output, strict=True)
        return sum((theta * np.tanh(C * s1) for C, theta in units), start=np.zeros_like(s1))

    def _pull(self, s1: FloatArray) -> FloatArray:
        """(1-r) Σ_{j≠i} θ_j φ'_j c_j, c_j = C_j/√r: how `rest` answers when the mean of z moves along u."""
        weights = (1.0 - self.r) / math.sqrt(self.r) * self._output * self._signal
        units = zip(self._signal, weights, strict=True)
        return sum((weight * activation_slope(C * s1) for C, weight in units), start=np.zeros_like(s1))

    def _expectations(self, a: float, q: float) -> Expectations:
        nodes, psi = self._at(a, math.sqrt(max(q - a * a / self.r, 0.0)))
        slope = nodes.mean(psi.slope + psi.cross * self._pull(nodes.s1))
        return nodes.mean(psi.value), slope, nodes.mean(psi.curvature)

    def _restriction(self, point: PopulationPoint, d: FloatArray) -> Callable[[float], Expectations]:
        # Off the line of S⁻¹u, w̃ + t d has the part p + t q, along which s₂ lies: so
        # ζ = zᵀd = D₁ s₁ + D₂ s₂ + D₃ s₃ with s₃ ~ N(0, 1) independent of both, and nothing subtracts.
        p, q = self._off(point.coef), self._off(d)
        Sq, mean_d = self.S @ q, float(self.u @ d)
        pp, pq, qq = float(p @ self.S @ p), float(p @ Sq), float(q @ Sq)
        D1 = mean_d / math.sqrt(self.r)

        def moments(t: float) -> Expectations:
            B = math.sqrt(max(pp + t * (2.0 * pq + t * qq), 0.0))
            D2 = (pq + t * qq) / B if B > 0.0 else 0.0
            nodes, psi = self._at(point.a + t * mean_d, B)
            zeta = D1 * nodes.s1 + D2 * nodes.s2
            square = zeta * zeta + max(qq - D2 * D2, 0.0)
            return nodes.mean(psi.value), nodes.mean(psi.slope * zeta), nodes.mean(psi.curvature * square)

        return moments

    def _off(self, w: FloatArray) -> FloatArray:
        """`w` without its part along S⁻¹u."""
        return np.asarray(w - (float(self.u @ w) / self.r) * self.optimal_direction)

    def _at(self, a: float, B: float) -> tuple[_Nodes, UnitDerivatives]:
        """Nodes for t = a/√r s₁ + B s₂, and ψ with its derivatives there."""
        nodes = _nodes(a, B, self.r, self._sharpness, self._strip)
        return nodes, unit_derivatives(self._outer, self._theta, self._rest(nodes.s1), nodes.t)


@dataclass(frozen=True)
class _Nodes:
    """A rule for (t, s₁, s₂): `t` of shape (K, 1), the others of shape (K, k)."""

    t: FloatArray
    s1: FloatArray
    s2: FloatArray
    weight: FloatArray

    def mean(self, h: FloatArray) -> float:
        """E h."""
        return float(np.sum(self.weight * h))


def _nodes(a: float, B: float, r: float, sharpness: float, strip: float) -> _Nodes:
    """Nodes for t = A s₁ + B s₂, A = a/√r, where functions of t and of `sharpness` s₁ bend at zero.

    They are analytic in both up to `strip` <= π/2 from the real line.

    In turns: t by ``gaussian_rule``, which is exact at any length, and s₁ given t, which is normal. Let
    t = a + sd τ, c = A σ/sd and e = B/sd. Then (s₁ - √r)/σ = c τ + e η and s₂ = e τ - c η: nothing cancels
    as the unit joins the line (B -> 0) and η ceases to matter.
    """
    root, sigma = math.sqrt(r), math.sqrt(1.0 - r)
    along = a / root * sigma
    sd = math.hypot(along, B)
    if not math.isfinite(sd):  # a diverged iterate has the value nan
        nan = np.full((1, 1), np.nan)
        return _Nodes(nan, nan, nan, nan)
    c, e = (along / sd, B / sd) if sd > 0.0 else (0.0, 1.0)
    scale = min(1.0, 2.0 * strip)
    if sharpness > 0.0 and c != 0.0:  # where s₁ bends, seen in units of t
        scale *= min(1.0, max(1.0 / sharpness, sigma * e) * sd / (abs(c) * sigma))
    t, weight = gaussian_rule(a, sd * sd, scale)
    tau = ((t - a) / sd if sd > 0.0 else np.zeros_like(t))[:, None]
    eta, inner = _standard_normal_rule(sharpness * sigma * e / strip)
    return _Nodes(t[:, None], root + sigma * (c * tau + e * eta), e * tau - c * eta, weight[:, None] * inner)


def _standard_normal_rule(sharpness: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights for E h(η), η ~ N(0, 1), where h is analytic up to 1/`sharpness` off the real line.

    The trapezoidal rule then errs by e^(-2π/(sharpness step)), and by the same for what the Gaussian itself
    asks, a step of at most 0.7. A `sharpness` of 0 stands for polynomials of degree 3.
    """
    if sharpness < 1e-2:  # where h is a polynomial to rounding
        roots, masses = np.polynomial.hermite_e.hermegauss(6 if sharpness > 0.0 else 2)
        return roots, masses / masses.sum()
    step = min(0.7, 0.2 / sharpness)
    reach = math.ceil(8.5 / step)
    grid = step * np.arange(-reach, reach + 1, dtype=np.float64)
    density = np.exp(-0.5 * grid * grid)
    return np.asarray(grid, dtype=np.float64), density / density.sum()


def checked_theta(theta: ArrayLike) -> FloatArray:
    """Θ in float64, shape (m,): finite and without zeros."""
    array = np.array(theta, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all() or (array == 0.0).any():
        raise ValueError(
            "theta must hold a finite output weight other than 0 for each hidden unit, shape (m,). "
            f"Got {array.tolist()!r:.80}."
        )
    return array
