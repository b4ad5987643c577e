"""Gradient flows in weight space: what gradient descent and GDNP_seq become with infinitely small steps.

GD follows w̃' = -∇f(w̃). GDNP_seq first follows w' = -∇_w f(w, g₀) at a fixed length, so that w̃ moves on the
ellipsoid ‖w̃‖_S = g₀, and then g' = -∂f/∂g along the direction found. With ∇f = c₁ u + c₂ S w̃ (Stein),

    ∇_w f = (g/n) c₁ (u - (uᵀw/n²) S w),   n = ‖w‖_S,

so under Assumption 2 the loss decides only how fast the first curve is run through. Its time is measured here
in units of n/(g |c₁|), in which all losses have the same flow w' = -u + (uᵀw/n²) S w.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp
from scipy.spatial import cKDTree

from gdnp._typing import FloatArray
from gdnp.paper.runner.problems import state_at
from gdnp.problem.interface import Objective

STATIONARY = 1e-8
"""A flow ends where its gradient is this share of what it was at the start."""
LONGEST = 1e9
"""Time at which any flow is given up."""
DENSE = 6000
"""Points at which the length of a path is measured before it is resampled."""


@dataclass(frozen=True)
class Path:
    """A curve of w̃, its `points` (m, d) equally far from each other along it.

    Where it is not `stationary` it left the region or its time was over.
    """

    points: FloatArray
    stationary: bool

    @property
    def length(self) -> float:
        """Of the curve."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


Inside = Callable[[FloatArray], float]
"""Positive inside the region where a flow is followed, negative outside, continuous."""


def gradient_flow(objective: Objective, start: FloatArray, inside: Inside, *, points: int = 401) -> Path:
    """w̃' = -∇f(w̃) from `start` (d,) until ∇f has almost vanished or w̃ leaves the region."""
    return _followed(lambda w: -objective.at(w).gradient, start, inside, lambda w: w, points)


def direction_flow(objective: Objective, start: FloatArray, *, points: int = 801) -> Path:
    """w' = -∇_w f(w, g₀) n/(g₀ |c₁|) from w̃₀ = `start` (d,) until the direction is stationary.

    g₀ is the length of the start in S. The path is one of w̃, on the ellipsoid through the start.
    """
    metric = objective.covariance
    g = metric.norm(start)

    def velocity(w: FloatArray) -> FloatArray:
        state = state_at(objective, metric, w, g)
        speed = state.norm / (g * max(abs(objective.stein_coefficient(state.point)), 1e-300))
        return np.asarray(-speed * state.direction_gradient)

    return _followed(velocity, start, lambda w: 1.0, lambda w: metric.join(w, g), points)


def length_flow(objective: Objective, start: FloatArray, inside: Inside, *, points: int = 101) -> Path:
    """g' = -∂f/∂g along the ray through `start` (d,), to its minimum or out of the region."""
    metric = objective.covariance
    length = metric.norm(start)
    unit = start / length
    line = objective.origin.line(unit)
    return _followed(
        lambda g: -line.expansion(float(g[0])).gradient[:1],
        np.array([length]),
        lambda g: inside(g[0] * unit),
        lambda g: g[0] * unit,
        points,
    )


def _followed(
    velocity: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    inside: Inside,
    mapped: Callable[[FloatArray], FloatArray],
    points: int,
) -> Path:
    """The flow of `velocity` from `start`, as `mapped` shows it."""
    first = float(np.linalg.norm(velocity(start)))
    if first == 0.0:
        return Path(np.repeat(mapped(start)[None], 2, axis=0), stationary=True)

    def vanishes(t: float, w: FloatArray) -> float:
        return float(np.linalg.norm(velocity(w))) - STATIONARY * first

    def leaves(t: float, w: FloatArray) -> float:
        return inside(w)

    events: list[Any] = [vanishes, leaves]
    for event in events:
        event.terminal = True
    accuracy: Any = {"method": "DOP853", "rtol": 1e-10, "atol": 1e-12, "dense_output": True}
    solution = solve_ivp(lambda t, w: velocity(w), (0.0, LONGEST), start, events=events, **accuracy)
    # The solver's own steps follow the speed of the flow; between them time is divided evenly.
    steps = np.arange(len(solution.t))
    inner = max(1, DENSE // (len(steps) - 1))
    times = np.interp(np.linspace(0.0, steps[-1], inner * (len(steps) - 1) + 1), steps, solution.t)

    def shown(times: FloatArray) -> FloatArray:
        return np.array([mapped(w) for w in solution.sol(times).T])

    travelled = np.append(0.0, np.cumsum(np.linalg.norm(np.diff(shown(times), axis=0), axis=1)))
    moving = np.append(True, np.diff(travelled) > 0.0)
    even = np.interp(np.linspace(0.0, travelled[-1], points), travelled[moving], times[moving])
    return Path(shown(even), stationary=len(solution.t_events[0]) > 0)


def hausdorff(a: FloatArray, b: FloatArray) -> float:
    """The Hausdorff distance of two polygonal curves (m, d) and (k, d), from the vertices of each."""
    return max(_farthest(a, b), _farthest(b, a))


def _farthest(vertices: FloatArray, curve: FloatArray) -> float:
    """Largest distance of a vertex from a curve: of its nearest vertex and the segments on both sides."""
    nearest = cKDTree(curve).query(vertices)[1]
    found = np.linalg.norm(vertices - curve[nearest], axis=1)
    for begin, end in ((nearest - 1, nearest), (nearest, nearest + 1)):
        p, q = curve[np.clip(begin, 0, len(curve) - 1)], curve[np.clip(end, 0, len(curve) - 1)]
        side = q - p
        square = (side * side).sum(axis=1)
        share = ((vertices - p) * side).sum(axis=1) / np.where(square > 0.0, square, 1.0)
        foot = p + np.clip(share, 0.0, 1.0)[:, None] * side
        found = np.minimum(found, np.linalg.norm(vertices - foot, axis=1))
    return float(found.max())
