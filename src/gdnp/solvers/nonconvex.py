"""Perturbed accelerated gradient descent with negative-curvature exploitation (Jin, Netrapalli, Jordan 2017).

C. Jin, P. Netrapalli and M. I. Jordan, "Accelerated gradient descent escapes saddle points faster than
gradient descent", arXiv 1711.10456. With v the momentum, one iteration is

    y = x + (1 - θ) v,   x⁺ = y - η ∇f(y),   v⁺ = x⁺ - x,

unless f shows that it is too non-convex between x and y,

    f(x) <= f(y) + ⟨∇f(y), x - y⟩ - γ/2 ‖x - y‖²,                                            (certificate)

which hands x and v to *negative-curvature exploitation*: a momentum of at least s is dropped, a shorter one
points along a direction of negative curvature, and the better of x ± s v/‖v‖ is the next point, at rest.
Where ‖∇f(x)‖ <= ε, a point drawn uniformly from a ball of radius r is added, at most once in T iterations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gdnp.interface import Objective, Point
from gdnp.solvers.first_order import curvature_range
from gdnp.solvers.lengths import ROUNDING
from gdnp.solvers.state import State

FloatArray = NDArray[np.float64]

__all__ = ["NonconvexAGD", "NonconvexParameters", "NonconvexState"]
