"""Methods from many starts at once: a start is a column, and one product with X serves all of them.

The iterates are those of ``gdnp.methods`` from each start by itself, for objectives without an intercept or a
ridge. What is raced is a ``Field``: rows of data, or the population of Assumption 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from gdnp._typing import FloatArray
from gdnp.losses import Loss, get_loss
from gdnp.population.halfspace import Halfspace
from gdnp.population.quadrature import gaussian_rule
from gdnp.solvers.state import ROUNDING

__all__ = ["RUNNERS", "Field", "PopulationField", "Run", "SampleField", "safe_step"]

HALVINGS = 30
BISECTIONS = 50
DOUBLINGS = 20
"""Lengths up to 2^20: bisection ends there where a best length does not exist."""
SINGULAR = 1e-10
"""Eigenvalues of S below this share of the largest are none."""
NEAR = 40.0
"""Standard deviations of zᵀw̃ up to which trapezoids of one width serve every column."""


class Moments(NamedTuple):
    """E φ, E φ' and E φ'' at g v for each column v, shape (k,)."""

    value: FloatArray
    first: FloatArray
    second: FloatArray


class Rays(Protocol):
    """f at g v for the columns v (d, k) of a matrix and any lengths g (k,)."""

    def moments(self, g: FloatArray) -> Moments:
        """What costs no product with X."""

    def slope(self, g: FloatArray) -> FloatArray:
        """∂E φ/∂g alone."""

    def gradient(self, g: FloatArray) -> FloatArray:
        """∇f, (d, k)."""


@dataclass(frozen=True)
class Field:
    """An objective that many starts race on: u, S and φ, and the rays of a matrix."""

    u: FloatArray
    S: FloatArray
    loss: Loss
    rays: Callable[[FloatArray], Rays]

    @cached_property
    def largest(self) -> float:
        """L = λ_max(S)."""
        return float(np.linalg.eigvalsh(self.S)[-1])

    @cached_property
    def inverse(self) -> FloatArray:
        """S⁻¹, on the range of S."""
        return np.asarray(np.linalg.pinv(self.S, rcond=SINGULAR, hermitian=True))


class SampleField(Field):
    """Rows of data, X (n, d) dense or sparse and centred implicitly, y (n,) of ±1."""

    def __init__(self, X: Any, y: FloatArray, loss: str | Loss) -> None:
        n, mean = X.shape[0], np.asarray(X.mean(axis=0)).ravel()
        gram = X.T @ X
        S = np.asarray(gram.todense() if hasattr(gram, "todense") else gram) / n - np.outer(mean, mean)
        phi = get_loss(loss)

        def back(R: FloatArray) -> FloatArray:
            return np.asarray(-(X.T @ (y[:, None] * R) - np.outer(mean, y @ R)) / n)

        def rays(V: FloatArray) -> _SampleRays:
            return _SampleRays(phi, -y[:, None] * (X @ V - mean @ V), back)

        super().__init__(back(np.ones((n, 1)))[:, 0], 0.5 * (S + S.T), phi, rays)


@dataclass(frozen=True)
class _SampleRays:
    loss: Loss
    margins: FloatArray
    back: Callable[[FloatArray], FloatArray]

    def moments(self, g: FloatArray) -> Moments:
        value, first, second = self.loss.derivatives(self.margins * g)
        return Moments(value.mean(axis=0), first.mean(axis=0), second.mean(axis=0))

    def slope(self, g: FloatArray) -> FloatArray:
        first = self.loss.gradient(self.margins * g)
        return np.asarray(np.einsum("nk,nk->k", first, self.margins) / len(first))

    def gradient(self, g: FloatArray) -> FloatArray:
        return self.back(self.loss.gradient(self.margins * g))


class PopulationField(Field):
    """z ~ N(u, S - uuᵀ), exactly."""

    def __init__(self, u: FloatArray, S: FloatArray, loss: str | Loss) -> None:
        f = Halfspace(u, S, loss)
        super().__init__(f.u, f.S, f.loss, lambda V: _PopulationRays(f, V))


