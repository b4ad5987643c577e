"""Seconds to choose a ridge by cross-validation, against LogisticRegressionCV and RidgeCV.

    GDNP_DATA=DIR python benchmarks/alphas.py [SET ...] [--repeats 3] [--patience 120] [--lbfgs]

Ten ridges and five folds, and the refit; scores are the held-out log loss. The ten C are 1e-4 to 1e4, and
gdnp's alphas those of the mean over a training set; folds are cut to one size. Solvers are timed at their
default tolerance, and at the loosest of a ladder at which every score is within 1e-6 of those of
newton-cholesky at 1e-11; a line is missing where none is, or the patience is over. ``--lbfgs`` times the
default solver too, which takes minutes.

Least squares has ten ridges, with rows left out one by one in closed form, and with five folds.

Runs are interleaved, and the minimum of the repeats counts: wall time, and processor time in brackets.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from statistics import geometric_mean
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegressionCV, RidgeCV
from sklearn.model_selection import KFold

from gdnp import GDNPClassifierCV, GDNPRegressorCV
from gdnp.datasets import fetch_a9a

CS, EQUAL = np.logspace(-4, 4, 10), 1e-6
DEFAULTS = {"gdnp": 1e-8, "newton-cholesky": 1e-4, "lbfgs": 1e-4}
LADDERS = {
    "gdnp": (1e-6, 1e-7, 1e-8, 1e-9, 1e-10, 1e-11),
    "newton-cholesky": (1e-4, 1e-6, 1e-8, 1e-9, 1e-10),
    "lbfgs": (1e-4, 1e-6, 1e-8, 1e-10),
}


def made(n=20_000, d=40):
    """Columns of 1e-2 to 1e2."""
    rng, scale = np.random.default_rng(0), np.logspace(-2, 2, d)
    X = rng.standard_normal((n, d))
    margin = 0.5 * (X @ rng.standard_normal(d))
    return X * scale, np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-margin)), 1, 0)


def a9a():
    """Dense."""
    found = fetch_a9a()
    X = found.X.toarray() if hasattr(found.X, "toarray") else found.X
    return np.ascontiguousarray(X, dtype=float), found.y


CLASSIFICATION: dict[str, Callable[[], Any]] = {
    "made": made,
    "a9a": a9a,
    "digits": lambda: load_digits(return_X_y=True),
}


def gaussian(n, d):
    """Least squares on independent columns."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n, d))
    return X, X[:, 0] + rng.standard_normal(n)


REGRESSION: dict[str, Callable[[], Any]] = {
    "20000x40": lambda: gaussian(20_000, 40),
    "5000x500": lambda: gaussian(5000, 500),
    "2000x100": lambda: gaussian(2000, 100),
    "100x1000": lambda: gaussian(100, 1000),
    "diabetes": lambda: load_diabetes(return_X_y=True),
}


def classifier(solver: str, tol: float, n: int, folds: int = 5):
    """A model that is to choose; C of a sum over the rows of a training set."""
    if solver == "gdnp":
        return GDNPClassifierCV(alphas=1.0 / (CS * n * (folds - 1) / folds), tol=tol, cv=KFold(folds))
    common = {
        "l1_ratios": (0,),
        "scoring": "neg_log_loss",
        "use_legacy_attributes": False,
        "max_iter": 10_000,
    }
    return LogisticRegressionCV(Cs=CS, solver=solver, tol=tol, cv=KFold(folds), **common)


def regressor(solver: str, folds: int | None, n: int):
    """The same of least squares; alpha of RidgeCV is that of a sum over the rows of a training set."""
    alphas, rows = np.logspace(-6, 1, 10), n - 1 if folds is None else n * (folds - 1) / folds
    scoring = None if folds is None else "neg_mean_squared_error"
    if solver == "gdnp":
        return GDNPRegressorCV(alphas=alphas, cv=folds)
    return RidgeCV(alphas * rows, cv=folds, scoring=scoring)


def scores_of(model) -> np.ndarray:
    return model.scores_.reshape(len(model.scores_), -1)


