"""Which layers of a network depend on which: the heat map of a model of your own.

Run it as it is, or put your own network, data and loss in the place of those in ``main``::

    python examples/dependency_heatmap.py [PICTURE.png]

Cell (k, i) is ‖W_k‖ ‖W_i‖ ‖∂²f/∂W_k∂W_i‖_F, directional part: how much the gradient of one layer's directions
changes when those of another do. The map is measured before and after training.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdnp.datasets import load_digits
from gdnp.nn import cross_dependency
from gdnp.plotting import new_figure, save, titled


def convolutional(seed: int) -> nn.Sequential:
    """Two convolutions and two dense layers, with BatchNorm in between."""
    torch.manual_seed(seed)
    layers = {
        "conv1": nn.Conv2d(1, 8, 3, padding=1),
        "norm1": nn.BatchNorm2d(8),
        "tanh1": nn.Tanh(),
        "conv2": nn.Conv2d(8, 16, 3, stride=2, padding=1),
        "norm2": nn.BatchNorm2d(16),
        "tanh2": nn.Tanh(),
        "flatten": nn.Flatten(),
        "dense": nn.Linear(256, 32),
        "norm3": nn.BatchNorm1d(32),
        "tanh3": nn.Tanh(),
        "output": nn.Linear(32, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def dependency_matrix(
    model: nn.Module, loss_fn: Callable[[Any, Any], Tensor], X: Tensor, y: Tensor, *, probes: int = 32
) -> tuple[list[str], np.ndarray]:
    """All layers against all others, scaled by the norms of the weights; NaN on the diagonal."""
    found = cross_dependency(model, loss_fn, X, y, probes=probes).scaled
    matrix = found.norms.numpy()
    np.fill_diagonal(matrix, np.nan)
    return list(found.names), matrix


def train(model: nn.Module, X: Tensor, y: Tensor, *, iterations: int, step: float = 0.1) -> float:
    """Full-batch gradient descent; the loss at the end."""
    optimizer = torch.optim.SGD(model.parameters(), lr=step)
    for _ in range(iterations):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), y)
        loss.backward()
        optimizer.step()
    return loss.item()


def draw(names: list[str], maps: dict[str, np.ndarray], path: Path) -> list[Path]:
    """One heat map beside the other, on one scale of colours, with the numbers in the cells."""
    known = np.concatenate([matrix[np.isfinite(matrix)] for matrix in maps.values()])
    low, high = np.log10(known.min()), np.log10(known.max())
    with new_figure(1, len(maps), width=7.2, height=3.7) as (figure, axes):
        for axis, (label, matrix) in zip(axes[0], maps.items(), strict=True):
            shown = axis.imshow(np.log10(matrix), cmap="cividis", vmin=low, vmax=high)
            axis.set_xticks(range(len(names)), names)
            axis.set_yticks(range(len(names)), names, rotation=90, va="center")
            axis.tick_params(length=0)
            axis.grid(False)
            for spine in axis.spines.values():
                spine.set_visible(False)
            for (k, i), value in np.ndenumerate(matrix):
                if np.isfinite(value):
                    dark = np.log10(value) < 0.5 * (low + high)
                    axis.text(i, k, f"{value:.3g}", ha="center", va="center", color="w" if dark else "k")
            titled(axis, label, r"$\|W_k\|\,\|W_i\|\,\|\partial^2 f/\partial W_k\partial W_i\|_F$")
        bar = figure.colorbar(shown, ax=list(axes[0]), shrink=0.85, aspect=30)
        bar.set_label(r"$\log_{10}$ of dependence")
        return save(figure, path)


def main(
    path: Path = Path("dependency_heatmap.png"), *, rows: int = 500, iterations: int = 200, probes: int = 32
) -> list[Path]:
    """Measure, train, measure again, draw."""
    data = load_digits()
    X = torch.tensor(data.X[:rows], dtype=torch.float32).reshape(-1, 1, 8, 8) / 16.0
    y = torch.tensor(data.y[:rows], dtype=torch.long)
    model, maps = convolutional(seed=0), {}
    for label, count in (("before training", 0), (f"after {iterations} iterations", iterations)):
        loss = train(model, X, y, iterations=count) if count else F.cross_entropy(model(X), y).item()
        names, matrix = dependency_matrix(model, F.cross_entropy, X, y, probes=probes)
        maps[f"{label}, loss {loss:.2g}"] = matrix
    return draw(names, maps, path.with_suffix(""))


if __name__ == "__main__":
    for written in main(*map(Path, sys.argv[1:2])):
        print(written)
