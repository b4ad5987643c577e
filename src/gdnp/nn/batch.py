"""The batch's own metric: PyTorch's BatchNorm as a hook on the output of a layer (Eq. 6)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gdnp.nn.moments import InputMoments

BatchMetric = _BatchNorm
"""g (V x - E[V x])/sd(V x) + c: sd(V x) is ‖V‖_S with S of the batch (Eq. 7), which a weight cannot know."""
NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
"""By the axes of a weight."""


@torch.no_grad()
def attach(layer: Any) -> None:
    """Put the hook on a layer, as ``layer.s_norm``, and take its bias, which centring would cancel, as c.

    Until there are statistics of data, evaluation computes what the layer did.
    """
    weight = layer.weight
    part = NORMS[weight.ndim](len(weight), device=weight.device, dtype=weight.dtype)
    part.running_var.copy_(weight.flatten(1).square().sum(1))
    part.weight.copy_((part.running_var + part.eps).sqrt())
    bias = layer._parameters["bias"]
    part.bias = part.bias if bias is None else bias
    for p in (part.weight, part.bias) if bias is None else (part.weight,):
        p.requires_grad_(weight.requires_grad)
    layer.register_parameter("bias", None)
    layer.add_module("s_norm", part)
    layer.register_forward_hook(_standardise)


@torch.no_grad()
def take(part: Any, moments: InputMoments) -> None:
    """Take running statistics from moments of the output without c.

    The first ones also move g and c, so that evaluation goes on computing W x + b. Later ones leave them: in
    training the function does not depend on the running statistics.
    """
    mean = moments.mean.to(part.weight)
    variance = (moments.variance * (moments.count / max(moments.count - 1, 1))).to(part.weight)
    if not part.num_batches_tracked:
        ratio = part.weight / (part.running_var + part.eps).sqrt()
        part.bias += ratio * (mean - part.running_mean)
        part.weight.copy_(ratio * (variance + part.eps).sqrt())
    part.running_mean.copy_(mean)
    part.running_var.copy_(variance)
    part.num_batches_tracked.fill_(1)


@torch.no_grad()
def fold_batch(layer: Any) -> None:
    """Make the layer plain again, with the function of evaluation."""
    weight, part = layer.weight, layer.s_norm
    ratio = part.weight / (part.running_var + part.eps).sqrt()
    weight.mul_(ratio.view(-1, *(1,) * (weight.ndim - 1)))
    part.bias -= ratio * part.running_mean
    for key in [key for key, hook in layer._forward_hooks.items() if hook is _standardise]:
        del layer._forward_hooks[key]
    del layer.s_norm
    layer.register_parameter("bias", part.bias)


def _standardise(layer: Any, _: tuple[Tensor, ...], output: Tensor) -> Any:
    part, axes = layer.s_norm, layer.weight.ndim
    if output.is_nested:
        raise ValueError(
            "metric='batch' needs tensors of plain shape. Got a nested one, as the fused path of "
            "TransformerEncoder makes them; make the encoder with enable_nested_tensor=False."
        )
    if isinstance(layer, nn.Linear):  # the units are the last axis
        return part(output.reshape(-1, output.shape[-1])).view(output.shape)
    if output.ndim != axes:
        raise ValueError(
            f'metric="batch" needs a batch of images or sequences, {axes} axes with channels second. '
            f"Got an output of shape {tuple(output.shape)}; add an axis of one row with x[None]."
        )
    return part(output)
