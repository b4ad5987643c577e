"""Scaled least squares (Erdogdu, Bayati and Dicker 2016): one linear system, one search for the length."""

from dataclasses import dataclass, replace

from gdnp._typing import FloatArray
from gdnp.problem.interface import Objective
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.first_order import GradientDescent, GradientState
from gdnp.solvers.lengths import NewtonLength
from gdnp.solvers.state import DecoupledState, Method, State
from gdnp.solvers.step_sizes import AdaptiveStep


@dataclass(frozen=True)
class TwoStep(Method):
    """Solve S v = u, then minimise f over the length along v. Exact on Gaussian data; stalls elsewhere.

    With a ridge, S is S + (α/c₂) I, c₂ = E φ'' at the length first found along u.
    """

    name: str = "two_step"

    def init(self, objective: Objective, start: FloatArray | None) -> GradientState:
        """The handle of `start`, or of 0; it has no influence on the answer."""
        return GradientDescent(self.name, step_length=1.0).init(objective, start)

    def step(self, objective: Objective, state: State) -> DecoupledState:
        """The answer at the first call; there is nothing to do at a second."""
        if isinstance(state, DecoupledState):
            return replace(state, stalled=True)
        along = DecoupledDescent(self.name, "covariance", AdaptiveStep(), NewtonLength())
        fitted = along.init(objective, None)
        if fitted.stalled:
            return fitted
        return along.moved(objective, fitted, fitted.metric.solve(objective.u), NewtonLength())
