"""Section 3: least squares in normalised coordinates (Eqs. 10-15, Theorem 1)."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine

from gdnp import methods, theory
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.metric import Covariance
from gdnp.paper.claims.problems import largest, least, listed, only, populations, relative, solved, states
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.population import LeastSquares
from gdnp.population.examples import slow_population
from gdnp.problem import Objective


@check("eq-11-12")
def eq_11_12() -> Iterator[float]:
    """Eq. 10 at the joined vector against Eqs. 11 and 12."""
    rng = np.random.default_rng(0)
    for u, S in populations(100):
        f, metric = LeastSquares(u, S), Covariance(S)
        w, g = rng.standard_normal(len(u)), float(rng.normal(0.0, 3.0))
        m = float(u @ w) / metric.norm(w)
        best = theory.best_least_squares_length(u, metric, w)
        profile = f.at(metric.join(w, best)).value if best else 0.0
        yield abs(f.at(metric.join(w, g)).value - (2.0 * g * m + g * g)) / (g * g)
        yield abs(profile - theory.rayleigh_quotient(u, metric, w))


@check("eq-13")
def eq_13() -> Iterator[float]:
    """Eq. 13, the closed form, and a step of the solver."""
    rng = np.random.default_rng(0)
    for u, S in populations(100):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        L, k = metric.largest, metric.norm(w) ** 2 / float(u @ w)
        closed = w - S @ w / L + (k / L) * u
        solver = states(methods.rayleigh_gd(), LeastSquares(u, S), w, 1)[1].direction
        yield from (relative(theory.rayleigh_step(u, metric, w), closed), relative(solver, closed))


@check("eq-14")
def eq_14() -> Seen:
    """The largest ratio of Δρ_t to its bound, with 1e-20 r allowed for rounding."""
    rng, worst, count = np.random.default_rng(0), 0.0, 0
    for u, S in populations(150):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        gap, r = theory.directional_gap(u, metric, w), theory.squared_signal(u, metric)
        bound = theory.rayleigh_bound(metric, gap, np.arange(1, 41))
        for limit in bound:
            w = theory.rayleigh_step(u, metric, w)
            worst = largest(worst, theory.directional_gap(u, metric, w) / (float(limit) + 1e-20 * r))
            count += 1
    u, S, w = slow_population(10.0, 0.5)
    metric, gap, steps = Covariance(S), theory.directional_gap(u, Covariance(S), w), 40
    for _ in range(steps):
        w = theory.rayleigh_step(u, metric, w)
    nearest = theory.directional_gap(u, metric, w) / float(theory.rayleigh_bound(metric, gap, steps))
    return seen(largest(worst, nearest), holds=nearest > 0.9, count=count, nearest=nearest, steps=steps)


@check("theorem-1")
def theorem_1() -> Seen:
    """The solver on three data sets, none of which has to be Gaussian."""
    wine, cancer, gaussian = load_wine(), load_breast_cancer(), gaussian_design(2000, 10, kappa=30.0, seed=0)
    worst, identity, nearest = 0.0, 0.0, math.inf
    for X, y in (
        (wine.data, np.where(wine.target == 0, 1.0, -1.0)),
        (cancer.data, np.where(cancer.target == 1, 1.0, -1.0)),
        (gaussian.X, gaussian.y),
    ):
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        f = Objective(X, y, "squared_error", n_jobs=1)
        S, u = f.covariance, f.u
        slow = np.linalg.eigh(X.T @ X)[1][:, 0]
        start = S.solve(u) / S.norm(S.solve(u)) + 0.01 * slow / S.norm(slow)
        run = [state.direction for state in states(methods.rayleigh_gd(), f, start, 60)]
        gaps = np.array([theory.directional_gap(u, S, w) for w in run])
        r = theory.squared_signal(u, S)
        bound = theory.rayleigh_bound(S, gaps[0], np.arange(1, 61)) + 1e-20 * r
        worst = largest(worst, float(np.max(gaps[1:] / bound)))
        nearest = least(nearest, math.log(gaps[-1] / gaps[0]) / math.log(bound[-1] / gaps[0]))
        identity = largest(
            identity,
            *(abs(theory.identity_15(u, S, w) - theory.rayleigh_quotient(u, S, w) - r) / r for w in run),
        )
    return seen(
        worst, holds=identity <= 1e-9 and nearest < 1.5, nearest=nearest, identity=only("1e-9", identity)
    )


@check("eq-15")
def eq_15() -> Iterator[float]:
    """Both identities against ρ - ρ* and against the cosine."""
    rng = np.random.default_rng(0)
    for u, S in populations(300):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        best = solved(S, u)
        r = float(u @ best)
        gap = theory.rayleigh_quotient(u, metric, w) + r
        cosine = metric.inner(w, best) / (metric.norm(w) * metric.norm(best))
        yield abs(theory.identity_15(u, metric, w) - gap) / r
        yield abs(theory.sin_squared(u, metric, w) - (1.0 - cosine**2))


@check("theorem-1-order")
def theorem_1_order() -> Seen:
    """Iterations of both to a gap of 1e-8 of the start, five starts."""
    logs, starts = [], 5
    for kappa, seed in product((10.0, 30.0, 100.0), range(starts)):
        u, S = gaussian_parameters(10, kappa=kappa, r=0.5, seed=1)
        metric, f = Covariance(S), LeastSquares(u, S)
        start = np.random.default_rng(seed).standard_normal(10)
        w, plain = start, metric.join(start, theory.best_least_squares_length(u, metric, start))
        gaps = [theory.directional_gap(u, metric, w)]
        values = [f.at(plain).value + f.r]
        while gaps[-1] > 1e-8 * gaps[0]:
            w = theory.rayleigh_step(u, metric, w)
            gaps.append(theory.directional_gap(u, metric, w))
        while values[-1] > 1e-8 * values[0]:
            plain = plain - f.at(plain).gradient / (2.0 * metric.largest)
            values.append(f.at(plain).value + f.r)
        logs.append(math.log((len(gaps) - 1) / (len(values) - 1)))
    means = np.exp(np.reshape(logs, (-1, starts)).mean(axis=1))
    worst = float(np.exp(np.abs(np.log(means)).max()))
    return seen(worst, starts=starts, means=listed(means, ".2f"))
