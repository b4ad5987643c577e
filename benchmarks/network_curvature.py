"""Partial second-order information: the share of curvature between layers, and a step by its diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from network_tasks import linear_layers
from torch import Tensor, nn


def between_layers(model: nn.Module, loss: Tensor, probes: int, seed: int) -> dict[str, float]:
    """The share of ‖H‖_F² outside the diagonal blocks of H, a block a layer's weight matrix.

    E‖(H v)_j‖² = ‖H_ij‖_F² for a Rademacher v on layer i. Blocks scale as 1/(‖W_i‖‖W_j‖) where weights are
    scale-invariant, so that the share is also given for H scaled by ‖W_i‖‖W_j‖.
    """
    weights = [layer.weight for layer in linear_layers(model).values()]
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.zeros(len(weights), len(weights))
    for i, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
        for _ in range(probes):
            v = _rademacher(weight, generator)
            products = torch.autograd.grad((gradient * v).sum(), weights, retain_graph=True)
            blocks[i] += torch.stack([product.square().sum().float() for product in products]) / probes
    sizes = torch.stack([weight.detach().square().sum().float() for weight in weights])
    return {"raw": _outside(blocks), "scaled": _outside(blocks * torch.outer(sizes, sizes))}


def _outside(blocks: Tensor) -> float:
    return float(1.0 - blocks.diagonal().sum() / blocks.sum())


def _rademacher(like: Tensor, generator: torch.Generator) -> Tensor:
    return (2 * torch.randint(0, 2, like.shape, generator=generator) - 1).to(like)


class DiagonalHessian(torch.optim.Optimizer):
    """Momentum over the root mean square of the Hessian's diagonal: Adam with v∘Hv in place of the gradient.

    The diagonal is estimated by Hutchinson's method on every `every`-th step, and averaged over each row,
    since the curvature of a direction is that of its unit; ``look`` takes it from the loss, before the
    backward pass. Yao et al. (2021), AdaHessian.
    """

    def __init__(
        self, params: Sequence[Any], lr: float, betas: tuple[float, float] = (0.9, 0.99), every: int = 4
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas})
        self.every, self.steps = every, 0
        self.generator = torch.Generator().manual_seed(0)

    def look(self, loss: Tensor) -> None:
        """Estimate the diagonal, when it is time."""
        if self.steps % self.every == 0:
            parameters = [p for group in self.param_groups for p in group["params"]]
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
            probes = [_rademacher(p, self.generator) for p in parameters]
            total = torch.stack([(g * v).sum() for g, v in zip(gradients, probes, strict=True)]).sum()
            products = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
            beta = self.param_groups[0]["betas"][1]
            for p, v, product in zip(parameters, probes, products, strict=True):
                diagonal = torch.zeros_like(p) if product is None else v * product
                rows = diagonal.flatten(1).mean(1) if p.ndim > 1 else diagonal
                square = rows.square().view(-1, *(1,) * (p.ndim - 1))
                state = self.state[p]
                state["curvature"] = (
                    beta * state.get("curvature", torch.zeros_like(square)) + (1 - beta) * square
                )
        self.steps += 1

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """m̂/√v̂, with the bias corrections of Adam."""
        looks = (self.steps - 1) // self.every + 1
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                state = self.state[p]
                memory = state.setdefault("momentum", torch.zeros_like(p)).lerp_(p.grad, 1 - first)
                size = (state["curvature"] / (1 - second**looks)).sqrt()
                p.addcdiv_(memory / (1 - first**self.steps), size + 1e-8, value=-group["lr"])
