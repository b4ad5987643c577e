"""Generated problems of linear models, most of them of a nasty kind; each can be had alone by its number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

LOSSES = ("log_loss", "squared_error", "pseudo_huber", "sigmoid", "probit")
METHODS = ("gdnp", "gdnp_metric", "batch_norm_gd", "weight_norm_gd", "gd", "agd")
SMALL = 300
"""Entries of X up to which the reference has many digits."""


@dataclass
class Problem:
    """A problem, what an estimator is told about it, and which kinds it is of."""

    X: Any
    dense: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    loss: str
    alpha: float
    fit_intercept: bool
    tol: float
    solver: str
    kinds: list[str] = field(default_factory=list)

    @property
    def classifies(self) -> bool:
        """Whether targets are classes."""
        return self.loss in ("log_loss", "sigmoid", "probit")


def problem(number: int, seed: int = 0) -> Problem:
    """The problem of that number."""
    rng = np.random.default_rng([seed, number])
    loss = str(rng.choice(LOSSES, p=[0.45, 0.25, 0.18, 0.06, 0.06]))
    n, d, kinds = _size(rng, small=loss == "probit")
    X = rng.standard_normal((n, d))
    if rng.random() < 0.3:
        X = X @ rng.standard_normal((d, d))
    X = _columns(X, rng, kinds)
    signal = _signal(X, rng)
    X = _units(X, rng, kinds)
    if loss in ("log_loss", "sigmoid", "probit"):
        y = _labels(X, signal, rng, kinds)
    else:
        y = _targets(signal, rng, kinds)
    weight = _weights(y, rng, kinds, loss)
    X, stored = _stored(X, rng, kinds)
    alpha = float(rng.choice([0.0, 1e-10, 1e-4, 1.0], p=[0.35, 0.2, 0.3, 0.15]))
    tol = float(rng.choice([1e-8, 1e-4, 1e-2, 1e-12, 1e-20, 0.0], p=[0.6, 0.15, 0.05, 0.1, 0.05, 0.05]))
    solver = "auto" if rng.random() < 0.9 or loss in ("sigmoid", "probit") else str(rng.choice(METHODS))
    return Problem(stored, X, y, weight, loss, alpha, bool(rng.random() < 0.8), tol, solver, kinds)


def _size(rng, small):
    kinds = []
    if small or rng.random() < 0.75:
        d = int(rng.integers(1, 11))
        n = int(rng.integers(4, max(5, SMALL // d) + 1))
        n = min(n, SMALL // d)
    else:
        d, n = int(rng.integers(2, 16)), int(rng.integers(30, 400))
    if not small and rng.random() < 0.1:
        n, d = int(rng.integers(4, 14)), int(rng.integers(10, 22))
    if n < d:
        kinds.append("n < d")
    return n, d, kinds


def _columns(X, rng, kinds):
    """Columns that depend on others, that are rare, constant, or tell groups apart."""
    n, d = X.shape
    if rng.random() < 0.2 and d > 1:  # dependent without any rounding
        X = np.round(X * 4096.0) / 4096.0
        k = int(rng.integers(0, d))
        others = np.delete(np.arange(d), k)
        some = rng.choice(others, size=int(rng.integers(1, len(others) + 1)), replace=False)
        X[:, k] = X[:, some] @ rng.choice([-2.0, -1.0, 1.0, 0.5], size=len(some))
        kinds.append("twin" if len(some) == 1 else "dependent")
    if rng.random() < 0.06 and d > 1:  # dependent but for rounding, or for little more
        noise = float(rng.choice([0.0, 1e-16, 1e-12, 1e-8, 1e-4]))
        X[:, -1] = X[:, :-1] @ rng.standard_normal(d - 1) + noise * rng.standard_normal(n)
        kinds.append("nearly dependent")
    if rng.random() < 0.08 and d > 2:  # all dummies of a group
        X[:, :-1] = np.eye(d - 1)[rng.integers(0, d - 1, n)]
        kinds.append("dummies")
    if rng.random() < 0.1:
        k = int(rng.integers(0, d))
        X[:, k] = 0.0
        X[rng.integers(0, n, int(rng.integers(1, 3))), k] = 1.0
        kinds.append("rare dummy")
    if rng.random() < 0.06:
        X[:, int(rng.integers(0, d))] = float(rng.choice([0.0, 1.0, 0.1, 1e9]))
        kinds.append("constant")
    return X


def _signal(X, rng):
    eta = X @ rng.standard_normal(X.shape[1])
    spread = eta.std()
    return eta / spread if spread > 0.0 else eta


def _units(X, rng, kinds):
    """Columns in units of their own, with offsets."""
    d = X.shape[1]
    exact = {"twin", "dependent", "dummies"} & set(kinds)
    if rng.random() < 0.3:
        reach = 8.0 if rng.random() < 0.9 else 100.0
        power = rng.uniform(-reach, reach, d)
        X = X * (2.0 ** np.round(power * 3.32) if exact else 10.0**power)
        kinds.append("scales" if reach == 8.0 else "scales beyond")
    if rng.random() < 0.2 and not exact:
        X = X + np.abs(X).max(axis=0) * rng.choice([-1.0, 1.0], d) * 10.0 ** rng.uniform(0.0, 9.0, d)
        kinds.append("offsets")
    return X


def _labels(X, signal, rng, kinds):
    chance = rng.random()
    if chance < 0.12:
        y = np.where(signal > np.median(signal), 1.0, -1.0)
        kinds.append("separated")
    elif chance < 0.22:  # one column tells some rows of one class
        noise = rng.logistic(size=len(signal))
        y = np.where(signal + noise > 0.0, 1.0, -1.0)
        column = X[:, int(rng.integers(0, X.shape[1]))]
        y[column == column.max()] = 1.0
        kinds.append("perhaps separated")
    else:
        y = np.where(
            float(rng.choice([0.3, 1.0, 3.0])) * signal + rng.logistic(size=len(signal)) > 0.0, 1.0, -1.0
        )
    if abs(y.sum()) == len(y):
        y[0] *= -1.0
    return y


def _targets(signal, rng, kinds):
    noise = float(rng.choice([1.0, 0.1, 1e-3, 1e-8, 1e-16, 0.0], p=[0.5, 0.2, 0.1, 0.08, 0.07, 0.05]))
    if noise < 1e-7:
        kinds.append("targets met")
    heavy = rng.standard_t(2, len(signal)) if rng.random() < 0.4 else rng.standard_normal(len(signal))
    y = signal + noise * heavy
    if rng.random() < 0.25:
        y = y * 10.0 ** rng.uniform(-8.0, 8.0)
        kinds.append("units of y")
    if rng.random() < 0.1:
        y = y + np.abs(y).max() * 10.0 ** rng.uniform(0.0, 9.0)
        kinds.append("offset of y")
    return y


def _weights(y, rng, kinds, loss):
    if rng.random() > 0.2:
        return None
    s = 10.0 ** rng.uniform(-float(rng.choice([1.0, 12.0])), 0.0, len(y))
    if rng.random() < 0.3:
        s[rng.random(len(y)) < 0.2] = 0.0
    for side in (1.0, -1.0) if loss in ("log_loss", "sigmoid", "probit") else ():
        if not s[y == side].sum() > 0.0:
            s[np.flatnonzero(y == side)[0]] = 1.0
    if not s.sum() > 0.0:
        s[:] = 1.0
    kinds.append("weights")
    return s


def _stored(X, rng, kinds):
    """The numbers, and how an estimator gets them: float32, or sparse with what it need not have."""
    chance = rng.random()
    if chance < 0.1 and "scales beyond" not in kinds:
        single = X.astype(np.float32)
        kinds.append("float32")
        return single.astype(np.float64), single
    if chance < 0.25:
        n, d = X.shape
        rows, columns = np.nonzero((X != 0.0) | (rng.random(X.shape) < 0.1))
        values = X[rows, columns]
        half = rng.random(len(values)) < 0.2  # halves add up without rounding
        rows, columns = np.append(rows, rows[half]), np.append(columns, columns[half])
        values = np.append(np.where(half, 0.5 * values, values), 0.5 * values[half])
        order = np.lexsort((rng.random(len(rows)), rows))
        start = np.searchsorted(rows[order], np.arange(n + 1))
        kinds.append("sparse")
        return X, sp.csr_matrix((values[order], columns[order], start), shape=(n, d))
    return X, X
