"""Length-direction decoupled descent: metric x step size x length. Every preset of the paper is a choice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gdnp._typing import FloatArray
from gdnp.metric import METRICS, Covariance, OperatorCovariance
from gdnp.problem.interface import Line, Objective
from gdnp.solvers.lengths import FixedLength, LengthRule, NewtonLength
from gdnp.solvers.state import ROUNDING, TRIALS, DecoupledState, Length, Method, State, parted
from gdnp.solvers.step_sizes import AdaptiveStep, StepSize


@dataclass(frozen=True)
class DecoupledDescent(Method):
    """w ← w - s A ∇_w f(w, g), then g by its own rule (Algorithm 1 and its relatives).

    The metric is S (Batch Normalization), I (Weight Normalization) or, between them, diag(S). With a ridge α,
    S becomes S + (α/c₂) I with c₂ = E φ'' at the fitted start: there the critical points then lie.

    A guarded method takes a step only if f after the length fit does not rise beyond rounding, and halves it
    otherwise; where the rule gives none, it halves from 1/sup φ''. (f at the old length would cut the
    theorem's own path.) It also fits g at the start; another starts with the length of w₀.
    """

    name: str  # the preset
    metric: Literal["covariance", "diagonal", "identity"]
    step_size: StepSize  # s
    length: LengthRule  # what follows a direction step
    preconditioned: bool = False  # A = M⁻¹ instead of I
    guarded: bool = True
    direction_tol: float | None = None  # the directional gap from which on `length` is used (GDNP_seq)

    def init(self, objective: Objective, start: FloatArray | None) -> DecoupledState:
        """The state at `start`, w₀ or (w₀, γ₀), by default u with ‖u‖_S = 1: ρ(w₀) ≠ 0 unless u = 0."""
        w, c = parted(np.zeros(objective.n_features) if start is None else start, objective.n_features)
        own = not w.any()  # 0 has no direction
        if own:
            w = objective.u
            objective.cost.charge(0.5)  # u = -Xᵀy/n
        if self.preconditioned or self.step_size.needs_spectrum:
            objective.cost.charge(objective.gram_passes)
        metric = METRICS[self.metric](objective.covariance)
        if isinstance(metric, Covariance):
            w = metric.project(w)
        if own:
            w = w / (objective.covariance.norm(w) or 1.0)
        given = Length(0.0 if own and start is not None else metric.norm(w), c)
        state = DecoupledState(point=objective.origin, metric=metric, direction=w, length=given)
        if not state.norm > 0.0:
            return replace(state, point=objective.at(0.0 * w, c) if c else state.point, stalled=True)
        state = self._begun(objective, state, start is not None)
        if objective.alpha > 0.0 and isinstance(metric, Covariance | OperatorCovariance):
            c2 = state.point.mean_curvature
            ridge = objective.alpha / (c2 if c2 > 0.0 else objective.loss.max_curvature)
            ridge = min(ridge, float(np.finfo(np.float64).max) ** 0.5)  # c₂ may be next to nothing
            metric = metric.shifted(ridge)
            length = replace(state.length, g=state.length.g * metric.norm(w) / state.norm)
            state = replace(state, metric=metric, length=length)  # the same point
        return state

    def _begun(self, objective: Objective, state: DecoupledState, given: bool) -> DecoupledState:
        """The state with its point; of a guarded method at a fitted length, if that is below the start."""
        w, length = state.direction, state.length
        line = objective.origin.line(w / state.norm)
        if self.guarded:
            fitted = self.length.fit(objective, line, state)
            new, old = (line.expansion(end.g, end.intercept).value for end in (fitted, length))
            length = fitted if not given or new <= old + ROUNDING * abs(old) else length
        return self._at(objective, line, state, w, length)

    def step(self, objective: Objective, state: State) -> DecoupledState:
        """One direction step and one length step."""
        assert isinstance(state, DecoupledState)
        if self.direction_tol is not None and state.directional_gap <= self.direction_tol:
            return self.moved(objective, state, state.direction, self.length)
        rule = FixedLength() if self.direction_tol is not None else self.length
        gradient = state.direction_gradient
        descent = state.metric.solve(gradient) if self.preconditioned else gradient
        ceiling = state.point.value + ROUNDING * abs(state.point.value)
        for fraction, s in self._trials(objective, state):
            moved = self.moved(objective, state, state.direction - s * descent, rule)
            if not self.guarded or moved.point.value <= ceiling:
                return replace(moved, fraction=fraction)
        return replace(state, stalled=True)

    def _trials(self, objective: Objective, state: DecoupledState) -> Iterator[tuple[float, float]]:
        """Fractions of the rule's step, and the steps; one alone where nothing is guarded."""
        largest = 1.0 if self.preconditioned else state.metric.largest
        s = self.step_size(objective, state, largest)
        if not self.guarded or s == 0.0:
            yield 1.0, s
            return
        if not 0.0 < s < np.inf:
            s = state.norm**2 / (largest * state.length.g**2 * objective.loss.max_curvature)
        first = min(1.0, 2.0 * state.fraction)
        for halving in range(TRIALS):
            yield first * 0.5**halving, first * 0.5**halving * s

    def moved(
        self, objective: Objective, state: DecoupledState, w: FloatArray, rule: LengthRule
    ) -> DecoupledState:
        """The state at direction w, its length found by `rule`."""
        line = objective.origin.line(w / state.metric.norm(w))
        return self._at(objective, line, state, w, rule.fit(objective, line, state))

    def _at(
        self, objective: Objective, line: Line, state: DecoupledState, w: FloatArray, length: Length
    ) -> DecoupledState:
        point = line.point(length.g, length.intercept, last=True)
        unbounded = objective.loss.increasing and objective.alpha == 0.0 and point.separates
        return replace(
            state, point=point, direction=w, length=length, length_diverges=length.diverges or unbounded
        )


@dataclass(frozen=True)
class TwoStep(Method):
    """Scaled least squares (Erdogdu, Bayati and Dicker 2016): one linear system, one search for the length.

    Solve S v = u, then minimise f over the length along v. Exact on Gaussian data; stalls elsewhere. With a
    ridge, S is S + (α/c₂) I, c₂ = E φ'' at the length first found along u.
    """

    name: str = "two_step"

    def init(self, objective: Objective, start: FloatArray | None) -> State:
        """The handle of `start`, or of 0; it has no influence on the answer."""
        d = objective.n_features
        return State(point=objective.at(*parted(np.zeros(d) if start is None else start, d)))

    def step(self, objective: Objective, state: State) -> DecoupledState:
        """The answer at the first call; there is nothing to do at a second."""
        if isinstance(state, DecoupledState):
            return replace(state, stalled=True)
        along = DecoupledDescent(self.name, "covariance", AdaptiveStep(), NewtonLength())
        fitted = along.init(objective, None)
        if fitted.stalled:
            return fitted
        return along.moved(objective, fitted, fitted.metric.solve(objective.u), NewtonLength())
