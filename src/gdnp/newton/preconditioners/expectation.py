"""What a loss that is not convex curves on average: positive, where φ'' of the single rows is of either sign.

A label is random given its row. Of two rows with the same prediction η and opposite labels one bends f up
and the other down, and what a sum over many such rows comes to is E[φ''|η]. A preconditioner of the rows that
bend upwards alone is larger than that, the more so the more labels are wrong, and its steps are as much too
short.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.problem.objective import Objective

BINS = 32
"""Predictions are told apart by so many quantiles, where each has twice as many rows; a byte numbers them."""
LEAST_SHARE = 0.03
"""The share of |φ''| that counts at least, of a quantile or of a row: H is never 0 where f curves."""


def _upwards(c: FloatArray) -> list[Any]:
    """The larger of c and -0.03 c, in place."""
    np.maximum(c, -LEAST_SHARE * c, out=c)
    return []


def _predictions(t: FloatArray, sigma: FloatArray, base: FloatArray | None, out: FloatArray) -> list[Any]:
    """η of the margins t = base + σ η, σ of size 1, written."""
    np.multiply(sigma, t if base is None else t - base, out=out)
    return []


def _binned(edges: FloatArray, eta: FloatArray, c: FloatArray, chosen: NDArray[np.uint8]) -> list[Any]:
    """The quantile of each prediction, written, and Σ c and Σ |c| of each; c becomes |c|."""
    chosen[:] = np.searchsorted(edges, eta)
    net = np.bincount(chosen, c, BINS)
    np.abs(c, out=c)
    return [net, np.bincount(chosen, c, BINS)]


def _scaled(share: FloatArray, chosen: NDArray[np.uint8], c: FloatArray) -> list[Any]:
    """c times the share of its quantile, in place."""
    c *= share[chosen]
    return []


def expected_curvature(problem: Objective, margins: RowVector) -> RowVector:
    """s |φ''| of every row times the share of it that is left among the rows of about the same prediction.

    That share is ρ = Σ s φ'' / Σ s |φ''| over a quantile of the predictions: where labels are wrong with
    probability p and right otherwise, ρ = 1 - 2p. Shape (n,), nowhere negative.
    """
    c, rows = problem.curvature(margins), problem.design.rows
    if problem.n_samples < 2 * BINS * BINS:  # rows stand for themselves
        rows.total(_upwards, writes=(c,))
        return c
    eta, chosen = rows.empty(), rows.empty(dtype=np.uint8)
    rows.total(_predictions, margins, problem.sigma, problem.base, writes=(eta,))
    edges = rows.quantiles(eta, np.arange(1, BINS) / BINS)
    net, gross = rows.total(partial(_binned, edges), eta, writes=(c, chosen))
    share = np.maximum(net / np.maximum(gross, 1e-300), LEAST_SHARE)
    rows.total(partial(_scaled, share), chosen, writes=(c,))
    return c
