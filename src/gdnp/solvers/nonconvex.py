"""Perturbed accelerated gradient descent with negative-curvature exploitation (Jin, Netrapalli, Jordan 2017).

C. Jin, P. Netrapalli and M. I. Jordan, "Accelerated gradient descent escapes saddle points faster than
gradient descent", arXiv 1711.10456. With v the momentum, one iteration is

    y = x + (1 - θ) v,   x⁺ = y - η ∇f(y),   v⁺ = x⁺ - x,

unless f shows that it is too non-convex between x and y,

    f(x) <= f(y) + ⟨∇f(y), x - y⟩ - γ/2 ‖x - y‖²,                                            (certificate)

which hands x and v to *negative-curvature exploitation*: a momentum of at least s is dropped, a shorter one
points along a direction of negative curvature, and the better of x ± s v/‖v‖ is the next point, at rest.
Where ‖∇f(x)‖ <= ε, a point drawn uniformly from a ball of radius r is added, at most once in T iterations.

Two things are ours. The certificate has to hold by more than the rounding of f: it is an equality at x = y,
and near a minimum it would otherwise fire by chance and throw x a distance s away. And a perturbation after
which f has not fallen in T iterations is the last one: the point is then no saddle, and x may converge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective, Point
from gdnp.solvers.first_order import largest_curvature
from gdnp.solvers.state import ROUNDING, Method, State, parted
from gdnp.validation import checked_count, checked_number

SUFFICIENT_DECREASE = 0.01
"""In units of (ε³/ρ)^½, what escaping from a saddle point is worth."""


@dataclass(frozen=True, kw_only=True)
class NonconvexState(State):
    """x as the point, and where it is going."""

    parameters: Any  # with a value for each; never changes within a run
    velocity: FloatArray  # v, over (w̃, γ), shape (d + 1,)
    iteration: int = 0
    exploitations: int = 0  # how often negative curvature was exploited
    perturbations: int = 0  # how often noise was added
    perturbed_at: int | None = None  # iteration of the last perturbation
    perturbed_value: float = math.inf  # f just before it
    settled: bool = False  # a perturbation has not helped: there will be no other


@dataclass(frozen=True)
class NonconvexAGD(Method):
    """The method; None stands for the value that its analysis derives from ℓ, ρ and ε, constants aside.

    The history is taken at x: an iteration costs two passes, one at x and one at y.

    Parameters
    ----------
    name : str
    step_length : float or None
        η; None is 1/(4ℓ) with ℓ = L sup φ'' + α.
    momentum : float or None
        1 - θ in [0, 1); None takes θ = 1/(4√κ) with κ = ℓ/√(ρε).
    curvature : float or None
        γ; None is θ²/η.
    escape : float or None
        s; None is γ/(4ρ).
    epsilon : float or None
        ε, a Euclidean gradient norm; None is 1e-4 ℓ²/ρ, where κ = 100.
    hessian_lipschitz : float or None
        ρ; None is ℓ√L, as if sup |φ'''| were sup φ'' (for softplus it is less, for the sigmoid a third more).
    radius : float or None
        r; None is ηε, and 0 leaves the perturbations out.
    wait : int or None
        T; None is ⌈3√κ log(40 κ √d)⌉: a perturbation then grows to the size s where the curvature is -√(ρε).
    seed : int
        Of the perturbations.
    """

    name: str
    step_length: float | None = None
    momentum: float | None = None
    curvature: float | None = None
    escape: float | None = None
    epsilon: float | None = None
    hessian_lipschitz: float | None = None
    radius: float | None = None
    wait: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("step_length", "curvature", "escape", "epsilon", "hessian_lipschitz", "radius"):
            value = getattr(self, name)
            if value is not None:
                shown = f"{self.name}: {name.removesuffix('_length')}"
                checked_number(shown, value, positive=name != "radius")
        if self.momentum is not None and not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"{self.name}: momentum must be in [0, 1), or None. Got {self.momentum!r}.")
        if self.wait is not None:
            checked_count(f"{self.name}: wait", self.wait, least=1)

    def init(self, objective: Objective, start: FloatArray | None) -> NonconvexState:
        """The state at rest at `start`, w̃₀ or (w̃₀, γ₀), by default 0."""
        objective.cost.charge(objective.gram_passes)
        d = objective.n_features
        return NonconvexState(
            point=objective.at(*parted(np.zeros(d) if start is None else start, d)),
            parameters=self.resolved(objective),
            velocity=np.zeros(d + 1),
        )

    def resolved(self, objective: Objective) -> NonconvexAGD:
        """The method with a value for each parameter on `objective`, the given ones kept."""
        smoothness = largest_curvature(objective)
        width = math.sqrt(objective.covariance.largest) or 1.0
        rho = smoothness * width if self.hessian_lipschitz is None else self.hessian_lipschitz
        epsilon = 1e-4 * smoothness**2 / rho if self.epsilon is None else self.epsilon
        kappa = max(1.0, smoothness / math.sqrt(rho * epsilon))
        step = 0.25 / smoothness if self.step_length is None else self.step_length
        momentum = 1.0 - 0.25 / math.sqrt(kappa) if self.momentum is None else self.momentum
        curvature = (1.0 - momentum) ** 2 / step if self.curvature is None else self.curvature
        growth = math.log(40.0 * kappa * math.sqrt(objective.n_features))
        return replace(
            self,
            step_length=step,
            momentum=momentum,
            curvature=curvature,
            escape=curvature / (4.0 * rho) if self.escape is None else self.escape,
            epsilon=epsilon,
            hessian_lipschitz=rho,
            radius=step * epsilon if self.radius is None else self.radius,
            wait=math.ceil(3.0 * math.sqrt(kappa) * growth) if self.wait is None else self.wait,
        )

    def step(self, objective: Objective, state: State) -> NonconvexState:
        """One iteration: perturb where it is flat, then move, then check the curvature on the way."""
        assert isinstance(state, NonconvexState)
        state = self._perturbed(objective, state)
        p, x, v = state.parameters, state.point, state.velocity
        here = _coordinates(x)
        ahead = x if not v.any() else _at(objective, here + p.momentum * v)
        gradient, back = _gradient(ahead), here - _coordinates(ahead)
        tangent = ahead.value + float(gradient @ back) - 0.5 * p.curvature * float(back @ back)
        state = replace(state, iteration=state.iteration + 1)
        if x.value < tangent - ROUNDING * abs(x.value):
            return self._exploited(state)
        moved = _at(objective, _coordinates(ahead) - p.step_length * gradient)
        velocity = _coordinates(moved) - here
        return replace(
            state, point=moved, velocity=velocity, stalled=p.radius == 0.0 and not (velocity.any() or v.any())
        )

    def _perturbed(self, objective: Objective, state: NonconvexState) -> NonconvexState:
        """The state with noise added to x, where that is due."""
        p, point = state.parameters, state.point
        if p.radius == 0.0 or state.settled:
            return state
        if state.perturbed_at is not None:
            if state.iteration - state.perturbed_at <= p.wait:
                return state
            worth = SUFFICIENT_DECREASE * math.sqrt(p.epsilon**3 / p.hessian_lipschitz)
            if point.value > state.perturbed_value - worth:
                return replace(state, settled=True)
        if float(np.linalg.norm(_gradient(point))) > p.epsilon:
            return replace(state, perturbed_at=None)
        rng = np.random.default_rng([self.seed, state.iteration])
        free = objective.n_features + int(objective.fit_intercept)
        noise = np.zeros(objective.n_features + 1)
        noise[:free] = rng.standard_normal(free)
        noise *= p.radius * rng.random() ** (1.0 / free) / np.linalg.norm(noise)
        return replace(
            state,
            point=_at(objective, _coordinates(point) + noise),
            perturbations=state.perturbations + 1,
            perturbed_at=state.iteration,
            perturbed_value=point.value,
        )

    def _exploited(self, state: NonconvexState) -> NonconvexState:
        """Negative-curvature exploitation: x ± s v/‖v‖, or x itself where v is long; at rest."""
        s, x, v = state.parameters.escape, state.point, state.velocity
        speed = float(np.linalg.norm(v))
        state = replace(state, velocity=np.zeros_like(v), exploitations=state.exploitations + 1)
        if speed >= s:
            return state
        unit = v / speed
        line, shift = x.line(unit[:-1]), float(unit[-1])
        ends = [(line.expansion(t, t * shift).value, t) for t in (s, -s)]
        t = min(ends)[1]
        return replace(state, point=line.point(t, t * shift))


def _coordinates(point: Point) -> FloatArray:
    """(w̃, γ), shape (d + 1,)."""
    return np.append(point.coef, point.intercept)


def _gradient(point: Point) -> FloatArray:
    """∇f over (w̃, γ), shape (d + 1,)."""
    return np.append(point.gradient, point.intercept_gradient)


def _at(objective: Objective, coordinates: FloatArray) -> Point:
    return objective.at(coordinates[:-1], float(coordinates[-1]))