def timed(model, X, y) -> tuple[float, float]:
    """Wall time and processor time of a fit."""
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(X, y)
    return time.perf_counter() - wall, time.process_time() - processor


def race(models: dict[Any, Any], X, y, repeats: int) -> dict[Any, tuple[float, float]]:
    """The least times of each, taken in turn."""
    runs = [{name: timed(model, X, y) for name, model in models.items()} for _ in range(repeats)]
    return {name: (min(run[name][0] for run in runs), min(run[name][1] for run in runs)) for name in models}


def sufficient(solver: str, X, y, reference: np.ndarray, patience: float) -> float | None:
    """The loosest tolerance at which all scores are those of the reference."""
    for tol in LADDERS[solver]:
        model = classifier(solver, tol, len(y))
        wall, _ = timed(model, X, y)
        if np.abs(scores_of(model) - reference).max() <= EQUAL:
            return tol
        if wall > patience:
            break
    return None


def shown(times: tuple[float, float]) -> str:
    return f"{times[0]:.3g} s ({times[1]:.3g})"


def classify(names: Sequence[str], solvers: Sequence[str], options) -> None:
    """A row for each set; ratios in processor time."""
    ratios: dict[str, list[float]] = {}
    for name in names:
        X, y = CLASSIFICATION[name]()
        X, y = X[: len(y) // 5 * 5], y[: len(y) // 5 * 5]
        exact = classifier("newton-cholesky", 1e-11, len(y)).fit(X, y)
        models = {}
        for solver in solvers:
            tol = sufficient(solver, X, y, scores_of(exact), options.patience)
            models[solver, "default"] = classifier(solver, DEFAULTS[solver], len(y))
            if tol is not None:
                models[solver, "equal"] = classifier(solver, tol, len(y))
        found = race(models, X, y, options.repeats)
        for (solver, kind), times in found.items():
            off = np.abs(scores_of(models[solver, kind]) - scores_of(exact)).max()
            text = f"{name:10s} {solver:16s} {kind:8s} {shown(times):22s} scores off by {off:.0e}"
            ours = found.get(("gdnp", kind))
            if solver != "gdnp" and ours is not None:
                ratios.setdefault(f"{solver} {kind}", []).append(times[1] / ours[1])
                text += f"  gdnp {times[0] / ours[0]:.2f} ({times[1] / ours[1]:.2f}) times as fast"
            print(text, flush=True)
    for name, values in ratios.items():
        print(f"{name}: {geometric_mean(values):.2f} in the geometric mean of {len(values)}")


def regress(names: Sequence[str], options) -> None:
    for name in names:
        X, y = REGRESSION[name]()
        for folds in (None, 5):
            models = {solver: regressor(solver, folds, len(y)) for solver in ("gdnp", "RidgeCV")}
            found = race(models, X, y, options.repeats)
            ratio = [theirs / ours for ours, theirs in zip(found["gdnp"], found["RidgeCV"], strict=True)]
            how = "one by one" if folds is None else f"{folds} folds"
            print(
                f"{name:10s} {how:10s} gdnp {shown(found['gdnp'])}, RidgeCV {shown(found['RidgeCV'])}: "
                f"{ratio[0]:.2f} ({ratio[1]:.2f}) times as fast",
                flush=True,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join([*CLASSIFICATION, *REGRESSION]))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patience", type=float, default=120.0)
    parser.add_argument("--lbfgs", action="store_true")
    options = parser.parse_args(argv)
    chosen = options.sets or [*CLASSIFICATION, *REGRESSION]
    unknown = [name for name in chosen if name not in CLASSIFICATION and name not in REGRESSION]
    if unknown:
        parser.error(f"no such set: {', '.join(unknown)}")
    warnings.simplefilter("ignore")
    solvers = ["gdnp", "newton-cholesky", *(["lbfgs"] if options.lbfgs else [])]
    classify([name for name in chosen if name in CLASSIFICATION], solvers, options)
    regress([name for name in chosen if name in REGRESSION], options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
