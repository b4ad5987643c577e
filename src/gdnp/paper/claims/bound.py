"""Section 4.3: Theorem 2 and its bound, Eq. 19, as printed and corrected."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.losses import LOSSES, Loss
from gdnp.metric import Covariance
from gdnp.paper.claims.algorithm import SECTION, bracket_width
from gdnp.paper.claims.problems import EVERY_LOSS, FINITE_LENGTH, Target, populations, states
from gdnp.paper.claims.registry import Measurement, Verdict, claim, judge
from gdnp.population import Halfspace
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection
from gdnp.solvers.step_sizes import AdaptiveStep


@claim(
    "gradient-decomposition",
    "‖∇f(w̃)‖²_{S⁻¹} = c₁² Δρ + (∂_g f)², so one gradient certifies the directional gap of any loss.",
    source="derived (behind Eq. 19)",
    section=SECTION,
    recorded=Verdict.HOLDS,
    scope="Assumption 2",
)
def gradient_decomposition() -> Measurement:
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
            worst = max(worst, abs(theory.gradient_norm_squared(c1, gap, slope) / squared - 1.0))
            found = theory.directional_gap_from_gradient(point.gradient, metric, w, c1)
            certificate = max(certificate, abs(found / gap - 1.0))
    return judge(
        max(worst, certificate),
        1e-8,
        "30 populations, five losses: largest relative error of the sum, and of Δρ computed from ∇f.",
        holds=max(worst, certificate) <= 1e-8,
    )


@dataclass(frozen=True)
class _Run:
    """‖∇f(w̃_T)‖² in two norms after `steps` steps, over the bound of Eq. 19 as printed and corrected."""

    f: Halfspace
    start: FloatArray
    steps: int
    bisection_steps: int

    def gradients(self) -> tuple[float, float, float]:
        """‖∇f‖² in the Euclidean norm and in S⁻¹, and the bracket of the last length search."""
        method = DecoupledDescent(
            "run", "covariance", AdaptiveStep(), Bisection(self.bisection_steps), guarded=False
        )
        last = states(method, self.f, self.start, self.steps)[-1]
        gradient = last.point.gradient
        bracket = bracket_width(self.f, last.direction)
        return float(gradient @ gradient), self.f.covariance.dual_norm(gradient) ** 2, bracket

    def ratios(self) -> tuple[float, float, float]:
        """As printed, printed but in the norm of S⁻¹, and corrected; at most 1 where the bound holds."""
        f, metric = self.f, self.f.covariance
        euclidean, dual, bracket = self.gradients()
        gap = theory.directional_gap(f.u, metric, self.start)
        loss, zeta = f.loss, metric.largest * f.loss.max_curvature
        printed = float(theory.rayleigh_bound(metric, gap, self.steps)) * loss.max_gradient**2
        printed += 2.0**-self.bisection_steps * zeta * bracket / metric.smallest**2
        corrected = theory.gradient_bound(
            metric,
            f.r,
            gap,
            self.steps,
            max_gradient=loss.max_gradient,
            smoothness=zeta,
            bracket=bracket,
            bisection_steps=self.bisection_steps,
        )
        return euclidean / printed, dual / printed, dual / float(corrected)


def _scaled(c: float, loss: str) -> Halfspace:
    u, S = gaussian_parameters(5, kappa=10.0, r=0.5, seed=0)
    return Halfspace(c * u, c * c * S, loss)


@claim(
    "eq-19",
    "‖∇f(w̃_T)‖² ≤ (1-μ/L)^{2T} Φ² Δρ₀ + 2^{-Ts} ζ|b⁰-a⁰|/μ².",
    source="Eq. 19 as printed",
    section=SECTION,
    recorded=Verdict.HOLDS_WITH_CORRECTION,
    scope="correction: ‖∇f‖²_{S⁻¹} ≤ (1-μ/L)^{2T} Φ²/(1-√r)² Δρ₀ + 4^{-Ts} (ζ/μ)² |b⁰-a⁰|²",
)
def eq_19() -> Measurement:
    """The printed bound on three problems made to break it; the corrected one on those and 60 more."""
    norm = _Run(_scaled(1e3, "log_loss"), np.random.default_rng(0).standard_normal(5), 5, 40).ratios()
    u, S = _slow_problem()
    factor = _Run(Halfspace(u, S, Target(50.0)), np.array([1.0, 30.0]), 1, 55).ratios()
    wide = _scaled(1e4, "log_loss")
    bisection = _Run(wide, wide.optimal_direction, 1, 4).ratios()
    rng, worst, one = np.random.default_rng(3), 0.0, math.inf
    for k, (u, S) in enumerate(populations(60, seed=5)):
        loss: Loss = FINITE_LENGTH[k % len(FINITE_LENGTH)]
        run = _Run(
            Halfspace(u, S, loss), rng.standard_normal(len(u)), int(rng.integers(1, 30)), (3, 10, 30)[k % 3]
        )
        worst = max(worst, run.ratios()[2])
    before, after = (
        _Run(_scaled(c, "log_loss"), np.random.default_rng(0).standard_normal(5), 5, 40).ratios()[2]
        for c in (1.0, 1e3)
    )
    one = abs(after / before - 1.0)
    worst = max(worst, norm[2], factor[2], bisection[2])
    broken = (norm[0] > 1.0, factor[1] > 1.0, bisection[1] > 1.0)
    return judge(
        worst,
        1.0,
        "Largest left over right side of the corrected bound on 60 random problems and the three "
        f"below; x → 1000 x leaves it as it is ({'yes' if one <= 1e-6 else 'no'}).",
        holds=not any(broken),
        corrected=all(broken) and worst <= 1.0 and one <= 1e-6,
        counterexample=f"left over right as printed: {norm[0]:.2g} after x → 1000 x (the norm must be that "
        f"of S⁻¹); {factor[1]:.2g} in that norm for a convex loss with slope at most 1 (Φ² lacks "
        f"1/(1-√r)²); {bisection[1]:.2g} in that norm with w₀ = S⁻¹u, 4 bisection steps and x → "
        "10000 x (the last term has the wrong dimension).",
    )


def _slow_problem() -> tuple[FloatArray, FloatArray]:
    """r = .9, κ = 1e4, where the error of w sits in the slow eigenvector and Eq. 14 is tight."""
    S = np.diag([1.0, 1e-4])
    return np.sqrt(0.9) * np.array([math.sqrt(0.9), 1e-2 * math.sqrt(0.1)]), S


@claim(
    "theorem-2",
    "GDNP with Eqs. 17-18 reaches an approximate critical point at the linear rate of Eq. 19.",
    source="Theorem 2",
    section=SECTION,
    recorded=Verdict.HOLDS_WITH_CORRECTION,
    scope="Assumptions 1-4, h and Eq. 19 corrected; Assumption 4 excludes sigmoid and probit on "
    "Gaussian data",
)
def theorem_2() -> Measurement:
    """Every iterate against the corrected bound, with the corrected h and with the printed one."""
    worst = {"stein": 0.0, "printed": 0.0}
    for seed, loss in enumerate(FINITE_LENGTH):
        u, S = gaussian_parameters(6, kappa=10.0, r=0.4, seed=seed)
        f, start = Halfspace(u, S, loss), np.random.default_rng(seed).standard_normal(6)
        metric, gap = f.covariance, theory.directional_gap(u, f.covariance, start)
        for h in worst:
            run = states(methods.gdnp(h=h, bisection_steps=40), f, start, 80)  # type: ignore[arg-type]
            for steps, state in enumerate(run[1:], start=1):
                bound = theory.gradient_bound(
                    metric,
                    f.r,
                    gap,
                    steps,
                    max_gradient=loss.max_gradient,
                    smoothness=metric.largest * loss.max_curvature,
                    bracket=bracket_width(f, state.direction),
                    bisection_steps=40,
                )
                ratio = metric.dual_norm(state.point.gradient) ** 2 / float(bound)
                worst[h] = max(worst[h], ratio)
    divergent = methods.gdnp(bisection_steps=40)
    u, S = gaussian_parameters(6, kappa=10.0, r=0.4, seed=0)
    sigmoid = states(divergent, Halfspace(u, S, LOSSES["sigmoid"]), np.ones(6), 1)[-1].length_diverges
    return judge(
        worst["stein"],
        1.0,
        "Log loss, a user's convex and a user's non-convex loss, κ = 10, 80 steps: largest "
        "‖∇f‖²_{S⁻¹} over the corrected bound at any step. With h as printed the ratio reaches "
        f"{worst['printed']:.2g}. The sigmoid's length {'diverges' if sigmoid else 'converges'} at "
        "once.",
        holds=worst["printed"] <= 1.0 and not sigmoid,
        corrected=worst["stein"] <= 1.0 < worst["printed"] and sigmoid,
        counterexample="h as printed leaves the path of the proof (claim eq-18); Eq. 19 as printed fails "
        "(claim eq-19).",
    )
