"""Bounded losses under noisy labels: test accuracy, and work to an objective value, against the usual peers.

    GDNP_DATA=DIR python benchmarks/noisy_labels.py [SET ...] [--seeds 5] [--out FOLDER]

Training labels are flipped at random (0, 10, 20, 40 %), or in a leverage cluster (5 and 10 % of the rows):
rows drawn at random are moved by 5 along the unit vector between the class means, in units of each column's
standard deviation and away from the other class, and their labels are flipped, so that they lie far out on
the wrong side. A sparse set stays sparse; only the moved rows fill up. Test labels are clean. All models have
the ridge alpha = 1e-4 (C = 1/(alpha n)) and no tuning; breast_cancer is standardised for all, so that none is
held up by its scales. Every seed draws the flips anew; a9a has its own test set, the others one stratified
split.

Work is counted under every noise, and on breast_cancer as it comes too: passes over X (one product with it
and one with its transpose; a Gram matrix is charged for its multiplications) and seconds of the processor, on
one thread, until the objective of the sigmoid is within 1e-6 of the higher of the two ends, gdnp's and that
of SciPy's L-BFGS from zero, so that both are held to the same value. ``--races`` does this alone. BLAS has
one thread: the sets are sparse or small, and more threads only slow the peers down.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.optimize import minimize
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from gdnp import GDNPClassifier
from gdnp.datasets import data_dir, fetch_a9a, fetch_mushrooms
from gdnp.losses import get_loss

ALPHA = 1e-4
SHIFT = 5.0
CLOSE = 1e-6
MOST_EVALUATIONS = 10_000
NOISES: dict[str, tuple[float, bool]] = {
    "clean": (0.0, False),
    "10 % flipped": (0.1, False),
    "20 % flipped": (0.2, False),
    "40 % flipped": (0.4, False),
    "5 % leverage": (0.05, True),
    "10 % leverage": (0.1, True),
}
MODELS: dict[str, Callable[[int, int], ClassifierMixin]] = {
    "gdnp sigmoid": lambda n, seed: GDNPClassifier("sigmoid", alpha=ALPHA),
    "gdnp sigmoid, 5 starts": lambda n, seed: GDNPClassifier(
        "sigmoid", alpha=ALPHA, n_init=5, random_state=seed
    ),
    "gdnp probit": lambda n, seed: GDNPClassifier("probit", alpha=ALPHA),
    "gdnp log_loss": lambda n, seed: GDNPClassifier(alpha=ALPHA),
    "LogisticRegression": lambda n, seed: LogisticRegression(C=1.0 / (ALPHA * n), max_iter=1000),
    "SGD modified_huber": lambda n, seed: SGDClassifier(
        "modified_huber", alpha=ALPHA, max_iter=1000, random_state=seed
    ),
    "LinearSVC": lambda n, seed: LinearSVC(C=1.0 / (ALPHA * n), random_state=seed),
}


@dataclass(frozen=True)
class Split:
    """Training and test rows; labels are -1 and +1."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray


def a9a() -> Split:
    """a9a with its own test set."""
    train, test = fetch_a9a(), fetch_a9a("test")
    return Split(train.X, train.y, test.X, test.y)


def mushrooms() -> Split:
    """A fixed stratified split of mushrooms, a quarter for the test."""
    data = fetch_mushrooms()
    return _split(data.X, data.y)


def breast_cancer() -> Split:
    """A fixed stratified split of breast_cancer, standardised on its training rows."""
    raw = breast_cancer_raw()
    scaler = StandardScaler().fit(raw.X)
    return Split(scaler.transform(raw.X), raw.y, scaler.transform(raw.X_test), raw.y_test)


def breast_cancer_raw() -> Split:
    """The same split in its own units."""
    X, y = load_breast_cancer(return_X_y=True)
    return _split(X, np.where(y == 1, 1.0, -1.0))


def _split(X: Any, y: np.ndarray) -> Split:
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, stratify=y, random_state=0)
    return Split(X[train], y[train], X[test], y[test])


SETS: dict[str, Callable[[], Split]] = {"a9a": a9a, "mushrooms": mushrooms, "breast_cancer": breast_cancer}
FILES = {"a9a": ("a9a/a9a", "a9a/a9a.t"), "mushrooms": ("mushrooms/mushrooms",), "breast_cancer": ()}


