"""The production solver of the estimators: quasi-Newton in the metric of the curvature, with a certificate.

``run.solve`` is the whole of it, and ``graduated.solve_nonconvex`` what bounded losses need on top. A run
begins at a ``start`` (by a ``sampling`` of the rows where there are many), takes ``steps`` (``line_search``,
``plane_search``) that a ``model`` proposes (``metrics`` of the ``curvature``, for bounded losses of its
``expectation``, by way of the ``row_space`` where n < d in units far apart, and ``lbfgs``), and ends with a
``last_step`` (``conjugate``) that ``certificates`` judge.
"""

from gdnp.newton.nonconvex import solve_nonconvex
from gdnp.newton.run import Monitor, Outcome, Row, certify, solve
from gdnp.solvers.certificates import Certificate

__all__ = ["Certificate", "Monitor", "Outcome", "Row", "certify", "solve", "solve_nonconvex"]
