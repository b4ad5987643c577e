"""Sections 4.2 and 4.3: the steps of GDNP (Algorithms 1 and 3, Eqs. 17, 18), Theorem 2 and its bound."""

import math
from collections.abc import Iterator

import numpy as np

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.losses import LOSSES
from gdnp.metric import Covariance, Identity
from gdnp.paper.claims.problems import FIXED, largest, least, listed, only, populations, relative, states, yes
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import state_at
from gdnp.population.examples import EVERY_LOSS, FINITE_LENGTH, Target, Welsch, slow_population
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


# --- Theorem 2 and Eq. 19


@check("gradient-decomposition")
def gradient_decomposition() -> Seen:
    """Both sides at random (w, g), and Δρ recovered from the gradient."""
    rng, worst, certificate = np.random.default_rng(0), 0.0, 0.0
    for u, S in populations(30):
        metric = Covariance(S)
        for loss in EVERY_LOSS:
            f, w, g = Halfspace(u, S, loss), rng.standard_normal(len(u)), float(rng.normal(0.0, 2.0))
            point = f.at(metric.join(w, g))
            c1, gap = f.stein_coefficient(point), theory.directional_gap(u, metric, w)
            slope = float(point.gradient @ w) / metric.norm(w)
            squared = metric.dual_norm(point.gradient) ** 2
            worst = largest(worst, abs(theory.gradient_norm_squared(c1, gap, slope) / squared - 1.0))
            found = theory.directional_gap_from_gradient(point.gradient, metric, w, c1)
            certificate = largest(certificate, abs(found / gap - 1.0))
    return seen(largest(worst, certificate))


def _bound(f: Halfspace, gap: float, steps: int, bracket: float, bisection_steps: int) -> float:
    """Eq. 19 corrected: of ‖∇f(w̃_T)‖² in S⁻¹ after `steps` steps from a start with this Δρ."""
    found = theory.gradient_bound(
        f.covariance,
        f.r,
        gap,
        steps,
        max_gradient=f.loss.max_gradient,
        smoothness=f.covariance.largest * f.loss.max_curvature,
        bracket=bracket,
        bisection_steps=bisection_steps,
    )
    return float(found)


def _ratios(f: Halfspace, start: FloatArray, steps: int, bisection_steps: int) -> tuple[float, float, float]:
    """‖∇f(w̃_T)‖² over the bound of Eq. 19: as printed, printed but in S⁻¹, and corrected."""
    method = DecoupledDescent("run", "covariance", AdaptiveStep(), Bisection(bisection_steps), guarded=False)
    last, metric, loss = states(method, f, start, steps)[-1], f.covariance, f.loss
    gradient, bracket = last.point.gradient, bracket_width(f, last.direction)
    dual, gap = metric.dual_norm(gradient) ** 2, theory.directional_gap(f.u, metric, start)
    printed = float(theory.rayleigh_bound(metric, gap, steps)) * loss.max_gradient**2
    printed += 2.0**-bisection_steps * metric.largest * loss.max_curvature * bracket / metric.smallest**2
    corrected = _bound(f, gap, steps, bracket, bisection_steps)
    return float(gradient @ gradient) / printed, dual / printed, dual / corrected


def _scaled(c: float, loss: str) -> Halfspace:
    u, S = gaussian_parameters(5, kappa=10.0, r=0.5, seed=0)
    return Halfspace(c * u, c * c * S, loss)


@check("eq-19")
def eq_19() -> Seen:
    """The printed bound on three problems made to break it; the corrected one on those and 60 more."""
    start = np.random.default_rng(0).standard_normal(5)
    norm = _ratios(_scaled(1e3, "log_loss"), start, 5, 40)
    u, S = _slow_problem()
    factor = _ratios(Halfspace(u, S, Target(50.0)), np.array([1.0, 30.0]), 1, 55)
    wide = _scaled(1e4, "log_loss")
    bisection = _ratios(wide, wide.optimal_direction, 1, 4)
    rng, worst = np.random.default_rng(3), 0.0
    for k, (u, S) in enumerate(populations(60, seed=5)):
        f = Halfspace(u, S, FINITE_LENGTH[k % len(FINITE_LENGTH)])
        w, steps = rng.standard_normal(len(u)), int(rng.integers(1, 30))
        worst = largest(worst, _ratios(f, w, steps, (3, 10, 30)[k % 3])[2])
    nearest = _nearest()
    one = abs(norm[2] / _ratios(_scaled(1.0, "log_loss"), start, 5, 40)[2] - 1.0)
    worst = largest(worst, norm[2], factor[2], bisection[2], *nearest)
    broken = (norm[0] > 1.0, factor[1] > 1.0, bisection[1] > 1.0)
    return seen(
        worst,
        holds=not any(broken),
        instead=all(broken) and worst <= 1.0 and one <= 1e-6 and least(nearest) > 0.1,
        nearest=nearest,
        one=yes(one <= 1e-6),
        norm=norm,
        factor=factor,
        bisection=bisection,
    )


def _nearest() -> tuple[float, float]:
    """Left over right side of the corrected bound where it is almost the first term alone, or the second."""
    u, S, start = slow_population(10.0, 0.02)
    direction = _ratios(Halfspace(u, S, Welsch()), start, 20, 60)[2]
    f = Halfspace(u, np.eye(2), "log_loss")
    return direction, largest(_ratios(f, u, 1, steps)[2] for steps in range(1, 9))


def _slow_problem() -> tuple[FloatArray, FloatArray]:
    """r = .9, κ = 1e4, where the error of w sits in the slow eigenvector and Eq. 14 is tight."""
    S = np.diag([1.0, 1e-4])
    return np.sqrt(0.9) * np.array([math.sqrt(0.9), 1e-2 * math.sqrt(0.1)]), S


@check("theorem-2")
def theorem_2() -> Seen:
    """Every iterate against the corrected bound, with the corrected h and with the printed one."""
    worst, nearest = {"stein": 0.0, "printed": 0.0}, _nearest()
    for seed, loss in enumerate(FINITE_LENGTH):
        u, S = gaussian_parameters(6, kappa=10.0, r=0.4, seed=seed)
        f, start = Halfspace(u, S, loss), np.random.default_rng(seed).standard_normal(6)
        metric, gap = f.covariance, theory.directional_gap(u, f.covariance, start)
        for h in worst:
            run = states(methods.gdnp(h=h, bisection_steps=40), f, start, 80)  # type: ignore[arg-type]
            for steps, state in enumerate(run[1:], start=1):
                bound = _bound(f, gap, steps, bracket_width(f, state.direction), 40)
                ratio = metric.dual_norm(state.point.gradient) ** 2 / bound
                worst[h] = largest(worst[h], ratio)
    divergent = methods.gdnp(bisection_steps=40)
    u, S = gaussian_parameters(6, kappa=10.0, r=0.4, seed=0)
    sigmoid = states(divergent, Halfspace(u, S, LOSSES["sigmoid"]), np.ones(6), 1)[-1].length_diverges
    worst["stein"] = largest(worst["stein"], *nearest)
    return seen(
        worst["stein"],
        holds=worst["printed"] <= 1.0 and not sigmoid,
        instead=worst["stein"] <= 1.0 < worst["printed"] and sigmoid and least(nearest) > 0.1,
        worst=worst,
        sigmoid="diverges" if sigmoid else "converges",
    )
