"""A proved duality gap of the multinomial log loss.

Any N whose rows are distributions over the classes, with Σ_i s_i (n_i - e_y) = 0 where γ is free, bounds
min f from below, and at x

    f(x) - min f <= Σ s_i KL(n_i ‖ p_i) + ½ ‖R V + X̃ᵀ s (N - Y)‖²_{R⁻¹},   X̃ = (X - centre) scale.

No term is negative. N = P is loose where R is small. Newton's dual point n = p + (diag(p) - p pᵀ) q, with q
the change of the scores along the step δ, makes the second term the residual of Newton's equations, and the
first of fourth order in δ. It is clipped to n >= 0 and tilted, n_k e^(τ_k)/Σ n e^τ, until classes balance.

N is held as A = N - Y, whose entry at the label is minus the sum of the others: 1 - n_y keeps its digits.
"""

import math
from functools import partial
from typing import Any

import numpy as np
from scipy.linalg import lapack
from scipy.special import xlog1py, xlogy

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.design.block import EPS, weighted
from gdnp.design.compiled import ClassKernel
from gdnp.losses import Softmax
from gdnp.problem.multinomial import ClassPoint, Labels, Multinomial
from gdnp.solvers.certificates import LAST_DIGITS, margin_error
from gdnp.solvers.state import TRIALS


def _corrected(p: FloatArray, y: Labels, s: FloatArray | None, q: FloatArray) -> list[Any]:
    """In how many rows that count some n is at most p/2; A of Newton's dual point in the place of q."""
    own = np.arange(len(q)), y
    q -= np.einsum("ij,ij->i", p, q)[:, None]
    q += 1.0
    low = np.count_nonzero((2.0 * q.min(axis=1) <= 1.0) & (True if s is None else s > 0.0))
    np.maximum(q, 0.0, out=q)
    q *= p
    whole = q.sum(axis=1)
    q[own] = 0.0
    q /= whole[:, None]
    q[own] = -q.sum(axis=1)
    return [float(low)]


CORRECTED = ClassKernel("corrected", _corrected)


def _tilted(tilt: FloatArray, y: Labels, s: FloatArray | None, a: FloatArray) -> list[Any]:
    """Σ s a, Σ s n and Σ s n nᵀ of n_k tilt_k/Σ n tilt, whose A takes the place of A."""
    own = np.arange(len(a)), y
    mine = (1.0 + a[own]) * tilt[y]
    a[own] = 0.0
    a *= tilt
    rest = a.sum(axis=1)
    a /= (rest + mine)[:, None]
    a[own] = -rest / (rest + mine)
    h, n = weighted(a.copy(), s), a.copy()
    off = h.sum(axis=0, dtype=np.longdouble)
    n[own] += 1.0
    h[own] += 1.0 if s is None else s
    return [off, h.sum(axis=0), n.T @ h]


def _gap(loss: Softmax, eta: FloatArray, y: Labels, s: FloatArray | None, a: FloatArray) -> list[Any]:
    """What the gap is made of; s a in the place of η, which is written over A.

    Σ s φ, Σ s KL(n ‖ p), Σ s |its terms|, and of each class Σ s a², Σ s |a|, Σ s (-log p), Σ s a.
    """
    own = np.arange(len(eta)), y
    scores, r = eta.copy(), a.copy()
    value = loss.pull(eta, y)
    log_p = scores - (scores[own] + value)[:, None]
    n, rest = a.copy(), -a[own]
    n[own] = 0.0
    entropy, cross = xlogy(n, n), n * log_p
    mine, lost = xlog1py(1.0 - rest, -rest), (1.0 - rest) * value
    terms = (entropy - cross).sum(axis=1) + mine + lost
    sizes = -(entropy + cross).sum(axis=1) - mine + lost
    a[:], eta[:] = scores, r
    weighted(eta, s)
    mass = np.ones(len(eta)) if s is None else s
    np.abs(r, out=r)
    found = [mass @ value, mass @ np.maximum(terms, 0.0), mass @ sizes]
    return [*found, mass @ np.square(r), mass @ r, -(mass @ log_p), eta.sum(axis=0, dtype=np.longdouble)]


