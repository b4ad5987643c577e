"""What dependencies, fits of a metric and `train_mlp` cost, beside a gradient or a plain step.

    python benchmarks/network_diagnostics.py [--repeats 7]

Seconds of the processor, medians, one thread. Networks are those of `networks_rivals`: 6 x 50 units with
BatchNorm on 2000 rows of 3072 inputs, and the residual one on 64 images, its stem of stride 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import networks_rivals
import torch
from torch import Tensor, nn

from gdnp.datasets import gaussian_design
from gdnp.nn import cross_dependency, fit_metric, s_norm, train_mlp

ROWS, WIDTHS, DATA = 2000, ((50, 250), (50, 500), (256, 500)), (800, 6)


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """Of the processor, the median of some calls after a first."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return median(found)


def dependency(model: nn.Module, x: Tensor, y: Tensor, probes: int, repeats: int) -> str:
    """The whole matrix, in seconds and in gradients a probe and layer."""
    loss = nn.functional.cross_entropy

    def gradient() -> None:
        model.zero_grad()
        loss(model(x), y).backward()

    whole = seconds(lambda: cross_dependency(model, loss, x, y, probes=probes), 1)
    layers = len(cross_dependency(model, loss, x[:2], y[:2], probes=1).names)
    ratio = whole / seconds(gradient, repeats) / probes / layers
    return f"{layers} layers, {probes} probes: {whole:.2f} s, {ratio:.2f} gradients a probe and layer"


def fit(width: int, rows: int, repeats: int) -> str:
    """A fit of one hidden layer, over a plain step."""
    x = torch.randn(rows, width)
    spent = []
    for splits in (False, True):
        torch.manual_seed(0)
        layers = [nn.Sequential(nn.Linear(a, b), nn.Tanh()) for a, b in pairwise([width] * 6)]
        model = nn.Sequential(*layers)
        if splits:
            s_norm(layers[2][0], mode="whiten")
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def step(model: nn.Module = model, optimizer: torch.optim.Optimizer = optimizer) -> None:
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

        step()
        again = partial(fit_metric, model, [x], optimizer=optimizer) if splits else step
        spent.append(seconds(again, 3 * repeats))
    return f"fit of a layer {width} wide, {rows} rows, with Adam: {spent[1] / spent[0]:.1f} plain steps"


def algorithm_2() -> str:
    """A step of `train_mlp`."""
    data = gaussian_design(*DATA, kappa=10.0, seed=0)
    train_mlp(data.X, data.y, theta=[1.0, 1.0], max_iter=2)
    begin = time.process_time()
    found = train_mlp(data.X, data.y, theta=[1.0, 1.0])
    spent = time.process_time() - begin
    steps = sum(len(run.history["objective"]) - 1 for sweep in found.runs for run in sweep)
    return f"train_mlp on {DATA[0]} x {DATA[1]}: {1e3 * spent / steps:.2f} ms a step"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args(arguments).repeats
    torch.set_num_threads(1)
    torch.manual_seed(0)
    y = torch.randint(10, (ROWS,))
    deep = networks_rivals.network("cifar10", "BatchNorm", 3072, 10, 0)
    print(f"6 x 50, {ROWS} rows, {dependency(deep, torch.randn(ROWS, 3072), y, 8, repeats)}", flush=True)
    residual: Any = networks_rivals.network("resnet", "BatchNorm", 3, 10, 0)
    residual[0].stride = (1, 1)
    images = torch.randn(64, 3, 32, 32)
    print(f"residual, 64 images, {dependency(residual, images, y[:64], 4, repeats)}", flush=True)
    for width, rows in WIDTHS:
        print(fit(width, rows, repeats), flush=True)
    print(algorithm_2())


if __name__ == "__main__":
    main()
