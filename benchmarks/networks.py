"""The S-metric under SGD, Adam and Muon: steps and seconds to their own training loss, and test accuracy.

    GDNP_DATA=DIR python benchmarks/networks.py [TASK ...] [--quick] [--workers 2] [--out FOLDER]

A tanh network of 6 x 50 units (`Protocol` holds every size, and is fixed before anything is tuned) is trained
for a fixed number of steps, with BatchNorm, with weight_norm and without either, by SGD with momentum, Adam
and Muon, plain and with ``s_norm(mode="whiten")`` at the input layer or at all layers, from weights of the
same function. The input layer's data are whitened once; the other layers get a new metric four times on the
way. Muon takes the matrices and Adam, at a tenth of its rate, the rest. Nothing decays the weights.

Every method, the plain ones too, gets its best learning rate of the same grid: that of the lowest final
training loss on a seed of its own; a star marks one at the edge of the grid. The runs that count are on other
seeds. A ratio is the number of steps, or seconds, until the training loss is that of the plain optimizer's
end on the same seed, over the plain optimizer's own. The training loss is that of all training rows, with
BatchNorm's statistics of the batch. Seconds are of the processor, of steps and of setting up (moments,
factors, whitening), without the evaluations, which all methods share.

Tasks: CIFAR-10 (8000 rows of the first batch to train, 2000 to test; all that there are with --rows all),
MNIST, a picture as a function of its coordinates, and a table with raw columns; in the last two the training
loss is the goal. Also measured: the share of curvature between layers, a step by the diagonal of the Hessian,
and the cost of a step.

Every run is a file that is found again, so that a study that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import geometric_mean, mean, median
from typing import Any

import torch
from network_curvature import DiagonalHessian, between_layers
from network_tasks import ARCHITECTURES, FILES, Data, absent, linear_layers, load, network
from torch import Tensor, nn
from torch.nn.utils.parametrize import remove_parametrizations

from gdnp.nn import Whitener, fit_metric, param_groups, s_norm, whiten_inputs
from gdnp.store import Part, Store

IMAGES = ("cifar10", "mnist")
OPTIMISATION_DAMPING = 1e-2
"""The damping of the targets on training loss, and with it the metric of the input layer."""
AXES = {"cifar10": (3, 32, 32), "mnist": (28, 28)}
"""Of the images of a task, for the Kronecker metric of the input layer."""
LARGEST_LOSS_OF_ACCURACY = 0.01
CHUNK = 2000


@dataclass(frozen=True)
class Protocol:
    """What is fixed before anything is tuned."""

    depth: int = 6
    width: int = 50
    batch: int = 500
    steps: int = 320
    every: int = 16
    n_train: int | None = 8000
    n_test: int | None = 2000
    seeds: tuple[int, ...] = (0, 1, 2)
    tuning_seed: int = 100
    rank: int = 100
    refits: tuple[int, ...] = (0, 16, 64, 160)
    refit_rows: int = 2000
    probes: int = 8
    sgd: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
    adam: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    muon: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    hessian: tuple[float, ...] = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
    dampings: tuple[float, ...] = (1e-2, 1e-1, 1.0, 10.0, 100.0)


SMALL = {"steps": 160, "seeds": (0,), "dampings": (1e-2, 1e-1), "n_train": 4000, "n_test": 1000}
"""What --quick changes."""


@dataclass(frozen=True)
class Method:
    """An architecture, an optimizer, and where the metric is: "plain", "input", "hidden" or "all" layers."""

    architecture: str
    optimizer: str
    where: str = "plain"
    metric: str = ""
    damping: float = 0.0

    @property
    def name(self) -> str:
        """As in the tables."""
        return self.where if self.where == "plain" else f"{self.where}, {self.metric}, λ = {self.damping:g}"


def methods(task: str, protocol: Protocol) -> list[Method]:
    """Plain optimizers and the metric: every damping with BatchNorm, the optimisation damping without."""
    found = []
    for architecture in ARCHITECTURES if task in IMAGES else ("bn", "none"):
        for optimizer in ("sgd", "adam", "muon"):
            found.append(Method(architecture, optimizer))
            for where, metric, damping in _metrics(task, protocol, architecture):
                found.append(Method(architecture, optimizer, where, metric, damping))
    return [*found, *(Method(architecture, "hessian") for architecture in ("bn", "none"))]


def _metrics(task: str, protocol: Protocol, architecture: str) -> list[tuple[str, str, float]]:
    """Raw columns are whitened with a damping below the variance of the smallest of them."""
    if task == "table":
        return [("input", "diagonal", 0.0), ("input", "full", 1e-12), ("all", "diagonal", 0.0)]
    kind = "kronecker" if task in IMAGES else "full"
    dampings = protocol.dampings if architecture == "bn" else (OPTIMISATION_DAMPING,)
    places = (("input", kind), ("hidden", "full"), ("all", kind))  # hidden layers are small: all of S there
    found = [(where, metric, damping) for damping in dampings for where, metric in places]
    if architecture == "bn" and task in IMAGES:
        found += [("input", other, OPTIMISATION_DAMPING) for other in ("low_rank", "full")]
    return found


# One run


def run(config: dict[str, Any]) -> dict[str, Any]:
    """Train once; `config` holds the task, the method, the rate, the seed and the protocol."""
    torch.set_num_threads(1)
    protocol, method = Protocol(**_tuples(config["protocol"])), Method(**config["method"])
    data = _data(config["task"], protocol.n_train, protocol.n_test)
    model = network(method.architecture, data, protocol.depth, protocol.width, config["seed"])
    clock = Clock()
    white = _whitened(*_key(config["task"], method, protocol)) if method.where in ("input", "all") else None
    with clock:
        _prepare(model, method, white, protocol)
    x = data.x if white is None else white.x
    setup = 0.0 if white is None else white.seconds
    optimizers = _optimizers(model, method.optimizer, config["rate"])
    curve = [(0, _training_loss(model, data, x, protocol.batch), clock.cpu + setup, clock.wall)]
    for step, rows in enumerate(_batches(len(x), protocol, config["seed"]), start=1):
        with clock:
            if method.where in ("hidden", "all") and step - 1 in protocol.refits:
                try:
                    _refit(model, x, protocol, optimizers)
                except ValueError:  # a rate so large that a layer's outputs are constant or not finite
                    curve.append((step, math.inf, clock.cpu + setup, clock.wall))
                    break
            _step(model, data, x[rows], data.y[rows], optimizers)
        if step % protocol.every == 0:
            curve.append(
                (step, _training_loss(model, data, x, protocol.batch), clock.cpu + setup, clock.wall)
            )
            if not math.isfinite(curve[-1][1]):
                break
    return {"curve": curve, "accuracy": _accuracy(model, data, white)}


class Clock:
    """Seconds of the processor and of the wall, added up over ``with`` blocks."""

    cpu = wall = 0.0

    def __enter__(self) -> None:
        self._begin = time.process_time(), time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.cpu += time.process_time() - self._begin[0]
        self.wall += time.perf_counter() - self._begin[1]


@cache
def _data(task: str, n_train: int | None, n_test: int | None) -> Data:
    return load(task, n_train, n_test)


@dataclass(frozen=True)
class White:
    """An input layer's whitener, the rows that it whitened, and the seconds that both took."""

    whitener: Whitener
    x: Tensor
    seconds: float


