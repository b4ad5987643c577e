"""What a step costs with `s_norm` at hidden layers, over one with BatchNorm there, by width and rows.

    python benchmarks/network_steps.py [WIDTH ...] [--rows 250 500] [--turns 21]

Five layers as wide as their inputs, the three in the middle with the metric, SGD with momentum, one thread.
Networks take turns; the median of the ratios of processor time is printed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import torch
from torch import nn

from gdnp.nn import fit_metric, s_norm

LAYERS = 5
WAYS = ("plain", "BatchNorm", "full normalize", "full whiten", "low_rank whiten", "diagonal whiten")
WORK = 2e7
"""Multiplications to a timing, of the smallest."""


def step_of(way: str, width: int, rows: int) -> Callable[[], None]:
    """A step of training of one network."""
    torch.manual_seed(0)
    layers = [nn.Linear(a, b) for a, b in pairwise([width] * (LAYERS + 1))]
    between = [nn.BatchNorm1d(width) if way == "BatchNorm" else nn.Identity() for _ in layers]
    between[0] = between[-1] = nn.Identity()
    parts = [part for pair in zip(layers, between, strict=True) for part in (*pair, nn.Tanh())]
    model, x = nn.Sequential(*parts), torch.randn(rows, width)
    if way not in ("plain", "BatchNorm"):
        metric, mode = way.split()
        for layer in layers[1:-1]:
            s_norm(layer, metric=metric, mode=mode)  # type: ignore[arg-type]
        fit_metric(model, [x])
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()

    return step


def ratios(width: int, rows: int, turns: int) -> dict[str, float]:
    """Processor time of a step of each network over that with BatchNorm."""
    steps = {way: step_of(way, width, rows) for way in WAYS}
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    repeats = max(1, int(WORK / (rows * width**2 + 1e6)))
    for turn in range(turns + 1):
        for way, step in steps.items():
            begin = time.process_time()
            for _ in range(repeats):
                step()
            if turn:  # the first is nobody's
                seconds[way].append(time.process_time() - begin)
    base = seconds["BatchNorm"]
    return {way: median(a / b for a, b in zip(own, base, strict=True)) for way, own in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each width and number of rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("widths", nargs="*", type=int, default=[50, 128, 256, 512], metavar="WIDTH")
    parser.add_argument("--rows", nargs="+", type=int, default=[250, 500])
    parser.add_argument("--turns", type=int, default=21)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(f"| width | rows | {' | '.join(WAYS)} |\n|---:|---:|{'---:|' * len(WAYS)}")
    for width in options.widths:
        for rows in options.rows:
            found = ratios(width, rows, options.turns)
            print(f"| {width} | {rows} | {' | '.join(f'{one:.2f}' for one in found.values())} |", flush=True)


if __name__ == "__main__":
    main()
