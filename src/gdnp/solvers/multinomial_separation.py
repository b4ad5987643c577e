"""Whether the multinomial loss has a minimiser, by way of a loss of one number in a row.

Along P, shape (d + 1, K), the loss of row i never rises if and only if no score rises against that of the
label: (p_k - p_y)ᵀ(x_i, 1) <= 0 for all k. So the directions of recession are those of rows
(e_k - e_y) ⊗ (x_i, 1) with labels of one sign (Albert and Anderson 1984). ``separation`` knows these.
"""

import numpy as np
from scipy.sparse import csr_array, vstack

from gdnp._typing import FloatArray
from gdnp.design import as_design
from gdnp.losses import LogLoss
from gdnp.problem.multinomial import Multinomial
from gdnp.problem.objective import LARGEST_GRAM, Objective
from gdnp.solvers.separation import Separation, separation
from gdnp.solvers.state import ROUNDING


def class_separation(problem: Multinomial) -> Separation:
    """A direction of recession, shape (d + 1, K), or that there is none; not decided for much data.

    The problem is standardised, without a ridge.
    """
    n, d, K = problem.n_samples, problem.n_features, problem.classes
    if n * K * (d + 1) > 2 * LARGEST_GRAM**2 or K * (d + 1) > LARGEST_GRAM:
        return Separation("not decided")
    design = as_design(_pairs(problem))
    pairs = Objective.unchecked(design, -np.ones(design.n_samples), None, LogLoss(), 0.0, fit_intercept=False)
    P, found, rest = np.zeros((d + 1) * (K - 1)), Separation("none"), pairs
    while True:
        world = rest.standardised
        new = separation(world)
        if new.direction is None:
            break
        p, found = world.raw(new.direction)[0], new
        far = 1.0
        while far * ROUNDING < 1.0 and not _never_rises(pairs, far * P + p):
            far *= 2.0  # rows that P moves may go back a little where others go
        P = far * P + p
        if new.rest is None:
            break
        rest = pairs.reweighted(new.rest)
    if found.direction is None:
        return new
    whole = np.vstack([P.reshape(K - 1, d + 1), np.zeros((1, d + 1))])  # all less that of the last class
    return Separation(found.kind, found.count, (whole - whole.mean(axis=0)).T)


def _never_rises(pairs: Objective, p: FloatArray) -> bool:
    low, high, _ = pairs.design.rows.extremes(pairs.slope(np.append(p, 0.0)))[0]
    rounding = -(ROUNDING**0.75) * low
    return bool(high <= rounding)


def _pairs(problem: Multinomial) -> csr_array:
    """(e_k - e_y) ⊗ (x_i, 1) of rows that count, for k other than y, without columns of the last class."""
    rows, K, parts = problem.design.rows, problem.classes, []
    X = problem.columns
    y = rows.gather(problem.sigma).astype(int)
    if problem.weight is not None:
        counts = rows.gather(problem.weight) > 0.0
        X, y = X[counts], y[counts]
    for k in range(K):
        few, down = X[y != k], y[y != k]
        out = np.zeros((len(few), K, X.shape[1]))
        out[:, k], out[np.arange(len(few)), down] = few, -few
        parts.append(csr_array(out[:, :-1].reshape(len(few), -1)))
    return csr_array(vstack(parts))
