"""The measured times of ``gdnp.design.costs``, taken on this machine: ``python benchmarks/costs.py``.

Prints for each number its name, its value in the code, what is measured here, and the ratio of the two. A
wrong time costs speed, never an answer, so a ratio between 1/2 and 2 asks for nothing. ``--quick`` only shows
that the script runs. All that one number is made of is timed in turn, round after round, and the median over
the rounds is taken of the number itself: a change of the machine's speed hits both sides of a ratio.

The unit is the time of reading an entry of dense X: a sum of x·x over the row blocks of an array that no
cache holds, divided by its entries. A pass is the verb ``product`` with one column, XᵀXw.

ENTRIES_A_PASS
    A pass over dense X, for each entry, in units.
SPARSE_ENTRY
    A pass over CSR for each stored entry, over the same of dense X.
ROW_OF_A_PASS
    What the verb ``value`` of the log loss takes longer than a pass, for each row, in units.
ROW_WORK
    A weighted sum of the log loss over known margins, for each row, in units.
SERIAL_WORK
    Entries at which a pass on two threads takes as long as on one, between the two sizes that enclose it.
    Infinite where two threads never pay, as on one core.
OVERHEAD
    A step of the production solver on a few rows, in units: next to nothing of it is a pass.
DRAWING, DRAWING_A_ROW
    A Gram of rows that are drawn less one of as many rows that are all, in units: among few rows, and what
    it grows by with each row that they are drawn from.
SPARSE_PRODUCT
    A weighted Gram of thin rows as a product of sparse matrices, for each of the Σ nnz² multiplications, over
    the same through dense pieces, for each of the n d².
PAIR
    The same in C++, from pairs of the entries of a row.
ORTHOGONAL
    An orthonormal basis of d x k directions (LAPACK's QR), over d k² entries of a pass.
CHOLESKY
    LAPACK's factor of a matrix of side k, in k³ units.
dense_gram, dense_kernel, DENSE_COLUMNS and those of sparse X
    The verb ``gram``, ``kernel_matrix``, and ``product`` with 64 columns for each column, over a pass.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import median
from unittest.mock import patch

import numpy as np
import scipy.sparse as sp
from scipy.linalg import lapack, qr

from gdnp import Objective
from gdnp.design import DenseDesign, DesignMatrix, as_design, costs
from gdnp.design.block import Affine, Block, Scatter, Valued
from gdnp.design.threads import available_cores, ordered_sum, single_threaded_blas
from gdnp.losses import LogLoss
from gdnp.methods import newton
from gdnp.problem.empirical import sum_of
from gdnp.problem.gram import kernel_matrix

LOSS = LogLoss()
COLUMNS_AT_ONCE = 64
Calls = dict[str, Callable[[], object]]


@dataclass(frozen=True)
class Sizes:
    """How large the problems are, and how often each is timed."""

    entries: int = 1 << 24
    rows: int = 1 << 18
    columns: tuple[int, ...] = (30, 100, 300)
    side: int = 1000
    kernel: int = 400
    repeats: int = 7
    least: float = 0.02


QUICK = Sizes(1 << 16, 1 << 10, (8, 16), 40, 30, 2, 0.0)


@dataclass(frozen=True)
class Measured:
    """A number of the code beside the one found here."""

    name: str
    value: float
    here: float


class Clock:
    """Times calls in turn.

    Parameters
    ----------
    repeats : int
        Rounds.
    least : float
        Seconds that a call is repeated for within a round.
    """

    def __init__(self, repeats: int, least: float) -> None:
        self.repeats, self.least = repeats, least

    def rounds(self, calls: Calls) -> Iterator[dict[str, float]]:
        """The seconds of each call, round after round."""
        counts = {}
        for name, call in calls.items():
            call()  # caches, thread pools
            counts[name] = max(1, math.ceil(self.least / max(seconds(call, 1), 1e-9)))
        for _ in range(self.repeats):
            yield {name: seconds(call, counts[name]) for name, call in calls.items()}

    def medians(
        self, calls: Calls, numbers: dict[str, Callable[[dict[str, float]], float]]
    ) -> dict[str, float]:
        """The median over the rounds of every number that the seconds of a round give."""
        rounds = list(self.rounds(calls))
        return {name: median(number(one) for one in rounds) for name, number in numbers.items()}


def seconds(call: Callable[[], object], count: int) -> float:
    """Wall time of one call among so many."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count


