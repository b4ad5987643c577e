"""The metric of layers, streamed from data in one pass, at the start or on the way."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map
from torch.utils.hooks import RemovableHandle

from gdnp.nn.batch import BatchMetric, take
from gdnp.nn.moments import Convolution, InputMoments, input_rows
from gdnp.nn.parametrize import FittedSNorm, SNorm, check_damping, metric_of
from gdnp.nn.rebase import move, parameters_of, renewed, restart
from gdnp.nn.wrappers import check_plain, eager, random_state_kept, unwrapped, unwrapped_optimizers

Fitted = FittedSNorm | BatchMetric


@torch.inference_mode(False)
def fit_metric(
    model: nn.Module,
    loader: Iterable[Any],
    *,
    layers: Sequence[str] | str | None = None,
    damping: float | None = None,
    optimizer: Optimizer | Sequence[Optimizer] | None = None,
    forward: Callable[[nn.Module, Any], object] | None = None,
    mask: Callable[[Any], Tensor] | None = None,
    process_group: dist.ProcessGroup | None = None,
) -> nn.Module:
    """Give layers with ``s_norm`` the metric S of their inputs, and return the model, whose function stays.

    The model runs over the loader once, in the mode it is in (training or evaluation) and without gradients;
    running statistics of its other layers and the state of the random generators are put back at the end.

    Call it again later to move to the metric of then, with the `optimizer`, whose memory is moved too. For
    V' = V T average gradients become m T^(-T), with the terms that the new length and centre add by the chain
    rule, and so do the gradients that are there. Adam's second moment has no exact transform and is reset, so
    that Adam goes on as if its average gradient were the first it has seen. Other optimizers than SGD, Adam,
    AdamW and Muon start afresh, with a warning. Where a parameter that moves has no gradient, those of its
    layer are cleared.

    A layer with ``metric="batch"`` gets new running statistics and, the first time, the g and c that make it
    compute in evaluation what it did before ``s_norm``. ``metric="identity"`` needs no data.

    Parameters
    ----------
    model : Module
        One in DistributedDataParallel pools the rows of all processes, each of which calls this with at least
        one batch of its own.
    loader : iterable
        Of tensors, or of tuples or lists that begin with one: the input of the model. Batches are moved to
        the device of the parameters. With `forward` they may be anything.
    layers : sequence of str, optional
        Names as in ``model.named_modules()``, of layers that have ``s_norm``; all of those unless given.
        Plain layers are not taken: `gdnp.nn.s_norm` makes new parameters, which must be there before the
        optimizer.
    damping : float, optional
        λ from now on; what the layer has unless given.
    optimizer : Optimizer or sequence of Optimizer, optional
        Those that train the layers; of a wrapper (accelerate's and others) the one inside.
    forward : callable, optional
        (model, batch) -> anything: runs the model on a batch, for dictionaries and several inputs.
    mask : callable, optional
        batch -> tensor of booleans, shape (...): where False, rows are padding and do not count in a layer
        with inputs of shape (..., d). Layers with inputs of other shapes take all rows.
    process_group : ProcessGroup, optional
        Processes that train copies of the model without DistributedDataParallel, whose rows are pooled.

    Raises
    ------
    TypeError
        When the loader yields something else than tensors or nothing can be read from it, when `layers`
        holds no names or `optimizer` is none, and for parameters that are sharded.
    ValueError
        When there is no layer with ``s_norm``, or none of a given name. When the loader is empty, a layer
        sees no input, or the mask fits none. When S is singular or not finite, and when the optimizer does
        not hold a layer's parameters. When there are several processes, and neither DistributedDataParallel
        nor `process_group` says whether they share the model. Nothing is changed then.

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
    inside, group = unwrapped(model)
    group = _processes(group, process_group)
    optimizers = unwrapped_optimizers(optimizer)
    if not isinstance(loader, Iterable):
        raise TypeError(
            f"loader must yield batches, as a DataLoader does. Got {type(loader).__name__}; a single batch x "
            "goes in as [x]."
        )
    chosen = _chosen(inside, layers)
    for name, (layer, _) in chosen.items():
        check_plain(layer.parameters(), f"a weight of layer {name!r}")
    if optimizers:
        _check_held(chosen, optimizers)
    found = _streamed(inside, loader, chosen, group, forward or _on_tensor, mask)
    moves, batches = [], []
    for name, moments in found.items():
        layer, part = chosen[name]
        if isinstance(part, BatchMetric):
            batches.append((part, moments))
            continue
        try:
            moves.append((layer, part, renewed(part, moments, part.damping if damping is None else damping)))
        except ValueError as error:
            raise ValueError(f"layer {name!r}: {error}") from error
    for layer, part, new in moves:
        move(layer, part, new, optimizers)
    for one in optimizers:
        restart(one, [p for layer, *_ in moves for p in parameters_of(layer)[:2] if p is not None])
    for part, moments in batches:
        take(part, moments)
    return model


def _processes(own: dist.ProcessGroup | None, given: dist.ProcessGroup | None) -> dist.ProcessGroup | None:
    """Those whose rows are pooled: of DistributedDataParallel, or as given."""
    if not (given is None or (dist.is_available() and isinstance(given, dist.ProcessGroup))):
        raise TypeError(
            f"process_group must be a ProcessGroup that holds this process. Got {given!r}; "
            "torch.distributed.group.WORLD is that of all."
        )
    group = own if given is None else given
    if group is None and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        raise ValueError(
            f"fit_metric must know whether the {dist.get_world_size()} processes train one model. Got a bare "
            "model; pass the one in DistributedDataParallel, or process_group=torch.distributed.group.WORLD, "
            "or a group of this process alone (torch.distributed.new_group)."
        )
    return group


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
    found: dict[str, tuple[nn.Module, Fitted]] = {}
    for name in names:
        layer, part = known[name]
        if isinstance(part, BatchMetric) or (isinstance(part, FittedSNorm) and part.centres):
            found[name] = layer, part  # Weight Normalization needs no data
    return found


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


def _streamed(
    model: nn.Module,
    loader: Iterable[Any],
    chosen: Mapping[str, tuple[nn.Module, Fitted]],
    group: dist.ProcessGroup | None,
    forward: Callable[[nn.Module, Any], object],
    mask: Callable[[Any], Tensor] | None,
) -> dict[str, InputMoments]:
    """Moments of the inputs of the chosen layers (of the output without c, for the batch's metric)."""
    if not chosen:
        return {}
    if mask is not None and any(isinstance(layer, Convolution) for layer, _ in chosen.values()):
        raise ValueError(
            "mask cannot tell which patches of a convolution are padding. Got one and a convolution; name "
            "the other layers in layers=."
        )
    found = {
        name: InputMoments((part.num_features,), "diagonal", group=group)
        if isinstance(part, BatchMetric)
        else part.factor.moments(group)
        for name, (_, part) in chosen.items()
    }
    padding, device = _Padding(mask), next(model.parameters()).device

    def moved(part: Any) -> Any:
        return part.to(device) if hasattr(part, "to") else part

    with ExitStack() as stack:
        for context in (torch.no_grad(), eager(), random_state_kept(model), _statistics_kept(model)):
            stack.enter_context(context)
        for name, (layer, part) in chosen.items():
            stack.callback(_watch(layer, part, found[name], padding).remove)
        batches = iter(loader)
        batch = next(batches, END)
        _agree(group, batch is not END, device, NO_BATCH)
        while batch is not END:
            padding.look(batch)
            forward(model, tree_map(moved, batch, is_leaf=lambda part: hasattr(part, "to")))
            batch = next(batches, END)
    unseen = [name for name, moments in found.items() if moments.count == 0]
    _agree(group, not unseen, device, NO_INPUT.format(*unseen[:1] or ("",)))
    if padding.kept is not None and not padding.used:
        raise ValueError(
            f"mask must have the shape of a layer's inputs without the last axis. Got "
            f"{tuple(padding.kept.shape)}, that of none; leave it out, or return a mask of (rows, positions)."
        )
    for name, moments in found.items():
        moments.gather()
        if not moments.is_finite():
            raise ValueError(
                f"inputs of layer {name!r} must be finite. Got NaN or infinity; look at the data they come "
                "from."
            )
    return found


END = object()
"""What comes after the last batch."""
NO_BATCH = "loader must yield at least one batch. Got none; a generator may be used up."
NO_INPUT = "layer {!r} must be used in the forward pass. Got no input for it; leave it out."


def _agree(group: dist.ProcessGroup | None, fine: bool, device: torch.device, message: str) -> None:
    """A ValueError in all processes where one has a reason for it: none then waits for the others."""
    if group is not None:
        bad = torch.tensor(float(not fine), device=device)
        dist.all_reduce(bad, group=group)
        if fine and bad > 0.0:
            raise ValueError("fit_metric must go well in every process. Got one that refused; see its error.")
    if not fine:
        raise ValueError(message)


class _Padding:
    """Which rows of the present batch are `kept`, and whether inputs of a layer have had that shape."""

    kept: Tensor | None = None
    used = False

    def __init__(self, mask: Callable[[Any], Tensor] | None) -> None:
        self._mask = mask

    def look(self, batch: Any) -> None:
        if self._mask is None:
            return
        self.kept = self._mask(batch)
        if getattr(self.kept, "dtype", None) != torch.bool:
            got = getattr(self.kept, "dtype", type(self.kept).__name__)
            raise TypeError(f"mask must return a tensor of booleans. Got {got}; compare, as in ids != pad.")

    def mask_of(self, values: Tensor) -> Tensor | None:
        if self.kept is None or values.shape[:-1] != self.kept.shape:
            return None
        self.used = True
        return self.kept.to(values.device)


def _watch(layer: nn.Module, part: Fitted, moments: InputMoments, padding: _Padding) -> RemovableHandle:
    """A hook that adds what the layer sees to its moments, but for rows of padding."""

    def after(_: nn.Module, __: Any, output: Tensor) -> None:
        units = output if isinstance(layer, nn.Linear) else output.movedim(1, -1)
        mask = padding.mask_of(units)
        moments.update(units.reshape(-1, units.shape[-1]) if mask is None else units[mask])

    def before(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        values = args[0] if args else kwargs["input"]
        for rows in input_rows(layer, values, padding.mask_of(values)):
            moments.update(rows)

    if isinstance(part, BatchMetric):
        return layer.register_forward_hook(after, prepend=True)
    return layer.register_forward_pre_hook(before, with_kwargs=True)


def _on_tensor(model: nn.Module, batch: Any) -> object:
    """The model on a batch that is a tensor, or begins with one."""
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise TypeError(
            "loader must yield tensors, or tuples or lists that begin with one. Got "
            f"{type(batch).__name__}; say how a model takes it: forward=lambda model, batch: model(**batch)."
        )
    return model(first)


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Running statistics as they were, whatever the mode of the model."""
    skipped = {id(b) for m in model.modules() if isinstance(m, SNorm) for b in m.buffers()}
    buffers = [(b, b.clone()) for b in model.buffers() if id(b) not in skipped]
    try:
        yield
    finally:
        for buffer, value in buffers:
            buffer.copy_(value)