def absent(name: str) -> list[str]:
    """The files of a set that are not here; nothing is downloaded."""
    return [key for key in FILES[name] if not (data_dir() / key).exists()]


def spoil(X: Any, y: np.ndarray, share: float, leverage: bool, rng: np.random.Generator) -> tuple[Any, Any]:
    """Flip the labels of a share of the rows; with leverage, move those rows out first.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n, d)
    y : ndarray of shape (n,)
        -1 and +1.
    share : float
        Of the rows, drawn without replacement.
    leverage : bool
    rng : Generator

    Returns
    -------
    (X, y)
        Copies where anything changed.
    """
    rows = rng.permutation(len(y))[: round(share * len(y))]
    noisy = y.copy()
    noisy[rows] *= -1.0
    if not leverage or not len(rows):
        return X, noisy
    shift = np.outer(y[rows], SHIFT * between(X, y))
    if sp.issparse(X):
        move = sp.csr_matrix((np.ones(len(rows)), (rows, np.arange(len(rows)))), (len(y), len(rows)))
        return (X + move @ sp.csr_matrix(shift)).tocsr(), noisy
    moved = X.copy()
    moved[rows] += shift
    return moved, noisy


def between(X: Any, y: np.ndarray) -> np.ndarray:
    """The unit vector from the mean of -1 to that of +1 in standardised columns, back in the units of X."""
    mean = np.asarray(X.mean(axis=0)).ravel()
    square = X.multiply(X).mean(axis=0) if sp.issparse(X) else np.square(X).mean(axis=0)
    sd = np.sqrt(np.maximum(np.asarray(square).ravel() - mean**2, 0.0))
    gap = np.asarray(X[y > 0].mean(axis=0)).ravel() - np.asarray(X[y < 0].mean(axis=0)).ravel()
    standard = np.divide(gap, sd, out=np.zeros_like(gap), where=sd > 0.0)
    return sd * standard / np.linalg.norm(standard)


def accuracies(split: Split, noise: str, seed: int) -> dict[str, dict[str, float]]:
    """Test accuracy and seconds of every model under one noise and seed."""
    share, leverage = NOISES[noise]
    X, y = spoil(split.X, split.y, share, leverage, np.random.default_rng(seed))
    found = {}
    for name, make in MODELS.items():
        model = make(len(y), seed)
        begin = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model.fit(X, y)
        seconds = time.perf_counter() - begin
        accuracy = float((model.predict(split.X_test) == split.y_test).mean())
        found[name] = {"accuracy": accuracy, "seconds": seconds, "warnings": len(said)}
    return found


def race(split: Split, noise: str, seed: int) -> dict[str, float]:
    """Passes and seconds of gdnp and of SciPy's L-BFGS to the same value of the sigmoid objective."""
    share, leverage = NOISES[noise]
    X, y = spoil(split.X, split.y, share, leverage, np.random.default_rng(seed))
    ours, peer = _gdnp_curve(X, y), _scipy_curve(X, y)
    target = max(ours[:, 2].min(), peer[:, 2].min()) * (1.0 + CLOSE)
    first = [curve[np.argmax(curve[:, 2] <= target)] for curve in (ours, peer)]
    return {
        "gdnp passes": first[0][0],
        "gdnp seconds": first[0][1],
        "gdnp objective": ours[:, 2].min(),
        "scipy passes": first[1][0],
        "scipy seconds": first[1][1],
        "scipy objective": peer[:, 2].min(),
    }


def _gdnp_curve(X: Any, y: np.ndarray) -> np.ndarray:
    """(passes, seconds, objective) rows; seconds that the history does not see come before its first row."""
    begin, processor = time.perf_counter(), time.process_time()
    history = GDNPClassifier("sigmoid", alpha=ALPHA, n_jobs=1).fit(X, y).history_
    wall, processor = time.perf_counter() - begin, time.process_time() - processor
    seconds = (history["seconds"] + wall - history["seconds"][-1]) * (processor / wall)
    return np.column_stack((history["passes"], seconds, history["objective"]))


