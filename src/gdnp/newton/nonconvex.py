"""Losses that are not convex: from a convex one by graduated length.

A bounded loss of w̃ = g w depends on g as a physical system on its inverse temperature. With a short length φ
is nearly linear in the margins and has few minima; with a long one it is the 0-1 loss and has many. So the
margins are first shrunk and then let out, each solution being the start of the next (graduated
non-convexity, Blake and Zisserman 1987), beginning at the solution of the convex loss.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import Loss
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.start import SAMPLE_TOL, sample, sample_size
from gdnp.problem.objective import Objective
from gdnp.problem.points import DataPoint

PATH = (0.5,)
"""Factors of the margins before the last, which is 1."""
ROUGH = 1e-3
"""Relative suboptimality at which the path moves on (with 0.01 it ended in higher minima)."""

Solve = Callable[..., tuple[DataPoint, Preconditioner]]
"""(problem, tol, point, preconditioner) -> where a rough solution ends, and the last preconditioner."""


@dataclass(frozen=True)
class Tempered(Loss):
    """c φ(κ t): the loss as it is for a length shrunk by κ."""

    loss: Loss  # φ
    factor: float  # κ > 0
    unit: float = 1.0  # c > 0

    def __post_init__(self) -> None:
        for name in ("name", "task", "convex", "increasing"):
            object.__setattr__(self, name, getattr(self.loss, name))
        object.__setattr__(self, "max_gradient", self._slope * self.loss.max_gradient)
        object.__setattr__(self, "max_curvature", self._bend * self.loss.max_curvature)

    @property
    def _slope(self) -> float:
        return self.unit * self.factor

    @property
    def _bend(self) -> float:
        return self.unit * self.factor * self.factor

    def value(self, t: FloatArray) -> FloatArray:
        """C φ(κ t)."""
        return self.unit * self.loss.value(self.factor * t)

    def gradient(self, t: FloatArray) -> FloatArray:
        """C κ φ'(κ t)."""
        return self._slope * self.loss.gradient(self.factor * t)

    def curvature(self, t: FloatArray) -> FloatArray:
        """C κ² φ''(κ t)."""
        return self._bend * self.loss.curvature(self.factor * t)

    def derivatives(self, t: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """One reading of φ for all three."""
        value, gradient, curvature = self.loss.derivatives(self.factor * t)
        return self.unit * value, self._slope * gradient, self._bend * curvature


def graduated_start(problem: Objective, solve: Solve) -> tuple[DataPoint, Preconditioner | None]:
    """The end of the path of lengths, or the convex start itself where f is lower there, and H there.

    Where there are many more rows than columns the path is followed on a sample of them, to its end.
    """
    convex = problem.with_loss(problem.loss.convex_start())
    size = sample_size(problem)
    if size is None:
        point, preconditioner = _path(problem, convex, ROUGH, solve)
        return problem.known(point.x, point.margins), preconditioner
    x, last = sample(convex, size, partial(_end, problem.loss, solve), shrunk=True)
    return problem.point(x), last


def _end(loss: Loss, solve: Solve, part: Objective) -> tuple[FloatArray, Preconditioner]:
    """Where the path leads on a sample."""
    real = part.with_loss(loss)
    tol = SAMPLE_TOL * part.n_features / part.n_samples
    end, last = solve(real, tol, *_path(real, part, ROUGH, solve))
    return end.x, last


def _path(
    problem: Objective, convex: Objective, tol: float, solve: Solve
) -> tuple[DataPoint, Preconditioner]:
    """From the minimum of the convex loss over lengths let out step by step; each goes on with its H."""
    ends = [solve(convex, tol, None, None)]
    for factor in PATH:
        ends.append(solve(problem.with_loss(Tempered(problem.loss, factor)), tol, *ends[-1]))

    def rank(end: tuple[DataPoint, Preconditioner]) -> tuple[bool, float]:
        at = problem.known(end[0].x, end[0].margins)
        flat = at.mean_gradient < ROUGH * problem.loss.max_gradient and not at.separates
        return problem.loss.increasing and flat, at.value

    return min((ends[0], ends[-1]), key=rank)  # no way leads on where f is flat in every row


def turned(problem: Objective, x: FloatArray, rng: Any) -> FloatArray:
    """x with noise of its own length added to the direction."""
    noise = rng.standard_normal(len(x)) * (np.append(problem.coordinates.scale, 1.0) > 0.0)
    return np.asarray(x + noise * (np.linalg.norm(x) / max(float(np.linalg.norm(noise)), 1e-300)))
