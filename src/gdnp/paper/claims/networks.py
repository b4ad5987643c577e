"""Section 5: one hidden layer, unit by unit (Eqs. 20-22, Lemma 2, Theorem 3, Algorithm 2)."""

import math
from collections.abc import Iterator

import numpy as np

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims.algorithm import bracket_width
from gdnp.paper.claims.problems import FIXED, largest, relative, states, yes
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import state_at
from gdnp.population import HiddenUnit, PopulationMLP
from gdnp.population.examples import EVERY_LOSS, Target, slow_population
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection
from gdnp.solvers.step_sizes import AdaptiveStep
from gdnp.solvers.units import minimize_units

THETA = (1.0, -0.7, 1.5)


def _units(seeds: int) -> list[HiddenUnit]:
    """The units of random networks with three, whose other units are zero (k > i) or on the line (j < i)."""
    rng, found = np.random.default_rng(0), []
    for seed in range(seeds):
        r = float(rng.uniform(0.1, 0.9))
        u, S = gaussian_parameters(int(rng.integers(2, 8)), kappa=10.0, r=r, seed=seed)
        network = PopulationMLP(u, S, THETA, EVERY_LOSS[seed % len(EVERY_LOSS)])
        coef = np.zeros((3, len(u)))
        for i in range(3):
            found.append(network.unit(i, coef))
            coef[i] = float(rng.uniform(-2.5, 2.5)) / math.sqrt(r) * network.optimal_direction
    return found


@check("eq-100-101")
def eq_100_101() -> Seen:
    """The step from any (w, g) against (13), and the same without the sum over j < i."""
    rng, worst, without = np.random.default_rng(1), 0.0, []
    for k, f in enumerate(_units(20)):
        w, g = rng.standard_normal(f.n_features), float(rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 4.0))
        state = state_at(f, f.covariance, w, g)
        expected = theory.rayleigh_step(f.u, f.covariance, w)
        worst = largest(worst, relative(FIXED.step(f, state).direction, expected))
        if k % 3:
            factor = f.stein_coefficient(state.point) / (
                f.stein_coefficient(state.point) - f.coupling(state.point)
            )
            without.append(relative(w + factor * (expected - w), expected))
    apart = float(np.median(without))
    return seen(worst, holds=apart > 1e-3, apart=apart)


@check("unit-step-exact-length")
def unit_step_exact_length() -> Seen:
    """Both forms of s where bisection has fitted g."""
    rng, worst, without = np.random.default_rng(2), 0.0, 0.0
    exact = DecoupledDescent("exact", "covariance", AdaptiveStep(), Bisection(40))
    for f in _units(9):
        if f.network.loss.name not in ("log_loss", "target"):
            continue
        state = exact.init(f, rng.standard_normal(f.n_features))
        L, c1 = f.covariance.largest, f.stein_coefficient(state.point)
        curvature = AdaptiveStep("curvature")(f, state, L)
        worst = largest(worst, abs(AdaptiveStep()(f, state, L) / curvature - 1.0))
        short = c1 - f.coupling(state.point)
        without = largest(without, abs(c1 / short - 1.0))
    return seen(worst, holds=without > 0.01, without=without)


@check("eq-104")
def eq_104() -> Iterator[float]:
    """Both sides; ∂f/∂g by a quadrature along the line that does not use Stein's lemma."""
    rng = np.random.default_rng(3)
    for f in _units(20):
        w, g, metric = rng.standard_normal(f.n_features), float(rng.uniform(0.3, 4.0)), f.covariance
        point = f.at(metric.join(w, g))
        slope = float(f.origin.line(w / metric.norm(w)).expansion(g).gradient[0])
        gap = theory.directional_gap(f.u, metric, w)
        both = theory.gradient_norm_squared(f.stein_coefficient(point), gap, slope)
        yield abs(metric.dual_norm(point.gradient) ** 2 / both - 1.0)


def _second_unit(u: FloatArray, S: FloatArray, loss: Target | None = None, theta: float = 1.0) -> HiddenUnit:
    """The second of two units, the first being at its own critical point."""
    network = PopulationMLP(u, S, (theta, theta), loss or "log_loss")
    alone = PopulationMLP(u, S, (theta,), loss or "log_loss")
    first = minimize_units(alone, "gdnp_metric", tol=1e-12, max_iter=60).coef
    return network.unit(1, np.vstack([first, np.zeros_like(first)]))


def _length_term(f: HiddenUnit, bracket: float, steps: int) -> float:
    """(ζ/μ)² |b⁰-a⁰|² 4^-Ts with ζ = L sup |ψ''|."""
    zeta = f.covariance.largest * f.loss.max_curvature
    return float((zeta / f.covariance.smallest * bracket / 2.0**steps) ** 2)


def _printed_term(f: HiddenUnit, bracket: float, steps: int) -> float:
    """ζ|b⁰-a⁰|/μ² 2^-Ts, as Eq. 22 has it."""
    zeta = f.covariance.largest * f.loss.max_curvature
    return float(zeta * bracket / f.covariance.smallest**2 / 2.0**steps)


