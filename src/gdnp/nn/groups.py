"""Parameters sorted into direction, length and the rest, so that each can have its own step."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrizations, parametrize

from gdnp.nn.batch import BatchMetric
from gdnp.nn.parametrize import SNorm

__all__ = ["param_groups"]

TOLERANCE = 1e-3
"""Largest |⟨w, ∇w⟩|/(‖w‖‖∇w‖) of a scale-invariant w; BatchNorm's ε and float32 leave less."""


def param_groups(
    model: nn.Module,
    loss: Tensor | None = None,
    *,
    direction: dict[str, Any] | None = None,
    length: dict[str, Any] | None = None,
    other: dict[str, Any] | None = None,
    tolerance: float = TOLERANCE,
) -> list[dict[str, Any]]:
    """Sort the parameters of a model into direction, length and other: three groups for an optimizer.

    - *direction*: V of `gdnp.nn.s_norm` and of torch's ``weight_norm``, and every weight whose units are each
      scale-invariant, such as those before BatchNorm. They are found by Euler's identity ⟨w, ∇w⟩ = 0 in the
      gradient of the loss, row by row, which a weight without the invariance misses by far.
    - *length*: g of ``s_norm`` and of ``weight_norm``, and the weight (γ) of batch and instance norms.
    - *other*: biases, and weights without the invariance.

    Parameters
    ----------
    model : Module
    loss : scalar Tensor, optional
        Of the model on a batch, in training mode, with its graph. ``.grad`` is neither used nor changed then;
        without a loss the gradients in ``.grad`` are used, where there are any, and a weight without one is
        judged by its structure alone. The graph is kept, so that ``loss.backward()`` still works.
    direction, length, other : dict, optional
        Options of the group, such as ``{"lr": 0.1}``.
    tolerance : float
        On the cosine between w and ∇w.

    Returns
    -------
    list of dict
        Direction, length and other, in this order and possibly empty, each with ``params``, ``role`` and
        ``names`` besides its options.

    Raises
    ------
    ValueError
        When the loss is no scalar with a graph.

    References
    ----------
    Kohler et al. (2019), Sections 3 and 6.

    Examples
    --------
    >>> import torch
    >>> from gdnp.nn import param_groups
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 1))
    >>> loss = model(torch.randn(20, 5)).square().mean()
    >>> groups = param_groups(model, loss, direction={"lr": 0.5}, length={"lr": 0.05})
    >>> for group in groups:
    ...     print(group["role"], group["names"])
    direction ['0.weight']
    length ['1.weight']
    other ['0.bias', '1.bias', '2.weight', '2.bias']
    >>> optimizer = torch.optim.SGD(groups, lr=0.01)
    """
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    gradients = _gradients(list(named.values()), loss)
    known = dict(_by_structure(model))
    options = {"direction": direction, "length": length, "other": other}
    groups: dict[str, dict[str, Any]] = {
        role: {"params": [], "names": [], "role": role, **(given or {})} for role, given in options.items()
    }
    for name, p in named.items():
        role = known.get(id(p))
        if role is None:
            invariant = p.ndim > 1 and _is_invariant(p, gradients.get(id(p)), tolerance)
            role = "direction" if invariant else "other"
        groups[role]["params"].append(p)
        groups[role]["names"].append(name)
    return list(groups.values())


def _gradients(parameters: list[nn.Parameter], loss: Tensor | None) -> dict[int, Tensor | None]:
    if loss is None:
        return {id(p): p.grad for p in parameters}
    if loss.ndim or loss.grad_fn is None:
        raise ValueError(
            f"loss must be a scalar with its graph. Got shape {tuple(loss.shape)}"
            f"{'' if loss.grad_fn else ' without a graph'}; pass loss_fn(model(inputs), targets) as it is."
        )
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return {id(p): gradient for p, gradient in zip(parameters, found, strict=True)}


def _by_structure(model: nn.Module) -> Iterator[tuple[int, str]]:
    """Roles that need no gradient."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            weight: Any = module.parametrizations["weight"]  # type: ignore[index]
            if isinstance(weight[0], SNorm | parametrizations._WeightNorm):
                yield id(weight.original0), "length"
                yield id(weight.original1), "direction"
        elif isinstance(module, BatchMetric):
            yield id(module.g), "length"
        elif isinstance(module, _NormBase) and isinstance(module.weight, Tensor):
            yield id(module.weight), "length"
        if isinstance(getattr(module, "s_norm", None), BatchMetric):
            yield id(module.weight), "direction"


def _is_invariant(weight: Tensor, gradient: Tensor | None, tolerance: float) -> bool:
    """Whether ⟨w, ∇w⟩ = 0 for each row w that has a gradient, and some row has one."""
    if gradient is None:
        return False
    rows, slopes = weight.detach().flatten(1), gradient.detach().flatten(1)
    size = torch.linalg.vector_norm(rows, dim=1) * torch.linalg.vector_norm(slopes, dim=1)
    orthogonal = (rows * slopes).sum(1).abs() <= tolerance * size
    return bool(orthogonal.all() & (size > 0.0).any())