def dense(n: int, d: int, n_jobs: int) -> DesignMatrix:
    """Gaussian entries; times do not depend on them."""
    return as_design(np.random.default_rng(0).standard_normal((n, d)), n_jobs)


def sparse(n: int, d: int, a_row: int, n_jobs: int) -> DesignMatrix:
    """CSR with about so many entries in a row."""
    X = sp.random_array((n, d), density=min(1.0, a_row / d), rng=np.random.default_rng(0), format="csr")
    return as_design(X, n_jobs)


def reading(design: DesignMatrix) -> Callable[[], object]:
    """Σ x² over the blocks of dense X."""

    def part(k: int) -> list[float]:
        values = design.block(k).values  # type: ignore[attr-defined]
        return [float(np.vdot(values, values))]

    def add(a: list[float], b: list[float]) -> list[float]:
        return [a[0] + b[0]]

    return lambda: ordered_sum(part, len(design.bounds), add, design.n_jobs, float(design.n_entries))


def one_pass(design: DesignMatrix, columns: int | None = None) -> Callable[[], object]:
    """XᵀXw, or XᵀXW for many columns."""
    d = design.n_features
    w = np.full(d if columns is None else (d, columns), 0.1)
    return lambda: design.map("product", Affine(w), reads=(None,), partial_size=w.size)


def loss_pass(design: DesignMatrix) -> Callable[[], object]:
    """Margins, value and gradient."""
    n, d = design.n_samples, design.n_features
    at, sigma = Valued(np.full(d, 0.1 / d), 0.0, LOSS), np.where(np.arange(n) % 2, 1.0, -1.0)
    margins = design.rows.empty()
    return lambda: design.map("value", at, reads=(sigma, None, None), writes=(margins,), partial_size=d)


def gram(design: DesignMatrix) -> Callable[[], object]:
    """A weighted Gram about zero."""
    d, weight = design.n_features, np.full(design.n_samples, 0.5)
    return lambda: design.map("gram", Scatter(np.zeros(d)), reads=(weight,), partial_size=d * d)


def kernel(design: DesignMatrix) -> Callable[[], object]:
    """X Xᵀ."""
    y = np.where(np.arange(design.n_samples) % 2, 1.0, -1.0)
    problem, ones = Objective(design, y, alpha=1.0, center=False), np.ones(design.n_features)
    return lambda: kernel_matrix(problem, ones)


def small_step() -> Callable[[], object]:
    """A step on a few rows, from the start."""
    X = np.random.default_rng(0).standard_normal((64, 4))
    objective = Objective(X, np.where(np.arange(64) % 3, 1.0, -1.0), alpha=1e-3, fit_intercept=True)
    method = newton()
    state = method.init(objective, None)
    return lambda: method.step(objective, replace(state)).point.gradient  # a copy has no direction yet


