"""Where linear models stop on raw data: scikit-learn's solvers with their defaults, and gdnp with its own.

    python examples/raw_data.py [PICTURE]

All minimise log loss + ridge with C = 1 in the coordinates that they are given. A circle is the distance from
the optimum, in units of the optimal objective; it is open where a warning said that something was wrong.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from gdnp import GDNPClassifier
from gdnp.plotting import new_figure, save, titled

FloatArray = NDArray[np.float64]
PEERS = ("newton-cholesky", "newton-cg", "liblinear", "lbfgs", "sag", "saga")
SMALLEST = 1e-14
"""Rounding: nothing is drawn nearer to the optimum than this."""


class Stop(NamedTuple):
    """Where a solver stopped: (f - min f)/min f, and whether it warned."""

    gap: float
    warned: bool


def problems() -> dict[str, tuple[FloatArray, NDArray[np.int64]]]:
    """Raw measurements, columns in units of all sizes, and what the solvers ask for."""
    X, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(0)
    Z = rng.standard_normal((2000, 12))
    Z[:, 6:] += Z[:, :6]
    labels = (Z @ rng.standard_normal(12) + rng.logistic(size=2000) > 0.0).astype(np.int64)
    return {
        "breast_cancer, raw": (X, y),
        "columns of 1e-4 to 1e4": (1e3 + Z * np.logspace(-4, 4, 12), labels),
        "breast_cancer, standardised": (StandardScaler().fit_transform(X), y),
    }


def optimum(X: FloatArray, y: NDArray[np.int64], *, fit_intercept: bool = True) -> float:
    """A lower bound on min f, proved to twelve digits or nearly so."""
    model = GDNPClassifier(alpha=1.0 / len(y), tol=1e-12, fit_intercept=fit_intercept).fit(X, y)
    return model.certificate_.objective / (1.0 + model.certificate_.gap)


def stops(X: FloatArray, y: NDArray[np.int64]) -> dict[str, Stop]:
    """Where each solver stops; liblinear on its own objective, in which the intercept is penalised."""
    n, sign = len(y), np.where(y > 0, 1.0, -1.0)
    least = {False: optimum(X, y), True: optimum(np.column_stack([X, np.ones(n)]), y, fit_intercept=False)}
    found = {}
    for name in ("gdnp", *PEERS):
        model = GDNPClassifier(alpha=1.0 / n) if name == "gdnp" else LogisticRegression(solver=name)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X, y)
        w, b = model.coef_[0], model.intercept_[0]
        penalty = w @ w + b * b * (name == "liblinear")
        value = np.logaddexp(0.0, -sign * (X @ w + b)).mean() + 0.5 / n * penalty
        found[name] = Stop(float(value / least[name == "liblinear"] - 1.0), bool(caught))
    return found


def draw(found: dict[str, dict[str, Stop]], path: Path) -> list[Path]:
    """One panel for each problem, one row for each solver."""
    with new_figure(1, len(found), width=8.6, height=2.6) as (figure, axes):
        for k, (ax, (title, solvers)) in enumerate(zip(axes[0], found.items(), strict=True)):
            for row, (name, stop) in enumerate(reversed(solvers.items())):
                colour = "#c0562f" if name == "gdnp" else "#1f6f8b"
                ax.plot(
                    max(stop.gap, SMALLEST),
                    row,
                    "o",
                    color=colour,
                    markerfacecolor="white" if stop.warned else colour,
                    markersize=6.0,
                    clip_on=False,
                )
            ax.set_xscale("log")
            ax.set_xlim(SMALLEST, 10.0)
            ax.set_yticks(range(len(solvers)), list(reversed(solvers)) if k == 0 else [""] * len(solvers))
            titled(ax, title, "open: it warned; full: it did not" if k == 0 else "")
        axes[0, 1].set_xlabel("distance from the optimum, (f - min f)/min f")
        return save(figure, path)


def main(path: Path = Path("raw_data")) -> list[Path]:
    """Fit, compare, draw."""
    found = {title: stops(X, y) for title, (X, y) in problems().items()}
    for title, solvers in found.items():
        print(title)
        for name, stop in solvers.items():
            print(f"  {name:16} {stop.gap:8.1e}  {'warned' if stop.warned else ''}".rstrip())
    return draw(found, path.with_suffix(""))


if __name__ == "__main__":
    for written in main(*map(Path, sys.argv[1:2])):
        print(written)
