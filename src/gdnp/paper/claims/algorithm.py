"""Sections 4.2 and 4.3: the steps of GDNP (Algorithms 1 and 3, Eqs. 17 and 18)."""

import math
from collections.abc import Iterator

import numpy as np

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.metric import Covariance, Identity
from gdnp.paper.claims.problems import FIXED, largest, least, listed, only, populations, relative, states
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import state_at
from gdnp.population.examples import EVERY_LOSS, FINITE_LENGTH
from gdnp.population.halfspace import Halfspace, Population
from gdnp.problem import Objective
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection, NewtonLength
from gdnp.solvers.step_sizes import AdaptiveStep

EXACT = DecoupledDescent("exact", "covariance", AdaptiveStep(), NewtonLength())


@check("w-gradient-orthogonal")
def w_gradient_orthogonal() -> Seen:
    """The cosine between w and ∇_w f, and ∇_w f against differences of f."""
    rng, worst, numeric = np.random.default_rng(0), 0.0, 0.0
    u, S = gaussian_parameters(6, kappa=10.0, r=0.5, seed=0)
    data = gaussian_design(1000, 6, kappa=10.0, seed=0)
    for loss in EVERY_LOSS:
        for f in (Halfspace(u, S, loss), Objective(data.X, data.y, loss, n_jobs=1)):
            for metric in (f.covariance, Identity(6)):
                w, g = rng.standard_normal(6), 1.5
                gradient = state_at(f, metric, w, g).direction_gradient
                worst = largest(
                    worst, abs(float(w @ gradient)) / float(np.linalg.norm(w) * np.linalg.norm(gradient))
                )
                d, h = rng.standard_normal(6), 1e-5
                ends = [f.at(metric.join(w + sign * h * d, g)).value for sign in (1.0, -1.0)]
                numeric = largest(numeric, abs((ends[0] - ends[1]) / (2.0 * h) - float(gradient @ d)))
    return seen(worst, holds=numeric <= 1e-8, numeric=only("1e-8", numeric))


@check("w-gradient-parallel")
def w_gradient_parallel() -> Iterator[float]:
    """Both sides at random (w, g), five losses."""
    rng = np.random.default_rng(0)
    for u, S in populations(20):
        for loss in EVERY_LOSS:
            f, metric = Halfspace(u, S, loss), Covariance(S)
            w, g = rng.standard_normal(len(u)), float(rng.uniform(0.2, 3.0))
            state = state_at(f, metric, w, g)
            factor = -g * f.stein_coefficient(state.point) * state.norm / (2.0 * float(u @ w))
            gradient = factor * theory.rayleigh_gradient(u, metric, w)
            yield relative(state.direction_gradient, gradient)


@check("eq-17")
def eq_17() -> Seen:
    """Steps at arbitrary lengths, and the two forms of s where the length is fitted."""
    rng, step_error, form_error, negative = np.random.default_rng(0), 0.0, 0.0, 0
    for u, S in populations(30):
        metric, direction = Covariance(S), rng.standard_normal(len(u))
        expected = theory.rayleigh_step(u, metric, direction)
        for loss in EVERY_LOSS:
            f, g = Halfspace(u, S, loss), float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-1.0, 1.0))
            first = state_at(f, metric, direction, g)
            step_error = largest(step_error, relative(FIXED.step(f, first).direction, expected))
            negative += AdaptiveStep()(f, first, metric.largest) < 0.0
        for loss in FINITE_LENGTH:
            f = Halfspace(u, S, loss)
            fitted = EXACT.init(f, direction)
            point, m = fitted.point, float(u @ direction) / metric.norm(direction)
            c1 = point.mean_gradient / (1.0 - m * m)
            stein = AdaptiveStep()(f, fitted, metric.largest)
            curvature = AdaptiveStep("curvature")(f, fitted, metric.largest)
            form_error = largest(
                form_error, abs(f.stein_coefficient(point) / c1 - 1.0), abs(stein / curvature - 1.0)
            )
    return seen(
        step_error,
        holds=form_error <= 1e-5 and negative > 0,
        negative=negative,
        form_error=only("1e-5", form_error),
    )


@check("gdnp-iterates")
def gdnp_iterates() -> Iterator[float]:
    """The whole algorithm, length search included, against Eq. 13, for 25 steps."""
    for kappa, r in ((10.0, 0.3), (100.0, 0.8)):
        u, S = gaussian_parameters(8, kappa=kappa, r=r, seed=2)
        start, metric = np.random.default_rng(2).standard_normal(8), Covariance(S)
        for loss in EVERY_LOSS:
            w = start
            for state in states(methods.gdnp(bisection_steps=50), Halfspace(u, S, loss), start, 25):
                yield relative(state.direction, w)
                w = theory.rayleigh_step(u, metric, w)