def drawn(n: int, d: int, rows: int, n_jobs: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """A Gram of rows that are drawn from n, and one of as many that are all."""
    design, whole, c = dense(n, d, n_jobs), dense(rows, d, n_jobs), np.full(n, 1.0 / n)

    def draw() -> object:
        choice = design.rows.sample(c, rows, level=0.0)
        at = Scatter(np.zeros(d), choice.mass)
        return design.map("gram", at, reads=(None,), partial_size=d * d, chosen=choice)

    return draw, gram(whole)


def of_reading(sizes: Sizes, clock: Clock, n_jobs: int) -> list[Measured]:
    """What a pass, its rows and nothing at all take in units of reading an entry."""
    d, n = max(sizes.columns), sizes.rows
    wide, narrow = dense(sizes.entries // d, d, n_jobs), dense(n, 10, n_jobs)
    of_few, of_many = (drawn(rows, 10, min(sizes.rows, 320), n_jobs) for rows in (min(sizes.rows, 1000), n))
    t, s = np.linspace(-3.0, 3.0, n), np.full(n, 1.0 / n)
    matrix = np.eye(sizes.side) * sizes.side + 1.0
    directions = np.random.default_rng(0).standard_normal((4 * sizes.side, COLUMNS_AT_ONCE))
    calls: Calls = {
        "reading": reading(wide),
        "pass": one_pass(wide),
        "narrow": one_pass(narrow),
        "loss": loss_pass(narrow),
        "step": small_step(),
        "drawn of few": of_few[0],
        "all few": of_few[1],
        "drawn": of_many[0],
        "rows": lambda: narrow.rows.total(partial(sum_of, LOSS.value), t, s),
        "cholesky": lambda: lapack.dpotrf(matrix, lower=1),
        "qr": lambda: qr(directions, mode="economic", check_finite=False),
    }

    def unit(one: dict[str, float]) -> float:
        return one["reading"] / wide.n_entries

    return of_code(
        clock.medians(
            calls,
            {
                "ENTRIES_A_PASS": lambda one: one["pass"] / one["reading"],
                "ROW_OF_A_PASS": lambda one: (one["loss"] - one["narrow"]) / n / unit(one),
                "ROW_WORK": lambda one: one["rows"] / n / unit(one),
                "OVERHEAD": lambda one: one["step"] / unit(one),
                "DRAWING": lambda one: (one["drawn of few"] - one["all few"]) / unit(one),
                "DRAWING_A_ROW": lambda one: (one["drawn"] - one["drawn of few"]) / n / unit(one),
                "CHOLESKY": lambda one: one["cholesky"] / sizes.side**3 / unit(one),
                "ORTHOGONAL": lambda one: (
                    one["qr"] / (directions.size * COLUMNS_AT_ONCE) / (one["pass"] / wide.n_entries)
                ),
            },
        )
    )


def of_code(found: dict[str, float]) -> list[Measured]:
    """Each number beside the constant of its name."""
    return [Measured(name, getattr(costs, name), here) for name, here in found.items()]


def of_dense(sizes: Sizes, clock: Clock, n_jobs: int) -> list[Measured]:
    """Products with dense X in passes."""
    found = []
    for d in sizes.columns:
        design = dense(sizes.entries // 8 // d, d, n_jobs)
        calls = {"pass": one_pass(design), "gram": gram(design)}
        here = clock.medians(calls, {"gram": lambda one: one["gram"] / one["pass"]})
        found.append(Measured(f"dense_gram({d})", costs.dense_gram(d), here["gram"]))
    n = sizes.kernel
    design = dense(n, sizes.entries // 8 // n, n_jobs)
    calls = {"pass": one_pass(design), "kernel": kernel(design)}
    here = clock.medians(calls, {"kernel": lambda one: one["kernel"] / one["pass"]})
    found.append(Measured(f"dense_kernel({n})", costs.dense_kernel(n), here["kernel"]))
    design = dense(sizes.entries // 8 // max(sizes.columns), max(sizes.columns), n_jobs)
    here = clock.medians(*in_columns(design))
    return [*found, Measured("DENSE_COLUMNS", costs.DENSE_COLUMNS, here["columns"])]


def in_columns(design: DesignMatrix) -> tuple[Calls, dict[str, Callable[[dict[str, float]], float]]]:
    """Many columns at once, for each of them, over one alone."""
    calls: Calls = {"pass": one_pass(design), "columns": one_pass(design, COLUMNS_AT_ONCE)}
    return calls, {"columns": lambda one: one["columns"] / COLUMNS_AT_ONCE / one["pass"]}


def of_sparse(sizes: Sizes, clock: Clock, n_jobs: int) -> list[Measured]:
    """Products with sparse X, in passes over it."""
    d, n = max(sizes.columns), sizes.rows
    design, full = sparse(n, d, 12, n_jobs), dense(sizes.entries // d, d, n_jobs)
    calls = {"pass": one_pass(design), "gram": gram(design), "dense": one_pass(full)}
    calls["columns"] = one_pass(design, COLUMNS_AT_ONCE)
    here = clock.medians(
        calls,
        {
            "entry": lambda one: one["pass"] / design.n_entries / (one["dense"] / full.n_entries),
            "gram": lambda one: one["gram"] / one["pass"],
            "columns": lambda one: one["columns"] / COLUMNS_AT_ONCE / one["pass"],
        },
    )
    found = [Measured("SPARSE_ENTRY", costs.SPARSE_ENTRY, here["entry"])]
    found.append(Measured(f"sparse_gram({d} columns)", design.gram_work, here["gram"]))
    thin = sparse(n, 10 * d, 4, n_jobs)
    calls = {"pass": one_pass(thin), "gram": gram(thin)}
    thin_here = clock.medians(calls, {"gram": lambda one: one["gram"] / one["pass"]})
    found.append(Measured(f"sparse_gram({10 * d} columns)", thin.gram_work, thin_here["gram"]))
    found.append(Measured("SPARSE_COLUMNS", costs.SPARSE_COLUMNS, here["columns"]))
    few = sparse(sizes.kernel, 50 * sizes.kernel, sizes.kernel, n_jobs)
    calls = {"pass": one_pass(few), "kernel": kernel(few)}
    of_few = clock.medians(calls, {"kernel": lambda one: one["kernel"] / one["pass"]})
    found.append(Measured(f"sparse_kernel({sizes.kernel} rows)", few.kernel_work, of_few["kernel"]))
    return [*found, *sparse_products(sizes, clock)]


def sparse_products(sizes: Sizes, clock: Clock) -> list[Measured]:
    """The ways to a Gram of one block of thin rows."""
    n, d = sizes.rows // 16, max(sizes.columns)
    weight = np.full(n, 0.5)

    def way(cheaper: bool) -> Block:
        block = sparse(n, d, 8, 1).block(0)
        block.__dict__.update(_sparse_product_is_cheaper=cheaper, _pairs_are_cheaper=False)
        return block

    through = {name: way(cheaper) for name, cheaper in (("sparse", True), ("dense", False))}
    rows = through["dense"].n_rows
    counts = np.diff(through["dense"]._stored.indptr)  # type: ignore[attr-defined]
    squares = float(np.square(counts, dtype=np.float64).sum())
    calls: Calls = {
        name: lambda block=block: block.weighted_gram(weight[:rows])  # type: ignore[misc]
        for name, block in through.items()
    }
    names = {"SPARSE_PRODUCT": "sparse"}
    compiled = sparse(n, d, 8, 1)._compiled  # of the same numbers
    if compiled is not None:
        names["PAIR"] = "pairs"
        calls["pairs"] = lambda: compiled.gram(0, rows, weight[:rows], np.zeros(d), np.zeros((d, d)))

    def ratio(one: dict[str, float], way: str) -> float:
        return (one[way] / squares) / (one["dense"] / (rows * d * d))

    with single_threaded_blas():
        ratios = {name: lambda one, way=way: ratio(one, way) for name, way in names.items()}
        return of_code(clock.medians(calls, ratios))


def of_threads(sizes: Sizes, clock: Clock) -> list[Measured]:
    """Entries at which two threads begin to pay."""
    if available_cores() == 1:
        return [Measured("SERIAL_WORK", costs.SERIAL_WORK, math.inf)]
    d = 16
    exponents = range(15, max(18, sizes.entries.bit_length()))
    found = {}
    with patch("gdnp.design.threads.SERIAL_WORK", 0.0):
        for exponent in exponents:
            X = np.random.default_rng(0).standard_normal(((1 << exponent) // d, d))
            calls = {name: one_pass(in_blocks(X, jobs)) for name, jobs in (("one", 1), ("two", 2))}
            here = clock.medians(calls, {"gain": lambda one: math.log(one["two"] / one["one"])})
            found[1 << exponent] = here["gain"]
    return [Measured("SERIAL_WORK", costs.SERIAL_WORK, break_even(found))]


def in_blocks(X: np.ndarray, n_jobs: int) -> DesignMatrix:
    """A design of at least two blocks, whatever its size: one has nothing to share out."""
    plain = as_design(X, n_jobs)
    return plain if len(plain.bounds) > 1 else DenseDesign(X, n_jobs, block_rows=len(X) // 2)


def break_even(gain: dict[int, float]) -> float:
    """Where log(two/one) falls to 0 for good, on a line between its neighbours; infinite if nowhere."""
    sizes = sorted(gain)
    if gain[sizes[-1]] > 0.0:
        return math.inf
    for low, high in reversed(list(pairwise(sizes))):
        if gain[low] > 0.0:
            share = gain[low] / (gain[low] - gain[high])
            return float(math.exp((1.0 - share) * math.log(low) + share * math.log(high)))
    return float(sizes[0])


def table(rows: Sequence[Measured]) -> str:
    """Four columns."""
    lines = [f"{'name':28} {'code':>12} {'here':>12} {'ratio':>7}"]
    lines += [f"{row.name:28} {row.value:12.4g} {row.here:12.4g} {row.here / row.value:7.2f}" for row in rows]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny problems: whether it runs, not how fast")
    parser.add_argument("--threads", type=int, default=None, help="of a pass; all cores by default")
    options = parser.parse_args(arguments)
    sizes = QUICK if options.quick else Sizes()
    clock, n_jobs = Clock(sizes.repeats, sizes.least), options.threads or available_cores()
    with single_threaded_blas():
        rows = of_reading(sizes, clock, n_jobs)
        rows += of_dense(sizes, clock, n_jobs) + of_sparse(sizes, clock, n_jobs) + of_threads(sizes, clock)
    print(f"passes on {n_jobs} of {available_cores()} cores")
    print(table(rows))


if __name__ == "__main__":
    main()
