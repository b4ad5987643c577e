"""Seconds to a relative suboptimality, against the peers: a loss + ridge, input validation included.

    GDNP_DATA=DIR python benchmarks/peers.py [SET ...] [--loss log_loss] [--target 1e-8] [--repeats 5]
    python benchmarks/peers.py [SET ...] --save FILE
    python benchmarks/peers.py [SET ...] --compare FILE
    python benchmarks/peers.py [SET ...] --against SRC [--check] [--loss LOSS] [--ridge 0]

Each peer runs at a ladder of tolerances, and counts with the shortest run that reaches the target; so does
gdnp. Runs are interleaved, so that noise from elsewhere hits all alike, and the minimum of the repeats
counts. liblinear penalises its intercept, so that its optimum is another one: it is compared on its own
objective, which favours it. More than two classes: OneVsRestClassifier.

``--ridge`` is 1/C, or the alpha of Ridge, 1 unless given; 0 leaves the ridge out. The log loss of separable
rows has no minimiser without one, so peers are raced with a ridge only, and ``--against`` with any.

With ``--loss squared_error`` the peers are the solvers of Ridge, and the targets a random linear function of
the standardised columns with noise of the same size, not centred.

``--save`` keeps what was measured as a baseline, and ``--compare`` measures again and prints new over old.
The peers are the yardstick there: where they are slower too, the machine is. ``--against`` takes the ``src``
of another checkout as the old gdnp and fits both in turn; it needs no quiet machine. With ``--check`` it ends
with status 1 where passes rise by more than 3 % on a set or at all in the mean, or seconds by more than 5 %
in the mean.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean

import against
import comparison
import numpy as np
import scipy.sparse as sp
from sets import SETS
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from worker import passes

import gdnp
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


def timed(fit, X, y) -> float:
    begin = time.perf_counter()
    fit.fit(X, y)
    return time.perf_counter() - begin


def measure(name: str, loss: str, target: float, repeats: int, solvers: Sequence[str]) -> dict[str, dict]:
    """``comparison.summary`` of each solver that reaches the target, at its largest tolerance that does."""
    X, y = SETS[name]()
    ladders = LADDERS if loss == "log_loss" else RIDGE_LADDERS
    if loss == "squared_error":
        y = regression(X, y)
    runs: dict[str, list[tuple[float, np.ndarray, float | None]]] = {}
    for solver in solvers:
        for tol in ladders[solver]:
            fit = model(solver, tol, X, y, loss)
            if fit is None:
                break
            seconds = timed(fit, X, y)
            work = passes(fit) if solver == "gdnp" else None
            runs.setdefault(solver, []).append((tol, objective(fit, X, y, loss, solver == "liblinear"), work))
            if seconds > PATIENCE:
                break
    exact = objective(model("gdnp", 1e-13, X, y, loss).fit(X, y), X, y, loss, False)
    best = {False: np.min([v for s in runs if s != "liblinear" for _, v, _ in runs[s]] + [exact], 0)}
    if "liblinear" in runs:
        best[True] = np.min([v for _, v, _ in runs["liblinear"]], 0)
    chosen = {}
    for solver, ladder in runs.items():
        gaps = [(tol, float(np.max(v / best[solver == "liblinear"] - 1.0)), work) for tol, v, work in ladder]
        reached = [run for run in gaps if run[1] <= target]
        if reached:
            chosen[solver] = max(reached)
    seconds = {solver: [] for solver in chosen}
    for _ in range(repeats):
        for solver, (tol, _, _) in chosen.items():
            if max(seconds[solver], default=0.0) < PATIENCE / 4:
                seconds[solver].append(timed(model(solver, tol, X, y, loss), X, y))
    return {
        solver: comparison.summary(seconds[solver], work, gap, tol)
        for solver, (tol, gap, work) in chosen.items()
    }


def measure_all(options: argparse.Namespace) -> dict[str, dict[str, dict]]:
    """Every set, each printed as a row as soon as it is measured."""
    title = f"milliseconds to {options.target:g}"
    print(f"{title:28}", *(f"{s:>16}" for s in options.solvers), "ratio")
    measured, ratios = {}, []
    for name in options.sets:
        found = measure(name, options.loss, options.target, options.repeats, options.solvers)
        seconds = {solver: min(entry["repeats"]) for solver, entry in found.items()}
        peers = [t for solver, t in seconds.items() if solver != "gdnp"]
        ratio = min(peers, default=np.inf) / seconds.get("gdnp", np.inf)
        row = (f"{1e3 * seconds[s]:16.1f}" if s in seconds else f"{'-':>16}" for s in options.solvers)
        print(f"{name:28}", *row, f"{ratio:5.2f}", flush=True)
        measured[name] = found
        ratios.append(ratio)
    print(f"geometric mean of the ratios to the fastest peer: {geometric_mean(ratios):.2f}")
    return measured


def compare(document: dict, measured: dict[str, dict[str, dict]], solvers: Sequence[str]) -> None:
    """New over old, solver by solver."""
    for solver in solvers:
        rows = [
            comparison.row(name, document["sets"][name][solver], found[solver])
            for name, found in measured.items()
            if solver in found and solver in document["sets"][name]
        ]
        if rows:
            print(f"\n{solver}", comparison.HEAD[len(solver) :], sep="")
            print(*map(comparison.line, rows), comparison.means(rows), sep="\n")
    changed = comparison.differences(document["environment"], comparison.environment())
    if changed:
        print(f"Caution: seconds are of different machines or versions: {'; '.join(changed)}.")


def race(options: argparse.Namespace) -> int:
    """Another checkout, and this one, in turn; 1 where --check finds too much."""
    new = Path(gdnp.__file__).parents[1]

    def load(name: str) -> tuple:
        X, y = SETS[name]()
        return X, regression(X, y) if options.loss == "squared_error" else y

    print(comparison.HEAD)
    settings = {"loss": options.loss, "ridge": options.ridge, "tol": options.target}
    rows = []
    for row in against.rows(options.against, new, options.sets, load, settings, options.repeats):
        print(comparison.line(row), flush=True)
        rows.append(row)
    print(comparison.means(rows))
    refused = comparison.too_much(rows) if options.check else []
    print(*refused, sep="\n", end="\n" if refused else "")
    return int(bool(refused))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--target", type=float, default=1e-8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--loss", choices=("log_loss", "squared_error"), default="log_loss")
    parser.add_argument("--ridge", type=float, default=1.0, metavar="R", help="1/C; for --against")
    parser.add_argument("--solvers", nargs="*")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write a baseline")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="measure a baseline's sets again")
    parser.add_argument("--against", type=Path, metavar="SRC", help="the src folder of another checkout")
    parser.add_argument("--check", action="store_true", help="status 1 where --against finds too much")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.sets if name not in SETS]
    if unknown:
        parser.error(f"SET must be one of {', '.join(SETS)}. Got {', '.join(unknown)}.")
    if options.check and not options.against:
        parser.error("--check is for --against, which needs no quiet machine.")
    if options.against and (options.save or options.compare or options.solvers):
        parser.error("--against fits with gdnp alone: leave --save, --compare and --solvers out.")
    if options.ridge != 1.0 and not options.against:
        parser.error("--ridge is for --against: the peers are raced with C = 1.")
    if not 0.0 <= options.ridge < float("inf"):
        parser.error(f"--ridge should be a finite number of at least 0. Got {options.ridge}.")
    options.solvers = options.solvers or list(LADDERS if options.loss == "log_loss" else RIDGE_LADDERS)
    try:
        read_old(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def read_old(options: argparse.Namespace) -> None:
    """The baseline, whose sets are the default where there is one; or a look at the other checkout."""
    options.document = comparison.read(options.compare) if options.compare else None
    options.sets = options.sets or list(options.document["sets"] if options.document else SETS)
    if options.document:
        comparison.check_comparable(options.document, options.loss, options.target, options.sets)
    if options.against:
        against.check_source(options.against)


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    warnings.simplefilter("ignore")
    if options.against:
        return race(options)
    measured = measure_all(options)
    if options.save:
        comparison.write(options.save, options.loss, options.target, measured)
    if options.document:
        compare(options.document, measured, options.solvers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
