"""The metric of layers, streamed from data in one pass, at the start or on the way."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from gdnp.nn.batch import BatchMetric
from gdnp.nn.moments import InputMoments, input_rows
from gdnp.nn.parametrize import SNorm, check_damping, metric_of
from gdnp.nn.rebase import Move, parameters_of

__all__ = ["fit_metric"]

Fitted = SNorm | BatchMetric


def fit_metric(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: Sequence[str] | str | None = None,
    damping: float | None = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
) -> nn.Module:
    """Give layers with ``s_norm`` the metric S of their inputs, and return the model, whose function stays.

    The model runs over the loader once, in the mode it is in (training or evaluation) and without gradients;
    running statistics of its other layers are put back at the end.

    Call it again later to move to the metric of then, with the `optimizer`, whose memory is moved too. For
    V' = V T average gradients become m T^(-T), with the terms that the new length and centre add by the chain
    rule. Adam's second moment has no exact transform and is reset, so that Adam goes on as if its average
    gradient were the first it has seen. Of optimizers other than SGD, Adam, AdamW and Muon the state of V and
    g is dropped. Gradients of the moved parameters are cleared.

    A layer with ``metric="batch"`` gets new running statistics and, the first time, the g and c that make it
    compute in evaluation what it did before ``s_norm``. ``metric="identity"`` needs no data.

    Parameters
    ----------
    model : Module
        One in DistributedDataParallel pools the rows of all processes, each of which calls this with at least
        one batch of its own.
    loader : iterable
        Of tensors, or of tuples or lists that begin with one: the input of the model. It is moved to the
        device of the parameters.
    layers : sequence of str, optional
        Names as in ``model.named_modules()``, of layers that have ``s_norm``; all of those unless given.
        Plain layers are not taken: `gdnp.nn.s_norm` makes new parameters, which must be there before the
        optimizer.
    damping : float, optional
        λ from now on; what the layer has unless given.
    optimizer : Optimizer or sequence of Optimizer, optional
        Those that train the layers.

    Raises
    ------
    TypeError
        When the loader yields something else than tensors or nothing can be read from it, and when `layers`
        holds no names or `optimizer` is none.
    ValueError
        When there is no layer with ``s_norm``, or none of a given name; when the loader is empty or a layer
        sees no input; when S is singular or not finite; and when the optimizer does not hold a layer's
        parameters. Nothing is changed then.

    Examples
    --------
    >>> import torch
    >>> from gdnp.nn import fit_metric, s_norm
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    >>> x = 3.0 + torch.randn(64, 8)
    >>> before = model(x)
    >>> _ = s_norm(model[0], mode="whiten"), s_norm(model[2], metric="diagonal")
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> model = fit_metric(model, x.split(16), optimizer=optimizer)
    >>> torch.allclose(model(x), before, atol=1e-5)
    True
    """
    if damping is not None:
        check_damping(damping)
    model_inside, group = _unwrapped(model)
    optimizers = _listed(optimizer)
    if not isinstance(loader, Iterable):
        raise TypeError(
            f"loader must yield batches, as a DataLoader does. Got {type(loader).__name__}; a single batch x "
            "goes in as [x]."
        )
    chosen = _chosen(model_inside, layers)
    if optimizers:
        _check_held(chosen, optimizers)
    found = _streamed(model_inside, loader, chosen, group)
    moves, batches = [], []
    for name, moments in found.items():
        layer, part = chosen[name]
        if isinstance(part, BatchMetric):
            batches.append((layer, part, moments))
        else:
            moves.append(_move(name, layer, part, moments, damping))
    for move in moves:
        move.apply(optimizers)
    for layer, part, moments in batches:
        weight = layer.weight
        assert isinstance(weight, Tensor)
        part.update(weight, moments)
    return model


def _listed(optimizer: Optimizer | Sequence[Optimizer] | None) -> list[Optimizer]:
    optimizers = [optimizer] if isinstance(optimizer, Optimizer) else list(optimizer or ())
    for one in optimizers:
        if not isinstance(one, Optimizer):
            raise TypeError(
                f"optimizer must be an Optimizer of PyTorch, or some of them. Got {one!r}; pass the object "
                "that steps."
            )
    return optimizers


def _unwrapped(model: nn.Module) -> tuple[nn.Module, dist.ProcessGroup | None]:
    """The model itself, and the processes it is trained on."""
    group = None
    while True:
        if isinstance(model, DistributedDataParallel):
            group, model = model.process_group, model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model, group


def _chosen(model: nn.Module, layers: Sequence[str] | str | None) -> dict[str, tuple[nn.Module, Fitted]]:
    """The layers to fit by name, with what ``s_norm`` has put on them."""
    known = {name: (layer, part) for name, layer in model.named_modules() if (part := metric_of(layer))}
    if not known:
        raise ValueError(
            "fit_metric needs a layer with s_norm. Got a model without; call s_norm on some first."
        )
    if not isinstance(layers, Sequence | None):
        raise TypeError(
            f"layers must be names of layers, here {', '.join(map(repr, known))}. Got {layers!r}; name them."
        )
    names = list(known) if layers is None else [layers] if isinstance(layers, str) else list(layers)
    unknown = [name for name in names if name not in known]
    if unknown:
        there = dict(model.named_modules())
        plain = "a layer without it" if unknown[0] in there else "no layer of the model"
        raise ValueError(
            f"layers must name layers with s_norm, here {', '.join(map(repr, known))}. Got {unknown[0]!r}, "
            f"{plain}; call s_norm on it before the optimizer is made."
        )
    fitted = {name: known[name] for name in names}
    # Weight Normalization needs no data.
    return {n: (layer, p) for n, (layer, p) in fitted.items() if isinstance(p, BatchMetric) or p.centres}


def _check_held(chosen: Mapping[str, tuple[nn.Module, Fitted]], optimizers: Sequence[Optimizer]) -> None:
    held = {id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]}
    for name, (layer, part) in chosen.items():
        if isinstance(part, SNorm) and any(
            p.requires_grad and id(p) not in held for p in parameters_of(layer)[:2] if p is not None
        ):
            raise ValueError(
                f"optimizer must hold g and V of each layer that moves. Got one without those of {name!r}; "
                "make it after s_norm, of model.parameters() or param_groups(model), and pass all of them."
            )


def _move(name: str, layer: nn.Module, part: SNorm, moments: InputMoments, damping: float | None) -> Move:
    try:
        return Move(layer, part, moments, part.damping if damping is None else damping)
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}") from error


def _streamed(
    model: nn.Module,
    loader: Iterable[Any],
    chosen: Mapping[str, tuple[nn.Module, Fitted]],
    group: dist.ProcessGroup | None,
) -> dict[str, InputMoments]:
    """Moments of the inputs of the chosen layers (of the output without c, for the batch's metric)."""
    if not chosen:
        return {}
    found = {name: _empty(part, group) for name, (_, part) in chosen.items()}
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        # Compiled code may skip new hooks; importing dynamo takes a second.
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(_statistics_kept(model))
        for name, (layer, part) in chosen.items():
            stack.callback(_watch(layer, part, found[name]).remove)
        batches = 0
        for batches, inputs in enumerate(_inputs(model, loader), start=1):  # noqa: B007
            model(inputs)
    if not batches:
        raise ValueError("loader must yield at least one batch. Got none; a generator may be used up.")
    for name, moments in found.items():
        if moments.count == 0:
            raise ValueError(
                f"layer {name!r} must be used in the forward pass. Got no input for it; leave it out."
            )
        moments.gather()
        moments.checked(f"inputs of layer {name!r}")
    return found


def _empty(part: Fitted, group: dist.ProcessGroup | None) -> InputMoments:
    if isinstance(part, BatchMetric):
        return InputMoments(tuple(part.g.shape), "diagonal", group=group)
    return part.factor.moments(group)


def _watch(layer: nn.Module, part: Fitted, moments: InputMoments) -> Any:
    """A hook that adds what the layer sees to its moments."""
    if isinstance(part, BatchMetric):

        def after(_: nn.Module, __: Any, output: Tensor) -> None:
            units = output if isinstance(layer, nn.Linear) else output.movedim(1, -1)
            moments.update(units.reshape(-1, units.shape[-1]))

        return layer.register_forward_hook(after, prepend=True)

    def before(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        for rows in input_rows(layer, args[0] if args else kwargs["input"]):
            moments.update(rows)

    return layer.register_forward_pre_hook(before, with_kwargs=True)


def _inputs(model: nn.Module, loader: Iterable[Any]) -> Iterator[Tensor]:
    device = next(model.parameters()).device
    for batch in loader:
        first = batch[0] if isinstance(batch, tuple | list) and batch else batch
        if not isinstance(first, Tensor):
            raise TypeError(
                "loader must yield tensors, or tuples or lists that begin with one. Got "
                f"{type(batch).__name__}; wrap it in a generator that yields the input of the model."
            )
        yield first.to(device)


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Running statistics as they were, whatever the mode of the model."""
    skipped = {id(b) for m in model.modules() if isinstance(m, SNorm) for b in m.buffers()}
    buffers = [(b, b.clone()) for b in model.buffers() if id(b) not in skipped]
    seen = [(m, m.seen) for m in model.modules() if isinstance(m, BatchMetric)]
    try:
        yield
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)
        for part, was in seen:
            part.seen = was
