"""Methods from many starts at once: a start is a column, and one product with X serves all of them.

The iterates are those of ``gdnp.methods`` from each start by itself, for objectives without an intercept or a
ridge. What is raced is a ``Field``: rows of data, or the population of Assumption 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice, repeat
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from scipy.special import ndtr

from gdnp._cached import cached_property
from gdnp._typing import FloatArray
from gdnp.design import as_design
from gdnp.losses import Loss, get_loss
from gdnp.population.halfspace import Halfspace
from gdnp.solvers.state import ROUNDING

HALVINGS = 30
SECANTS = 60
WIDEST_START, LONGEST = 64.0, 2.0**20
"""The search for a best length ends there where it does not exist."""
ACCURACY = 1e-13
"""Of a best length, relative: nearly that of 50 halvings."""
SINGULAR = 1e-10
"""Eigenvalues of S below this share of the largest are none."""
EVEN = np.linspace(-8.5, 8.5, 58)
"""Nodes for a Gaussian alone, in its standard deviations."""
GRADED = np.linspace(-25.0, 25.0, 501)
"""Nodes asinh t for φ(t) and a Gaussian with a standard deviation from 1 to 1e9."""


class Moments(NamedTuple):
    """E φ, E φ' and E φ'' at g v for each column v, shape (k,)."""

    value: FloatArray
    first: FloatArray
    second: FloatArray


@dataclass(frozen=True)
class Field:
    """An objective that many starts race on: u, S and φ, the rays of a matrix, what forming S costs."""

    u: FloatArray
    S: FloatArray
    loss: Loss
    rays: Callable[[FloatArray], Rays]
    gram_passes: float = 0.0

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

        u, passes = back(np.ones((n, 1)))[:, 0], as_design(X).gram_passes
        super().__init__(u, 0.5 * (S + S.T), phi, rays, passes)


@dataclass(frozen=True)
class _SampleRays:
    """f at g v for the columns v (d, k) of a matrix and any lengths g (k,)."""

    loss: Loss
    margins: FloatArray
    back: Callable[[FloatArray], FloatArray]

    def moments(self, g: FloatArray) -> Moments:
        """What costs no product with X."""
        return Moments(*(part.mean(axis=0) for part in self.loss.derivatives(self.margins * g)))

    def slope(self, g: FloatArray) -> FloatArray:
        """∂E φ/∂g alone."""
        first = self.loss.gradient(self.margins * g)
        return np.asarray(np.einsum("nk,nk->k", first, self.margins) / len(first))

    def gradient(self, g: FloatArray) -> FloatArray:
        """∇f, (d, k)."""
        return self.back(self.loss.gradient(self.margins * g))

    def wrong(self, g: FloatArray) -> FloatArray:
        """The 0-1 error, (k,); a tie is half of one."""
        return np.asarray(0.5 + 0.5 * np.sign(self.margins * g).mean(axis=0))


class PopulationField(Field):
    """z ~ N(u, S - uuᵀ), exactly."""

    def __init__(self, u: FloatArray, S: FloatArray, loss: str | Loss) -> None:
        f = Halfspace(u, S, loss)
        nodes = np.sinh(GRADED)
        seen = np.stack(f.loss.derivatives(nodes)) * np.cosh(GRADED)
        super().__init__(f.u, f.S, f.loss, lambda V: _PopulationRays(f, V, nodes, seen))


@dataclass(frozen=True)
class _PopulationRays:
    f: Halfspace
    V: FloatArray
    nodes: FloatArray
    seen: FloatArray

    def _means(self, h: Callable[[FloatArray], Any], rows: FloatArray, g: FloatArray) -> FloatArray:
        """E h(zᵀw̃): trapezoids about the mean where a column is short, about zero where it is not.

        φ varies at a scale of one about zero, where the second have nodes; `rows` are h there.
        """
        a = (self.f.u @ self.V) * g
        sd = np.sqrt(np.maximum(np.sum(self.V * (self.f.S @ self.V), axis=0) * g * g - a * a, 0.0))
        found, near, far = np.full((len(rows), len(g)), np.nan), sd <= 1.0, sd > 1.0
        weight = np.exp(-0.5 * EVEN * EVEN)
        values = h(a[near] + np.outer(EVEN, sd[near]))
        found[:, near] = [weight @ value / weight.sum() for value in values]
        reach = np.max(np.abs(a[far]) + 10.0 * sd[far], initial=1.0)
        within = slice(*np.searchsorted(GRADED, [-np.arcsinh(reach), np.arcsinh(reach)]))
        density = np.exp(-0.5 * np.square((self.nodes[within, None] - a[far]) / sd[far]))
        found[:, far] = rows[:, within] @ density / (np.cosh(GRADED[within]) @ density)
        return found

    def moments(self, g: FloatArray) -> Moments:
        return Moments(*self._means(self.f.loss.derivatives, self.seen, g))

    def slope(self, g: FloatArray) -> FloatArray:
        """E φ'(t) t/g, where Stein's formula would cancel at large lengths."""
        g = np.where(g == 0.0, np.finfo(np.float64).tiny, g)
        found = self._means(lambda t: [self.f.loss.gradient(t) * t], self.seen[1:2] * self.nodes, g)
        return np.asarray(found[0] / g)

    def gradient(self, g: FloatArray) -> FloatArray:
        _, first, second = self.moments(g)
        c1 = first - (self.f.u @ self.V) * g * second
        return np.asarray(np.outer(self.f.u, c1) + second * g * (self.f.S @ self.V))

    def wrong(self, g: FloatArray) -> FloatArray:
        a = self.f.u @ self.V
        deviation = np.sqrt(np.sum(self.V * (self.f.S @ self.V), axis=0) - a * a)
        return np.asarray(ndtr(np.sign(g) * a / deviation))


