"""Seconds to a relative suboptimality, against the peers: a loss + ridge, C = 1, input validation included.

    GDNP_DATA=DIR python benchmarks/peers.py [SET ...] [--loss log_loss] [--target 1e-8] [--repeats 5]

Each peer runs at a ladder of tolerances, and counts with the shortest run that reaches the target; so does
gdnp. Runs are interleaved, so that noise from elsewhere hits all alike, and the minimum of the repeats
counts. liblinear penalises its intercept, so that its optimum is another one: it is compared on its own
objective, which favours it. More than two classes: OneVsRestClassifier.

With ``--loss squared_error`` the peers are the solvers of Ridge, and the targets a random linear function of
the standardised columns with noise of the same size, not centred.
"""

from __future__ import annotations

import argparse
import time
import warnings
from statistics import geometric_mean

import numpy as np
import scipy.sparse as sp
from sets import SETS
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from gdnp import GDNPClassifier, GDNPRegressor

LADDERS = {
    "gdnp": (1e-7, 1e-8),
    "newton-cholesky": (1e-2, 1e-3, 1e-4, 1e-6),
    "newton-cg": (1e-3, 1e-4, 1e-5, 1e-6),
    "liblinear": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "lbfgs": (1e-4, 1e-6, 1e-8),
    "saga": (1e-4, 1e-6),
}
RIDGE_LADDERS = {
    "gdnp": (1e-7, 1e-8),
    "cholesky": (1e-4,),
    "svd": (1e-4,),
    "lsqr": (1e-4, 1e-6, 1e-8, 1e-10),
    "sparse_cg": (1e-3, 1e-4, 1e-6, 1e-8),
}
PATIENCE = 20.0
"""Seconds after which a solver's ladder is left."""


def regression(X, y):
    """A target for the rows of X: labels are made of another function, and only their number counts."""
    rng = np.random.default_rng(7)
    square = X.multiply(X).mean(axis=0) if sp.issparse(X) else np.square(X).mean(axis=0)
    mean, square = (np.asarray(part, dtype=float).ravel() for part in (X.mean(axis=0), square))
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    eta = X @ np.divide(rng.standard_normal(len(sd)), sd, out=np.zeros(len(sd)), where=sd > 1e-9 * abs(mean))
    return eta + eta.std() * rng.standard_normal(len(y))


def model(solver: str, tol: float, X, y, loss: str):
    n = len(y)
    if loss == "squared_error":
        if solver == "gdnp":
            return GDNPRegressor(alpha=1.0 / n, tol=tol)
        gram = min(X.shape) ** 2 <= 1e8
        fits = gram and not sp.issparse(X) if solver in ("cholesky", "svd") else True
        return Ridge(alpha=1.0, solver=solver, tol=tol, max_iter=3000) if fits else None
    classes = len(np.unique(y))
    if solver == "gdnp":
        return GDNPClassifier(alpha=1.0 / n, tol=tol)
    if solver == "newton-cholesky" and X.shape[1] > 3000:
        return None
    single = LogisticRegression(C=1.0, solver=solver, tol=tol, max_iter=3000)
    return OneVsRestClassifier(single) if classes > 2 else single


def objective(fitted, X, y, loss: str, liblinear: bool) -> np.ndarray:
    """The largest relative suboptimality is judged per class, so the values are kept apart."""
    coef, intercept = coefficients(fitted)
    if loss == "squared_error":
        return np.array([0.5 * (np.square(y - X @ coef - intercept).mean() + coef @ coef / len(y))])
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


def measure(name: str, loss: str, target: float, repeats: int, solvers: list[str]) -> dict[str, float]:
    X, y = SETS[name]()
    ladders = LADDERS if loss == "log_loss" else RIDGE_LADDERS
    if loss == "squared_error":
        y = regression(X, y)
    runs: dict[str, list[tuple[float, np.ndarray]]] = {}
    best = {False: None, True: None}
    for solver in solvers:
        for tol in ladders[solver]:
            fit = model(solver, tol, X, y, loss)
            if fit is None:
                break
            begin = time.perf_counter()
            fit.fit(X, y)
            seconds = time.perf_counter() - begin
            runs.setdefault(solver, []).append((tol, objective(fit, X, y, loss, solver == "liblinear")))
            if seconds > PATIENCE:
                break
    exact = objective(model("gdnp", 1e-13, X, y, loss).fit(X, y), X, y, loss, False)
    best[False] = np.min([v for s in runs if s != "liblinear" for _, v in runs[s]] + [exact], 0)
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
            fit = model(solver, tol, X, y, loss)
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
    parser.add_argument("--loss", choices=("log_loss", "squared_error"), default="log_loss")
    parser.add_argument("--solvers", nargs="*")
    arguments = parser.parse_args()
    solvers = arguments.solvers or list(LADDERS if arguments.loss == "log_loss" else RIDGE_LADDERS)
    warnings.simplefilter("ignore")
    ratios = []
    print(
        f"{'milliseconds to ' + format(arguments.target, 'g'):28}",
        *(f"{s:>16}" for s in solvers),
        "ratio",
    )
    for name in arguments.sets:
        seconds = measure(name, arguments.loss, arguments.target, arguments.repeats, solvers)
        peers = [t for solver, t in seconds.items() if solver != "gdnp"]
        ratio = min(peers, default=np.inf) / seconds.get("gdnp", np.inf)
        ratios.append(ratio)
        row = (f"{1e3 * seconds[s]:16.1f}" if s in seconds else f"{'-':>16}" for s in solvers)
        print(f"{name:28}", *row, f"{ratio:5.2f}", flush=True)
    print(f"geometric mean of the ratios to the fastest peer: {geometric_mean(ratios):.2f}")


if __name__ == "__main__":
    main()
