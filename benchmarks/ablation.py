"""What each mechanism and threshold of the production solver is worth, in passes and in seconds.

    python benchmarks/ablation.py [VARIANT ...] [--sets SET ...] [--losses LOSS ...] [--repeats 1]

Each variant changes one thing: a mechanism is switched off, or a threshold is multiplied by a factor. Rows
are variants, columns problems (a set and a loss, C = 1; bounded losses with alpha = 1e-4). A cell is the
ratio of passes to those of the solver as it is, and how much higher the objective ends where that is more
than both gaps allow. A star says that the run did not converge. Variants that change no passes and no end are
named below the table.

Passes are deterministic. Seconds are medians of ratios to runs of the solver as it is, in turn with those of
the variant. ``--repeats 0`` leaves them out.

    python benchmarks/ablation.py --list       the variants
    python benchmarks/ablation.py --quick      two small sets, passes alone, in less than a minute

Every named number of ``gdnp.problem``, ``gdnp.newton`` and ``gdnp.solvers`` is in ``THRESHOLDS`` or in
``GUARDS``. A test holds that.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import textwrap
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from statistics import geometric_mean, median
from typing import Any
from unittest.mock import patch

import numpy as np
from peers import regression
from sets import SETS
from sklearn.exceptions import ConvergenceWarning

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.losses import LOSSES
from gdnp.newton.preconditioners.choice import first_stage
from gdnp.solvers import Status

PROBLEMS = [
    *((name, "log_loss") for name in SETS if name not in ("digits", "power_law")),
    *((name, "sigmoid") for name in ("a9a", "breast_cancer", "ijcnn_like", "phishing_like")),
    *((name, "pseudo_huber") for name in ("a9a", "breast_cancer", "ijcnn_like")),
    *((name, "squared_error") for name in ("a9a", "wide", "factors", "vocabulary")),
]
QUICK = [("breast_cancer", "log_loss"), ("phishing_like", "log_loss"), ("breast_cancer", "sigmoid")]

Change = tuple[str, Any]
"""The path of something in ``gdnp``, and what takes its place."""

MECHANISMS: dict[str, list[Change]] = {
    "no sample at the start": [
        ("newton.method.sample_size", lambda problem: None),
        ("newton.nonconvex.sample_size", lambda problem: None),
    ],
    "no graduated lengths": [("newton.nonconvex.PATH", ())],
    "no plane search": [("newton.method.step_in_plane", lambda *_: None)],
    "no memory of steps": [("newton.lbfgs.CURVED", math.inf)],
    "never renewed by the rate": [("newton.method.Newton._stale", lambda *_: False)],
    "always the rows themselves": [("newton.preconditioners.making.BINS", 1 << 20)],
    "all rows in a Gram": [("newton.preconditioners.making.NEGLIGIBLE", -math.inf)],
    "a matrix at once": [("newton.method.first_stage", lambda facts, **_: first_stage(facts, sure=True))],
}
"""Parts of the solver, and how each is switched off."""

CHOICE = "newton.preconditioners.choice"
THRESHOLDS: dict[str, tuple[float, ...]] = {
    "newton.state.TINY": (0.0, 64.0),
    "newton.closing.RESIDUAL": (0.1, 1.8),
    "newton.closing.INEXACT": (0.01, 5.0),
    "newton.closing.SHORTEST": (0.2, 5.0),
    "newton.closing.LONGEST": (0.2, 10.0),
    "newton.closing.LONGEST_QUADRATIC": (0.02, 10.0),
    "newton.lbfgs.MOST_PAIRS": (0.2, 3.0),
    "newton.method.BASIN": (0.0, 0.1, 10.0),
    "newton.method.FAR": (0.0, 0.1, 10.0),
    "newton.nonconvex.PATH": (0.5, 1.6),
    "newton.nonconvex.ROUGH": (0.1, 10.0),
    f"{CHOICE}.AT_ONCE": (0.1, 10.0),
    f"{CHOICE}.WITHOUT_DIRECTIONS": (0.0, 10.0),
    f"{CHOICE}.ROWS_PER_COLUMN": (0.25, 4.0),
    f"{CHOICE}.ROWS_PER_COLUMN_NOT_CONVEX": (0.25, 4.0),
    f"{CHOICE}.AFFORDABLE": (0.0, 4.0),
    f"{CHOICE}.AFFORDABLE_QUADRATIC": (0.0, 10.0),
    f"{CHOICE}.GROWTH": (0.67, 4.0),
    f"{CHOICE}.SMALLEST_RANK": (0.25, 4.0),
    f"{CHOICE}.STANDS_OUT": (0.25, 4.0),
    f"{CHOICE}.DIAGONAL_COST": (0.25, 4.0),
    "newton.preconditioners.making.BINS": (0.25, 4.0),
    "newton.preconditioners.making.LEAST_SHARE": (0.1, 10.0),
    "newton.preconditioners.making.NEGLIGIBLE": (0.1, 3.0),
    "newton.preconditioners.making.MANY": (0.5, 1.67),
    "newton.start.SMALLEST": (0.25, 4.0),
    "newton.start.SAMPLE_TOL": (0.1, 10.0),
    "newton.start.LEAST_PULL": (0.0, 100.0),
    "newton.search.DECREASE": (0.0, 1000.0),
    "newton.search.LITTLE": (0.1, 5.0),
    "newton.search.WOLFE": (0.0, 0.5),
    "newton.start.LEFT": (1e-3, 1e5),
    "newton.start.SKEWED": (0.3, math.inf),
    "newton.state.DAMPING": (1e-4, 1e3),
    "problem.coordinates.LARGEST_GRAM": (0.25, 4.0),
}
"""Factors of thresholds: what they decide shows in passes, in seconds, or in where a run ends."""

GUARDS = {
    "newton.lbfgs.CURVED": "Against a secant pair of no curvature, whose update is unstable; "
    "tests/newton/test_lbfgs.py. As a mechanism it is infinite: no pair is kept.",
    "newton.method.BENT": "Against a model of f without curvature; tests/newton/test_primal_dual.py.",
    "newton.method.INTERPOLATED": "Against asking for digits of an f that is rounding of the targets; "
    "tests/newton/test_method.py on data that are fitted exactly.",
    f"{CHOICE}.SMALLEST_RIDGE": "Against a kernel of the rows that loses the ridge of large columns; "
    "tests/newton/preconditioners/test_rows.py.",
    f"{CHOICE}.SMALLEST_RIDGE_OF_ROWS": "Against a basis of the rows where not even that keeps the ridge; "
    "tests/newton/preconditioners/test_choice.py.",
    "newton.preconditioners.full.JITTERS": "Against a Gram matrix without a Cholesky factor; "
    "tests/newton/preconditioners/test_full.py on singular ones.",
    "newton.preconditioners.full.SMALLEST_PIVOT": "Against the noise that a pivot near rounding passes on; "
    "tests/newton/preconditioners/test_full.py on twin columns, test_low_rank.py on eigenvalues.",
    "problem.coordinates.DOUBTFUL": "Against a constant column whose variance is rounding; "
    "tests/problem/test_coordinates.py.",
    "problem.coordinates.NEAR_ZERO": "Against a variance that is a difference of two large numbers; "
    "tests/problem/test_coordinates.py on columns with an offset.",
    "problem.coordinates.FAR_FROM_ZERO": "Against margins that cancel where columns have a large offset; "
    "tests/problem/test_coordinates.py.",
    "problem.gram.STRIP": "Against a dense copy of all of sparse X; it bounds memory alone. "
    "tests/problem/test_gram.py.",
    "problem.hidden_unit.MAX_TANH_CURVATURE": "The bound of |tanh''|, a fact and no choice; "
    "tests/problem/test_hidden_unit.py.",
    "problem.objective.LONGEST": "Against a length without end on separable data, in methods of the paper; "
    "tests/problem/test_objective.py.",
    "problem.objective.ROWS_THAT_BEND": "Against a bounded loss whose gradient is noise of a few rows, in "
    "methods of the paper; tests/problem/test_objective.py.",
    "solvers.certificates.LAST_DIGITS": "Against a gap below the rounding of f; "
    "tests/newton/test_closing.py at a tolerance below rounding.",
    "solvers.curvature.CURVATURE_ROUNDING": "Against calling an eigenvalue negative that is rounding; "
    "tests/solvers/test_curvature.py at a flat minimum.",
    "solvers.lengths.SMALLEST_STEP": "Against steps on the length, and halvings of them, that are rounding; "
    "tests/solvers/test_lengths.py.",
    "solvers.lengths.FLAT": "Against a search along the length for a minimum that is not there: a long step "
    "promises rounding alone; tests/solvers/test_lengths.py.",
    "solvers.nonconvex.SUFFICIENT_DECREASE": "Against one perturbation after the other at a point that is no "
    "saddle; tests/solvers/test_nonconvex.py.",
    "solvers.state.ROUNDING": "Against comparing values of f that differ by rounding; "
    "tests/solvers/test_state.py.",
    "solvers.state.TRIALS": "Against an endless search: along a line and in a plane, "
    "tests/newton/test_search.py; of the smallest eigenvalue, tests/solvers/test_certificates.py; of a "
    "guarded step, tests/solvers/test_decoupled.py.",
}
"""Numbers that no speed depends on: what each guards against, and the module whose tests show it."""


def module_of(path: str) -> Any:
    """The module that has the last part of a path."""
    return importlib.import_module("gdnp." + path.rpartition(".")[0])


def multiplied(path: str, factor: float) -> list[Change]:
    """A threshold times a factor; a whole number stays one."""
    value = getattr(module_of(path), path.rpartition(".")[2])

    def times(number: float) -> float:
        return (
            round(number * factor) if isinstance(number, int) and math.isfinite(factor) else number * factor
        )

    new = tuple(map(times, value)) if isinstance(value, tuple) else times(value)
    if path == "newton.search.LITTLE":  # a default of two functions, too
        return [(path, new), ("newton.search.step_in_plane.__defaults__", (new,))]
    return [(path, new)]


VARIANTS = MECHANISMS | {
    f"{path.removeprefix('newton.').removeprefix('preconditioners.')} x {factor:g}": multiplied(path, factor)
    for path, factors in THRESHOLDS.items()
    for factor in factors
}


@contextmanager
def changed(changes: list[Change]) -> Iterator[None]:
    """The solver with other values, wherever modules have imported them."""
    with ExitStack() as stack:
        for path, value in changes:
            for owner, name in owners(path):
                stack.enter_context(patch.object(owner, name, value))
        yield


def owners(path: str) -> list[tuple[Any, str]]:
    """The class or function that has the last part of a path, or every module that has it from there."""
    *_, name = path.split(".")
    try:
        module = module_of(path)
    except ModuleNotFoundError:
        head, _, inner = path.rpartition(".")[0].rpartition(".")
        return [(getattr(importlib.import_module(f"gdnp.{head}"), inner), name)]
    if not name.isupper():
        return [(module, name)]
    value = getattr(module, name)
    users = [module for key, module in sys.modules.items() if key.startswith("gdnp.")]
    return [(user, name) for user in users if vars(user).get(name) is value]


def fit(X: Any, y: Any, loss: str) -> dict[str, float]:
    """Passes, seconds, objective, the gap that is claimed and whether the run converged."""
    classification = LOSSES[loss].task == "classification"
    alpha = 1.0 / len(y) if LOSSES[loss].convex else 1e-4
    model = (GDNPClassifier if classification else GDNPRegressor)(loss, alpha=alpha)
    begin = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    certificate = model.certificate_
    return {
        "seconds": time.perf_counter() - begin,
        "passes": float(model.history_["passes"][-1]),
        "objective": certificate.objective,
        "gap": certificate.gap,
        "converged": certificate.status is Status.CONVERGED,
    }


def cell(problem: tuple[Any, Any, str], known: dict[str, float], changes: list[Change], repeats: int) -> dict:
    """Ratios of passes and seconds on one problem, how much higher f ends, and whether the run converged."""
    seconds, found = [], known
    for _ in range(max(1, repeats)):
        plain = fit(*problem) if repeats else known
        with changed(changes):
            found = fit(*problem)
        seconds.append(found["seconds"] / plain["seconds"])
    excess = found["objective"] / known["objective"] - 1.0
    return {
        "passes": found["passes"] / known["passes"],
        "seconds": median(seconds),
        "excess": excess if excess > found["gap"] + known["gap"] + 1e-12 else 0.0,
        "converged": found["converged"],
    }


def shown(cell: dict) -> str:
    """A cell as text."""
    excess = f"+{cell['excess']:.0e}".replace("e-0", "e-") if cell["excess"] else ""
    return f"{cell['passes']:.2f}{excess}{'' if cell['converged'] else '*'}"


def idle(cells: list[dict]) -> bool:
    """Whether a variant changed no number of passes, no end and no status."""
    return all(cell["passes"] == 1.0 and not cell["excess"] and cell["converged"] for cell in cells)


def chosen_problems(chosen: argparse.Namespace) -> dict[tuple[str, str], tuple[Any, Any, str]]:
    """X, y and the loss of each problem that was asked for."""
    found = {}
    for name, loss in QUICK if chosen.quick else PROBLEMS:
        if (chosen.sets and name not in chosen.sets) or (chosen.losses and loss not in chosen.losses):
            continue
        X, y = SETS[name]()
        found[name, loss] = X, y if LOSSES[loss].task == "classification" else regression(X, y), loss
    return found


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("variants", nargs="*", help="all by default")
    parser.add_argument("--sets", nargs="+", choices=SETS)
    parser.add_argument("--losses", nargs="+", choices=LOSSES)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--list", action="store_true")
    chosen = parser.parse_args(arguments)
    if chosen.list:
        print(*VARIANTS, sep="\n")
        return
    repeats, names = (0 if chosen.quick else chosen.repeats), chosen.variants or list(VARIANTS)
    width = max(map(len, names))
    problems = chosen_problems(chosen)
    known = {key: fit(*problem) for key, problem in problems.items()}
    print(
        f"{'':{width}s}",
        *(f"{name[:9]:>9s}" for name, _ in problems),
        "   mean" + (" seconds" if repeats else ""),
    )
    print(f"{'':{width}s}", *(f"{loss[:9]:>9s}" for _, loss in problems))
    print(f"{'passes as it is':{width}s}", *(f"{run['passes']:9.1f}" for run in known.values()), flush=True)
    nothing = []
    for name in names:
        row = partial(cell, changes=VARIANTS[name], repeats=repeats)
        cells = [row(problem, known[key]) for key, problem in problems.items()]
        if idle(cells):
            nothing.append(name)
            continue
        mean, slower = (geometric_mean(cell[what] for cell in cells) for what in ("passes", "seconds"))
        means = f"{mean:7.3f}" + (f" {slower:7.2f}" if repeats else "")
        print(f"{name:{width}s}", *(f"{shown(cell):>9s}" for cell in cells), means, flush=True)
    text = "Passes unchanged everywhere: " + (", ".join(nothing) or "none")
    print("\n" + textwrap.fill(text, 110, break_on_hyphens=False))


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
