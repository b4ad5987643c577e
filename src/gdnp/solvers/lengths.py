"""The length slot: how g (and the intercept γ, if it is a variable) follows the direction w."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gdnp._typing import FloatArray
from gdnp.problem.interface import Expansion, Line, Objective
from gdnp.solvers.state import ROUNDING, DecoupledState, Length

SMALLEST_STEP = 1e-10
"""A relative change of the length, or a share of Newton's step, that is none."""
FLAT = 1e-3
"""Newton's step is longer than this, and promises less than this of the rounding of f: f has no minimum."""


class LengthRule(Protocol):
    """Finds g on the line g w/‖w‖ from the origin."""

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The length on `line`, searched from that of `state`, the state before the direction moved."""


@dataclass(frozen=True)
class FixedLength:
    """Keep g: GDNP_seq before its direction is found."""

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The length of `state`."""
        return state.length


@dataclass(frozen=True)
class GradientSteps:
    """A few gradient steps on (g, γ), as the paper's experiments run GDNP (section 4.4)."""

    count: int  # how many
    step: float | None = None  # η of g ← g - η ∂f/∂g; None is safe, 1/sup φ'' in the metric S without a ridge

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The length of `state` after ``count`` steps."""
        g, c = state.length.g, state.length.intercept
        step = safe_step(objective, state) if self.step is None else self.step
        for _ in range(self.count):
            at = line.expansion(g, c)
            g, c = g - step * at.f_t, c - step * at.f_c
        return Length(g, c)


@dataclass(frozen=True)
class SimultaneousStep:
    """One gradient step on (g, γ) from the point where the direction takes its own (simple BN and WN)."""

    step: float | None = None  # η of g ← g - η ∂f/∂g; None is safe, 1/sup φ'' in the metric S without a ridge

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The length of `state` after one step along the gradient of `state`."""
        step = safe_step(objective, state) if self.step is None else self.step
        return Length(
            state.length.g - step * state.length_gradient,
            state.length.intercept - step * state.point.intercept_gradient,
        )


@dataclass(frozen=True)
class NewtonLength:
    """The nearest minimiser over (g, γ), by Newton's method with a curvature of the right sign."""

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The minimiser reached from the length of `state`; diverging where f is flat before one is found."""
        g, c = state.length.g, state.length.intercept
        at = line.expansion(g, c)
        noise = ROUNDING * abs(objective.origin.value)
        for _ in range(100):
            step = _newton_step(at, limit=2.0 * max(1.0, abs(g)))
            slope = float(at.gradient @ step)
            size = float(np.abs(step).max()) / max(abs(g), abs(c), SMALLEST_STEP)
            if size <= SMALLEST_STEP or slope >= 0.0:
                return _capped(objective, g, c)
            if -slope <= FLAT * noise and size > FLAT:
                return Length(g, c, diverges=True)
            scale, trial = 1.0, line.expansion(g + step[0], c + step[1])
            ceiling = at.value + ROUNDING * abs(at.value)
            while trial.value > ceiling and scale > SMALLEST_STEP:
                scale *= 0.5
                trial = line.expansion(g + scale * step[0], c + scale * step[1])
            g, c, at = g + scale * float(step[0]), c + scale * float(step[1]), trial
            if abs(g) >= objective.length_cap:
                return _capped(objective, g, c)
        return Length(g, c, diverges=True)


@dataclass(frozen=True)
class Bisection:
    """Algorithm 3: bisection on ∂f/∂g = E[φ'(gξ) ξ], ξ = zᵀw/‖w‖.

    The bracket [-1, 1] is doubled until the derivative changes its sign from - to +; without such a change
    up to the cap there is no finite length, and g is the better end. With an intercept, f is profiled over
    γ at every g.
    """

    steps: int = 60  # T_s, the number of halvings

    def fit(self, objective: Objective, line: Line, state: DecoupledState) -> Length:
        """The root, from the bracket around 0 whatever the length of `state`."""
        c = state.length.intercept

        def slope(g: float) -> float:
            nonlocal c
            if objective.fit_intercept:
                c = _profile_intercept(line, g, c)
            return line.expansion(g, c).f_t

        high, cap = 1.0, objective.length_cap
        while not slope(-high) < 0.0 < slope(high):
            if high >= cap:
                return _better_end(line, cap, c)
            high = min(2.0 * high, cap)
        low = -high
        for _ in range(self.steps):
            middle = 0.5 * (low + high)
            if slope(middle) < 0.0:
                low = middle
            else:
                high = middle
        g = 0.5 * (low + high)
        return Length(g, _profile_intercept(line, g, c))


def safe_step(objective: Objective, state: DecoupledState) -> float:
    """1/(E ξ² sup φ'' + α ‖w‖²/‖w‖_A²), ξ = xᵀw/‖w‖_A: safe for g along w, and E ξ² = 1 in the metric S."""
    second_moment = (objective.covariance.norm(state.direction) / state.norm) ** 2
    ridge = objective.alpha * float(state.direction @ state.direction) / state.norm**2
    return 1.0 / (max(second_moment, 1.0) * objective.loss.max_curvature + ridge)


def _capped(objective: Objective, g: float, c: float) -> Length:
    if abs(g) < objective.length_cap or not np.isfinite(g):
        return Length(g, c)
    return Length(float(np.copysign(objective.length_cap, g)), c, diverges=True)


def _better_end(line: Line, cap: float, c: float) -> Length:
    """The one of -cap and cap with the smaller f."""
    ends = []
    for g in (cap, -cap):
        intercept = _profile_intercept(line, g, c)
        ends.append((line.expansion(g, intercept).value, Length(g, intercept, diverges=True)))
    return min(ends, key=lambda end: end[0])[1]


def _newton_step(at: Expansion, limit: float) -> FloatArray:
    """-|H|⁻¹∇ with |H| the absolute value of the Hessian, at most `limit` long in g."""
    values, vectors = np.linalg.eigh(at.hessian)
    along = vectors.T @ at.gradient
    floor = np.abs(along) / (10.0 * limit)
    step = -vectors @ np.divide(along, np.maximum(np.abs(values), floor), out=np.zeros(2), where=along != 0.0)
    return np.asarray(step * min(1.0, limit / max(np.abs(step[0]), 1e-300)))


def _profile_intercept(line: Line, g: float, c: float) -> float:
    """The γ that minimises f at this g; `c` itself where γ is no variable."""
    for _ in range(50):
        at = line.expansion(g, c)
        if at.f_c == 0.0:
            return c
        only_c = at._replace(f_t=0.0, f_tt=0.0, f_tc=0.0)
        step, scale = float(_newton_step(only_c, limit=2.0 * max(1.0, abs(c)))[1]), 1.0
        ceiling = at.value + ROUNDING * abs(at.value)
        while line.expansion(g, c + scale * step).value > ceiling and scale > SMALLEST_STEP:
            scale *= 0.5
        c += scale * step
        if abs(scale * step) <= SMALLEST_STEP * max(1.0, abs(c)):
            return c
    return c
