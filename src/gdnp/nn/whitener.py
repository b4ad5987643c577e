"""Whitening moved from the weight of an input layer to its data, once, so that steps cost nothing more."""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gdnp.nn.factors import IdentityFactor
from gdnp.nn.parametrize import SNorm, metric_of

CACHED = 1 << 19
"""Numbers whitened at a time on a processor, so that what lies between two operations stays in its cache."""


class Whitener(nn.Module):
    """x -> F (x - E[x]), row by row; made by `whiten_inputs` from the `split` of a layer in S-norm.

    Attributes
    ----------
    factor : Factor
    mean : Tensor of shape (d,)
    """

    mean: Tensor

    def __init__(self, split: SNorm) -> None:
        super().__init__()
        self.factor = split.factor
        self.register_buffer("mean", split.mean.clone())

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """F (x - E[x]) for x of shape (..., d)."""
        rows = x.reshape(-1, x.shape[-1])
        size = max(1, (CACHED if x.device.type == "cpu" else rows.numel()) // rows.shape[1])
        parts = [self.factor.inputs(part - self.mean) for part in torch.split(rows, size)]
        return torch.cat(parts).view(x.shape)


def whiten_inputs(layer: nn.Module) -> Whitener:
    """Take the whitening out of a layer whose S is constant, and into the data.

    For an input layer with W = g (V/‖V‖) F and bias c - W E[x], W x + b = g (V/‖V‖) x̃ + c with
    x̃ = F (x - E[x]). So whiten the data once and train on x̃. An optimizer goes on as it was, since g, V and
    c stay the same parameters. Every step is the one that the layer would have taken on raw data, at the
    cost of Weight Normalization. ``Sequential(whitener, model)`` takes raw inputs.

    Parameters
    ----------
    layer : Linear
        With ``s_norm(..., mode="whiten")``; changed in place to take whitened inputs.

    Returns
    -------
    Whitener
        To be called on rows of data.

    Raises
    ------
    ValueError
        For another layer or mode.

    Examples
    --------
    >>> import torch
    >>> from gdnp.nn import fit_metric, s_norm, whiten_inputs
    >>> _ = torch.manual_seed(0)
    >>> x = 3.0 + torch.randn(64, 8)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Tanh())
    >>> before = model(x)
    >>> _ = s_norm(model[0], mode="whiten")
    >>> _ = fit_metric(model, [x])
    >>> whitener = whiten_inputs(model[0])
    >>> torch.allclose(model(whitener(x)), before, atol=1e-5)
    True
    """
    split = metric_of(layer)
    if not (isinstance(layer, nn.Linear) and isinstance(split, SNorm) and split.whitens):
        kind = parametrize.type_before_parametrizations(layer).__name__
        own = " without s_norm" if split is None else " with mode='normalize'"
        raise ValueError(
            "whiten_inputs needs a Linear layer with s_norm(..., mode='whiten'). Got "
            f"{kind}{own if isinstance(layer, nn.Linear) else ''}; only there is the weight a plain one on "
            "whitened inputs."
        )
    whitener = Whitener(split)
    split.factor = IdentityFactor(split.factor.shape, split.mean, whitens=True)
    split.centres = False
    split.mean.zero_()
    return whitener
