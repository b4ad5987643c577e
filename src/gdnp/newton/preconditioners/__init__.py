"""Approximations of the Hessian to solve with, and the rule that chooses among them."""
