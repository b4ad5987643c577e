"""Losses that are not convex: from the log loss by graduated length, from several starts where asked.

A bounded loss of w̃ = g w depends on g as a physical system on its inverse temperature: with a short length
φ is nearly linear in the margins and has few minima, with a long one it is the 0-1 loss and has many. So the
margins are first shrunk and then let out, each solution being the start of the next (graduated
non-convexity, Blake and Zisserman 1987), beginning at the solution of the log loss.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import LogLoss, Loss, PseudoHuber
from gdnp.newton.preconditioners.choice import Metrics
from gdnp.newton.preconditioners.full import Curvature
from gdnp.newton.run import Monitor, Outcome, solve
from gdnp.newton.sampling import sample, sample_size
from gdnp.solvers.state import Status
from gdnp.standardized import Place, Standardized

__all__ = ["PATH", "Tempered", "solve_nonconvex"]

PATH = (0.5,)
"""Factors of the margins before the last, which is 1."""
ROUGH = 1e-3
"""Relative suboptimality at which the path moves on (with 0.01 it ended in higher minima),"""
ROUGH_ON_A_SAMPLE = 0.1
"""and where a sample stands for all rows, whose minimum is not its own."""
SHARE = 0.12
"""How far a sample is followed at the end, in units of d/n of it, the distance of its minimum from f's."""
SHRINK = 1.0
"""The ridge of a sample, in units of d/n of the curvature: without it the few rows are fitted too well, and
lead to minima of f that are up to a tenth higher."""
DEAR = 2.0
"""Passes that a metric of f must cost for that of the sample to be kept instead."""


@dataclass(frozen=True)
class Tempered(Loss):
    """φ(κ t): the loss as it is for a length shrunk by κ.

    Parameters
    ----------
    loss : Loss
        φ.
    factor : float
        κ > 0.
    """

    loss: Loss
    factor: float

    def __post_init__(self) -> None:
        for name in ("name", "task", "convex", "increasing"):
            object.__setattr__(self, name, getattr(self.loss, name))
        object.__setattr__(self, "max_gradient", self.factor * self.loss.max_gradient)
        object.__setattr__(self, "max_curvature", self.factor**2 * self.loss.max_curvature)

    def value(self, t: FloatArray) -> FloatArray:
        """φ(κ t)."""
        return self.loss.value(self.factor * t)

    def gradient(self, t: FloatArray) -> FloatArray:
        """κ φ'(κ t)."""
        return self.factor * self.loss.gradient(self.factor * t)

    def curvature(self, t: FloatArray) -> FloatArray:
        """κ² φ''(κ t)."""
        return self.factor**2 * self.loss.curvature(self.factor * t)

    def jet(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One reading of φ for all three."""
        value, gradient, curvature = self.loss.jet(self.factor * t)
        return value, self.factor * gradient, self.factor**2 * curvature


def solve_nonconvex(
    problem: Standardized,
    *,
    tol: float = 1e-8,
    max_iter: int = 1000,
    start: FloatArray | None = None,
    n_init: int = 1,
    rng: np.random.RandomState | None = None,
    monitor: Monitor | None = None,
) -> Outcome:
    """A local minimum, the best of `n_init` starts.

    Parameters
    ----------
    problem : Standardized
    tol, max_iter, monitor
        See ``solve``.
    start : ndarray of shape (d + 1,) or None
        Where to start instead of the log loss; the path is then left out.
    n_init : int
        Starts: the first as above, the others the first with its direction turned at random.
    rng : RandomState or None
    """
    begin = time.perf_counter()

    def run(x: FloatArray | Place, metric: Curvature | None = None) -> Outcome:
        """``solve``, its clock started where this function's was: the path to `x` took time too."""
        before = time.perf_counter() - begin
        found = solve(problem, tol=tol, max_iter=max_iter, start=x, metric=metric, monitor=monitor)
        return replace(found, history=[replace(r, seconds=before + r.seconds) for r in found.history])

    first, metric = _graduated(problem) if start is None else (start, None)
    best = run(first, metric)
    rng = np.random.RandomState(0) if rng is None else rng
    for _ in range(n_init - 1):
        other = run(_turned(problem, first.x if isinstance(first, Place) else first, rng))
        better = other.place.value < best.place.value
        if better and (other.certificate.status is Status.CONVERGED) >= (
            best.certificate.status is Status.CONVERGED
        ):
            best = other
    return best


def _graduated(problem: Standardized) -> tuple[FloatArray | Place, Curvature | None]:
    """The end of the path of lengths, or the convex start itself where f is lower there, and the metric.

    Where there are many more rows than columns the path is followed on a sample of them, to its end.
    """
    convex = problem.with_loss(LogLoss() if problem.loss.task == "classification" else PseudoHuber())
    size = sample_size(problem)
    if size is None:
        best = _path(problem, convex, ROUGH)
        return best.place, best.metric
    part = sample(convex, size, shrink=SHRINK)
    real = part.with_loss(problem.loss)
    best = _path(real, part, ROUGH_ON_A_SAMPLE)
    tol = SHARE * part.d / part.n
    end = solve(real, tol=tol, max_iter=50, start=best.place, metric=best.metric, prove=False)
    problem.cost.charge(part.cost.passes * part.n / problem.n)
    return end.place.x, end.metric if Metrics(problem).cost > DEAR else None


def _path(problem: Standardized, convex: Standardized, tol: float) -> Outcome:
    """From the minimum of the convex loss over lengths let out step by step; each goes on with its metric."""
    first = last = solve(convex, tol=tol, max_iter=50, prove=False)
    for factor in PATH:
        easier = problem.with_loss(Tempered(problem.loss, factor))
        last = solve(easier, tol=tol, max_iter=50, start=last.place, metric=last.metric, prove=False)
    return min((first, last), key=lambda end: problem.value(end.place.x, end.place.margins))


def _turned(problem: Standardized, x: FloatArray, rng: np.random.RandomState) -> FloatArray:
    """x with noise of its own length added to the direction."""
    noise = rng.standard_normal(len(x)) * (np.append(problem.scale, 1.0) > 0.0)
    return np.asarray(x + noise * (np.linalg.norm(x) / max(float(np.linalg.norm(noise)), 1e-300)))
