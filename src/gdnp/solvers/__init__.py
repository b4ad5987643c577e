"""One loop, one algorithm with three slots, and the baselines behind the same interface."""

from gdnp.solvers.loop import Progress, Result, run
from gdnp.solvers.methods import minimize
from gdnp.solvers.state import Certificate, Method, State, Status, parted

__all__ = ["Certificate", "Method", "Progress", "Result", "State", "Status", "minimize", "parted", "run"]
