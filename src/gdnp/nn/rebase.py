"""A layer moved to a new metric without changing its function, and its optimizer's memory moved with it."""

import math
import warnings
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, Muon, Optimizer

from gdnp.nn.moments import InputMoments, widest
from gdnp.nn.parametrize import FittedSNorm, SNorm

KNOWN = (SGD, Adam, Muon)
"""Optimizers whose memory moves with a metric; AdamW is an Adam."""


def parameters_of(layer: nn.Module) -> tuple[Tensor, Tensor, Tensor | None]:
    """(g, V, c) of a layer with ``s_norm``; c is None without a centred bias."""
    lists: Any = layer.parametrizations
    weight = lists["weight"]
    return weight.original0, weight.original1, lists["bias"].original if "bias" in lists else None


def renewed(split: FittedSNorm, moments: InputMoments, damping: float) -> FittedSNorm:
    """A copy with the metric of new moments; a ValueError where that is singular."""
    new = deepcopy(split)
    new.damping = damping
    new.update(moments)
    return new


@torch.no_grad()
def move(layer: nn.Module, split: FittedSNorm, new: FittedSNorm, optimizers: Sequence[Optimizer]) -> None:
    """Take a layer, and what optimizers remember of it, from the metric of its `split` to that of `new`.

    V' = V T with T = F F'⁻¹, and g' and c' keep W and b.
    """
    parameters = [p for p in parameters_of(layer) if p is not None]
    wide = widest(parameters[0].device)
    there, here = deepcopy(new).to(wide), deepcopy(split).to(wide)
    holders = [_holder(optimizers, p) for p in parameters]
    averages = [found and _average(*found, p) for found, p in zip(holders, parameters, strict=True)]
    slopes = [p.grad for p in parameters]
    if any(slope is None for slope in slopes):
        slopes = [None] * len(slopes)
    with torch.autocast(parameters[0].device.type, enabled=False):
        moved = _moved(here, there, *(p.to(wide) for p in parameters))
        pulled = _pulled_back(there, here, moved, averages)
        slopes = _pulled_back(there, here, moved, slopes)
    for p, value, slope in zip(parameters, moved, slopes, strict=True):
        p.copy_(value)
        p.grad = None if slope is None else slope.to(p)
    for found, p, average in list(zip(holders, parameters, pulled, strict=True))[:2]:  # c's stays
        if found is not None:
            _go_on(*found, p, average)
    for mine, its in zip(split.buffers(), new.buffers(), strict=True):
        mine.copy_(its)
    split.damping, split.count = new.damping, new.count


def _moved(a: SNorm, b: SNorm, g: Tensor, v: Tensor, c: Tensor | None = None) -> list[Tensor]:
    """(g, V, c) in the coordinates of b, of the same W and b as in those of a."""
    rows = a.rows(v)
    there = b.factor.colour(a.factor.whiten(rows)) if a.whitens else rows
    g_there = g * (b.length(there) / a.length(rows)).view_as(g)
    v_there = there.view_as(v)
    if c is None:
        return [g_there, v_there]
    return [g_there, v_there, c + (a.rows(a(g, v)) @ (b.mean - a.mean).unsqueeze(-1)).flatten()]


def _pulled_back(
    new: SNorm, old: SNorm, at: Sequence[Tensor], averages: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Gradients in the old coordinates as gradients in the new ones, by the chain rule.

    For V alone this is m T^(-T); that g' depends on V as well adds a term in the average gradient of g, and
    that E[x] has moved one in that of c.
    """
    if all(average is None for average in averages):
        return [None] * len(at)
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in at]
        there = _moved(new, old, *leaves)
        pairs = [(m.to(v), v) for m, v in zip(averages, there, strict=True) if m is not None]
        total = torch.stack([(m * v).sum() for m, v in pairs]).sum()
        return list(torch.autograd.grad(total, leaves, allow_unused=True))


Holder = tuple[Optimizer, dict[str, Any]]
"""An optimizer that has stepped on a parameter, and the group that the parameter is in."""


def _holder(optimizers: Sequence[Optimizer], parameter: Tensor) -> Holder | None:
    for optimizer in optimizers:
        for group in optimizer.param_groups if isinstance(optimizer, KNOWN) else ():
            if any(parameter is p for p in group["params"]) and optimizer.state.get(parameter):
                return optimizer, group
    return None


def _average(optimizer: Optimizer, group: dict[str, Any], parameter: Tensor) -> Tensor | None:
    """The average gradient of a parameter, or None where the optimizer keeps none."""
    state = optimizer.state[parameter]
    if isinstance(optimizer, Adam):
        memory: Tensor = state["exp_avg"]
        average: Tensor = memory / (1.0 - group["betas"][0] ** state["step"].to(memory))
        return average
    buffer: Tensor | None = state.get("momentum_buffer")
    unit = _unit(optimizer, group)
    # Without a weight for new gradients, or for old ones to fade, the buffer is no average of them.
    return None if buffer is None or not 0.0 < unit < math.inf else buffer * unit


def _unit(optimizer: Optimizer, group: dict[str, Any]) -> float:
    """SGD sums its gradients where Muon averages them."""
    if isinstance(optimizer, Muon):
        return 1.0
    kept = 1.0 - group["dampening"]
    return float((1.0 - group["momentum"]) / kept) if kept > 0.0 else math.inf


def _go_on(optimizer: Optimizer, group: dict[str, Any], parameter: Tensor, average: Tensor | None) -> None:
    """Let an optimizer go on from an average gradient in the new coordinates.

    Adam's second moment has no transform. It is reset together with the count of steps: Adam goes on as if
    the average gradient were the only one it had seen. So its next step is neither huge (a second moment of
    zero, but corrected for many steps) nor without momentum.
    """
    state = optimizer.state[parameter]
    if average is None:
        optimizer.state.pop(parameter)
    elif isinstance(optimizer, Adam):
        first, second = group["betas"]
        state["exp_avg"].copy_(average * (1.0 - first))
        state["exp_avg_sq"].copy_(average.square() * (1.0 - second))
        state["step"].fill_(1.0)
        if "max_exp_avg_sq" in state:
            state["max_exp_avg_sq"].zero_()
    else:
        state["momentum_buffer"].copy_(average / _unit(optimizer, group))


def restart(optimizer: Optimizer, moved: Sequence[Tensor]) -> None:
    """Let an optimizer whose memory has no known transform begin anew where parameters moved, and say so."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    mine = [p for p in moved if id(p) in held]
    if isinstance(optimizer, KNOWN) or not mine or not optimizer.state:
        return
    if isinstance(optimizer, Adagrad):  # it makes its state once, when it is made
        for group in optimizer.param_groups:
            for p in (each for each in group["params"] if any(each is one for one in mine)):
                optimizer.state[p]["sum"].fill_(group["initial_accumulator_value"])
                optimizer.state[p]["step"].zero_()
    elif all(p in optimizer.state for p in mine):
        for p in mine:
            optimizer.state.pop(p)
    else:  # one memory of all parameters, as of LBFGS
        optimizer.state.clear()
    warnings.warn(
        f"the memory of {type(optimizer).__name__} has no known transform to a new metric: it begins anew "
        "for the layers that moved. SGD, Adam, AdamW and Muon go on as they were.",
        stacklevel=3,
    )