@dataclass(frozen=True)
class _PopulationRays:
    f: Halfspace
    V: FloatArray

    def _means(self, g: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """E φ, E φ', E φ'': trapezoids where columns are short, the rule of ``Halfspace`` where not."""
        a = (self.f.u @ self.V) * g
        sd = np.sqrt(np.maximum(np.sum(self.V * (self.f.S @ self.V), axis=0) * g * g - a * a, 0.0))
        found, near = np.full((3, len(g)), np.nan), sd <= NEAR
        for low, high in ((-1.0, NEAR / 8.0), (NEAR / 8.0, NEAR)):
            here = (low < sd) & (sd <= high)
            # φ has its singularities at a distance of about one from the real line.
            width = min(0.5, 0.3 / max(1.0, float(sd[here].max(initial=0.0))))
            t = width * np.arange(-np.ceil(8.5 / width), np.ceil(8.5 / width) + 1.0)
            weight = np.exp(-0.5 * t * t)
            values = self.f.loss.derivatives(a[here] + np.outer(t, sd[here]))
            found[:, here] = [weight @ h / weight.sum() for h in values]
        for k in np.flatnonzero(~near & np.isfinite(sd)):
            nodes, mass = gaussian_rule(a[k], sd[k] ** 2, panels=self.f.panels)
            found[:, k] = [mass @ h for h in self.f.loss.derivatives(nodes)]
        return found[0], found[1], found[2]

    def moments(self, g: FloatArray) -> Moments:
        return Moments(*self._means(g))

    def slope(self, g: FloatArray) -> FloatArray:
        _, first, second = self._means(g)
        a = self.f.u @ self.V
        variance = np.sum(self.V * (self.f.S @ self.V), axis=0) - a * a
        return np.asarray(first * a + g * second * variance)

    def gradient(self, g: FloatArray) -> FloatArray:
        _, first, second = self._means(g)
        c1 = first - (self.f.u @ self.V) * g * second
        return np.asarray(np.outer(self.f.u, c1) + second * g * (self.f.S @ self.V))


# --- methods

State = tuple[FloatArray, FloatArray, FloatArray]
"""f, ∇f and w̃ of every column."""


class Run(NamedTuple):
    """Objective, ‖∇f‖ and ‖w̃‖_S of every iterate, shape (iterations + 1, k)."""

    objective: FloatArray
    gradient_norm: FloatArray
    length: FloatArray


def safe_step(f: Field) -> float:
    """1/(L sup φ''), the unit of constant steps."""
    return 1.0 / (f.largest * f.loss.max_curvature)


def _gd(f: Field, W: FloatArray, multiple: FloatArray, momentum: bool = False) -> Iterator[State]:
    step, ones, base = multiple * safe_step(f), np.ones(W.shape[1]), W
    for k in count(1):
        rays = f.rays(W)
        gradient = rays.gradient(ones)
        yield rays.moments(ones).value, gradient, W
        new = W - step * gradient
        W, base = new + (k / (k + 3.0) if momentum else 0.0) * (new - base), new


def _split(f: Field, W: FloatArray, multiple: FloatArray, metric: FloatArray) -> Iterator[State]:
    """Simple BN and WN: one constant step on (w, g), in the metric S or I."""
    step, g = multiple * safe_step(f), _norm(metric, W)
    while True:
        n = _norm(metric, W)
        V = W / n
        rays = f.rays(V)
        gradient = rays.gradient(g)
        yield rays.moments(g).value, gradient, g * V
        along = np.sum(V * gradient, axis=0)
        W, g = W - step * (g / n) * (gradient - (metric @ V) * along), g - step * along


def _norm(metric: FloatArray, W: FloatArray) -> FloatArray:
    """‖w‖ of every column; nan for one that has left for infinity, whose direction would be 0."""
    norm = np.sqrt(np.sum(W * (metric @ W), axis=0))
    return np.where(np.isfinite(norm), norm, np.nan)


@dataclass(frozen=True)
class GDNP:
    """Algorithm 1 on columns, guarded: steps that raise f after the length fit are halved.

    Parameters
    ----------
    inner : int
        Gradient steps on g; 0 stands for bisection.
    h : {"stein", "printed"}
    preconditioned : bool
        By S⁻¹.
    """

    inner: int = 10
    h: str = "stein"
    preconditioned: bool = False

    def __call__(self, f: Field, W: FloatArray, multiple: FloatArray) -> Iterator[State]:
        largest = 1.0 if self.preconditioned else f.largest
        g, fraction = self._fitted(f, f.rays(W / _norm(f.S, W)), _norm(f.S, W)), np.ones(W.shape[1])
        while True:
            n = _norm(f.S, W)
            V = W / n
            rays = f.rays(V)
            at, gradient = rays.moments(g), rays.gradient(g)
            yield at.value, gradient, g * V
            descent = (g / n) * (gradient - (f.S @ V) * np.sum(V * gradient, axis=0))
            if self.preconditioned:
                descent = f.inverse @ descent
            uw = f.u @ W
            second = uw if self.h == "printed" else g * uw / n
            with np.errstate(divide="ignore", invalid="ignore"):
                s = -multiple * n**3 / (largest * g * uw * (at.first - second * at.second))
                safe = n**2 / (largest * g**2 * f.loss.max_curvature)
            s = np.where((s > 0.0) & np.isfinite(s), s, safe)
            ceiling = at.value + ROUNDING * np.abs(at.value)
            todo, fraction = np.arange(W.shape[1]), np.minimum(1.0, 2.0 * fraction)
            W, g = W.copy(), g.copy()
            for _ in range(HALVINGS):
                trial = W[:, todo] - (fraction * s)[todo] * descent[:, todo]
                moved = f.rays(trial / _norm(f.S, trial))
                length = self._fitted(f, moved, g[todo])
                good = moved.moments(length).value <= ceiling[todo]
                W[:, todo[good]], g[todo[good]] = trial[:, good], length[good]
                todo = todo[~good]
                if todo.size == 0:
                    break
                fraction[todo] *= 0.5

    def _fitted(self, f: Field, rays: Rays, g: FloatArray) -> FloatArray:
        for _ in range(self.inner):
            g = g - rays.slope(g) / f.loss.max_curvature
        return g if self.inner else bisected(rays, len(g))


def bisected(rays: Rays, k: int) -> FloatArray:
    """Algorithm 3 on every column: a root of ∂f/∂g in [-1, 1], doubled until the sign changes."""
    high = np.ones(k)
    for _ in range(DOUBLINGS):
        open_ = (rays.slope(-high) >= 0.0) | (rays.slope(high) <= 0.0)
        if not open_.any():
            break
        high = np.where(open_, 2.0 * high, high)
    low = -high
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        rising: NDArray[np.bool_] = rays.slope(middle) > 0.0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    return np.asarray(0.5 * (low + high))


def _two_step(f: Field, W: FloatArray, multiple: FloatArray) -> Iterator[State]:
    V = np.repeat((f.inverse @ f.u)[:, None], W.shape[1], axis=1)
    V = V / _norm(f.S, V)
    rays = f.rays(V)
    g = bisected(rays, W.shape[1])
    while True:
        yield rays.moments(g).value, rays.gradient(g), g * V


RUNNERS: dict[str, Callable[[Field, FloatArray, FloatArray], Iterator[State]]] = {
    "gd": _gd,
    "agd": lambda f, W, m: _gd(f, W, m, momentum=True),
    "weight_norm_gd": lambda f, W, m: _split(f, W, m, np.eye(len(W))),
    "batch_norm_gd": lambda f, W, m: _split(f, W, m, f.S),
    "gdnp_inner": GDNP(),
    "gdnp": GDNP(inner=0),
    "gdnp_metric": GDNP(inner=0, preconditioned=True),
    "two_step": _two_step,
}
"""By the names of ``gdnp.methods``: (field, starts (d, k), multiples (k,)) -> the states, without an end."""


def run(
    f: Field, method: str | GDNP, starts: FloatArray, multiples: FloatArray | float, iterations: int
) -> Run:
    """So many iterations from every column of `starts`; a column that has left for infinity is inf.

    Parameters
    ----------
    f : Field
    method : str or GDNP
        A key of ``RUNNERS``, or GDNP with parts of one's own.
    starts : ndarray of shape (d, k)
    multiples : float or ndarray of shape (k,)
        Of the safe step 1/(L sup φ''); of Eq. 17 for GDNP.
    iterations : int
    """
    runner = RUNNERS[method] if isinstance(method, str) else method
    rows = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _, (value, gradient, W) in zip(
            range(iterations + 1), runner(f, starts, multiples * np.ones(starts.shape[1])), strict=False
        ):
            rows.append((value, np.sqrt(np.sum(gradient**2, axis=0)), _norm(f.S, W)))
    found = (np.stack(column) for column in zip(*rows, strict=True))
    return Run(*(np.where(np.isfinite(values), values, np.inf) for values in found))
