"""The S-metric against rivals that cost no library, at equal seconds of the processor.

    GDNP_DATA=DIR python benchmarks/networks_rivals.py [TASK ...] [--seconds 60] [--seeds 2] [--out FOLDER]

A tanh network of 6 x 50 units, plain, with BatchNorm or with LayerNorm, by SGD with momentum, AdamW, Muon and
SOAP (of ``pytorch-optimizer``, left out where it is missing). Rivals of the metric at the input are data
standardised or whitened (ZCA) once; rivals at the hidden layers are BatchNorm and LayerNorm.

Each run has the same seconds, of steps and of setting up; evaluations do not count. Each method gets the best
of four rates, by accuracy on rows held out from training, on a seed of its own; the budget was fixed before.
Every run is a file that is found again. With ``--device cuda`` seconds are of the wall.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from network_tasks import images
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

from gdnp.nn import fit_metric, param_groups, s_norm, s_norm_model, whiten_inputs
from gdnp.store import Part, Store

RATES = {
    "sgd": (0.01, 0.03, 0.1, 0.3),
    "adamw": (0.0003, 0.001, 0.003, 0.01),
    "muon": (0.003, 0.01, 0.03, 0.1),
    "soap": (0.0003, 0.001, 0.003, 0.01),
}
INPUT_DAMPING = {"cifar10": 10.0, "mnist": 10.0, "table": 1e-6}
"""At the input layer; of ZCA too, which is the same matrix."""
AXES = {"cifar10": (3, 32, 32), "mnist": (28, 28)}
DEPTH, WIDTH = 6, 50
FITS = (0, 16, 64, 160)
FIT_ROWS = 500


@dataclass(frozen=True)
class Method:
    """What stands between the layers, what is done to the data, where the metric is, and the optimizer."""

    norm: str
    data: str
    metric: str
    optimizer: str

    @property
    def name(self) -> str:
        """As in the table."""
        parts = (self.norm, self.data, self.metric)
        return ", ".join(part for part in parts if part not in ("none", "raw", "plain")) or "plain"


def methods() -> list[Method]:
    """Rivals first; each optimizer on a plain network and with what is known to help it."""
    found = []
    for optimizer in RATES:
        found += [Method("none", data, "plain", optimizer) for data in ("raw", "standardised", "ZCA")]
        found += [Method(norm, "raw", "plain", optimizer) for norm in ("BatchNorm", "LayerNorm")]
        found += [Method("BatchNorm", "ZCA", "plain", optimizer)]
        found += [Method(norm, "raw", "S at hidden layers", optimizer) for norm in ("none", "BatchNorm")]
        found += [Method("BatchNorm", "raw", "S at the input", optimizer)]
    return found


# One run


def load(task: str) -> list[tuple[Tensor, Tensor]]:
    """Rows to train, to choose the rate by, and to test; in float32."""
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


def network(norm: str, inputs: int, outputs: int, seed: int) -> nn.Sequential:
    """The same initial weights with every normalisation."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    between = {"BatchNorm": nn.BatchNorm1d, "LayerNorm": nn.LayerNorm}
    for fan_in, fan_out in pairwise([inputs] + [WIDTH] * DEPTH):
        layers.append(nn.Linear(fan_in, fan_out))
        if norm in between:
            layers.append(between[norm](fan_out))
        layers.append(nn.Tanh())
    return nn.Sequential(*layers, nn.Linear(WIDTH, outputs))


def prepared(data: str, sets: list[tuple[Tensor, Tensor]], damping: float) -> list[tuple[Tensor, Tensor]]:
    """The rows as they are, each column standardised, or whitened by (S + λ (tr S/d) I)^(-½)."""
    x = sets[0][0].double()
    centred, sd = x - x.mean(0), x.std(0, correction=0)
    matrix = torch.diag(torch.where(sd > 0.0, sd, 1.0).reciprocal())
    if data == "ZCA":
        covariance = centred.mT @ centred / len(x)
        ridge = damping * covariance.diagonal().mean() * torch.eye(len(sd))
        values, basis = torch.linalg.eigh(covariance + ridge)
        matrix = (basis * values.rsqrt()) @ basis.mT
    return [(((rows.double() - x.mean(0)) @ matrix).float(), y) for rows, y in sets]


def optimizers_of(kind: str, model: nn.Module, rate: float) -> list[Any]:
    """Muon takes the matrices and AdamW, at a tenth of its rate, the rest."""
    if kind == "sgd":
        return [torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)]
    if kind == "adamw":
        return [torch.optim.AdamW(model.parameters(), lr=rate)]
    if kind == "soap":
        from pytorch_optimizer import SOAP

        return [SOAP(model.parameters(), lr=rate, weight_decay=0.01)]
    direction, length, other = (group["params"] for group in param_groups(model))
    matrices = [p for p in direction + other if p.ndim == 2]
    vectors = length + [p for p in other if p.ndim != 2]
    return [torch.optim.Muon(matrices, lr=rate), torch.optim.AdamW(vectors, lr=0.1 * rate)]