@cache
def _whitened(
    task: str, n_train: int | None, n_test: int | None, metric: str, damping: float, rank: int, few: int
) -> White:
    """Done once for all runs of a process, since S does not change, and charged to each of them.

    A metric of some structure takes `few` rows; one of all directions needs all of them.
    """
    data, clock = _data(task, n_train, n_test), Clock()
    options = {"low_rank": {"rank": rank}, "kronecker": {"axes": AXES.get(task)}}.get(metric, {})
    with clock:
        layer = nn.Linear(data.x.shape[1], 2, dtype=data.x.dtype)
        model = nn.Sequential(s_norm(layer, metric=metric, mode="whiten", damping=damping, **options))
        fit_metric(model, data.x[: few if options else None].split(CHUNK))
        whitener = whiten_inputs(model[0])
        x = whitener(data.x)
    return White(whitener, x, clock.cpu)


def _key(task: str, method: Method, protocol: Protocol) -> tuple[Any, ...]:
    sizes = protocol.n_train, protocol.n_test
    return task, *sizes, method.metric, method.damping, protocol.rank, protocol.refit_rows


def _prepare(model: nn.Sequential, method: Method, white: White | None, protocol: Protocol) -> None:
    """Put the metric where the method has it; the function stays.

    Hidden layers are of one scale: a damping that suits raw columns is raised for them.
    """
    first, *hidden = linear_layers(model).values()
    layers = {"plain": [], "input": [first], "hidden": hidden, "all": [first, *hidden]}[method.where]
    for layer in layers:
        if method.architecture == "wn":
            remove_parametrizations(layer, "weight")
        if layer is first:
            assert white is not None
            _take_whitened(layer, white.whitener)
        else:
            s_norm(layer, metric="full", mode="whiten", damping=max(method.damping, OPTIMISATION_DAMPING))


