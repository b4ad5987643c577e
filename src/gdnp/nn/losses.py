"""The losses of the library on tensors of any device, and any elementwise function of a tensor as a loss.

``gdnp.losses`` is NumPy, so a tensor on a GPU would have to come home for it. There is no second registry of
formulas here: a name of the registry is tied to the function that PyTorch has for it. ℓ' and ℓ'' are
PyTorch's own derivatives of it, which makes a loss of a user's own one line.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gdnp.losses import LOSSES, Loss, get_loss
from gdnp.problem.hidden_unit import LossDerivatives

__all__ = ["TensorLoss", "tensor_derivatives", "tensor_loss"]

TensorLoss = Callable[[Tensor], Tensor]
"""ℓ(t) elementwise, twice differentiable by autograd."""

_BY_NAME: dict[str, TensorLoss] = {
    # Not softplus, which PyTorch cuts to its asymptote at 20, an error of 2e-9.
    "log_loss": lambda t: -torch.nn.functional.logsigmoid(-t),
    "sigmoid": torch.sigmoid,
    "probit": torch.special.ndtr,
}


def tensor_loss(loss: str | Loss | TensorLoss) -> TensorLoss:
    """The loss of that name on tensors, or the function itself.

    Raises
    ------
    ValueError
        For a name that is not a classification loss of ``gdnp.losses``.
    TypeError
        For a ``Loss`` of a user's own, whose formulas are NumPy's.
    """
    if not isinstance(loss, str | Loss):
        if not callable(loss):
            raise TypeError(f"loss must be a name or a function of a tensor. Got {type(loss).__name__}.")
        return loss
    known = get_loss(loss)
    if LOSSES.get(known.name) != known:
        raise TypeError(
            f"a loss on tensors must be a name or an elementwise function of a tensor. Got {known.name!r}, "
            "whose formulas are NumPy's: write its value with torch."
        )
    if known.name not in _BY_NAME:
        raise ValueError(f"loss must be one of {sorted(_BY_NAME)} or a function. Got {known.name!r}.")
    return _BY_NAME[known.name]


def tensor_derivatives(loss: TensorLoss) -> LossDerivatives:
    """ℓ, ℓ' and ℓ'' by autograd; neither tracks gradients of its argument."""

    def jet(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            leaf = t.detach().requires_grad_()
            value = loss(leaf)
            (first,) = torch.autograd.grad(value.sum(), leaf, create_graph=True)
            second = torch.zeros_like(leaf)
            if first.requires_grad:  # ℓ' of a linear loss is a constant
                (found,) = torch.autograd.grad(first.sum(), leaf, allow_unused=True)
                second = second if found is None else found
        return value.detach(), first.detach(), second

    return jet


def numpy_derivatives(jet: LossDerivatives) -> LossDerivatives:
    """The same on NumPy arrays, for a grid on the CPU."""

    def on_arrays(t: Any) -> tuple[Any, Any, Any]:
        value, first, second = jet(torch.as_tensor(t))
        return value.numpy(), first.numpy(), second.numpy()

    return on_arrays
