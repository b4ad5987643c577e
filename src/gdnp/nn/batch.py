"""The batch's own metric: Batch Normalization as a hook on the output of a layer (Eq. 6)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from gdnp.nn.moments import Convolution, InputMoments
from gdnp.nn.state import Described

__all__ = ["BATCH_EPS", "BATCH_MOMENTUM", "BatchMetric"]

BATCH_EPS = 1e-5
BATCH_MOMENTUM = 0.1
"""Those of ``torch.nn.BatchNorm1d``."""


class BatchMetric(Described, nn.Module):
    """g (V x - E[V x])/sd(V x) + c, with moments of the batch, or running ones in evaluation.

    The standard deviation of V x over the batch is ‖V‖_S with S that of the batch (Eq. 7), which a weight
    cannot know: hence a hook on the output.

    Attributes
    ----------
    g, c : Parameter of shape (out,)
        Length and shift.
    running_mean, running_var : Tensor of shape (out,)
    num_batches_tracked : Tensor
        As in ``torch.nn.BatchNorm1d``.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    handle: RemovableHandle

    def __init__(
        self, weight: Tensor, bias: Tensor | None, trained: bool, momentum: float | None, eps: float
    ) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.seen = False  # on the host, so that evaluation waits for the device once
        length = torch.linalg.vector_norm(weight.flatten(1), dim=1)
        self.g = nn.Parameter(length.clone(), trained)
        self.c = bias if isinstance(bias, nn.Parameter) else nn.Parameter(torch.zeros_like(length), trained)
        self.register_buffer("running_mean", torch.zeros_like(length))
        self.register_buffer("running_var", length.square())
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.long, device=weight.device))

    @classmethod
    def attach(cls, module: nn.Module, momentum: float | None, eps: float) -> None:
        """Put the hook on a layer and take its bias, which centring would cancel, as c."""
        weight = module.weight
        assert isinstance(weight, Tensor)
        bias = module._parameters["bias"]
        part = cls(weight.detach(), bias, weight.requires_grad, momentum, eps)
        module.register_parameter("bias", None)
        module.add_module("s_norm", part)
        part.handle = module.register_forward_hook(_standardise)

    def forward(self, output: Tensor) -> Tensor:
        """Standardise axis 1 of an output of shape (n, out, ...)."""
        momentum = self.momentum
        if self.training:
            self.num_batches_tracked.add_(1)
            if momentum is None:  # the mean over all batches, as in BatchNorm
                momentum = 1.0 / float(self.num_batches_tracked)
        else:
            self.check_seen()
        statistics = (self.running_mean, self.running_var)
        return F.batch_norm(output, *statistics, self.g, self.c, self.training, momentum or 0.0, self.eps)

    def own_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What has to agree when a state is loaded, and what is taken over."""
        return {"metric": "batch", "eps": self.eps}, {"momentum": self.momentum}

    def train(self, mode: bool = True) -> "BatchMetric":
        """As any module; going to evaluation looks for statistics, which compiled code cannot."""
        super().train(mode)
        if not mode:
            self._look()
        return self

    def _look(self) -> None:
        """Statistics may have come from anywhere: batches, a state, another module's buffers."""
        counter = self.num_batches_tracked
        self.seen = self.seen or (not counter.is_meta and bool(counter > 0))

    def check_seen(self) -> None:
        """Refuse to go on without statistics."""
        if not self.seen:
            self._look()
        if not self.seen:
            raise RuntimeError(
                "metric='batch' needs running statistics in evaluation. Got a layer that has seen no batch; "
                "run one in training mode, or call fit_metric."
            )

    @torch.no_grad()
    def update(self, weight: Tensor, moments: InputMoments) -> None:
        """Take running statistics from moments of the output without c.

        The first ones also set g and c, so that the layer goes on computing W x + b. Later ones leave them:
        in training the function does not depend on the running statistics.
        """
        variance = moments.variance * (moments.count / max(moments.count - 1, 1))
        self._look()
        if not self.seen:
            ratio = self.g / torch.linalg.vector_norm(weight.flatten(1), dim=1)
            self.c.add_(ratio * moments.mean.to(ratio))
            self.g.copy_(ratio * (variance.to(ratio) + self.eps).sqrt())
        self.running_mean.copy_(moments.mean)
        self.running_var.copy_(variance)
        self.num_batches_tracked.fill_(1)
        self.seen = True

    @torch.no_grad()
    def fold(self, layer: nn.Module) -> None:
        """Make the layer plain again, with the function of evaluation."""
        self.check_seen()
        ratio = self.g / (self.running_var + self.eps).sqrt()
        weight = layer.weight
        assert isinstance(weight, Tensor)
        weight.mul_(ratio.view(-1, *(1,) * (weight.ndim - 1)))
        self.c.sub_(ratio * self.running_mean)
        self.handle.remove()
        del layer.s_norm
        layer.register_parameter("bias", self.c)


def _standardise(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
    part = layer.s_norm
    assert isinstance(part, BatchMetric)
    if output.is_nested:
        raise ValueError(
            "metric='batch' needs tensors of plain shape. Got a nested one, as the fused path of "
            "TransformerEncoder makes them; make the encoder with enable_nested_tensor=False."
        )
    if isinstance(layer, nn.Linear) and output.ndim > 2:  # the units are the last axis
        flat: Tensor = part(output.flatten(0, -2))
        return flat.view_as(output)
    weight = layer.weight
    if isinstance(layer, Convolution) and output.ndim != weight.ndim:
        raise ValueError(
            f'metric="batch" needs a batch of images or sequences, {weight.ndim} axes with channels second. '
            f"Got an output of shape {tuple(output.shape)}; add an axis of one row with x[None]."
        )
    normalised: Tensor = part(output)
    return normalised