@torch.no_grad()
def _take_whitened(layer: nn.Linear, whitener: Whitener) -> None:
    """What ``whiten_inputs`` leaves of a layer: (W F⁻¹)(F (x - E[x])) + b + W E[x], split in the identity."""
    layer.bias.add_(layer.weight @ whitener.mean)
    layer.weight.copy_(whitener.factor.colour(layer.weight))
    s_norm(layer, metric="identity", mode="whiten")


def _optimizers(model: nn.Module, kind: str, rate: float) -> list[torch.optim.Optimizer]:
    if kind == "sgd":
        return [torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)]
    if kind == "adam":
        return [torch.optim.Adam(model.parameters(), lr=rate)]
    direction, length, other = (group["params"] for group in param_groups(model))
    matrices = direction + [p for p in other if p.ndim == 2]
    rest = length + [p for p in other if p.ndim != 2]
    if kind == "muon":
        return [torch.optim.Muon(matrices, lr=rate, weight_decay=0.0), torch.optim.Adam(rest, lr=0.1 * rate)]
    return [DiagonalHessian(matrices, lr=rate), torch.optim.Adam(rest, lr=rate)]


def _step(
    model: nn.Module, data: Data, x: Tensor, y: Tensor, optimizers: list[torch.optim.Optimizer]
) -> None:
    loss = data.loss(model(x), y)
    for optimizer in optimizers:
        optimizer.zero_grad()
        if isinstance(optimizer, DiagonalHessian):
            optimizer.look(loss)
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()


def _refit(model: nn.Module, x: Tensor, protocol: Protocol, optimizers: list[torch.optim.Optimizer]) -> None:
    fit_metric(model, x[: protocol.refit_rows].split(protocol.batch), optimizer=optimizers)


