"""The methods of the paper as presets, their rivals, and the production solver."""

from gdnp.newton import newton
from gdnp.solvers.methods import *  # noqa: F403
from gdnp.solvers.methods import __all__ as _presets

__all__ = [*_presets, "newton"]
