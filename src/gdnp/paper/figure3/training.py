"""What Figure 3 trains and measures; needs PyTorch, so that it is imported only where that happens."""

import base64
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from gdnp._typing import FloatArray
from gdnp.datasets import fetch_cifar10, load
from gdnp.nn import cross_dependency, matrix_layers

TAIL = 0.1
"""Share of a pilot run over whose end the loss is averaged."""


def build(d: int, classes: int, *, depth: int, width: int, normalised: bool, seed: int) -> nn.Sequential:
    """A tanh network whose matrices are called W1, W2, ...; with BatchNorm before each tanh, or without.

    `depth` hidden layers have `width` units each. BatchNorm takes the place of their biases, which it would
    cancel. The weights (Xavier normal, by `seed`) are the same with and without it; biases start at 0.
    """
    random = torch.Generator().manual_seed(seed)
    sizes = [d, *[width] * depth, classes]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for k, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
        hidden = k <= depth
        # Made without drawing random numbers; its entries are filled here.
        linear: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, inputs, outputs, bias=not (hidden and normalised)
        )
        nn.init.xavier_normal_(linear.weight, generator=random)
        if linear.bias is not None:
            nn.init.zeros_(linear.bias)
        layers[f"W{k}"] = linear
        if hidden and normalised:
            layers[f"BN{k}"] = nn.BatchNorm1d(outputs, track_running_stats=False)
        if hidden:
            layers[f"tanh{k}"] = nn.Tanh()
    return nn.Sequential(layers)


def tune(config: Mapping[str, Any]) -> dict[str, Any]:
    """The step of a grid with the least training loss at the end of a pilot run, a part of Figure 3."""
    with _one_thread(config["device"]):
        losses = []
        for step in config["steps"]:
            model, X, y = _ready(config)
            run = [loss for loss, _ in descent(model, X, y, step, config["iterations"])]
            tail = torch.stack(run[-max(1, round(TAIL * len(run))) :])
            losses.append(float(tail.mean()))
    finite = [loss if math.isfinite(loss) else math.inf for loss in losses]
    return {"steps": config["steps"], "losses": losses, "step": config["steps"][int(np.argmin(finite))]}


def segment(
    config: Mapping[str, Any], chosen: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Iterations ``start`` to ``stop`` of a run, and the dependencies at those that are to be measured.

    `config` is that of the part of Figure 3, `chosen` has the ``step``, `before` the ``state`` to go on from.
    Found are the loss and gradient norm at each iteration, the measurements, and the state to go on from. The
    last segment ends with the values at its last point instead.
    """
    with _one_thread(config["device"]):
        model, X, y = _ready(config)
        if before is not None:
            _restore(model, before["state"])
        start, stop, last = config["start"], config["stop"], config["last"]
        measured = set(config["measured"])
        records, losses, norms = [], [], []
        run = descent(model, X, y, chosen["step"], stop - start + last)
        for t, (loss, norm) in enumerate(run, start=start):
            losses.append(loss)
            norms.append(norm)
            if t in measured:
                records.append({"iteration": t, **_measure(model, X, y, config, t)})
    return {
        "loss": _numbers(losses),
        "gradient_norm": _numbers(norms),
        "records": records,
        "state": None if last else _saved(model),
    }


def _ready(config: Mapping[str, Any]) -> tuple[nn.Sequential, Tensor, Tensor]:
    data, shape, device = config["data"], config["network"], config["device"]
    X, y = _images(data["name"], tuple(data["batches"]), data["n"])
    size = {"depth": shape["depth"], "width": shape["width"]}
    model = build(X.shape[1], data["classes"], **size, normalised=config["normalised"], seed=config["seed"])
    return model.to(device), torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)


@lru_cache(maxsize=1)
def _images(name: str, batches: tuple[int, ...], n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The first n images, centred in every pixel, with variance 1 over all of them."""
    data: Any = fetch_cifar10(batches=batches) if batches else load(name)
    X = np.asarray(data.X[:n], dtype=np.float64)
    X = X - X.mean(axis=0)
    return (X / X.std()).astype(np.float32), data.y[:n].astype(np.int64)


def descent(
    model: nn.Module, X: Tensor, y: Tensor, step: float, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Loss and gradient norm at `count` points of full-batch gradient descent, on the device.

    The step from a point, the last one included, is taken when what follows is asked for.
    """
    parameters = list(model.parameters())
    for _ in range(count):
        loss = F.cross_entropy(model(X), y)
        gradients = torch.autograd.grad(loss, parameters)
        yield loss.detach(), nn.utils.get_total_norm(gradients)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=step)


def _measure(
    model: nn.Module, X: Tensor, y: Tensor, config: Mapping[str, Any], t: int
) -> dict[str, list[float]]:
    """Dependencies of the central layer on the others, and the norms of all weights."""
    random, layer = torch.Generator(X.device), f"W{config['network']['layer']}"
    random.manual_seed(1_000_003 * config["seed"] + t)
    drawn: Any = {"probes": config["probes"], "generator": random}
    found = cross_dependency(model, F.cross_entropy, X, y, layer, **drawn)
    weights = torch.stack([weight.detach().norm() for weight in matrix_layers(model).values()])
    return {
        "norm": [norm for norm, _ in found.values()],
        "error": [error for _, error in found.values()],
        "weights": weights.tolist(),
    }


def _numbers(values: list[Tensor]) -> FloatArray:
    return np.array(torch.stack(values).tolist(), dtype=np.float64)


def _saved(model: nn.Module) -> str:
    """The parameters, bit for bit, as text."""
    flat = nn.utils.parameters_to_vector(model.parameters()).detach().cpu().numpy()
    return base64.b64encode(flat.astype("<f4").tobytes()).decode("ascii")


def _restore(model: nn.Module, state: str) -> None:
    flat = torch.from_numpy(np.frombuffer(base64.b64decode(state), dtype="<f4").astype(np.float32))
    with torch.no_grad():
        start = 0
        for parameter in model.parameters():
            parameter.copy_(flat[start : start + parameter.numel()].view_as(parameter))
            start += parameter.numel()


@contextmanager
def _one_thread(device: str) -> Iterator[None]:
    """One thread on a processor: the order of sums, and with it every bit, depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if device == "cpu" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