def _batches(n: int, protocol: Protocol, seed: int) -> Iterator[Tensor]:
    """Rows of each step, the same for every method; what is left of an epoch is dropped."""
    generator = torch.Generator().manual_seed(seed)
    size, left = min(protocol.batch, n), protocol.steps
    while left:
        for rows in torch.randperm(n, generator=generator)[: n // size * size].split(size)[:left]:
            left -= 1
            yield rows


@torch.no_grad()
def _training_loss(model: nn.Module, data: Data, x: Tensor, batch: int) -> float:
    """Over all training rows, with BatchNorm's statistics of each batch and its running ones untouched."""
    with _momentum(model, 0.0):
        pairs = zip(x.split(batch), data.y.split(batch), strict=True)
        total = sum(len(rows) * float(data.loss(model(rows), y)) for rows, y in pairs)
    return total / len(x)


@contextmanager
def _momentum(model: nn.Module, value: float) -> Iterator[None]:
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = value
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum


@torch.no_grad()
def _accuracy(model: nn.Module, data: Data, white: White | None) -> float | None:
    if not len(data.x_test):
        return None
    x = data.x_test if white is None else white.whitener(data.x_test)
    model.eval()
    return float((model(x).argmax(1) == data.y_test).float().mean())


def curvature(config: dict[str, Any]) -> dict[str, Any]:
    """The share of curvature between layers on the way of Adam at a fixed rate."""
    torch.set_num_threads(1)
    protocol = Protocol(**_tuples(config["protocol"]))
    data = _data(config["task"], protocol.n_train, protocol.n_test)
    model = network(config["architecture"], data, protocol.depth, protocol.width, config["seed"])
    optimizers, shares = _optimizers(model, "adam", 0.003), {}
    for step, rows in enumerate(_batches(len(data.x), protocol, config["seed"])):
        if step % (protocol.steps // 4) == 0:
            x, y = data.x[: protocol.batch], data.y[: protocol.batch]
            with _momentum(model, 0.0):
                shares[step] = between_layers(model, data.loss(model(x), y), protocol.probes, step)
        _step(model, data, data.x[rows], data.y[rows], optimizers)
    return {"shares": shares}


def speed(config: dict[str, Any]) -> dict[str, Any]:
    """Milliseconds of a step, the networks taking turns of five; medians."""
    torch.set_num_threads(1)
    protocol = Protocol(**_tuples(config["protocol"]))
    torch.manual_seed(0)
    x, y = torch.randn(protocol.batch, config["inputs"]), torch.randint(0, 10, (protocol.batch,))
    data = Data(x, y, x[:0], y[:0], 10)
    pairs = {name: _timed_network(name, data, protocol) for name in TIMED}
    seconds: dict[str, list[float]] = {name: [] for name in TIMED}
    for turn in range(config["turns"] + 1):
        for name, (model, optimizers) in pairs.items():
            for _ in range(5):
                begin = time.perf_counter()
                _step(model, data, x, y, optimizers)
                if turn:
                    seconds[name].append(time.perf_counter() - begin)
    return {name: 1e3 * median(found) for name, found in seconds.items()}


TIMED = (
    "plain",
    "plain, whitened input",
    "BatchNorm",
    "BatchNorm, whitened input",
    "hidden: diagonal, normalize",
    "hidden: low_rank, whiten",
    "hidden: full, normalize",
    "hidden: full, whiten",
    "hidden: batch, normalize",
)


def _timed_network(
    name: str, data: Data, protocol: Protocol
) -> tuple[nn.Module, list[torch.optim.Optimizer]]:
    model = network("bn" if name.startswith("BatchNorm") else "none", data, protocol.depth, protocol.width, 0)
    layers = list(linear_layers(model).values())
    if name.endswith("whitened input"):
        s_norm(layers[0], metric="identity", mode="whiten")
    if name.startswith("hidden"):
        metric, mode = name.removeprefix("hidden: ").split(", ")
        for layer in layers[1:-1]:
            s_norm(layer, metric=metric, mode=mode)
    return model, _optimizers(model, "sgd", 0.01)


# The study: tune, run, measure


GRIDS = ("seeds", "tuning_seed", "sgd", "adam", "muon", "hessian", "dampings")


def _sizes(protocol: Protocol) -> dict[str, Any]:
    """What a single run depends on, so that another grid finds the runs of this one."""
    return {name: value for name, value in asdict(protocol).items() if name not in GRIDS}


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _part(task: str, method: Method, rate: float, seed: int, protocol: Protocol) -> Part:
    config = {
        "task": task,
        "method": asdict(method),
        "rate": rate,
        "seed": seed,
        "protocol": _sizes(protocol),
    }
    where = f"{method.where}-{method.metric}-{method.damping:g}"
    return Part(f"{task}/{where}/{method.architecture}-{method.optimizer}/{rate:g}/{seed}", run, config)


def study(tasks: Sequence[str], protocol: Protocol, store: Store, workers: int) -> dict[str, Any]:
    """Everything, as a summary: final losses of the grid, runs at the best rate, curvature and speed."""
    chosen = [(task, method) for task in tasks for method in methods(task, protocol)]
    grid = {
        (task, method): [
            _part(task, method, rate, protocol.tuning_seed, protocol)
            for rate in getattr(protocol, method.optimizer)
        ]
        for task, method in chosen
    }
    _compute([part for parts in grid.values() for part in parts], store, workers, "tuning")
    best, finals = {}, {}
    for key, parts in grid.items():
        finals[key] = {part.config["rate"]: final(_loaded(store, part)) for part in parts}
        best[key] = min(finals[key], key=finals[key].__getitem__)
    runs = {key: [_part(*key, best[key], seed, protocol) for seed in protocol.seeds] for key in chosen}
    _compute([part for parts in runs.values() for part in parts], store, workers, "runs")
    others = _others(tasks, protocol)
    _compute(list(others.values()), store, workers, "curvature")
    times = Part("speed", speed, {"inputs": 3072, "turns": 60, "protocol": _sizes(protocol)})
    _compute([times], store, 1, "speed")
    return {
        "protocol": asdict(protocol),
        "torch": torch.__version__,
        "threads of a run": 1,
        "workers": workers,
        "results": [
            {
                "task": key[0],
                **asdict(key[1]),
                "rate": best[key],
                "grid": finals[key],
                "runs": [_loaded(store, part) for part in parts],
            }
            for key, parts in runs.items()
        ],
        "curvature": {name: _loaded(store, part)["shares"] for name, part in others.items()},
        "speed": _loaded(store, times),
    }


def _others(tasks: Sequence[str], protocol: Protocol) -> dict[str, Part]:
    return {
        f"{task}, {architecture}": Part(
            f"{task}/curvature/{architecture}",
            curvature,
            {
                "task": task,
                "architecture": architecture,
                "seed": protocol.seeds[0],
                "protocol": _sizes(protocol),
            },
        )
        for task in tasks
        for architecture in ("bn", "none")
    }


def _compute(parts: list[Part], store: Store, workers: int, what: str) -> None:
    """The parts that are not there yet, those with the same whitened rows together."""
    left = sorted((part for part in parts if store.load(part) is None), key=lambda part: part.name)
    begin = time.perf_counter()
    for done, (part, result) in enumerate(_results(left, workers), start=1):
        store.save(part, result)
        if done % 50 == 0 or done == len(left):
            minutes = (time.perf_counter() - begin) / 60.0
            print(f"{what}: {done} of {len(left)} in {minutes:.1f} min", file=sys.stderr, flush=True)


def _results(parts: list[Part], workers: int) -> Iterator[tuple[Part, dict[str, Any]]]:
    if workers == 1:
        yield from (_one(part) for part in parts)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(_one, parts, chunksize=6)


def _one(part: Part) -> tuple[Part, dict[str, Any]]:
    return part, part.function(dict(part.config))


def _loaded(store: Store, part: Part) -> dict[str, Any]:
    found = store.load(part)
    if found is None:
        raise RuntimeError(f"{part.name} should be in {store.directory}. Got nothing; run the study again.")
    return found


# Reading the results


def final(found: dict[str, Any]) -> float:
    """The training loss at the end, infinite where it diverged."""
    loss = found["curve"][-1][1]
    return math.inf if loss is None else loss


def reached(found: dict[str, Any], target: float) -> tuple[float, float]:
    """Steps and processor seconds until the training loss is `target`, linear between two evaluations."""
    before: list[float] | None = None
    for point in found["curve"]:
        step, loss, seconds = point[:3]
        if loss is not None and loss <= target:
            if before is None:
                return step, seconds
            share = (before[1] - target) / (before[1] - loss) if before[1] > loss else 1.0
            return before[0] + share * (step - before[0]), before[2] + share * (seconds - before[2])
        before = point if loss is not None else before
    return math.inf, math.inf


def ratios(result: dict[str, Any], plain: dict[str, Any]) -> tuple[float, float]:
    """Means over the seeds of steps and seconds to the plain optimizer's end, over its own."""
    pairs = []
    for ours, theirs in zip(result["runs"], plain["runs"], strict=True):
        steps, seconds = reached(ours, final(theirs))
        own = reached(theirs, final(theirs))
        pairs.append((steps / own[0], seconds / own[1]))
    return mean(steps for steps, _ in pairs), mean(seconds for _, seconds in pairs)


def plain_of(summary: dict[str, Any], result: dict[str, Any], optimizer: str | None = None) -> dict[str, Any]:
    """The plain optimizer on the same task and architecture."""
    wanted = (result["task"], result["architecture"], optimizer or result["optimizer"], "plain")
    return next(
        r for r in summary["results"] if (r["task"], r["architecture"], r["optimizer"], r["where"]) == wanted
    )


def accuracy(result: dict[str, Any]) -> float | None:
    """Mean test accuracy over the seeds."""
    found = [one["accuracy"] for one in result["runs"]]
    return None if None in found else mean(found)


def default(summary: dict[str, Any], optimizers: Iterable[str] = ("sgd", "adam", "muon")) -> str | None:
    """The fastest metric that loses at most a point of accuracy with every optimizer on every set."""
    found: dict[str, list[tuple[float, float]]] = {}
    for result in summary["results"]:
        if (
            result["architecture"] == "bn"
            and result["where"] != "plain"
            and result["optimizer"] in optimizers
        ):
            ours, theirs = accuracy(result), accuracy(plain_of(summary, result))
            if ours is not None and theirs is not None:
                steps = ratios(result, plain_of(summary, result))[0]
                found.setdefault(_method(result).name, []).append((theirs - ours, steps))
    able = {
        name: geometric_mean(min(steps, 10.0) or 1e-3 for _, steps in pairs)
        for name, pairs in found.items()
        if max(loss for loss, _ in pairs) <= LARGEST_LOSS_OF_ACCURACY
    }
    return min(able, key=able.__getitem__) if able else None


def _method(result: dict[str, Any]) -> Method:
    return Method(*(result[name] for name in ("architecture", "optimizer", "where", "metric", "damping")))


def markdown(summary: dict[str, Any]) -> str:
    """The tables."""
    lines: list[str] = []
    for task in dict.fromkeys(result["task"] for result in summary["results"]):
        lines += [f"### {task}", ""]
        lines += ["| network | optimizer | metric | rate | training loss | test accuracy | steps | seconds |"]
        lines += ["|---|---|---|---:|---:|---:|---:|---:|"]
        lines += [_row(summary, result) for result in summary["results"] if result["task"] == task]
        lines.append("")
    name = default(summary)
    lines += [f"Fastest that loses at most one point of test accuracy everywhere: {name or 'none'}.", ""]
    lines += _curvature_lines(summary["curvature"]) + _speed_lines(summary["speed"])
    for task, why in summary.get("left out", {}).items():
        lines += ["", f"{task} was left out: {why}."]
    return "\n".join(lines) + "\n"


def _row(summary: dict[str, Any], result: dict[str, Any]) -> str:
    method = _method(result)
    losses = [final(one) for one in result["runs"]]
    spread = (max(losses) - min(losses)) / 2.0
    found = accuracy(result)
    # A step by the Hessian's diagonal has no plain twin: Adam's, of which it is a variant, stands in.
    steps, seconds = ratios(
        result, plain_of(summary, result, "adam" if method.optimizer == "hessian" else None)
    )
    rates = [float(rate) for rate in result["grid"]]
    edge = "*" if result["rate"] in (min(rates), max(rates)) else ""
    cells = [
        method.architecture,
        method.optimizer,
        method.name,
        f"{result['rate']:g}{edge}",
        f"{mean(losses):.4g} ± {spread:.1g}" if math.isfinite(max(losses)) else "diverged",
        "" if found is None else f"{found:.4f}",
        f"{steps:.2f}" if math.isfinite(steps) else "-",
        f"{seconds:.2f}" if math.isfinite(seconds) else "-",
    ]
    return "| " + " | ".join(cells) + " |"


def _curvature_lines(shares: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    lines = [
        "### Share of curvature between layers",
        "",
        "| network | step | raw | scaled |",
        "|---|---:|---:|---:|",
    ]
    for name, steps in shares.items():
        lines += [f"| {name} | {step} | {s['raw']:.2f} | {s['scaled']:.2f} |" for step, s in steps.items()]
    return [*lines, ""]


def _speed_lines(times: dict[str, float]) -> list[str]:
    lines = ["### A step", "", "| network | ms | over plain | over BatchNorm |", "|---|---:|---:|---:|"]
    for name, ms in times.items():
        lines.append(f"| {name} | {ms:.2f} | {ms / times['plain']:.2f} | {ms / times['BatchNorm']:.2f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing of the study, write its summary and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(FILES), metavar="TASK", help=", ".join(FILES))
    parser.add_argument(
        "--quick", action="store_true", help="one seed, half the steps and rows, two dampings"
    )
    parser.add_argument("--steps", type=int)
    parser.add_argument("--dampings", type=float, nargs="+", help="λ, instead of those of the protocol")
    parser.add_argument(
        "--rows", choices=("few", "all"), default="few", help="8000 images, or all that there are"
    )
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    parser.add_argument("--out", type=Path, default=Path("networks"), help="folder for JSON and markdown")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.tasks if name not in FILES]
    if unknown:
        parser.error(f"TASK must be among {', '.join(FILES)}. Got {', '.join(unknown)}.")
    protocol = Protocol(**SMALL) if options.quick else Protocol()
    if options.rows == "all":
        protocol = replace(protocol, n_train=None, n_test=None)
    if options.steps:
        protocol = replace(protocol, steps=options.steps)
    if options.dampings:
        protocol = replace(protocol, dampings=tuple(options.dampings))
    gone = {
        task: f"not in the data folder: {', '.join(absent(task))}" for task in options.tasks if absent(task)
    }
    tasks = [task for task in options.tasks if task not in gone]
    store = Store(options.out)
    store.begin({"benchmark": "networks", "tasks": tasks, "protocol": asdict(protocol)})
    summary = store.finish(
        {**study(tasks, protocol, store, options.workers), "left out": gone}, protocol.tuning_seed
    )
    text = markdown(summary)
    (options.out / "networks.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
