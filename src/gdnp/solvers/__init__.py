"""One loop, one algorithm with three slots, and the baselines behind the same interface."""

from gdnp.solvers.loop import Progress, Result, minimize
from gdnp.solvers.state import Method, State, Status

__all__ = ["Method", "Progress", "Result", "State", "Status", "minimize"]
