"""Seconds to a relative suboptimality, against the peers: a loss + ridge, input validation included.

    GDNP_DATA=DIR python benchmarks/peers.py [SET ...] [--loss log_loss] [--target 1e-8] [--repeats 5]
    python benchmarks/peers.py [SET ...] [--ridge 1] [--no-intercept] [--save FILE]
    python benchmarks/peers.py [SET ...] --compare FILE
    python benchmarks/peers.py [SET ...] --against SRC [--check] [--loss LOSS] [--ridge 0]

Each peer runs at a ladder of tolerances, and counts with the shortest run that reaches the target; so does
gdnp. Runs are interleaved, so that noise from elsewhere hits all alike, and the median of the repeats
counts. On a busy machine ``--clock processor`` is the fairer: seconds of the processor, one thread of gdnp
and, with OMP_NUM_THREADS=1, of the others. A solver's ladder is left after a run of ``--patience`` seconds.
liblinear penalises its intercept, so that its optimum is another one: it is compared on its own objective,
which favours it. More than two classes: OneVsRestClassifier.

``--ridge`` is 1/C, or the alpha of Ridge, 1 unless given. Without one the log loss of separable rows has no
minimiser, so 0 is for ``--against`` alone.

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
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path
from statistics import geometric_mean, median

import against
import comparison
import numpy as np
import scipy.sparse as sp
from sets import SETS
from sklearn.base import BaseEstimator, ClassifierMixin
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
    "glum": (1e-4, 1e-6, 1e-8),
    "skglm": (1e-4, 1e-6, 1e-8),
}
RIDGE_LADDERS = {
    "gdnp": (1e-7, 1e-8),
    "cholesky": (1e-4,),
    "svd": (1e-4,),
    "lsqr": (1e-4, 1e-6, 1e-8, 1e-10),
    "sparse_cg": (1e-3, 1e-4, 1e-6, 1e-8),
}
Setting = namedtuple("Setting", ("loss", "ridge", "intercept", "clock", "patience"))
"""The loss, 1/C, whether there is an intercept, what counts seconds, and after how many a ladder is left."""
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
WIDEST = 3000
"""Columns up to which solvers that hold a matrix of them are tried."""


def regression(X, y):
    """A target for the rows of X: labels are made of another function, and only their number counts."""
    rng = np.random.default_rng(7)
    square = X.multiply(X).mean(axis=0) if sp.issparse(X) else np.square(X).mean(axis=0)
    mean, square = (np.asarray(part, dtype=float).ravel() for part in (X.mean(axis=0), square))
    sd = np.sqrt(np.maximum(square - mean**2, 0.0))
    eta = X @ np.divide(rng.standard_normal(len(sd)), sd, out=np.zeros(len(sd)), where=sd > 1e-9 * abs(mean))
    return eta + eta.std() * rng.standard_normal(len(y))


class Glum(ClassifierMixin, BaseEstimator):
    """glum's binomial family: half its mean deviance is the mean log loss."""

    def __init__(self, alpha: float = 1.0, fit_intercept: bool = True, tol: float = 1e-4) -> None:
        self.alpha, self.fit_intercept, self.tol = alpha, fit_intercept, tol

    def fit(self, X, y):
        """One fit."""
        from glum import GeneralizedLinearRegressor

        self.classes_ = np.unique(y)
        options = {"l1_ratio": 0, "family": "binomial", "gradient_tol": self.tol, "max_iter": 1000}
        fitted = GeneralizedLinearRegressor(alpha=self.alpha, fit_intercept=self.fit_intercept, **options)
        fitted.fit(X, (y == self.classes_[1]).astype(float))
        self.coef_, self.intercept_ = np.atleast_2d(fitted.coef_), np.atleast_1d(fitted.intercept_)
        return self


class Skglm(ClassifierMixin, BaseEstimator):
    """skglm's compiled log loss and its L-BFGS, with a column of ones that the penalty leaves out."""

    def __init__(self, alpha: float = 1.0, fit_intercept: bool = True, tol: float = 1e-4) -> None:
        self.alpha, self.fit_intercept, self.tol = alpha, fit_intercept, tol

    def fit(self, X, y):
        """One fit."""
        from skglm.datafits import Logistic
        from skglm.penalties import L2
        from skglm.solvers import LBFGS

        penalty, ones = L2(self.alpha), np.ones((X.shape[0], 1))
        if self.fit_intercept:
            path = Path(__file__).parent / "benchopt_linear"
            sys.path.insert(0, str(path)) if str(path) not in sys.path else None
            from solvers.skglm_lbfgs import RidgeButLast

            penalty = RidgeButLast(self.alpha)
            X = sp.hstack((X, ones), format="csc") if sp.issparse(X) else np.hstack((X, ones))
        X = X.tocsc() if sp.issparse(X) else np.asfortranarray(X)
        self.classes_ = np.unique(y)
        target = np.where(y == self.classes_[1], 1.0, -1.0)
        found = LBFGS(max_iter=10_000, tol=self.tol).solve(X, target, Logistic(), penalty)[0]
        self.coef_, self.intercept_ = found[None], np.zeros(1)
        if self.fit_intercept:
            self.coef_, self.intercept_ = found[None, :-1], found[-1:]
        return self


