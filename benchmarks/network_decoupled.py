"""Steps of their own for length and direction, around any optimizer: what Eq. 17 does, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["DecoupledOptimizer", "length_and_direction"]

LEAST = 0.1
"""A unit's length counts as this share of the layer's mean at least: a unit at zero would turn at once."""


class DecoupledOptimizer:
    """An optimizer whose steps do not depend on ‖V‖, with another rate for g, where W = g V/‖V‖.

    What is inside is given ∂f/∂V times ‖V‖/g, which is the gradient in W across the unit's direction.
    Its step is one in W, and is taken in V times ‖V‖/g again. With SGD that is ∂f/∂V times ‖V‖²/g²: a unit
    turns as it would under the gradient in W, however long V has grown. The step of g is multiplied by
    `length_rate`.

    Parameters
    ----------
    optimizers : sequence of Optimizer
        Hold all g and V.
    pairs : sequence of (g, V)
        Of `length_and_direction`: a length to each row of V.
    length_rate : float
    direction : bool
        False leaves the steps of V as they are.
    """

    def __init__(
        self,
        optimizers: Sequence[torch.optim.Optimizer],
        pairs: Sequence[tuple[Tensor, Tensor]],
        length_rate: float = 10.0,
        direction: bool = True,
    ) -> None:
        self.optimizers, self.pairs = optimizers, pairs
        self.length_rate, self.direction = length_rate, direction

    @torch.no_grad()
    def step(self) -> None:
        """One step of the optimizers inside, in W and in g."""
        begins = [(p, p.clone(), self.length_rate) for p, _ in self.pairs]
        for g, v in self.pairs if self.direction else ():
            length = g.flatten().abs()
            length = length.clamp_min(LEAST * length.mean())
            ratio = (torch.linalg.vector_norm(v.flatten(1), dim=1) / length).view(-1, *(1,) * (v.ndim - 1))
            v.grad.mul_(ratio)
            begins.append((v, v.clone(), ratio))
        for optimizer in self.optimizers:
            optimizer.step()
        for p, begin, factor in begins:
            p.copy_(torch.lerp(begin, p, torch.as_tensor(factor, dtype=p.dtype)))


def length_and_direction(model: nn.Module) -> list[tuple[Tensor, Tensor]]:
    """(g, V) of every layer with ``s_norm`` or ``weight_norm``, and (γ, W) where a BatchNorm comes next."""
    found = []
    for layer, after in pairwise([*model.modules(), nn.Identity()]):
        if parametrize.is_parametrized(layer, "weight"):
            parts = layer.parametrizations["weight"]
            found.append((parts.original0, parts.original1))
        elif isinstance(layer, nn.Linear) and isinstance(after, nn.BatchNorm1d):
            found.append((after.weight, layer.weight))
    return found