def run(config: dict[str, Any]) -> dict[str, Any]:
    """Train until the seconds are over."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # SOAP begins anew after a fit
    method, device = Method(**config["method"]), torch.device(config["device"])
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    sets = load(config["task"])
    begin = clock()
    damping = INPUT_DAMPING[config["task"]]
    if method.data != "raw":
        sets = prepared(method.data, sets, damping)
    sets = [(x.to(device), y.to(device)) for x, y in sets]
    x, y = sets[0]
    model = network(method.norm, x.shape[1], int(y.max()) + 1, config["seed"]).to(device)
    if method.metric == "S at the input":
        axes = AXES.get(config["task"])
        kind: dict[str, Any] = {"metric": "kronecker", "axes": axes} if axes else {"metric": "diagonal"}
        s_norm(model[0], mode="whiten", damping=damping if axes else 0.0, **kind)
        fit_metric(model, x.split(1000), layers="0")
        whitener = whiten_inputs(model[0])
        sets = [(whitener(rows), labels) for rows, labels in sets]
        x = sets[0][0]
    hidden = list(s_norm_model(model)) if method.metric == "S at hidden layers" else []
    optimizers = optimizers_of(method.optimizer, model, config["rate"])
    generator, step = torch.Generator().manual_seed(config["seed"]), 0
    while step == 0 or clock() - begin < config["seconds"]:
        for rows in torch.randperm(len(x), generator=generator).split(min(config["batch"], len(x))):
            if hidden and step in FITS:
                # Constant outputs have no metric: tanh has saturated, on raw columns.
                with contextlib.suppress(ValueError):
                    fit_metric(model, [x[:FIT_ROWS]], layers=hidden, optimizer=optimizers)
            for optimizer in optimizers:
                optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            for optimizer in optimizers:
                optimizer.step()
            step += 1
            if clock() - begin >= config["seconds"]:
                break
    seconds = clock() - begin
    with torch.no_grad():
        still = copy.deepcopy(model).eval()
        outputs = [still(rows) for rows, _ in sets]
        accuracies = [
            float((out.argmax(1) == labels).float().mean())
            for out, (_, labels) in zip(outputs, sets, strict=True)
        ]
        loss = float(nn.functional.cross_entropy(outputs[0], y))
    return {
        "loss": loss,
        "held out": accuracies[1],
        "accuracy": accuracies[2],
        "steps": step,
        "seconds": seconds,
    }


# The study


def study(tasks: Sequence[str], options: argparse.Namespace, store: Store) -> list[dict[str, Any]]:
    """Tune, run, and say what each method came to."""
    results = []
    chosen = [m for m in methods() if m.optimizer in options.optimizers]
    for task in tasks:
        for method in chosen:

            def part(rate: float, seed: int, task: str = task, method: Method = method) -> dict[str, Any]:
                shared = {"seconds": options.seconds, "batch": options.batch, "device": options.device}
                config = {"task": task, "method": asdict(method), "rate": rate, "seed": seed, **shared}
                own = f"{method.norm}-{method.data}-{method.metric}-{method.optimizer}".replace(" ", "_")
                piece = Part(f"{task}/{own}/{rate:g}/{seed}", run, config)
                found = store.load(piece)
                if found is None:
                    found = run(config)
                    store.save(piece, found)
                return found

            rates = RATES[method.optimizer]
            tuned = {rate: part(rate, 100)["held out"] for rate in rates}
            best = max(tuned, key=tuned.__getitem__)
            edge = best in (rates[0], rates[-1])
            runs = [part(best, seed) for seed in range(options.seeds)]
            results.append({"task": task, **asdict(method), "rate": best, "edge": edge, "runs": runs})
            print(row(results[-1]), flush=True)
    return results


def row(result: dict[str, Any]) -> str:
    """One line of the table."""
    method = Method(*(result[name] for name in ("norm", "data", "metric", "optimizer")))
    values = {key: [one[key] for one in result["runs"]] for key in ("loss", "accuracy", "steps", "seconds")}
    spread = f" ± {stdev(values['accuracy']):.3f}" if len(result["runs"]) > 1 else ""
    cells = [
        result["task"],
        method.optimizer,
        method.name,
        f"{result['rate']:g}{'*' if result['edge'] else ''}",
        f"{mean(values['loss']):.3g}",
        f"{mean(values['accuracy']):.3f}{spread}",
        f"{mean(values['steps']):.0f}",
        f"{mean(values['seconds']):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| task | optimizer | network | rate | training loss | test accuracy | steps | seconds |\n"
    "|---|---|---|---:|---:|---:|---:|---:|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is missing, and print the table, best accuracy first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", default=list(INPUT_DAMPING), metavar="TASK")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--batch", type=int, default=250)
    parser.add_argument("--optimizers", nargs="+", default=list(RATES), choices=list(RATES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=Path("networks_rivals"))
    options = parser.parse_args(arguments)
    unknown = [task for task in options.tasks if task not in INPUT_DAMPING]
    if unknown:
        parser.error(f"TASK must be among {', '.join(INPUT_DAMPING)}. Got {', '.join(unknown)}.")
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
