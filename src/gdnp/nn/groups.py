"""Parameters sorted into direction, length and the rest, so that each can have its own step."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils import parametrizations, parametrize

from gdnp.nn.batch import BatchMetric
from gdnp.nn.parametrize import SNorm
from gdnp.nn.wrappers import twice_differentiable, unwrapped

TOLERANCE = 1e-3
"""Largest |⟨w, ∇w⟩|/(‖w‖‖∇w‖) of a scale-invariant w, where the loss has one derivative; BatchNorm's ε and
float32 leave less."""
CHANGE = 0.1
"""Largest ‖∇⟨w, ∇w⟩‖/‖∇w‖ of one, and cosine, where the loss is differentiated twice: bfloat16 leaves less,
and other weights have about 1."""


def param_groups(
    model: nn.Module,
    loss: Tensor | None = None,
    *,
    direction: dict[str, Any] | None = None,
    length: dict[str, Any] | None = None,
    other: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Sort the parameters of a model into direction, length and other: three groups for an optimizer.

    - *direction*: V of `gdnp.nn.s_norm` and of torch's ``weight_norm``, and every weight whose units are each
      scale-invariant, such as those before BatchNorm. They are found by Euler's identity ⟨w, ∇w⟩ = 0 in the
      gradient of the loss, row by row, and by ∇⟨w, ∇w⟩ = 0. At one point the first can hold by chance, of a
      single unit or at its best length, and rounding hides it in half precision.
    - *length*: g of ``s_norm`` and of ``weight_norm``, and the weight (γ) of batch and instance norms.
    - *other*: biases, and weights without the invariance.

    Parameters
    ----------
    model : Module
    loss : scalar Tensor, optional
        Of the model on a batch, in training mode, with its graph, which is kept: ``loss.backward()`` still
        works. Without it, weights are judged by the structure of the model alone.
    direction, length, other : dict, optional
        Options of the group, such as ``{"lr": 0.1}``.

    Returns
    -------
    list of dict
        Direction, length and other, in this order and possibly empty, each with ``params``, ``role`` and
        ``names`` besides its options.

    Raises
    ------
    ValueError
        When the loss is no scalar with a graph, or its gradient is not finite.

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
    named = {name: p for name, p in unwrapped(model)[0].named_parameters() if p.requires_grad}
    known = dict(_by_structure(model))
    open_ = [p for p in named.values() if p.ndim > 1 and id(p) not in known]
    invariant = set() if loss is None else _by_loss(open_, loss)
    options = {"direction": direction, "length": length, "other": other}
    groups: dict[str, dict[str, Any]] = {
        role: {"params": [], "names": [], "role": role, **(given or {})} for role, given in options.items()
    }
    for name, p in named.items():
        role = known.get(id(p), "direction" if id(p) in invariant else "other")
        groups[role]["params"].append(p)
        groups[role]["names"].append(name)
    return list(groups.values())


def _by_loss(weights: list[nn.Parameter], loss: Tensor) -> set[int]:
    """Weights that are scale-invariant, by the gradient of the loss and by that of ⟨w, ∇w⟩."""
    if not isinstance(loss, Tensor) or loss.ndim or loss.grad_fn is None:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"loss must be a scalar with its graph. Got {got}"
            f"{'' if getattr(loss, 'grad_fn', None) else ' without a graph'}; pass loss_fn(model(inputs), "
            "targets) as it is."
        )
    if not weights:
        return set()
    options: dict[str, Any] = {"retain_graph": True, "allow_unused": True}
    slopes = torch.autograd.grad(loss, weights, create_graph=True, **options)
    pairs = [(w, slope) for w, slope in zip(weights, slopes, strict=True) if slope is not None]
    if not all(bool(slope.isfinite().all()) for _, slope in pairs):
        raise ValueError("loss must have a finite gradient. Got NaN or infinity; scale it down, or train on.")
    pairs = [(w, slope) for w, slope in pairs if _is_orthogonal(w, slope, CHANGE)]
    try:
        if not twice_differentiable(slope for _, slope in pairs):
            raise RuntimeError("an operation is differentiable once")
        if not _is_identity(pairs, options):  # of all at once; else of each by itself
            pairs = [pair for pair in pairs if _is_identity([pair], options)]
    except RuntimeError:  # something has no second derivative, such as a fused attention
        pairs = [(w, slope) for w, slope in pairs if len(w) > 1 and _is_orthogonal(w, slope, TOLERANCE)]
    return {id(w) for w, _ in pairs}


def _is_identity(pairs: list[tuple[nn.Parameter, Tensor]], options: dict[str, Any]) -> bool:
    """Whether ⟨w, ∇w⟩ = 0 of each row wherever w is, and so also Σ ±⟨w, ∇w⟩ = 0 with signs for the rows."""
    generator = torch.Generator().manual_seed(0)
    total: Any = 0.0
    for w, slope in pairs:
        signs = torch.randint(2, (len(w),), generator=generator).to(slope) * 2 - 1
        total = total + (signs * (w * slope).flatten(1).sum(1)).sum()
    if not pairs or not total.requires_grad:
        return not pairs
    changes = torch.autograd.grad(total, [w for w, _ in pairs], **options)
    return all(
        change is not None and bool(change.norm() <= CHANGE * slope.norm())
        for change, (_, slope) in zip(changes, pairs, strict=True)
    )


def _by_structure(model: nn.Module) -> Iterator[tuple[int, str]]:
    """Roles that need no gradient."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            weight: Any = module.parametrizations["weight"]  # type: ignore[index]
            if isinstance(weight[0], SNorm | parametrizations._WeightNorm):
                yield id(weight.original0), "length"
                yield id(weight.original1), "direction"
        elif isinstance(module, _NormBase) and isinstance(module.weight, Tensor):
            yield id(module.weight), "length"
        if isinstance(getattr(module, "s_norm", None), BatchMetric):
            yield id(module.weight), "direction"


def _is_orthogonal(weight: Tensor, gradient: Tensor, tolerance: float) -> bool:
    """Whether ⟨w, ∇w⟩ = 0 for each row w that has a gradient, and some row has one."""
    wide = torch.promote_types(weight.dtype, torch.float32)
    rows, slopes = (each.detach().flatten(1).to(wide) for each in (weight, gradient))
    size = torch.linalg.vector_norm(rows, dim=1) * torch.linalg.vector_norm(slopes, dim=1)
    least = 4.0 * torch.finfo(weight.dtype).eps
    orthogonal = (rows * slopes).sum(1).abs() <= max(tolerance, least) * size
    return bool(orthogonal.all() & (size > 0.0).any())