def _scipy_curve(X: Any, y: np.ndarray) -> np.ndarray:
    """The same for SciPy, one row an evaluation, from zero."""
    loss, n, rows = get_loss("sigmoid"), len(y), []
    begin = time.process_time()

    def f(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss.value_and_gradient(-y * (X @ x[:-1] + x[-1]))
        r = -y * slope / n
        total = float(value.mean() + 0.5 * ALPHA * (x[:-1] @ x[:-1]))
        gradient = np.append(X.T @ r + ALPHA * x[:-1], r.sum())
        rows.append((len(rows) + 1.0, time.process_time() - begin, total))
        return total, gradient

    options = {"maxiter": MOST_EVALUATIONS, "maxfun": MOST_EVALUATIONS, "gtol": 1e-7, "ftol": 0.0}
    minimize(f, np.zeros(X.shape[1] + 1), jac=True, method="L-BFGS-B", options=options)
    return np.array(rows)


def study(names: Sequence[str], seeds: int, races: bool = False) -> dict[str, Any]:
    """Everything, by set, noise and seed."""
    report: dict[str, Any] = {"alpha": ALPHA, "shift": SHIFT, "seeds": seeds, "accuracy": {}, "race": {}}
    for name in names:
        gone = absent(name)
        if gone:
            report.setdefault("left out", {})[name] = f"not in the data folder: {', '.join(gone)}"
            continue
        with threadpool_limits(1, "blas"):
            _measure(name, seeds, report, races)
    return report


def _measure(name: str, seeds: int, report: dict[str, Any], only_races: bool) -> None:
    split = SETS[name]()
    if not only_races:
        report["accuracy"][name] = {
            noise: [accuracies(split, noise, seed) for seed in range(seeds)] for noise in NOISES
        }
    races = {name: split}
    if name == "breast_cancer":
        races["breast_cancer, raw"] = breast_cancer_raw()
    for title, rows in races.items():
        report["race"][title] = {
            noise: [race(rows, noise, seed) for seed in range(seeds)] for noise in NOISES
        }


def markdown(report: dict[str, Any]) -> str:
    """The report as tables."""
    lines = []
    for name, noises in report["accuracy"].items():
        lines += [f"### {name}: test accuracy", ""]
        lines += [f"| training labels | {' | '.join(MODELS)} |", "|---|" + "---:|" * len(MODELS)]
        for noise, runs in noises.items():
            lines.append(f"| {noise} | " + " | ".join(_cells(runs)) + " |")
        lines.append("")
    lines += ["### Work to the same value of the sigmoid objective", ""]
    lines += ["| data | training labels | passes, gdnp | passes, L-BFGS | share | seconds, gdnp | L-BFGS |"]
    lines[-1] += " objective, gdnp | L-BFGS |"
    lines += ["|---|---|" + "---:|" * 7]
    for name, noises in report["race"].items():
        for noise, runs in noises.items():
            mean = {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}
            share = mean["gdnp passes"] / mean["scipy passes"]
            lines.append(
                f"| {name} | {noise} | {mean['gdnp passes']:.0f} | {mean['scipy passes']:.0f} | "
                f"{share:.2f} | "
                f"{mean['gdnp seconds']:.3g} | {mean['scipy seconds']:.3g} | "
                f"{mean['gdnp objective']:.6f} | {mean['scipy objective']:.6f} |"
            )
    for name, why in report.get("left out", {}).items():
        lines += ["", f"{name} was left out: {why}."]
    return "\n".join(lines) + "\n"


def _cells(runs: list[dict[str, dict[str, float]]]) -> list[str]:
    values = {model: [run[model]["accuracy"] for run in runs] for model in MODELS}
    best = max(float(np.mean(v)) for v in values.values())
    cells = []
    for v in values.values():
        mean, sd = float(np.mean(v)), float(np.std(v, ddof=1)) if len(v) > 1 else 0.0
        text = f"{mean:.4f} ± {sd:.4f}"
        cells.append(f"**{text}**" if round(mean, 4) == round(best, 4) else text)
    return cells


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, print its tables and write them and the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--races", action="store_true", help="work alone, without accuracies")
    parser.add_argument("--out", type=Path, default=Path("noisy_labels"), help="folder for JSON and markdown")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sets if name not in SETS]
    if unknown:
        parser.error(f"SET must be among {', '.join(SETS)}. Got {', '.join(unknown)}.")
    report = study(options.sets, options.seeds, options.races)
    text = markdown(report)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "noisy_labels.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    (options.out / "noisy_labels.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
