"""What solvers minimise: the interface, and the objective on rows of data that implements it."""

from gdnp.problem.objective import LARGEST_GRAM, Objective

__all__ = ["LARGEST_GRAM", "Objective"]
