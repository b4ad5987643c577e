"""gdnp: length-direction decoupling, from theory to software (Kohler et al., AISTATS 2019)."""

from importlib.metadata import version

from gdnp.objective import Objective
from gdnp.solvers import Progress, Result, Status, minimize

__all__ = ["Objective", "Progress", "Result", "Status", "minimize"]
__version__ = version("gdnp")