@check("eq-18")
def eq_18() -> Seen:
    """Both forms: one step, and Δρ after 50, from starts that differ in scale alone."""
    u, S = gaussian_parameters(8, kappa=10.0, r=0.5, seed=1)
    metric, f, scales = Covariance(S), Halfspace(u, S, "log_loss"), (1.0, 10.0, 100.0)
    start = metric.join(np.random.default_rng(1).standard_normal(8), 1.0)
    error: dict[str, float] = {}
    gaps: dict[str, list[float]] = {}
    for h in ("stein", "printed"):
        method = methods.gdnp(h=h, bisection_steps=40)
        runs = [states(method, f, c * start, 50) for c in scales]
        error[h] = largest(
            relative(run[1].direction, theory.rayleigh_step(u, metric, run[0].direction)) for run in runs
        )
        gaps[h] = [theory.directional_gap(u, metric, run[-1].direction) for run in runs]
    right = error["stein"] <= 1e-9 and largest(gaps["stein"]) <= (1.0 + 1e-6) * least(gaps["stein"])
    return seen(
        error["stein"],
        holds=right and error["printed"] <= 1e-9,
        instead=right
        and error["printed"] > 1e-2
        and largest(gaps["printed"]) > 100.0 * least(gaps["printed"]),
        error=error,
        gaps=gaps,
        apart=listed(gaps["printed"], ".0e"),
    )


@check("algorithm-3")
def algorithm_3() -> Seen:
    """Errors after k steps in units of the bracket, and the bracket, which the first step gives away."""
    worst, brackets, missed = 0.0, set(), 0
    for seed, r in enumerate((0.05, 0.2, 0.4, 0.6, 0.8)):
        u, S = gaussian_parameters(5, kappa=10.0, r=r, seed=seed)
        for loss in FINITE_LENGTH:
            f = Halfspace(u, S, loss)
            w = f.optimal_direction + 0.1 * u
            start = FIXED.init(f, w)
            root = FIXED.moved(f, start, w, NewtonLength()).length.g
            width = 2.0 ** (1 + max(0, math.ceil(math.log2(abs(root)))))
            first = FIXED.moved(f, start, w, Bisection(1)).length.g
            missed += 4.0 * abs(first) != width or width != bracket_width(f, w)
            brackets.add(width)
            for k in range(0, 25, 2):
                g = FIXED.moved(f, start, w, Bisection(k)).length.g
                worst = largest(worst, abs(g - root) / (width * 2.0 ** -(k + 1)))
        for name in ("sigmoid", "probit"):
            missed += not FIXED.moved(Halfspace(u, S, name), start, w, Bisection(60)).length.diverges
    return seen(
        worst, holds=missed == 0 and len(brackets) >= 3, brackets=listed(sorted(brackets), "g"), missed=missed
    )


def bracket_width(f: Population, w: FloatArray) -> float:
    """|b⁰ - a⁰|: [-1, 1] doubled until ∂_g f is negative on its left end and positive on its right."""
    line, high = f.origin.line(w / f.covariance.norm(w)), 1.0
    while not float(line.expansion(-high).gradient[0]) < 0.0 < float(line.expansion(high).gradient[0]):
        high *= 2.0
    return 2.0 * high


@check("wn-remark")
def wn_remark() -> Seen:
    """The angle between two losses' ∇_w f in either metric, and what the projection leaves of S w in I."""
    rng, batch, weight, left = np.random.default_rng(0), 0.0, [], []
    for u, S in populations(20, kappa=10.0):
        w, metric = rng.standard_normal(len(u)), Covariance(S)
        Sw = S @ w
        left.append(float(np.linalg.norm(Sw - (w @ Sw / (w @ w)) * w) / np.linalg.norm(Sw)))
        coef = metric.join(w, 1.5)
        sines = []
        for frame in (metric, Identity(len(u))):
            a, b = (
                state_at(Halfspace(u, S, loss), frame, w, frame.norm(coef)).direction_gradient
                for loss in ("log_loss", "sigmoid")
            )
            a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
            sines.append(float(np.linalg.norm(a - (a @ b) * b)))
        batch = largest(batch, sines[0])
        weight.append(sines[1])
    survives, apart = float(np.median(left)), float(np.median(weight))
    return seen(batch, holds=survives > 0.05 and apart > 0.01, apart=apart, survives=survives)


@check("gdnp-metric-one-step")
def gdnp_metric_one_step() -> Seen:
    """sin²θ after one step, every loss, κ up to 1e4."""
    rng, worst, start = np.random.default_rng(0), 0.0, math.inf
    for u, S in populations(10):
        for loss in EVERY_LOSS:
            f, w = Halfspace(u, S, loss), rng.standard_normal(len(u))
            first, second = states(methods.gdnp_metric(), f, w, 1)
            worst = largest(worst, theory.sin_squared(u, f.covariance, second.direction))
            start = least(start, theory.sin_squared(u, f.covariance, first.direction))
    return seen(worst, holds=start > 1e-3, start=start)
