"""The S-metric against rivals that cost no library, at equal seconds of the processor.

    GDNP_DATA=DIR python benchmarks/networks_rivals.py [TASK ...] [--seconds 60] [--seeds 2] [--out FOLDER]

A tanh network of 6 x 50 units, plain, with BatchNorm or with LayerNorm, by SGD with momentum, AdamW, Muon and
SOAP (of ``pytorch-optimizer``, left out where it is missing). Rivals of the metric at the input are data
standardised or whitened (ZCA) once; rivals at the hidden layers are BatchNorm and LayerNorm. Also steps of
their own for length and direction (`network_decoupled`). The tasks ``resnet`` (16 channels, 8 layers, images
of CIFAR-10) and ``characters`` (a transformer of two blocks, on the help texts of Python) are in the table
that needs an accelerator: ``networks_rivals.py cifar10 table resnet characters --seeds 3 --device cuda``.

Each run has the same seconds, of steps and of setting up the metric; evaluations do not count, nor does what
is done to the data once. With ``--device cuda`` seconds are of the wall. After each sixth of them accuracy is
taken on rows held out from training, and on test rows. Reported is the test accuracy where the held-out
one was best, and the mean over the seconds of what one would have had by stopping there. Each method gets the
best of four rates, by held-out accuracy on a seed of its own; the budget was fixed before. Every run is a
file that is found again.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, partial
from itertools import pairwise
from pathlib import Path
from pydoc_data import topics
from statistics import mean, stdev
from typing import Any

import torch
from network_decoupled import DecoupledOptimizer, length_and_direction
from network_tasks import images
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

from gdnp.nn import fit_metric, param_groups, s_norm, s_norm_model, whiten_inputs
from gdnp.nn.factors import FACTORS
from gdnp.store import Part, Store

RATES = {
    "sgd": (0.01, 0.03, 0.1, 0.3),
    "adamw": (0.0003, 0.001, 0.003, 0.01),
    "muon": (0.003, 0.01, 0.03, 0.1),
    "soap": (0.0003, 0.001, 0.003, 0.01),
}
INPUT_DAMPING = {"cifar10": 10.0, "mnist": 10.0, "table": 1e-6}
"""At the input layer; of ZCA too, which is the same matrix."""
TASKS = (*INPUT_DAMPING, "resnet", "characters")
BATCH = {"resnet": 64, "characters": 32}
AXES = {"cifar10": (3, 32, 32), "mnist": (28, 28)}
DEPTH, WIDTH = 6, 50
STEPS = {"decoupled": True, "length x 10": False}
"""Whether the direction has a step of its own; the length has in both."""
EVALUATIONS = 6
LARGEST = 512
"""Axis of a weight that SOAP takes a basis for: one of 3072 inputs would cost the budget."""
FITS = (0, 16, 64, 160)
FIT_ROWS = {"resnet": 20, "characters": 10}
"""Rows of a fit, where they are not 500: here each has many places."""
AT_MOST = {"resnet": 1000, "characters": 300}
"""Rows of each set that are evaluated, where not all are."""
CHANNELS, PLACES = 16, 64


@dataclass(frozen=True)
class Method:
    """What stands between the layers, what is done to the data, where the metric is, and the optimizer."""

    norm: str
    data: str
    metric: str
    optimizer: str
    step: str = "plain"

    @property
    def name(self) -> str:
        """As in the table."""
        parts = (self.norm, self.data, self.metric, self.step)
        return ", ".join(part for part in parts if part not in ("none", "raw", "plain")) or "plain"


def methods(task: str) -> list[Method]:
    """Rivals first; each optimizer on a plain network and with what is known to help it."""
    found = []
    if task in BATCH:
        usual = "BatchNorm" if task == "resnet" else "LayerNorm"
        ways = [(norm, metric) for norm in ("none", usual) for metric in ("plain", "S at hidden layers")]
        ways += [("LayerNorm", "plain")] if task == "resnet" else []
        every = [Method(norm, "raw", metric, optimizer) for optimizer in RATES for norm, metric in ways]
        # Muon steps on views of kernels, which fit_metric could not find by the parameters of a layer.
        return [one for one in every if task != "resnet" or one.optimizer != "muon" or one.metric == "plain"]
    for optimizer in RATES:
        found += [Method(norm, "raw", "plain", optimizer) for norm in ("none", "BatchNorm", "LayerNorm")]
        found += [Method("BatchNorm", "raw", "S at hidden layers", optimizer)]
        found += [Method("BatchNorm", "raw", "plain", optimizer, "decoupled")]
        if optimizer in ("sgd", "adamw"):
            found += [Method("none", "ZCA", "plain", optimizer)]
            found += [
                Method("none", "raw", f"S at {where}", optimizer) for where in ("hidden layers", "the input")
            ]
            found += [Method("BatchNorm", "raw", "plain", optimizer, "length x 10")]
            if task == "table":  # benchmarks/networks.py has more of them
                found += [Method("none", "standardised", "plain", optimizer)]
                found += [Method("BatchNorm", "raw", "S at the input", optimizer)]
    return found


# One run


@cache
def load(task: str) -> list[tuple[Tensor, Tensor]]:
    """Rows to train, to choose the rate by, and to test; in float32."""
    if task == "characters":
        text = "\n".join(topics.topics[key] for key in sorted(topics.topics))
        letters = {letter: k for k, letter in enumerate(sorted(set(text)))}
        codes = torch.tensor([letters[letter] for letter in text])
        windows = codes.unfold(0, PLACES + 1, PLACES)
        windows = windows[torch.randperm(len(windows), generator=torch.Generator().manual_seed(0))]
        cuts = (0, len(windows) - 600, len(windows) - 300, len(windows))
        return [(windows[a:b, :-1], windows[a:b, 1:]) for a, b in pairwise(cuts)]
    if task == "resnet":
        return [(x.view(-1, 3, 32, 32), y) for x, y in load("cifar10")]
    if task == "table":
        x, y = load_breast_cancer(return_X_y=True)
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
        rows, labels = torch.as_tensor(x)[order].float(), torch.as_tensor(y)[order].long()
        cuts = (0, 300, 400, len(y))
    else:
        x, y, x_test, y_test = images(task)
        rows = torch.cat([torch.as_tensor(part[:6000]).float() for part in (x, x_test)])
        labels = torch.cat([torch.as_tensor(part[:6000]).long() for part in (y, y_test)])
        rows = (rows - rows[:5000].mean()) / rows[:5000].std()
        cuts = (0, 5000, 6000, min(8000, len(rows)))
    return [(rows[a:b], labels[a:b]) for a, b in pairwise(cuts)]


def network(task: str, norm: str, inputs: int, outputs: int, seed: int) -> nn.Module:
    """The same initial weights with every normalisation."""
    torch.manual_seed(seed)
    if task == "resnet":
        blocks = [Block(norm, stride) for stride in (1, 2, 2)]
        head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, outputs))
        return nn.Sequential(nn.Conv2d(3, CHANNELS, 3, 2, 1), nn.ReLU(), *blocks, *head)
    if task == "characters":
        return Transformer(norm, outputs)
    layers: list[nn.Module] = []
    between = {"BatchNorm": nn.BatchNorm1d, "LayerNorm": nn.LayerNorm}
    for fan_in, fan_out in pairwise([inputs] + [WIDTH] * DEPTH):
        layers.append(nn.Linear(fan_in, fan_out))
        if norm in between:
            layers.append(between[norm](fan_out))
        layers.append(nn.Tanh())
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


class Block(nn.Module):
    """x -> ReLU(x + two convolutions of it), at every place or every other one."""

    def __init__(self, norm: str, stride: int) -> None:
        super().__init__()
        kinds = {"BatchNorm": nn.BatchNorm2d, "LayerNorm": partial(nn.GroupNorm, 1)}
        make = kinds.get(norm, nn.Identity)
        first = nn.Conv2d(CHANNELS, CHANNELS, 3, stride, 1)
        second = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1)
        self.inner = nn.Sequential(first, make(CHANNELS), nn.ReLU(), second, make(CHANNELS))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Of the same channels."""
        return (x[..., :: self.stride, :: self.stride] + self.inner(x)).relu()


