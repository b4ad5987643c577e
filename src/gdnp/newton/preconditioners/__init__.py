"""Approximations H of the Hessian to solve with, and the rule that chooses among them.

The intercept is eliminated by its Schur complement. With c_i = s_i φ''(t_i), C = Σ c_i, m = Σ c_i x_i / C and
A = Σ c_i (x_i - m)(x_i - m)ᵀ + R, the system H (δ, δ_γ) = (g, g_γ) is A δ = g - g_γ m, δ_γ = g_γ/C - mᵀδ.
``full`` holds A, ``low_rank`` its diagonal and a few directions beside it, ``rows`` what it is to the rows
where these are fewer than columns. ``expectation`` has a c for losses that are not convex.
"""

from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import (
    Event,
    Facts,
    Kind,
    Seen,
    Stage,
    cost,
    cost_of_matrix,
    cost_of_sharper,
    first_stage,
    next_stage,
)
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.newton.preconditioners.making import made, made_at_constant, seen_of
from gdnp.newton.preconditioners.rows import BasisPreconditioner, KernelPreconditioner

__all__ = [
    "BasisPreconditioner",
    "Event",
    "Facts",
    "FullPreconditioner",
    "KernelPreconditioner",
    "Kind",
    "LowRankPreconditioner",
    "Preconditioner",
    "Seen",
    "Stage",
    "cost",
    "cost_of_matrix",
    "cost_of_sharper",
    "first_stage",
    "made",
    "made_at_constant",
    "next_stage",
    "seen_of",
]
