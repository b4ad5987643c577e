"""Tasks and networks of the benchmark of optimizers: images, a picture, a table of raw columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_sample_image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from gdnp.datasets import data_dir, fetch_cifar10, fetch_mnist

ARCHITECTURES = ("bn", "wn", "none")
FILES = {
    "cifar10": ("cifar-10-batches-py/data_batch_1",),
    "mnist": tuple(
        f"mnist/{name}-ubyte.gz"
        for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    ),
    "picture": (),
    "table": (),
}


@dataclass(frozen=True)
class Data:
    """Training and test rows as a plain optimizer gets them; no test rows where training is the goal."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    outputs: int

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """Cross-entropy of classes, half the mean square of values."""
        return F.cross_entropy(output, y) if y.dtype == torch.long else 0.5 * F.mse_loss(output, y)


def absent(task: str) -> list[str]:
    """The files of a task that are not in the data folder; nothing is downloaded."""
    return [name for name in FILES[task] if not (data_dir() / name).exists()]


def load(task: str, n_train: int | None, n_test: int | None) -> Data:
    """A task; None for all rows that there are."""
    return TASKS[task](n_train, n_test)


def images(task: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pixels and labels, to train and to test. Without CIFAR-10's test batch the others are split 4 to 1."""
    if task == "mnist":
        train, test = fetch_mnist("train"), fetch_mnist("test")
        return train.X, train.y, test.X, test.y
    train = fetch_cifar10("train")
    if (data_dir() / "cifar-10-batches-py" / "test_batch").exists():
        test = fetch_cifar10("test")
        return train.X, train.y, test.X, test.y
    n = len(train.y) * 4 // 5
    return train.X[:n], train.y[:n], train.X[n:], train.y[n:]


def _classified(task: str) -> Callable[[int | None, int | None], Data]:
    """Pixels less their mean, over their standard deviation: one number each for all pixels."""

    def load(n_train: int | None, n_test: int | None) -> Data:
        x, y, x_test, y_test = images(task)
        x, y, x_test, y_test = x[:n_train], y[:n_train], x_test[:n_test], y_test[:n_test]
        mean, sd = float(x.mean()), float(x.std())
        rows = [torch.from_numpy((part.astype(np.float32) - mean) / sd) for part in (x, x_test)]
        labels = [torch.from_numpy(part.astype(np.int64)) for part in (y, y_test)]
        return Data(rows[0], labels[0], rows[1], labels[1], 10)

    return load


def _picture(n_train: int | None, n_test: int | None) -> Data:
    """Colours in [-1, 1] of a photograph at coordinates in [-1, 1], every fourth pixel of its middle."""
    pixels = load_sample_image("china.jpg")[40:360:4, 100:500:4].astype(np.float32) / 127.5 - 1.0
    rows, columns = (torch.linspace(-1.0, 1.0, k) for k in pixels.shape[:2])
    x = torch.cartesian_prod(rows, columns)[:n_train]
    y = torch.from_numpy(pixels.reshape(-1, 3))[:n_train]
    return Data(x, y, x[:0], y[:0], 3)


def _table(n_train: int | None, n_test: int | None) -> Data:
    """breast_cancer in its own units: columns from 1e-3 to 1e3; in float64, which their squares need."""
    x, y = load_breast_cancer(return_X_y=True)
    rows, labels = torch.from_numpy(x)[:n_train], torch.from_numpy(y.astype(np.int64))[:n_train]
    return Data(rows, labels, rows[:0], labels[:0], 2)


TASKS: dict[str, Callable[[int | None, int | None], Data]] = {
    "cifar10": _classified("cifar10"),
    "mnist": _classified("mnist"),
    "picture": _picture,
    "table": _table,
}


def network(architecture: str, data: Data, depth: int, width: int, seed: int) -> nn.Sequential:
    """A tanh network of `depth` hidden layers, the same initial weights in every architecture."""
    torch.manual_seed(seed)
    sizes = [data.x.shape[1]] + [width] * depth
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        layers += [
            _linear(fan_in, fan_out),
            *([nn.BatchNorm1d(fan_out)] if architecture == "bn" else []),
            nn.Tanh(),
        ]
    model = nn.Sequential(*layers, _linear(width, data.outputs)).to(data.x.dtype)
    if architecture == "wn":
        for layer in linear_layers(model).values():
            weight_norm(layer)
    return model


def _linear(fan_in: int, fan_out: int) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def linear_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers by name, input first."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