def dual_point(problem: Multinomial, shares: RowVector, slope: RowVector) -> bool:
    """Newton's dual point in the place of the slope; whether some n is at most half of its p.

    An exact step whose n are all larger than that leaves no direction of recession: an n > 0 that balances is
    what Stiemke's lemma asks for.
    """
    return bool(problem.of_rows(CORRECTED, shares, writes=(slope,))[0] > 0.0)


def balance(problem: Multinomial, a: RowVector) -> None:
    """Tilts A in place until Σ s a = 0, by Newton's method in K numbers."""
    tilt, lacking = np.zeros(problem.classes), math.inf
    for _ in range(TRIALS):
        factor = np.exp(tilt)
        sums = problem.of_rows(ClassKernel("tilted", partial(_tilted, factor), factor[None]), writes=(a,))
        off, mass, square = (problem.share * part for part in sums)
        if not (mass > 0.0).all():
            break
        before, lacking = lacking, float(np.max(np.abs(off) / mass))
        if lacking <= EPS or before / 2.0 < lacking < math.sqrt(EPS):
            break
        root = np.sqrt(mass)  # classes may weigh next to nothing
        across = root[:, None] * root
        bend = (np.diag(mass) - square) / across + across  # which is 0 along the root, and so is `off`
        _, tilt, singular = lapack.dposv(bend, -off.astype(float) / root)
        tilt /= root
        size = math.inf if singular else float(np.max(tilt) - np.min(tilt))
        if not math.isfinite(size):  # iterative scaling always gains
            tilt = np.log(problem.shares / mass)
        elif size > 1.0:  # a step that gains for certain: Σ s log Σ n e^τ bends by e^size more at most
            tilt *= math.log1p(size) / size


def multinomial_gap(problem: Multinomial, x: FloatArray, a: RowVector) -> tuple[ClassPoint, float]:
    """The handle of x, and an upper bound of f there less min f; one pass.

    Rounding of the sums, of the margins and of the coefficients that are returned is in the bound, as in
    ``certificates.duality_gap``. What is left of the balance is mixed away: with n' = (1 - t) n + t c for one
    distribution c, KL grows by t KL(c ‖ p) at most. `a` is N - Y, balanced; the margins take its place.
    """
    coordinates, design = problem.coordinates, problem.design
    sums = problem.gap_sums(x, ClassKernel("gap", partial(_gap, problem.loss)), a)
    risk, excess, size, square, mass, missed, rest, product, _ = sums
    point = problem.known(x, a)
    point.__dict__["value"] = float(risk) + problem.penalty(x)
    off, mixed = rest.astype(float), 0.0
    residual = problem.with_ridge(problem.pulled_back(product, off), x)[:-1]
    if problem.fit_intercept:
        whole = problem.shares + off  # Σ s n
        mixed = float(np.max((off + EPS * mass) / np.maximum(whole, EPS * EPS)))
    excess += mixed * float(missed.max()) + LAST_DIGITS * (point.value + size)
    # Terms of a sum, one after the other in a block, then a sum of blocks; the label's entry is a sum itself.
    terms = max(high - low for low, high in design.bounds) + len(design.bounds) + problem.classes
    variance = 4.0 if coordinates.variance is None else coordinates.variance  # the largest that there is
    centre = np.abs(coordinates.centre * coordinates.scale)
    spread = np.sqrt(variance + np.square(centre)) + centre
    noise = np.outer(spread, terms * EPS * np.sqrt(square) + 2.0 * mixed)
    noise += EPS * coordinates.ridge[:, None] * np.abs(x[:-1])
    norm, noise_norm = (
        math.sqrt(0.5 * float(np.sum(v * v / coordinates.ridge[:, None]))) for v in (residual, noise)
    )
    moved_by = math.sqrt(0.5 * problem.loss.max_curvature) * margin_error(problem, x, *problem.raw(x))
    gap = (math.sqrt(excess) + moved_by) ** 2 + (norm + noise_norm) ** 2
    return point, gap if math.isfinite(gap) else math.inf
