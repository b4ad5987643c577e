"""Section 4.1: the critical points of halfspaces under Assumption 2, and which losses have any."""

import math
from collections.abc import Iterator

import numpy as np
from scipy.optimize import brentq

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.losses import LOSSES, Loss
from gdnp.metric import Covariance
from gdnp.paper.claims.problems import largest, least, populations, relative, states
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.population import Halfspace, LeastSquares
from gdnp.population.examples import EVERY_LOSS, FINITE_LENGTH, DoubleWell, Target, Welsch, critical_points
from gdnp.problem import Objective
from gdnp.reference import newton_minimum
from gdnp.solvers import minimize


@check("stein")
def stein() -> Iterator[float]:
    """The formula against E[z φ'(zᵀw̃)] by a two-dimensional rule that knows nothing of it."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(160)
    grid = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
    weight = np.outer(weights, weights).ravel() / (2.0 * math.pi)
    rng = np.random.default_rng(0)
    for seed in range(3):
        u, S = gaussian_parameters(2, kappa=5.0, r=0.4, seed=seed)
        z = u + grid @ np.linalg.cholesky(S - np.outer(u, u)).T
        for loss in EVERY_LOSS:
            f, w = Halfspace(u, S, loss), rng.standard_normal(2)
            direct = (weight * loss.gradient(z @ w)) @ z
            yield relative(f.at(w).gradient, direct)


@check("lemma-1")
def lemma_1() -> Seen:
    """Critical points found by a root finder, and one built where c₁ = c₂ = 0."""
    worst, stray, along = 0.0, 0.0, 0.0
    count = {loss.name: 0 for loss in FINITE_LENGTH}
    for seed in range(6):
        u, S = gaussian_parameters(4, kappa=10.0, r=0.2 + 0.1 * seed, seed=seed)
        for loss in FINITE_LENGTH:
            f = Halfspace(u, S, loss)
            found = critical_points(f, 4, seed=seed)
            count[loss.name] += len(found)
            worst = largest([worst, *(theory.sin_squared(u, f.covariance, w) for w in found)])
        f = Halfspace(u, S, DoubleWell())
        # zᵀw̃ ~ N(0, 3) makes both E φ' and E φ'' vanish, and uᵀw̃ = 0 puts w̃ at right angles to S⁻¹u.
        across = np.linalg.svd(u[None, :])[2][1]
        coef = f.covariance.join(across, math.sqrt(3.0))
        stray = largest(stray, f.covariance.dual_norm(f.at(coef).gradient))
        along = largest(along, 1.0 - theory.sin_squared(u, f.covariance, coef))
    on_line = worst <= 1e-12 and least(count.values()) >= 5
    off_line = stray <= 1e-12 and along <= 1e-9
    return seen(
        worst,
        holds=on_line and not off_line,
        instead=on_line and off_line,
        points=sum(count.values()),
        each=", ".join(f"{n} {name}" for name, n in count.items()),
    )


@check("assumption-3")
def assumption_3() -> Seen:
    """|φ'| on ±1000 against Φ = 1 and 1/4, and φ' and φ'' against differences."""
    t, h, over, worst = np.linspace(-1000.0, 1000.0, 200_001), 1e-4, 0.0, 0.0
    near = np.linspace(-20.0, 20.0, 2001)
    for name, limit in (("log_loss", 1.0), ("sigmoid", 0.25)):
        loss = LOSSES[name]
        over = largest(over, float(np.abs(loss.gradient(t)).max()) / limit)
        slope = (loss.value(near + h) - loss.value(near - h)) / (2.0 * h)
        second = (loss.gradient(near + h) - loss.gradient(near - h)) / (2.0 * h)
        worst = largest(worst, float(np.abs(slope - loss.gradient(near)).max()))
        worst = largest(worst, float(np.abs(second - loss.curvature(near)).max()))
    return seen(over, holds=worst < 1e-7)


@check("assumption-4-footnote-3")
def footnote_3() -> Seen:
    """‖∇f(αw)‖ along rays of a Gaussian population, and on two points where the footnote is right."""
    u, S = gaussian_parameters(5, kappa=10.0, r=0.5, seed=0)
    f, bounded, rays = Halfspace(u, S, "sigmoid"), 0, 20
    for w in np.random.default_rng(0).standard_normal((rays // 2, 5)):
        for sign in (1.0, -1.0):
            ray = f.covariance.join(sign * w, 1.0)
            near, far = (
                [f.covariance.dual_norm(f.at(alpha * ray).gradient) for alpha in alphas]
                for alphas in (np.linspace(0.0, 10.0, 101), (1e4, 1e5))
            )
            bounded += not (far[1] < far[0] < least(near))
    z, weight = np.array([-1.0, 10.0]), np.array([0.6, 0.4])

    def derivative(alpha: float) -> float:
        return float(weight @ (z * LOSSES["sigmoid"].gradient(alpha * z)))

    inside = derivative(-2.0) < 0.0 < derivative(-1e-3)
    root = float(brentq(derivative, -2.0, -1e-3)) if inside else math.nan
    return seen(bounded, bound=rays, holds=bounded == rays and inside, instead=inside, rays=rays, root=root)


@check("sigmoid-no-critical-point")
def sigmoid_has_no_critical_point() -> Seen:
    """Signs of ∂_g f over twelve decades of g, and what the solver says."""
    wrong, statuses = 0, set()
    lengths = np.concatenate([[0.0], np.geomspace(1e-6, 1e6, 25), -np.geomspace(1e-6, 1e6, 25)])
    for seed in range(5):
        u, S = gaussian_parameters(5, kappa=10.0, r=0.15 + 0.15 * seed, seed=seed)
        for name in ("sigmoid", "probit"):
            f = Halfspace(u, S, name)
            for w in np.random.default_rng(seed).standard_normal((4, 5)):
                line = f.origin.line(w / f.covariance.norm(w))
                signs = [np.sign(line.expansion(g).gradient[0]) for g in lengths]
                wrong += sum(sign != np.sign(u @ w) for sign in signs)
            statuses.add(minimize(f, "gdnp_metric", max_iter=5).status.name)
    return seen(wrong, holds=statuses == {"LENGTH_DIVERGES"}, statuses=", ".join(sorted(statuses)))


@check("lda-oracle")
def lda_oracle() -> Iterator[float]:
    """∂_g f at the formula for g*, and ∇f at the formula for the minimiser."""
    rng = np.random.default_rng(0)
    for u, S in populations(60):
        f, metric = Halfspace(u, S, "log_loss"), Covariance(S)
        w = rng.standard_normal(len(u))
        line = f.origin.line(w / metric.norm(w))
        yield abs(float(line.expansion(theory.lda_length(u, metric, w)).gradient[0]))
        yield metric.dual_norm(f.at(theory.lda_solution(u, metric)).gradient)


@check("direction-loss-independent")
def direction_loss_independent() -> Seen:
    """sin²θ at the end of 60 steps, five losses, two of which are a user's own."""
    worst, lengths = 0.0, {}
    u, S = gaussian_parameters(8, kappa=5.0, r=0.5, seed=0)
    start = np.random.default_rng(0).standard_normal(8)
    for loss in EVERY_LOSS:
        f = Halfspace(u, S, loss)
        last = states(methods.gdnp(bisection_steps=30), f, start, 60)[-1]
        worst = largest(worst, theory.sin_squared(u, f.covariance, last.direction))
        lengths[loss.name] = abs(last.length.g)
    shown = ", ".join(f"{name} {length:.3g}" for name, length in lengths.items())
    return seen(worst, allowed=0.8**120, shown=shown)


