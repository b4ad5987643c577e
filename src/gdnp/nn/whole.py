"""``s_norm`` on a whole network, with a rule of thumb for the metric of each layer."""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from gdnp.nn.factors import DEFAULT_DAMPING
from gdnp.nn.parametrize import LAYERS, MetricName, Mode, s_norm
from gdnp.nn.wrappers import unwrapped

WIDEST_FULL = 256
"""Inputs to a unit up to which ``metric="auto"`` keeps all of S, and beyond it leading directions.

With 500 rows a step costs 1.2 of BatchNorm's and a fit 5 plain steps there; at 1024 inputs 1.8 and 11, of
``low_rank`` 1.2 and 3 (one core, layers as wide as their inputs). Beside 3 n d² multiplications of a layer on
n rows, W costs 2 d³: in the same time as BatchNorm and a fifth, d is 0.45 n at most."""


@torch.inference_mode(False)
def s_norm_model(
    model: nn.Module,
    *,
    metric: str = "auto",
    mode: Mode = "whiten",
    damping: float = DEFAULT_DAMPING,
    select: Callable[[str, nn.Module], bool] | None = None,
) -> dict[str, str]:
    """Call ``s_norm`` on the layers of a network, in place: before its optimizer is made.

    Parameters
    ----------
    model : Module
    metric, mode, damping
        As for `s_norm`; "auto" is "full" for units of at most `WIDEST_FULL` inputs, "low_rank" for others.
    select : callable, optional
        (name, layer) -> whether to take it. Unless given, the hidden layers: all Linear and convolutional
        ones but the first, where a metric costs accuracy (docs/networks.md), and the last.

    Returns
    -------
    dict of str to str
        For every layer that was to be taken its metric, or why it was left as it is (tied weights, the
        output of an attention).

    Raises
    ------
    ValueError
        When no layer was taken, and as `s_norm`.

    Examples
    --------
    >>> from torch import nn
    >>> from gdnp.nn import s_norm_model
    >>> s_norm_model(nn.Sequential(*(nn.Linear(a, b) for a, b in [(9, 300), (300, 20), (20, 20), (20, 1)])))
    {'1': 'low_rank', '2': 'full'}
    """
    inside, group = unwrapped(model)
    if group is not None:
        raise ValueError(
            "s_norm_model must come before DistributedDataParallel, which averages the gradients of the "
            "parameters that it found. Got a model inside; call it on the bare model, then wrap that."
        )
    names = [name for name, layer in inside.named_modules() if isinstance(layer, LAYERS)]
    if select is None:
        names = names[1:-1]
    found: dict[str, str] = {}
    # Options that are wrong are wrong for every layer.
    s_norm(nn.Linear(2, 2), metric="full" if metric == "auto" else metric, mode=mode, damping=damping)  # type: ignore[arg-type]
    for name in names:
        layer: Any = inside.get_submodule(name)
        if select is not None and not select(name, layer):
            continue
        inputs = layer.weight[0].numel()  # the weight itself is not held, so that s_norm sees it untied
        own = metric if metric != "auto" else "full" if inputs <= WIDEST_FULL else "low_rank"
        try:
            s_norm(layer, metric=cast(MetricName, own), mode=mode, damping=damping)
            found[name] = own
        except (TypeError, ValueError) as error:
            found[name] = f"left as it is: {str(error).rstrip('.')}"
    if all(what.startswith("left") for what in found.values()):
        raise ValueError(
            "s_norm_model needs a Linear or convolutional layer between the first and the last, or some that "
            f"select takes. Got none; {'; '.join(found.values()) or 'say which with select='}."
        )
    return found
