"""What a loss that is not convex curves on average: positive, where φ'' of the single rows is of either sign.

A label is random given its row. Of two rows with the same prediction η and opposite labels one bends f up
and the other down, and what a sum over many such rows comes to is E[φ''|η]. A metric of the rows that bend
upwards alone is larger than that, the more so the more labels are wrong, and its steps are as much too short.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.standardized import Standardized

__all__ = ["expected_curvature"]

BINS = 32
"""Predictions are told apart by so many quantiles (a byte numbers them),"""
ROWS_PER_BIN = 64
"""where there are so many rows for each; of fewer, those that bend upwards stand for themselves."""
ROWS_FOR_QUANTILES = 4096
"""Rows, about, that say where the quantiles lie."""
LEAST, CONCAVE = 0.1, 0.03
"""The share of |φ''| that counts at least, of a quantile and of a row: H is never 0 where f curves."""


def expected_curvature(problem: Standardized, margins: FloatArray) -> FloatArray:
    """s |φ''| of every row times the share of it that is left among the rows of about the same prediction.

    That share is ρ = Σ s φ'' / Σ s |φ''| over a quantile of the predictions: where labels are wrong with
    probability p and right otherwise, ρ = 1 - 2p. Shape (n,), nowhere negative.
    """
    c = problem.curvature(margins)
    if problem.n < BINS * ROWS_PER_BIN:
        return np.maximum(c, -CONCAVE * c)
    edges = _edges(problem, margins)
    chosen = np.empty(problem.n, dtype=np.uint8)

    def sums(
        t: FloatArray, sigma: FloatArray, base: FloatArray | None, c: FloatArray, chosen: NDArray[np.uint8]
    ) -> list[NDArray[Any]]:
        chosen[:] = np.searchsorted(edges, _predictions(t, sigma, base))
        net = np.bincount(chosen, c, BINS)
        np.abs(c, out=c)
        return [net, np.bincount(chosen, c, BINS)]

    net, gross = problem.design.reduce_rows(sums, margins, problem.sigma, problem.base, c, chosen)
    share = np.maximum(net / np.maximum(gross, 1e-300), LEAST)

    def times_share(c: FloatArray, chosen: NDArray[np.uint8]) -> list[FloatArray]:
        c *= share[chosen]
        return []

    problem.design.reduce_rows(times_share, c, chosen)
    return c


def _predictions(t: FloatArray, sigma: FloatArray, base: FloatArray | None) -> FloatArray:
    """η of the margins t = base + σ η, where σ is of size 1."""
    return sigma * t if base is None else sigma * (t - base)


def _edges(problem: Standardized, margins: FloatArray) -> FloatArray:
    """The inner edges of the quantiles of the predictions, from evenly spaced rows."""
    some = slice(None, None, max(1, problem.n // ROWS_FOR_QUANTILES))
    base = None if problem.base is None else problem.base[some]
    ordered = np.sort(_predictions(margins[some], problem.sigma[some], base))
    return np.asarray(ordered[np.arange(1, BINS) * len(ordered) // BINS])
