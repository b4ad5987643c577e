"""The explorer: Figure 1 of the paper as a page to play with, in one file that needs no network.

The page computes by itself, in the plane. What it computes with comes from here: the Gauss-Legendre nodes and
the panels on which each loss is resolved (``gdnp.population.quadrature``), a polynomial for the tail of the
normal distribution, and a small sample. Its methods are those of ``gdnp.methods``, step for step.
"""

import json
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.special import erfcx

from gdnp import __version__
from gdnp.datasets import gaussian_design
from gdnp.losses import LOSSES
from gdnp.population.quadrature import BULK, NODES, REACH, WEIGHTS, panels_of

__all__ = ["EXPLORED", "constants", "page"]

EXPLORED = ("squared_error", "log_loss", "sigmoid", "probit")
"""Losses that the page knows; the first is Eq. 10."""
DEGREE = 26
"""Of the polynomial through erfcx(x) as a function of (x - 4)/(x + 4), which is right to 2e-15."""


def constants() -> dict[str, Any]:
    """What the page computes with; numbers as float64 has them."""
    at = np.cos(np.pi * (np.arange(4 * DEGREE) + 0.5) / (4 * DEGREE))
    tail = np.polynomial.chebyshev.chebfit(at, erfcx(4.0 * (1.0 + at) / (1.0 - at)), DEGREE)
    losses = {}
    for name in EXPLORED[1:]:
        loss = LOSSES[name]
        panels = panels_of(loss)
        losses[name] = {
            "curvature": float(loss.max_curvature),
            "convex": bool(loss.convex),
            "breaks": panels.breaks.tolist(),
            "bends": list(panels.bends),
        }
    sample = gaussian_design(150, 2, kappa=6.0, r=0.5, seed=3)
    rows = np.column_stack([np.round(sample.X, 3), sample.y])
    return {
        "nodes": NODES.tolist(),
        "weights": WEIGHTS.tolist(),
        "bulk": BULK,
        "reach": REACH,
        "erfcx": tail.tolist(),
        "losses": losses,
        "sample": rows.tolist(),
    }


def page() -> str:
    """The whole page as HTML, the same for the same version."""
    text = files("gdnp").joinpath("explorer.html").read_text(encoding="utf-8")
    numbers = json.dumps(constants(), separators=(",", ":"))
    return text.replace("GDNP_VERSION", __version__).replace("GDNP_CONSTANTS", numbers)
