"""What models and optimizers are wrapped in, taken off, and the state around a pass over them kept."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

INNER = ("optimizer", "_optimizer", "optim", "base_optimizer")
"""What wrappers of optimizers call the one inside."""


def unwrapped(model: nn.Module) -> tuple[nn.Module, dist.ProcessGroup | None]:
    """The model in ``torch.compile``, DataParallel or DistributedDataParallel, and the processes."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module. Got {type(model).__name__}; pass the model itself."
        )
    group = None
    while True:
        if isinstance(model, DistributedDataParallel):
            group, model = model.process_group, model.module
        elif isinstance(model, DataParallel):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):  # of torch.compile
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model, group


def unwrapped_optimizers(optimizer: Optimizer | Sequence[Optimizer] | None) -> list[Optimizer]:
    """The optimizers that step, taken out of what they are wrapped in."""
    found: list[Optimizer] = []
    for one in [] if optimizer is None else optimizer if isinstance(optimizer, Sequence) else [optimizer]:
        inside = one
        while (inner := _inner(inside)) is not None:
            if getattr(inside, "state", None) and inside.state is not inner.state:
                raise TypeError(
                    f"optimizer must keep no more than what the one inside does. Got a {type(one).__name__} "
                    "with a state of its own; make a new one after fit_metric, and pass none."
                )
            inside = inner
        if not isinstance(inside, Optimizer):
            raise TypeError(
                f"optimizer must be an Optimizer of PyTorch, or some of them. Got {one!r}; pass the object "
                "that steps."
            )
        if any(base.__name__ == "ZeroRedundancyOptimizer" for base in type(one).__mro__):
            raise TypeError(
                "optimizer must hold its whole state in each process. Got a ZeroRedundancyOptimizer, which "
                "keeps a part; make a new one after fit_metric, and pass none."
            )
        found.append(inside)
    return found


def _inner(optimizer: object) -> Optimizer | None:
    found = (vars(optimizer).get(name) for name in INNER) if hasattr(optimizer, "__dict__") else ()
    return next((one for one in found if isinstance(one, Optimizer)), None)


def check_plain(tensors: Iterable[Tensor], what: str) -> None:
    """Refuse tensors without numbers, and those that are sharded, quantised or of another kind."""
    for tensor in tensors:
        if tensor.is_meta:
            raise ValueError(
                f"{what} must have values. Got a tensor on the meta device; call to_empty and initialise or "
                "load the model first."
            )
        if type(tensor) not in (Tensor, nn.Parameter):
            raise TypeError(
                f"{what} must be a plain Parameter. Got a {type(tensor).__name__}; use s_norm and fit_metric "
                "before the model is sharded (fully_shard) or quantised, or leave the layer as it is."
            )


def twice_differentiable(gradients: Iterable[Tensor]) -> bool:
    """Whether nothing on the way is marked as differentiable once, which autograd passes by silently."""
    nodes = [gradient.grad_fn for gradient in gradients if gradient.grad_fn is not None]
    seen = set(nodes)
    while nodes:
        node = nodes.pop()
        if node.name() == "torch::autograd::Error":
            return False
        new = {parent for parent, _ in node.next_functions if parent is not None} - seen
        seen |= new
        nodes += new
    return True


@contextmanager
def eager() -> Iterator[None]:
    """Run compiled and fused parts as they were written: hooks see rows then, and all has derivatives."""
    fused = torch.backends.mha.get_fastpath_enabled()
    compiled = "torch._dynamo" in sys.modules  # importing it takes a second
    torch.backends.mha.set_fastpath_enabled(False)  # of encoders, with nested tensors where rows are padding
    try:
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def random_state_kept(model: nn.Module) -> Iterator[None]:
    """Restore the random state of every device in use, from which dropout and loaders draw."""
    devices = {p.device for p in model.parameters()} - {torch.device("cpu"), torch.device("meta")}
    kind = next(iter(devices)).type if devices else "cuda"
    same = [device for device in devices if device.type == kind]
    with torch.random.fork_rng(same, device_type=kind):
        yield