class Nothing(nn.Identity):
    """In the place of a LayerNorm, of which encoders read this."""

    eps = 0.0


class Transformer(nn.Module):
    """The next character from those before it: two blocks of four heads, LayerNorm first or none."""

    def __init__(self, norm: str, letters: int, width: int = 64) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(letters, width), nn.Embedding(PLACES, width)
        options: dict[str, Any] = {"activation": nn.functional.silu, "batch_first": True, "norm_first": True}
        block = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, **options)
        if norm == "none":
            block.norm1, block.norm2 = Nothing(), Nothing()
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, letters)
        self.register_buffer("later", torch.ones(PLACES, PLACES, dtype=torch.bool).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        """Codes of shape (n, places) to scores of (n, places, letters)."""
        return self.head(self.blocks(self.letters(x) + self.places.weight, mask=self.later))


@cache
def prepared(task: str, data: str) -> list[tuple[Tensor, Tensor]]:
    """The rows as they are, each column standardised, or whitened by (S + λ (tr S/d) I)^(-½)."""
    sets = load(task)
    if data == "raw":
        return sets
    x = sets[0][0].double()
    centred, sd = x - x.mean(0), x.std(0, correction=0)
    matrix = torch.diag(torch.where(sd > 0.0, sd, 1.0).reciprocal())
    if data == "ZCA":
        covariance = centred.mT @ centred / len(x)
        ridge = INPUT_DAMPING[task] * covariance.diagonal().mean() * torch.eye(len(sd))
        values, basis = torch.linalg.eigh(covariance + ridge)
        matrix = (basis * values.rsqrt()) @ basis.mT
    return [(((rows.double() - x.mean(0)) @ matrix).float(), y) for rows, y in sets]


def optimizers_of(method: Method, model: nn.Module, rate: float) -> list[Any]:
    """Muon takes the matrices between embeddings and outputs, and AdamW, at a tenth of its rate, the rest."""
    found = _plain_optimizers(method.optimizer, model, rate)
    if method.step == "plain":
        return found
    pairs = length_and_direction(model)
    return [DecoupledOptimizer(found, pairs, direction=STEPS[method.step])]


def _plain_optimizers(kind: str, model: nn.Module, rate: float) -> list[Any]:
    if kind == "sgd":
        return [torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)]
    if kind == "adamw":
        return [torch.optim.AdamW(model.parameters(), lr=rate)]
    if kind == "soap":
        from pytorch_optimizer import SOAP

        return [SOAP(model.parameters(), lr=rate, weight_decay=0.01, max_precondition_dim=LARGEST)]
    direction, length, other = (group["params"] for group in param_groups(model))
    ends = [*(part for part in model.modules() if isinstance(part, nn.Embedding)), [*model.children()][-1]]
    apart = {id(p) for part in ends for p in part.parameters()}
    matrices = [p for p in direction + other if p.ndim > 1 and id(p) not in apart]
    rest = length + [p for p in direction + other if p.ndim < 2 or id(p) in apart]
    muon = torch.optim.Muon if all(p.ndim == 2 for p in matrices) else KernelMuon
    return [muon(matrices, lr=rate), torch.optim.AdamW(rest, lr=0.1 * rate)]


