"""Seconds to a relative suboptimality, against the peers: log loss + ridge, C = 1, input validation included.

    GDNP_DATA=DIR python benchmarks/peers.py [SET ...] [--target 1e-8] [--repeats 5]

Each peer runs at a ladder of tolerances, and counts with the shortest run that reaches the target; so does
gdnp. Runs are interleaved, so that noise from elsewhere hits all alike, and the minimum of the repeats
counts. liblinear penalises its intercept, so that its optimum is another one: it is compared on its own
objective, which favours it. More than two classes: OneVsRestClassifier.
"""

from __future__ import annotations

import argparse
import time
import warnings
from statistics import geometric_mean

import numpy as np
from sets import SETS
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from gdnp import GDNPClassifier

LADDERS = {
    "gdnp": (1e-7, 1e-8),
    "newton-cholesky": (1e-2, 1e-3, 1e-4, 1e-6),
    "newton-cg": (1e-3, 1e-4, 1e-5, 1e-6),
    "liblinear": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "lbfgs": (1e-4, 1e-6, 1e-8),
    "saga": (1e-4, 1e-6),
}
PATIENCE = 20.0
"""Seconds after which a solver's ladder is left."""


def model(solver: str, tol: float, X, y):
    n, classes = len(y), len(np.unique(y))
    if solver == "gdnp":
        return GDNPClassifier(alpha=1.0 / n, tol=tol)
    if solver == "newton-cholesky" and X.shape[1] > 3000:
        return None
    single = LogisticRegression(C=1.0, solver=solver, tol=tol, max_iter=3000)
    return OneVsRestClassifier(single) if classes > 2 else single


def objective(fitted, X, y, liblinear: bool) -> float:
    """The largest relative suboptimality is judged per class, so the values are kept apart."""
    coef, intercept = coefficients(fitted)
    classes = np.unique(y)
    classes = classes if len(classes) > 2 else classes[1:]
    scores = X @ coef.T + intercept
    values = []
    for k, label in enumerate(classes):
        sign = np.where(y == label, 1.0, -1.0)
        penalty = coef[k] @ coef[k] + (intercept[k] ** 2 if liblinear else 0.0)
        values.append(np.logaddexp(0.0, -sign * scores[:, k]).mean() + 0.5 * penalty / len(y))
    return np.array(values)


def coefficients(fitted):
    if hasattr(fitted, "estimators_"):
        parts = [coefficients(part) for part in fitted.estimators_]
        return np.vstack([c for c, _ in parts]), np.concatenate([b for _, b in parts])
    return fitted.coef_, np.ravel(fitted.intercept_)


def measure(name: str, target: float, repeats: int, solvers: list[str]) -> dict[str, float]:
    X, y = SETS[name]()
    runs: dict[str, list[tuple[float, np.ndarray]]] = {}
    best = {False: None, True: None}
    for solver in solvers:
        for tol in LADDERS[solver]:
            fit = model(solver, tol, X, y)
            if fit is None:
                break
            begin = time.perf_counter()
            fit.fit(X, y)
            seconds = time.perf_counter() - begin
            runs.setdefault(solver, []).append((tol, objective(fit, X, y, solver == "liblinear")))
            if seconds > PATIENCE:
                break
    exact = GDNPClassifier(alpha=1.0 / len(y), tol=1e-13).fit(X, y)
    best[False] = np.min(
        [v for s in runs if s != "liblinear" for _, v in runs[s]] + [objective(exact, X, y, False)], 0
    )
    if "liblinear" in runs:
        best[True] = np.min([v for _, v in runs["liblinear"]], 0)
    chosen = {}
    for solver, ladder in runs.items():
        reached = [tol for tol, v in ladder if np.all(v / best[solver == "liblinear"] - 1.0 <= target)]
        if reached:
            chosen[solver] = max(reached)
    seconds = dict.fromkeys(chosen, np.inf)
    for _ in range(repeats):
        for solver, tol in chosen.items():
            fit = model(solver, tol, X, y)
            begin = time.perf_counter()
            fit.fit(X, y)
            seconds[solver] = min(seconds[solver], time.perf_counter() - begin)
            if seconds[solver] > PATIENCE / 4:
                continue
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=list(SETS))
    parser.add_argument("--target", type=float, default=1e-8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--solvers", nargs="*", default=list(LADDERS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    ratios = []
    print(
        f"{'milliseconds to ' + format(arguments.target, 'g'):28}",
        *(f"{s:>16}" for s in arguments.solvers),
        "ratio",
    )
    for name in arguments.sets:
        seconds = measure(name, arguments.target, arguments.repeats, arguments.solvers)
        peers = [t for solver, t in seconds.items() if solver != "gdnp"]
        ratio = min(peers, default=np.inf) / seconds.get("gdnp", np.inf)
        ratios.append(ratio)
        row = (f"{1e3 * seconds[s]:16.1f}" if s in seconds else f"{'-':>16}" for s in arguments.solvers)
        print(f"{name:28}", *row, f"{ratio:5.2f}", flush=True)
    print(f"geometric mean of the ratios to the fastest peer: {geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
