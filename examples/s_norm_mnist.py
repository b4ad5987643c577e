"""Length and direction in the metric of the data, under Adam: a small network on MNIST.

    python examples/s_norm_mnist.py [PICTURE]

A plain network and copies of it with ``s_norm``, which begin as the same function, each at the best rate of
one grid: training loss over the epochs, and test accuracy over the damping. scikit-learn's digits stand in
where MNIST is not in the data folder.
"""

from __future__ import annotations

import copy
import sys
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdnp.datasets import data_dir, fetch_mnist, load_digits
from gdnp.nn import fit_metric, fold, param_groups, s_norm
from gdnp.plotting import new_figure, save, titled

RATES = (0.001, 0.003, 0.01, 0.03)
DAMPINGS = (0.01, 1.0, 100.0)
BATCH = 250
Rows = tuple[Tensor, Tensor]


def images(rows: int) -> tuple[str, Rows, Rows]:
    """The name of the set, and training and test rows in [0, 1]."""
    if (data_dir() / "mnist" / "train-images-idx3-ubyte.gz").exists():
        sets = [("MNIST", fetch_mnist("train")), ("MNIST", fetch_mnist("test"))]
        parts = [
            (data.X[:count], data.y[:count]) for (_, data), count in zip(sets, (rows, rows), strict=True)
        ]
    else:
        data = load_digits()
        cut = min(rows, len(data.y) * 2 // 3)
        parts = [(data.X[:cut] / 16.0, data.y[:cut]), (data.X[cut:] / 16.0, data.y[cut:])]
    tensors = [(torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.long)) for X, y in parts]
    return "MNIST" if tensors[0][0].shape[1] == 784 else "digits", tensors[0], tensors[1]


def network(inputs: int) -> nn.Sequential:
    """Three hidden layers of 50 tanh units."""
    torch.manual_seed(0)
    sizes = (inputs, 50, 50, 50)
    layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    return nn.Sequential(*layers, nn.Linear(50, 10))


def with_metric(plain: nn.Sequential, X: Tensor, damping: float) -> nn.Sequential:
    """The same function, its first layer split into length and direction in the metric of the rows X."""
    model = copy.deepcopy(plain)
    s_norm(model[0], metric="full", mode="whiten", damping=damping)
    return fit_metric(model, X.split(1000))


def train(model: nn.Sequential, rows: Rows, rate: float, epochs: int) -> list[float]:
    """Adam, lengths at a third of the rate of directions; the training loss before and after each epoch."""
    X, y = rows
    optimizer = torch.optim.Adam(param_groups(model, length={"lr": rate / 3.0}), lr=rate)
    generator = torch.Generator().manual_seed(0)
    losses = [F.cross_entropy(model(X), y).item()]
    for _ in range(epochs):
        for batch in torch.randperm(len(X), generator=generator).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(X[batch]), y[batch]).backward()
            optimizer.step()
        losses.append(F.cross_entropy(model(X), y).item())
    return losses


def best(start: nn.Sequential, rows: Rows, epochs: int) -> tuple[nn.Sequential, list[float], float]:
    """The model, its curve and its rate: that of the grid with the lowest final training loss."""
    tried = []
    for rate in RATES:
        model = copy.deepcopy(start)
        tried.append((model, train(model, rows, rate, epochs), rate))
    return min(tried, key=lambda found: found[1][-1])


def accuracy(model: nn.Sequential, rows: Rows) -> float:
    """Share of rows with the right label."""
    with torch.no_grad():
        return (model(rows[0]).argmax(1) == rows[1]).float().mean().item()


def draw(name: str, curves: dict[str, list[float]], scores: dict[str, float], path: Path) -> list[Path]:
    """Training loss over the epochs, and test accuracy of each network."""
    colours = ["#444444", "#c0562f", "#1f6f8b", "#5b7f3a"]
    with new_figure(1, 2, width=7.4, height=3.2) as (figure, axes):
        for colour, (label, curve) in zip(colours, curves.items(), strict=True):
            axes[0, 0].semilogy(curve, color=colour, label=label, linestyle="--" if label == "plain" else "-")
        axes[0, 0].set_xlabel("epoch")
        axes[0, 0].legend(fontsize="small")
        titled(axes[0, 0], "Training loss", f"Adam on {name}, each at its best rate")
        axes[0, 1].bar(list(scores), list(scores.values()), color=colours, width=0.6)
        low = min(scores.values())
        axes[0, 1].set_ylim(low - 0.2 * (1.0 - low), None)
        for k, score in enumerate(scores.values()):
            axes[0, 1].text(k, score, f"{score:.3f}", ha="center", va="bottom", fontsize="small")
        titled(axes[0, 1], "Test accuracy", "less damping fits faster, and need not generalise better")
        return save(figure, path)


def main(path: Path = Path("s_norm_mnist"), *, rows: int = 4000, epochs: int = 5) -> list[Path]:
    """Train, compare, fold, draw."""
    name, training, test = images(rows)
    plain = network(training[0].shape[1])
    starts = {"plain": plain}
    starts |= {f"λ = {damping:g}": with_metric(plain, training[0], damping) for damping in DAMPINGS}
    curves, scores = {}, {}
    for label, start in starts.items():
        model, curves[label], rate = best(start, training, epochs)
        folded = fold(copy.deepcopy(model))  # plain layers again, for use without gdnp
        scores[label] = accuracy(folded, test)
        reached = next((k for k, loss in enumerate(curves[label]) if loss <= curves["plain"][-1]), None)
        print(
            f"{label:10} rate {rate:<6g} training loss {curves[label][-1]:.4f}  "
            f"test accuracy {scores[label]:.4f}  epochs to the plain end {reached or '-'}"
        )
    return draw(name, curves, scores, path.with_suffix(""))


if __name__ == "__main__":
    for written in main(*map(Path, sys.argv[1:2])):
        print(written)
