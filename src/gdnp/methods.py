"""The methods of the paper as presets, and their rivals; see ``gdnp.solvers.methods``."""

from gdnp.solvers.methods import *  # noqa: F403
from gdnp.solvers.methods import __all__ as __all__