def model(solver: str, tol: float, X, y, setting: Setting):
    n, intercept = len(y), setting.intercept
    alpha, jobs = setting.ridge / n, 1 if setting.clock is time.process_time else None
    if setting.loss == "squared_error":
        if solver == "gdnp":
            return GDNPRegressor(alpha=alpha, tol=tol, fit_intercept=intercept, n_jobs=jobs)
        gram = min(X.shape) ** 2 <= 1e8
        fits = gram and not sp.issparse(X) if solver in ("cholesky", "svd") else True
        options = {"solver": solver, "tol": tol, "max_iter": 3000, "fit_intercept": intercept}
        return Ridge(alpha=setting.ridge, **options) if fits else None
    if solver == "gdnp":
        single = GDNPClassifier(alpha=alpha, tol=tol, fit_intercept=intercept, n_jobs=jobs)
        return OneVsRestClassifier(single) if len(np.unique(y)) > 2 else single
    if solver in ("newton-cholesky", "glum") and X.shape[1] > WIDEST:
        return None
    if solver in ("glum", "skglm"):
        single = {"glum": Glum, "skglm": Skglm}[solver](alpha, intercept, tol)
    else:
        options = {"solver": solver, "tol": tol, "max_iter": 3000, "fit_intercept": intercept}
        single = LogisticRegression(C=1.0 / setting.ridge, **options)
    return OneVsRestClassifier(single) if len(np.unique(y)) > 2 else single


def objective(fitted, X, y, setting: Setting, liblinear: bool) -> np.ndarray:
    """The largest relative suboptimality is judged per class, so the values are kept apart."""
    coef, intercept = coefficients(fitted)
    alpha = setting.ridge / len(y)
    if setting.loss == "squared_error":
        return np.array([0.5 * (np.square(y - X @ coef - intercept).mean() + alpha * (coef @ coef))])
    classes = np.unique(y)
    classes = classes if len(classes) > 2 else classes[1:]
    scores = X @ coef.T + intercept
    values = []
    for k, label in enumerate(classes):
        sign = np.where(y == label, 1.0, -1.0)
        penalty = coef[k] @ coef[k] + (intercept[k] ** 2 if liblinear else 0.0)
        values.append(np.logaddexp(0.0, -sign * scores[:, k]).mean() + 0.5 * alpha * penalty)
    return np.array(values)


def coefficients(fitted):
    if hasattr(fitted, "estimators_"):
        parts = [coefficients(part) for part in fitted.estimators_]
        return np.vstack([c for c, _ in parts]), np.concatenate([b for _, b in parts])
    return fitted.coef_, np.ravel(fitted.intercept_)


def timed(fit, X, y, clock) -> float:
    begin = clock()
    fit.fit(X, y)
    return clock() - begin


def measure(
    name: str, setting: Setting, target: float, repeats: int, solvers: Sequence[str]
) -> dict[str, dict]:
    """``comparison.summary`` of each solver that reaches the target, at its largest tolerance that does."""
    X, y = SETS[name]()
    ladders = LADDERS if setting.loss == "log_loss" else RIDGE_LADDERS
    if setting.loss == "squared_error":
        y = regression(X, y)
    runs: dict[str, list[tuple[float, np.ndarray, float | None]]] = {}
    for solver in solvers:
        for tol in ladders[solver]:
            fit = model(solver, tol, X, y, setting)
            if fit is None:
                break
            seconds = timed(fit, X, y, setting.clock)
            work = sum(map(passes, getattr(fit, "estimators_", [fit]))) if solver == "gdnp" else None
            runs.setdefault(solver, []).append(
                (tol, objective(fit, X, y, setting, solver == "liblinear"), work)
            )
            if seconds > setting.patience:
                break
    exact = objective(model("gdnp", 1e-13, X, y, setting).fit(X, y), X, y, setting, False)
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
            if max(seconds[solver], default=0.0) < setting.patience / 4:
                seconds[solver].append(timed(model(solver, tol, X, y, setting), X, y, setting.clock))
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
        clock = CLOCKS[options.clock]
        setting = Setting(options.loss, options.ridge, not options.no_intercept, clock, options.patience)
        found = measure(name, setting, options.target, options.repeats, options.solvers)
        seconds = {solver: median(entry["repeats"]) for solver, entry in found.items()}
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
    parser.add_argument("--ridge", type=float, default=1.0, metavar="R", help="1/C")
    parser.add_argument("--no-intercept", action="store_true")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--patience", type=float, default=20.0, metavar="SECONDS")
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
    if options.ridge == 0.0 and not options.against:
        parser.error("--ridge 0 is for --against: peers need not have a minimiser.")
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