@check("gdnp-seq")
def gdnp_seq() -> Seen:
    """Directions of 80 small steps for three objectives on the population, then on a sample."""
    u, S = gaussian_parameters(2, kappa=5.0, r=0.5, seed=3)
    start = np.random.default_rng(1).standard_normal(2)
    start *= -np.sign(u @ start)

    def path(f: Halfspace | LeastSquares | Objective) -> FloatArray:
        run = states(methods.gdnp_seq(fraction=0.1, direction_tol=1e-300), f, start, 80)
        return np.array([Covariance(S).split(state.direction)[0] for state in run])

    losses = ("log_loss", "sigmoid")
    exact = path(LeastSquares(u, S))
    worst = largest(float(np.abs(path(Halfspace(u, S, loss)) - exact).max()) for loss in losses)
    moved = float(np.linalg.norm(exact[-1] - exact[0]))
    z = np.random.default_rng(0).multivariate_normal(u, S - np.outer(u, u), 20_000)
    y = np.where(np.arange(20_000) % 2 == 0, 1.0, -1.0)
    sample = [path(Objective(-y[:, None] * z, y, loss, n_jobs=1)) for loss in losses]
    apart = float(np.abs(sample[0] - sample[1]).max())
    return seen(worst, holds=moved > 0.1, moved=moved, apart=apart)


@check("two-step")
def two_step() -> Seen:
    """The method against the minimum: on a population, then on a skewed sample."""
    exact = 0.0
    for seed in range(3):
        u, S = gaussian_parameters(8, kappa=100.0, r=0.5, seed=seed)
        for loss in FINITE_LENGTH:
            f = Halfspace(u, S, loss)
            exact = largest(exact, minimize(f, "two_step", max_iter=3).gradient_norm)
    rng = np.random.default_rng(0)
    X = rng.exponential(size=(5000, 5)) ** 1.5
    y = np.where(rng.random(5000) < 1.0 / (1.0 + np.exp(3.0 - X @ [2.0, 1.0, 1.0, 0.0, -1.0])), 1.0, -1.0)
    g = Objective(X, y, "log_loss", n_jobs=1)
    result, best = minimize(g, "two_step", max_iter=3), newton_minimum(g).objective
    stalled = (result.objective - best) / best
    return seen(
        stalled,
        holds=exact <= 1e-8,
        instead=exact <= 1e-8,
        exact="seen" if exact <= 1e-8 else f"not seen: {exact:.1e}",
        above=100.0 * stalled,
    )


@check("ridge-direction")
def ridge_direction() -> Seen:
    """Critical points with a ridge, the corrected line, and Lemma 1's."""
    worst, lemma, between = 0.0, math.inf, math.inf
    losses: tuple[Loss, ...] = (LOSSES["log_loss"], Target(), Welsch())
    for seed in range(4):
        u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=seed)
        ends = []
        for loss in losses:
            f = Halfspace(u, S, loss, alpha=0.05)
            metric = f.covariance
            coef = critical_points(f, 8, seed=seed)[0]
            line = theory.ridge_direction(u, metric, f.alpha, f.at(coef).mean_curvature)
            worst = largest(worst, _sin_squared(metric, coef, line))
            lemma = least(lemma, theory.sin_squared(u, metric, coef))
            ends.append(coef)
        between = least(between, _sin_squared(metric, ends[0], ends[1]))
    return seen(worst, holds=lemma > 1e-4 and between > 1e-6, lemma=lemma, between=between)


def _sin_squared(metric: Covariance, v: FloatArray, w: FloatArray) -> float:
    """sin² of the S-angle, without subtracting a cosine from one."""
    a, b = metric.split(v)[0], metric.split(w)[0]
    return metric.norm(a - metric.inner(a, b) * b) ** 2
