"""Section 5 where units are anywhere: automatic differentiation settles it, and needs PyTorch.

Networks are integrated over a plane: z = s₁ e₁ + s₂ e₂ with s₁ ~ N(√r, 1 - r) and s₂ ~ N(0, 1). This is
Assumption 2 in whitened coordinates, S = I and u = √r e₁. None of the formulas of the library is used for the
left sides. PyTorch is imported by the checks alone, so that the registry is there without it.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.optimize import minimize

from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims.problems import largest, least, torch_of, yes
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.population import PopulationMLP
from gdnp.solvers.units import minimize_units


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