class KernelMuon(torch.optim.Muon):
    """Muon on matrices and on kernels of convolutions, a row for each output channel."""

    def __init__(self, kernels: Sequence[Tensor], lr: float) -> None:
        self.kernels = kernels
        super().__init__([nn.Parameter(p.detach().view(len(p), -1)) for p in kernels], lr=lr)

    def step(self) -> None:  # type: ignore[override]
        """One step of the matrices, which share the memory of the kernels."""
        for kernel, matrix in zip(self.kernels, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if kernel.grad is None else kernel.grad.flatten(1)
        super().step()


def run(config: dict[str, Any]) -> dict[str, Any]:
    """Train until the seconds are over."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # SOAP begins anew after a fit
    method, device = Method(**config["method"]), torch.device(config["device"])
    clock = time.process_time if device.type == "cpu" else _wall
    task = config["task"]
    sets = [(x.to(device), y.to(device)) for x, y in prepared(task, method.data)]
    x, y = sets[0]
    begin = clock()
    model: Any = network(task, method.norm, x.shape[1], int(y.max()) + 1, config["seed"]).to(device)
    if method.metric == "S at the input":
        axes, damping = AXES.get(task), INPUT_DAMPING[task]
        kind: dict[str, Any] = {"metric": "kronecker", "axes": axes} if axes else {"metric": "diagonal"}
        s_norm(model[0], mode="whiten", damping=damping if axes else 0.0, **kind)
        fit_metric(model, x.split(1000), layers="0")
        whitener = whiten_inputs(model[0])
        sets = [(whitener(rows), labels) for rows, labels in sets]
        x = sets[0][0]
    hidden = []
    if method.metric == "S at hidden layers":
        hidden = [name for name, what in s_norm_model(model).items() if what in FACTORS]
    optimizers = optimizers_of(method, model, config["rate"])
    few = [(x[: AT_MOST.get(task)], y[: AT_MOST.get(task)]) for x, y in sets]
    curve, spent, step = [], clock() - begin, 0
    for rows in _batches(len(x), config["batch"], config["seed"]):
        begin = clock()
        if hidden and step in FITS:
            # Constant outputs have no metric: tanh has saturated, on raw columns.
            with contextlib.suppress(ValueError):
                fit_metric(model, [x[: FIT_ROWS.get(task, 500)]], layers=hidden, optimizer=optimizers)
        model.zero_grad()
        nn.functional.cross_entropy(model(x[rows]).flatten(0, -2), y[rows].flatten()).backward()
        for optimizer in optimizers:
            optimizer.step()
        step, spent = step + 1, spent + clock() - begin
        if spent >= config["seconds"] * (len(curve) + 1) / EVALUATIONS:
            curve.append({"step": step, "seconds": spent, **_evaluated(model, few)})
            if spent >= config["seconds"]:
                return {"curve": curve}
    raise AssertionError("batches have no end")


def _wall() -> float:
    """Seconds of the wall, once the accelerator has done what it was told."""
    torch.accelerator.synchronize()
    return time.perf_counter()


def _batches(n: int, size: int, seed: int) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield from torch.randperm(n, generator=generator).split(min(size, n))


@torch.no_grad()
def _evaluated(model: nn.Module, sets: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    still = copy.deepcopy(model).eval()
    outputs = [torch.cat([still(part) for part in x.split(500)]).flatten(0, -2) for x, _ in sets]
    hits = [(out.argmax(1) == y.flatten()).float().mean() for out, (_, y) in zip(outputs, sets, strict=True)]
    loss = nn.functional.cross_entropy(outputs[0], sets[0][1].flatten())
    return {"loss": float(loss), "held out": float(hits[1]), "accuracy": float(hits[2])}


def reading(found: dict[str, Any]) -> dict[str, float]:
    """Of a run: where the held-out accuracy was best, its end, and the mean over the seconds."""
    best, stopped = found["curve"][0], []
    for point in found["curve"]:
        best = max(best, point, key=lambda one: one["held out"])
        stopped.append(best["accuracy"])
    end = found["curve"][-1]
    return {
        "held out": best["held out"],
        "accuracy": best["accuracy"],
        "at": best["seconds"],
        "mean": mean(stopped),
        **{name: end[name] for name in ("loss", "step", "seconds")},
    }


# The study


def study(tasks: Sequence[str], options: argparse.Namespace, store: Store) -> list[dict[str, Any]]:
    """Tune, run, and say what each method came to; the methods take turns, so that noise is shared."""
    chosen = [(task, m) for task in tasks for m in methods(task) if m.optimizer in options.optimizers]
    for task, method in chosen:  # what is imported or compiled at first use is nobody's cost
        run({**_config("table" if task not in BATCH else task, method, 0.01, 0, options), "seconds": 0.0})
    tuned: dict[tuple[str, Method], dict[float, float]] = {key: {} for key in chosen}
    for k in range(len(RATES["sgd"])):
        for task, method in chosen:
            rate = RATES[method.optimizer][k]
            tuned[task, method][rate] = _computed(task, method, rate, 100, options, store)["held out"]
    best = {key: max(found, key=found.__getitem__) for key, found in tuned.items()}
    runs: dict[tuple[str, Method], list[dict[str, float]]] = {key: [] for key in chosen}
    for seed in range(options.seeds):
        for task, method in chosen:
            runs[task, method].append(_computed(task, method, best[task, method], seed, options, store))
    results = []
    for task, method in chosen:
        rate, rates = best[task, method], RATES[method.optimizer]
        edge = rate in (rates[0], rates[-1])
        own = {"task": task, "method": method, "rate": rate, "edge": edge, "runs": runs[task, method]}
        results.append(own)
    return results


def _config(task: str, method: Method, rate: float, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    batch = BATCH.get(task, options.batch)
    shared = {"seconds": options.seconds, "batch": batch, "device": options.device}
    return {"task": task, "method": asdict(method), "rate": rate, "seed": seed, **shared}


def _computed(
    task: str, method: Method, rate: float, seed: int, options: argparse.Namespace, store: Store
) -> dict[str, float]:
    own = "-".join((*asdict(method).values(),)).replace(" ", "_")
    part = Part(f"{task}/{own}/{rate:g}/{seed}", run, _config(task, method, rate, seed, options))
    found = store.load(part)
    if found is None:
        found = run(dict(part.config))
        store.save(part, found)
    return reading(found)


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    method, runs = result["method"], result["runs"]
    of = {key: mean(one[key] for one in runs) for key in runs[0]}
    spread = f" ± {stdev(one['accuracy'] for one in runs):.3f}" if len(runs) > 1 else ""
    cells = [
        result["task"],
        method.optimizer,
        method.name,
        f"{result['rate']:g}{'*' if result['edge'] else ''}",
        f"{of['loss']:.3g}",
        f"{of['accuracy']:.3f}{spread}",
        f"{of['at']:.1f}",
        f"{of['mean']:.3f}",
        f"{of['step']:.0f}",
        f"{of['seconds']:.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| task | optimizer | network | rate | training loss | test accuracy | at s | over the seconds | steps "
    "| seconds |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table, best accuracy first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=["cifar10", "table"], metavar="TASK")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--optimizers", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("networks_rivals"))
    options = parser.parse_args(arguments)
    unknown = [task for task in options.tasks if task not in TASKS]
    if unknown:
        parser.error(f"TASK must be among {', '.join(TASKS)}. Got {', '.join(unknown)}.")
    if "soap" in options.optimizers:
        try:
            import pytorch_optimizer  # noqa: F401
        except ModuleNotFoundError:
            print("soap is left out: pip install pytorch-optimizer")
            options.optimizers = [name for name in options.optimizers if name != "soap"]
    store = Store(options.out)
    store.begin({"benchmark": "networks_rivals", "seconds": options.seconds, "batch": options.batch})
    results = study(options.tasks, options, store)
    results.sort(key=lambda found: (found["task"], -mean(one["accuracy"] for one in found["runs"])))
    text = "\n".join([HEAD, *map(row, results)])
    (options.out / "networks_rivals.md").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}")


if __name__ == "__main__":
    main()
