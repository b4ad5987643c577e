"""What a quasi-Newton method needs of a preconditioner."""

from typing import Protocol

import numpy as np

from gdnp._typing import FloatArray


class Preconditioner(Protocol):
    """A positive definite H near ∇²f over (v, γ)."""

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1,)."""


def without_intercept(g: FloatArray, mean: FloatArray) -> FloatArray:
    """g - g_γ m: the right-hand side that is left where γ is eliminated, shape (d,)."""
    return np.asarray(g[:-1] - g[-1] * mean)


def with_intercept(delta: FloatArray, g: FloatArray, total: float, mean: FloatArray) -> FloatArray:
    """(δ, g_γ/C - mᵀδ), shape (d + 1,)."""
    out = np.empty_like(g)
    out[:-1] = delta
    out[-1] = g[-1] / total - mean @ delta
    return out