Rays: TypeAlias = _SampleRays | _PopulationRays


# --- methods


class State(NamedTuple):
    """An iterate of every column: w̃ = g v on its rays, f and ∇f there, and the passes that it took."""

    rays: Rays
    g: FloatArray
    value: FloatArray
    gradient: FloatArray
    W: FloatArray
    passes: FloatArray


class Run(NamedTuple):
    """f, ‖∇f‖, ‖w̃‖_S, the 0-1 error and the passes of every iterate, shape (iterations + 1, k)."""

    objective: FloatArray
    gradient_norm: FloatArray
    length: FloatArray
    zero_one: FloatArray
    passes: FloatArray


def safe_step(f: Field) -> float:
    """1/(L sup φ''), the unit of constant steps."""
    return 1.0 / (f.largest * f.loss.max_curvature)


def _gd(f: Field, W: FloatArray, multiple: FloatArray, momentum: bool = False) -> Iterator[State]:
    step, ones, base = multiple * safe_step(f), np.ones(W.shape[1]), W
    for k in count(1):
        rays = f.rays(W)
        gradient = rays.gradient(ones)
        yield State(rays, ones, rays.moments(ones).value, gradient, W, k * ones)
        new = W - step * gradient
        W, base = new + (k / (k + 3.0) if momentum else 0.0) * (new - base), new


def _split(f: Field, W: FloatArray, multiple: FloatArray, metric: FloatArray) -> Iterator[State]:
    """Simple BN and WN: one constant step on (w, g), in the metric S or I."""
    step, g = multiple * safe_step(f), _norm(metric, W)
    for k in count(1):
        n = _norm(metric, W)
        V = W / n
        rays = f.rays(V)
        gradient = rays.gradient(g)
        yield State(rays, g, rays.moments(g).value, gradient, g * V, np.full(len(g), float(k)))
        along = np.sum(V * gradient, axis=0)
        W, g = W - step * (g / n) * (gradient - (metric @ V) * along), g - step * along


def _norm(metric: FloatArray, W: FloatArray) -> FloatArray:
    """‖w‖ of every column; nan for one that has left for infinity, whose direction would be 0."""
    norm = np.sqrt(np.sum(W * (metric @ W), axis=0))
    return np.where(np.isfinite(norm), norm, np.nan)


@dataclass(frozen=True)
class GDNP:
    """Algorithm 1 on columns, guarded: steps that raise f after the length fit are halved.

    `inner` gradient steps are taken on g, 0 stands for bisection; `preconditioned` is by S⁻¹.
    """

    inner: int = 10
    h: str = "stein"
    preconditioned: bool = False

    def __call__(self, f: Field, W: FloatArray, multiple: FloatArray) -> Iterator[State]:
        """The states of every column of W (d, k), without an end."""
        largest, fraction = 1.0 if self.preconditioned else f.largest, np.ones(W.shape[1])
        passes = fraction + f.gram_passes
        n = _norm(f.S, W)
        rays = f.rays(W / n)
        g = self._fitted(f, rays, n)
        at = rays.moments(g)
        while True:
            n = _norm(f.S, W)
            V, gradient = W / n, rays.gradient(g)
            yield State(rays, g, at.value, gradient, g * V, passes)
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
            W, g, passes = W.copy(), g.copy(), passes + 0.5  # the half that the gradient takes
            for _ in range(HALVINGS):
                trial = W[:, todo] - (fraction * s)[todo] * descent[:, todo]
                rays = f.rays(trial / _norm(f.S, trial))
                length = self._fitted(f, rays, g[todo])
                at = rays.moments(length)
                good = at.value <= ceiling[todo]
                W[:, todo[good]], g[todo[good]] = trial[:, good], length[good]
                passes[todo] += 0.5
                todo = todo[~good]
                if todo.size == 0:
                    break
                fraction[todo] *= 0.5
            if len(good) < len(g) or not good.all():  # the rays at hand are not those of every column
                rays = f.rays(W / _norm(f.S, W))
                at = rays.moments(g)

    def _fitted(self, f: Field, rays: Rays, g: FloatArray) -> FloatArray:
        for _ in range(self.inner):
            g = g - rays.slope(g) / f.loss.max_curvature
        return g if self.inner else best_length(rays, g)