def _from_the_line(f: HiddenUnit, steps: int) -> tuple[float, float]:
    """‖∇f‖²_{S⁻¹} over Eq. 22's last term, as printed and corrected: from S⁻¹u no other term is left."""
    method = DecoupledDescent("few steps", "covariance", AdaptiveStep(), Bisection(steps))
    state = method.init(f, f.optimal_direction)
    square, bracket = f.covariance.dual_norm(state.point.gradient) ** 2, bracket_width(f, state.direction)
    return square / _printed_term(f, bracket, steps), square / _length_term(f, bracket, steps)


def _nearest() -> float:
    """Of the corrected last term: κ = 1, a user's convex loss, θ = (2, 2), up to eight bisection steps."""
    f = _second_unit(np.array([math.sqrt(0.6), 0.0]), np.eye(2), Target(), 2.0)
    return largest(_from_the_line(f, steps)[1] for steps in range(1, 9))


@check("theorem-3")
def theorem_3() -> Seen:
    """Every step of a first and of second units, in units of both bounds with C = sup Ξ² along the path."""
    u, S = gaussian_parameters(6, kappa=10.0, r=0.6, seed=0)
    random, (v, T, slow) = np.random.default_rng(0).standard_normal(6), slow_population(10.0, 0.6)
    scaled = _second_unit(1e6 * u, 1e12 * S)
    runs = [
        (PopulationMLP(u, S, (1.0,)).unit(0, np.zeros((1, 6))), random, 12),
        (_second_unit(u, S), random, 12),
        (_second_unit(u, S, Target()), random, 12),
        (scaled, 1e6 * scaled.optimal_direction + 1e-4 * random, 2),
        (_second_unit(v, T), slow, 12),
    ]
    printed, corrected, directions = 0.0, 0.0, 0.0
    for f, start, steps in runs:
        run = states(methods.gdnp(bisection_steps=steps, guarded=False), f, start, 10)
        metric, gap0 = f.covariance, theory.directional_gap(f.u, f.covariance, run[0].direction)
        C = largest(f.stein_coefficient(state.point) ** 2 for state in run)
        bracket = largest(bracket_width(f, state.direction) for state in run)
        for t, state in enumerate(run[1:], start=1):
            bound = float(theory.rayleigh_bound(metric, gap0, t))
            directions = largest(directions, theory.directional_gap(f.u, metric, state.direction) / bound)
            square = metric.dual_norm(state.point.gradient) ** 2
            printed = largest(printed, square / (C * bound + _printed_term(f, bracket, steps)))
            corrected = largest(corrected, square / (C * bound + _length_term(f, bracket, steps)))
    nearest = _nearest()
    corrected = largest(corrected, nearest)
    return seen(
        corrected,
        holds=printed <= 1.0,
        instead=corrected <= 1.0 + 1e-6 and 0.9 < directions <= 1.0 + 1e-9 and nearest > 0.05,
        nearest=nearest,
        directions=directions,
        printed=printed,
    )


@check("eq-22")
def eq_22() -> Seen:
    """From w₀ = S⁻¹u only the last term is left; x → c x leaves the left side as it is."""
    u, S = gaussian_parameters(3, kappa=3.0, r=0.6, seed=0)
    scaled = [_from_the_line(_second_unit(scale * u, scale**2 * S), 2) for scale in (1.0, 1e3, 1e6)]
    printed, corrected = (largest(column) for column in zip(*scaled, strict=True))
    nearest = _nearest()
    corrected = largest(corrected, nearest)
    return seen(
        corrected,
        holds=printed <= 1.0,
        instead=nearest > 0.05 and corrected <= 1.0,
        nearest=nearest,
        printed=printed,
    )


@check("algorithm-2-one-sweep")
def algorithm_2_one_sweep() -> Seen:
    """∇f_nn after one sweep over two units, each solved to rounding, and after twelve."""
    u, S = gaussian_parameters(4, kappa=3.0, r=0.6, seed=0)
    network = PopulationMLP(u, S, (1.0, 1.0))
    one = minimize_units(network, "gdnp_metric", tol=1e-12, max_iter=10)
    many = minimize_units(network, "gdnp_metric", tol=1e-12, max_iter=10, sweeps=14)
    metric = network.covariance
    lengths = [
        float(g @ w) / metric.norm(w) for g, w in zip(network.gradient(one.coef), one.coef, strict=True)
    ]
    gap = largest(theory.sin_squared(u, metric, w) for w in one.coef)
    return seen(
        many.gradient_norm,
        holds=one.gradient_norm <= 1e-9,
        instead=many.gradient_norm <= 1e-9 and gap < 1e-12,
        one=one,
        many=many,
        gap=yes(gap < 1e-12),
        lengths=lengths,
        second=yes(abs(lengths[1]) < 1e-9),
    )
