"""E h(ξ) for ξ ~ N(a, v): composite Gauss-Legendre, refined where a loss bends.

Under Assumption 2 every expectation in the theory of halfspaces is over one number, ξ = zᵀw̃ ~ N(a, v), with
a standard deviation that grows like the length g, while φ varies at a scale of one about ξ = 0. A rule made
for the Gaussian alone (Gauss-Hermite) misses φ once g is large: 200 nodes err by 2e-2 at g = 10. Here the
panels are both at most one standard deviation wide and at most as wide as their distance from zero, so their
number grows like log g and the accuracy does not depend on g. A loss that bends elsewhere has panels there
too: `panels_of` finds them by halving those on which the loss and its derivatives are not resolved.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.losses import Loss

NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)

# The Gaussian has 1.5e-23 of its mass beyond 10 standard deviations, and its density underflows at 38.
BULK = 10.0
REACH = 28.0

# Lengths are capped at 1e6, ten standard deviations of which are below 2^24.
_DOUBLINGS = 26
# Between nodes of panels this wide no bend of width one hides, as far out as is searched.
_SEARCHED, _SEARCH_WIDTH = 4096.0, 64.0
# A loss whose rounding is coarser than what is asked for is not resolved by any number of panels.
_MOST_PANELS = 2000
# Gauss-Legendre integrates as precisely as the square of how it interpolates.
_RESOLVED = 3e-8


@dataclass(frozen=True, eq=False)
class Panels:
    """Where panels have to begin for a function, and the points that expectations of it live at.

    Between two `breaks`, and within a standard deviation, 20 nodes are enough. The `bends` are zero and where
    φ'' is largest.
    """

    breaks: FloatArray
    bends: tuple[float, ...] = (0.0,)


def panels_of(loss: Loss, scale: float = 1.0) -> Panels:
    """The panels on which φ, φ' and φ'' are resolved, whatever the Gaussian.

    Panels next to zero are `scale` wide and double from there; those on which 20 nodes do not interpolate
    are halved. What bends over `scale` is found up to 4096 `scale` from zero, and a change of slope, which
    shows in φ however narrow it is, at any distance.
    """
    ladder = _graded(-np.inf, np.inf, scale)
    fine = np.union1d(ladder, scale * np.arange(-_SEARCHED, _SEARCHED + 1.0, _SEARCH_WIDTH))
    resolved = _resolved(loss, fine, scale)
    breaks = np.unique(np.concatenate([ladder, fine[:-1][~resolved], fine[1:][~resolved]]))
    while breaks.size < _MOST_PANELS:
        middle = 0.5 * (breaks[:-1] + breaks[1:])
        wide = np.diff(breaks) > 64.0 * np.finfo(float).eps * np.maximum(np.abs(middle), scale)
        halved = middle[wide & ~_resolved(loss, breaks, scale)]
        if halved.size == 0:
            break
        breaks = np.union1d(breaks, halved)
    positions = _positions(breaks).ravel()
    with np.errstate(all="ignore"):
        curvature = np.nan_to_num(np.abs(loss.curvature(positions)), posinf=0.0)
    return Panels(breaks, (0.0, float(positions[curvature.argmax()])))


def _positions(breaks: FloatArray) -> FloatArray:
    """The nodes of each panel, shape (panels, 20)."""
    return np.asarray(breaks[:-1, None] + 0.5 * np.diff(breaks)[:, None] * (1.0 + NODES))


def _resolved(loss: Loss, breaks: FloatArray, scale: float) -> NDArray[np.bool_]:
    """Whether the polynomial through a panel's nodes meets φ, φ' and φ'' at those of its halves."""
    halves = np.sort(np.concatenate([breaks, 0.5 * (breaks[:-1] + breaks[1:])]))
    coarse, fine = _positions(breaks), _positions(halves).reshape(len(breaks) - 1, -1)
    good, slope = np.ones(len(coarse), dtype=bool), 0.0
    with np.errstate(all="ignore"):  # a loss may overflow out there, where no Gaussian of ours has its mass
        for h in (loss.gradient, loss.curvature, loss.value):
            seen, wanted = h(coarse), h(fine)
            error = np.abs(seen @ _BETWEEN.T - wanted).max(axis=1)
            size = np.abs(wanted).max(axis=1)
            if h == loss.value:  # which may grow for ever, and vanish where nothing depends on it
                size = np.maximum(size, scale * slope)
            else:
                size[:] = size[np.isfinite(size)].max()
                slope = slope or float(size[0])
            good &= ~(error > _RESOLVED * size) | ~np.isfinite(error)
    return good


def _interpolation() -> FloatArray:
    """From values at a panel's nodes to values at the nodes of its halves, (40, 20)."""
    half = np.concatenate([0.5 * (NODES - 1.0), 0.5 * (NODES + 1.0)])
    vander = np.polynomial.legendre.legvander
    return np.asarray(vander(half, 19) @ np.linalg.inv(vander(NODES, 19)))


_BETWEEN = _interpolation()


def gaussian_rule(
    mean: float, variance: float, scale: float = 1.0, panels: Panels | None = None
) -> tuple[FloatArray, FloatArray]:
    """Nodes ξ_k and weights ω_k with E h(ξ) ≈ Σ ω_k h(ξ_k) for ξ ~ N(`mean`, `variance`).

    h may vary at `scale` about zero and more slowly away from it, as most losses and their derivatives do;
    `panels` says where others need more. The nodes reach from the mean to where h bends and ten standard
    deviations beyond, because E φ' and E φ'' live between the two when the mean is far out in a tail of φ:
    they keep their relative accuracy there.

    There are 400 nodes for v about 1, and fewer than 2000 up to |a| and √v of 1e6; a variance of zero is a
    point mass, whose rule is one node. The weights are positive.
    """
    sd = math.sqrt(variance)
    if sd <= np.finfo(float).eps * abs(mean):
        return np.array([mean], dtype=np.float64), np.ones(1)
    # Positions are kept relative to zero, where φ needs them exactly, or to a mean that is too far from
    # zero for φ to bend within reach, where the density needs them exactly.
    origin = 0.0 if abs(mean) <= (REACH + BULK) * sd else mean
    offset = mean - origin
    bends = [min(max((bend - mean) / sd, -REACH), REACH) for bend in (panels.bends if panels else (0.0,))]
    low, high = min(0.0, *bends) - BULK, max(0.0, *bends) + BULK
    lower, upper = offset + sd * low, offset + sd * high
    inner = panels.breaks if panels else _graded(lower + origin, upper + origin, scale)
    inner = inner - origin
    breaks = np.linspace(lower, upper, math.ceil(high - low) + 1)
    breaks = np.union1d(breaks, inner[(lower < inner) & (inner < upper)])
    half, position = 0.5 * np.diff(breaks)[:, None], _positions(breaks).ravel()
    z = (position - offset) / sd
    density = np.exp(-0.5 * z * z) / (math.sqrt(2.0 * math.pi) * sd)
    return origin + position, (half * WEIGHTS).ravel() * density


def _graded(lower: float, upper: float, scale: float) -> FloatArray:
    """0, ±scale, ±2 scale, ±4 scale, ... inside (lower, upper)."""
    reach = max(-lower, upper) / scale
    doublings = _DOUBLINGS if math.isinf(reach) else max(0, math.ceil(math.log2(reach)))
    ladder = scale * np.exp2(np.arange(doublings))
    breaks = np.concatenate([-ladder[::-1], [0.0], ladder])
    return breaks[(lower < breaks) & (breaks < upper)]
