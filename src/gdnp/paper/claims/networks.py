"""Section 5: one hidden layer (Eqs. 20-22, Lemma 2, Theorem 3, Algorithm 2), and units anywhere.

Where units are anywhere, automatic differentiation settles it: PyTorch is imported by the checks alone. There
networks are integrated over a plane: z = s₁ e₁ + s₂ e₂ with s₁ ~ N(√r, 1 - r) and s₂ ~ N(0, 1). This is
Assumption 2 in whitened coordinates, S = I and u = √r e₁. No formula of the library is used for the left
sides.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import minimize

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims.algorithm import bracket_width
from gdnp.paper.claims.problems import FIXED, largest, least, relative, states, torch_of, yes
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import state_at
from gdnp.population import HiddenUnit, PopulationMLP
from gdnp.population.examples import EVERY_LOSS, Target, slow_population
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import Bisection
from gdnp.solvers.step_sizes import AdaptiveStep
from gdnp.solvers.units import minimize_units

# --- units anywhere


def _plane(r: float, h: float) -> tuple[FloatArray, FloatArray]:
    """Nodes (K, 2) and weights (K,): the trapezoidal rule of step `h`, to 1e-13 at h = .06, lengths of 3."""
    grid = h * np.arange(-math.ceil(8.0 / h), math.ceil(8.0 / h) + 1)
    weight = np.exp(-0.5 * grid * grid)
    s1, s2 = np.meshgrid(math.sqrt(r) + math.sqrt(1.0 - r) * grid, grid, indexing="ij")
    both = np.outer(weight, weight) / weight.sum() ** 2
    kept = both.ravel() > 1e-18
    return np.stack([s1.ravel(), s2.ravel()], axis=1)[kept], both.ravel()[kept]


def _network(z: FloatArray, weight: FloatArray, theta: tuple[float, ...]) -> Any:
    """f_nn on the nodes, log loss: a function of the flat tensor W̃."""
    torch = torch_of()
    nodes, masses = torch.as_tensor(z), torch.as_tensor(weight)
    output = torch.tensor(theta, dtype=torch.float64)

    def f(flat: Any) -> Any:
        F = torch.tanh(nodes @ flat.reshape(len(theta), -1).T) @ output
        return -(masses @ torch.nn.functional.logsigmoid(-F))

    return f


def _gradient(f: Any, W: FloatArray) -> FloatArray:
    torch = torch_of()
    flat = torch.tensor(W.ravel(), requires_grad=True)
    (gradient,) = torch.autograd.grad(f(flat), flat)
    return np.asarray(gradient.numpy().reshape(W.shape))


def _coefficients(
    z: FloatArray, weight: FloatArray, theta: FloatArray, W: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """α_i and M = [β_ij] + diag(γ_i), log loss: α = E[ℓ'φ'_i], β = θ_j E[ℓ''φ'_iφ'_j], γ = E[ℓ'φ''_i]."""
    phi = np.tanh(z @ W.T)
    slope = 1.0 - phi**2
    first = 1.0 / (1.0 + np.exp(-phi @ theta))
    alpha = (weight * first) @ slope
    beta = (slope * (weight * first * (1.0 - first))[:, None]).T @ slope * theta
    return alpha, beta + np.diag(-2.0 * (weight * first) @ (phi * slope))


@check("mlp-gradient")
def mlp_gradient() -> Iterator[float]:
    """The formula against automatic differentiation of the quadrature."""
    rng = np.random.default_rng(0)
    for r in (0.2, 0.6, 0.9):
        z, weight = _plane(r, 0.06)
        u, theta = np.array([math.sqrt(r), 0.0]), (1.0, -0.7, 1.5)
        Sigma, W = np.eye(2) - np.outer(u, u), rng.uniform(-1.0, 1.0, (3, 2))
        alpha, M = _coefficients(z, weight, np.array(theta), W)
        formula = np.array(theta)[:, None] * (np.outer(alpha, u) + M @ W @ Sigma)
        found = _gradient(_network(z, weight, theta), W)
        yield float(np.abs(found - formula).max() / np.abs(found).max())


@check("lemma-2")
def lemma_2() -> Seen:
    """Minima over one of two units; and over both at once, where none that is found is collinear."""
    torch = torch_of()
    rng, worst, off, singular = np.random.default_rng(0), 0.0, math.inf, 0.0
    for r, theta in ((0.6, (1.0, 1.0)), (0.3, (1.0, 1.0)), (0.6, (2.0, 1.0)), (0.9, (3.0, 3.0))):
        nodes = _plane(r, 0.12)
        f = _network(*nodes, theta)
        for _ in range(2):
            second = _minimum(
                lambda w, f=f: f(torch.cat([torch.tensor([-2.0, 0.0], dtype=w.dtype), w])),
                rng.uniform(-2.0, 2.0, 2),
            )
            worst = largest(worst, abs(float(second[1] / second[0])))
            W = _minimum(f, rng.uniform(-2.0, 2.0, 4)).reshape(2, 2)
            off = least(off, float(np.abs(W[:, 1] / W[:, 0]).max()))
            M = _coefficients(*nodes, np.array(theta), W)[1]
            singular = largest(singular, float(np.linalg.svd(M, compute_uv=False)[-1] / np.linalg.norm(M)))
    f = _network(*_plane(0.6, 0.06), (1.0, 1.0))
    W = _minimum(f, np.array([-2.9, 0.3, -2.9, -0.3]))
    size = float(np.abs(_gradient(f, W)).max())
    curved = _least_curvature(f, W)
    network = PopulationMLP([math.sqrt(0.6), 0.0], np.eye(2), (1.0, 1.0))
    line = minimize_units(network, "gdnp_metric", sweeps=14, max_iter=10, tol=1e-11)
    still, saddle = float(np.abs(_gradient(f, line.coef)).max()), _least_curvature(f, line.coef.ravel())
    here, aligned = float(f(torch.tensor(W))), line.objective
    strict = size < 1e-8 and curved > 1e-4 and here < aligned and singular < 1e-6 and off > 0.01
    strict = strict and still < 1e-8 and saddle < -1e-3
    return seen(
        worst,
        holds=not strict and off <= 1e-6,
        instead=strict and worst <= 1e-6,
        off=off,
        W=W,
        off_line=abs(W[1]),
        curved=curved,
        here=here,
        aligned=aligned,
        saddle=saddle,
    )


def _least_curvature(f: Any, W: FloatArray) -> float:
    """The least eigenvalue of the Hessian at the flat W."""
    torch = torch_of()
    return float(np.linalg.eigvalsh(torch.autograd.functional.hessian(f, torch.tensor(W)).numpy())[0])


def _minimum(f: Any, start: FloatArray) -> FloatArray:
    """A minimiser of f, by Newton's method in a trust region."""
    torch = torch_of()
    found = minimize(
        lambda w: float(f(torch.tensor(w))),
        start,
        jac=lambda w: _gradient(f, w),
        hess=lambda w: torch.autograd.functional.hessian(f, torch.tensor(w)).numpy(),
        method="trust-exact",
        options={"gtol": 1e-9, "initial_trust_radius": 0.5, "max_trust_radius": 1.0},
    )
    return np.asarray(found.x)


@check("first-layer-gradient")
def first_layer_gradient() -> Seen:
    """Both sides for three layers of tanh; and -y F(x) against F(z) with and without biases."""
    torch = torch_of()
    r, generator = 0.6, torch.Generator().manual_seed(0)
    z, weight = _plane(r, 0.06)
    nodes, masses = torch.as_tensor(z), torch.as_tensor(weight)
    W1, W2, W3 = (
        0.5 * torch.randn(shape, generator=generator).double() for shape in ((3, 2), (2, 3), (1, 2))
    )

    def loss(a: Any, bias: float = 0.0, y: float = -1.0) -> Any:
        out = torch.tanh(torch.tanh(a) @ W2.T + bias) @ W3.T
        return torch.nn.functional.softplus(-y * out[:, 0])

    W = W1.clone().requires_grad_()
    (found,) = torch.autograd.grad(masses @ loss(nodes @ W.T), W)
    a = (nodes @ W1.T).requires_grad_()
    (first,) = torch.autograd.grad(loss(a).sum(), a, create_graph=True)
    rows = [torch.autograd.grad(first[:, i].sum(), a, retain_graph=True)[0] for i in range(3)]
    mean, M = masses @ first.detach(), torch.stack([masses @ row for row in rows])
    u = torch.tensor([math.sqrt(r), 0.0], dtype=torch.float64)
    formula = torch.outer(mean, u) + M @ W1 @ (torch.eye(2, dtype=torch.float64) - torch.outer(u, u))
    worst = float((found - formula).abs().max() / found.abs().max())
    some = a.detach()[::1000]
    odd, biased = (float((loss(-some, bias, 1.0) - loss(some, bias)).abs().max()) for bias in (0.0, 0.5))
    return seen(worst, holds=odd < 1e-14, odd=yes(odd < 1e-14), biased=biased)


@check("cross-dependency-rank-one")
def cross_dependency_rank_one() -> Seen:
    """Mixed second derivatives in five dimensions, w_i at 1, .1, .01 and .001 from S⁻¹u."""
    u, S = gaussian_parameters(5, kappa=10.0, r=0.6, seed=0)
    line = np.asarray(np.linalg.solve(S, u))
    side = np.random.default_rng(0).standard_normal(5)
    side -= float(side @ u) / float(u @ line) * line
    side *= math.sqrt(0.6 / float(side @ S @ side))
    worst, norms, gaps = 0.0, [], []
    for distance in (1.0, 0.1, 0.01, 0.001):
        block = _cross_block(u, S, line + distance * side)
        values = np.linalg.svd(np.linalg.solve(np.linalg.cholesky(S), block), compute_uv=False)
        worst = largest(worst, float(values[1] / values[0]))
        norms.append(float(values[0]))
        gaps.append(0.6 * distance**2 / (1.0 + distance**2))
    exponent = math.log(norms[1] / norms[3]) / math.log(gaps[1] / gaps[3])
    return seen(worst, holds=abs(exponent - 0.5) < 0.01, exponent=exponent)


def _cross_block(u: FloatArray, S: FloatArray, w: FloatArray) -> FloatArray:
    """∂²f/∂w ∂(θ₁, θ₂, c) of shape (d, 3): unit 1 at length -2 along w, unit 2 at c S⁻¹u, c = -1.5."""
    torch = torch_of()
    r, line = 0.6, np.linalg.solve(S, u)
    off = w - float(u @ w) / r * line
    s, weight = _plane(r, 0.08)
    # E[z | s₁, s₂]: what is left of z is independent of both and has mean zero.
    z = torch.as_tensor(
        np.outer(s[:, 0], u / math.sqrt(r)) + np.outer(s[:, 1], S @ off / math.sqrt(off @ S @ off))
    )
    metric, masses, along = torch.as_tensor(S), torch.as_tensor(weight), torch.as_tensor(line)

    def f(w: Any, downstream: Any) -> Any:
        t = z @ w * (-2.0 / torch.sqrt(w @ metric @ w))
        F = downstream[0] * torch.tanh(t) + downstream[1] * torch.tanh(downstream[2] * (z @ along))
        return -(masses @ torch.nn.functional.logsigmoid(-F))

    inputs = (torch.tensor(w), torch.tensor([1.0, 0.8, -1.5], dtype=torch.float64))
    return np.asarray(torch.autograd.functional.hessian(f, inputs)[0][1].numpy())


# --- unit by unit


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
