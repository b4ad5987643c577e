"""The production solver: quasi-Newton about a preconditioner of the curvature, with a certificate.

``method.Newton`` is a ``Method`` of the one loop, on its own ``state``. It begins at a ``start``,
on a sample of the rows where there are many, by way of ``nonconvex`` where the loss asks for it. It takes
steps of a ``search`` along what ``lbfgs`` makes of ``preconditioners``. It ends with ``closing``.
"""

from gdnp.newton.method import Newton, newton, solve
from gdnp.newton.state import Begin, NewtonState
from gdnp.solvers.methods import METHODS

__all__ = ["Begin", "Newton", "NewtonState", "newton", "solve"]

METHODS["newton"] = newton