def best_length(rays: Rays, g: FloatArray) -> FloatArray:
    """Algorithm 3 on every column: a root of ∂f/∂g in a bracket that is widened until the sign changes.

    The bracket begins at twice the length `g` (k,) of before, and is closed by secants rather than halved
    (the Illinois method). Where there is no root, the longest length on the side where f falls.
    """
    high, falling = np.clip(2.0 * np.abs(g), 1.0, WIDEST_START), np.sign(g)
    while True:
        below, above = rays.slope(-high), rays.slope(high)
        open_ = (below >= 0.0) | (above <= 0.0)
        # Far out on a bounded loss both slopes underflow: there the last that is known has it.
        falling = np.where(above < 0.0, 1.0, np.where(below > 0.0, -1.0, falling))
        wide = open_ & (high < LONGEST)
        if not wide.any():
            break
        high = np.where(wide, np.minimum(4.0 * high, LONGEST), high)
    low, last = -high, np.zeros(len(g))
    for _ in range(SECANTS):
        middle = high - above * (high - low) / np.where(open_, 1.0, above - below)
        slope = rays.slope(middle)
        rising, moved = slope > 0.0, np.minimum(middle - low, high - middle)
        # An end that stays twice is taken for half as steep, so that the next secant moves it.
        half = np.where(last == np.sign(slope), 0.5, 1.0)
        below, above = np.where(rising, half * below, slope), np.where(rising, slope, half * above)
        last = np.sign(slope)
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
        done = open_ | (slope == 0.0) | ~(moved > ACCURACY * (1.0 + np.abs(middle)))
        if done.all():
            break
    return np.asarray(np.where(open_, falling * LONGEST, middle))


def _two_step(f: Field, W: FloatArray, multiple: FloatArray) -> Iterator[State]:
    V = np.repeat((f.inverse @ f.u)[:, None], W.shape[1], axis=1)
    V = V / _norm(f.S, V)
    rays = f.rays(V)
    g = best_length(rays, np.ones(W.shape[1]))
    passes = np.full(len(g), 1.0 + f.gram_passes)
    yield from repeat(State(rays, g, rays.moments(g).value, rays.gradient(g), g * V, passes))


Runner = Callable[[Field, FloatArray, FloatArray], Iterator[State]]
"""(field, starts (d, k), multiples (k,)) -> the states, without an end."""
RUNNERS: dict[str, Runner] = {
    "gd": _gd,
    "agd": lambda f, W, m: _gd(f, W, m, momentum=True),
    "weight_norm_gd": lambda f, W, m: _split(f, W, m, np.eye(len(W))),
    "batch_norm_gd": lambda f, W, m: _split(f, W, m, f.S),
    "gdnp_inner": GDNP(),
    "gdnp": GDNP(inner=0),
    "gdnp_metric": GDNP(inner=0, preconditioned=True),
    "two_step": _two_step,
}
"""By the names of ``gdnp.methods``."""


def run(
    f: Field, method: str | Runner, starts: FloatArray, multiples: FloatArray | float, iterations: int
) -> Run:
    """So many iterations from every column of `starts` (d, k); a column that has left for infinity is inf.

    The method is a key of ``RUNNERS``, GDNP with other parts, or one's own. `multiples` (k,) are of the safe
    step 1/(L sup φ''), and of Eq. 17 for GDNP.
    """
    runner = RUNNERS[method] if isinstance(method, str) else method
    states = runner(f, starts, multiples * np.ones(starts.shape[1]))
    rows = []
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for state in islice(states, iterations + 1):
            norm = np.sqrt(np.sum(state.gradient**2, axis=0))
            rows.append((state.value, norm, _norm(f.S, state.W), state.rays.wrong(state.g), state.passes))
    found = (np.stack(column) for column in zip(*rows, strict=True))
    return Run(*(np.where(np.isfinite(values), values, np.inf) for values in found))
