"""Speed of one pass, memory of a fit and cost of the import: ``python benchmarks/passes.py``.

Prints, on two threads and a dense 500000 x 54 float64 design (--rows and --columns for another):

* one loss-and-gradient pass in units of a blocked read (the sum of x·x over the same row blocks), the two
  taken in turn so that a change of the machine's speed hits both;
* the largest memory a fit takes beyond X, in n-vectors and in per cent of X, with the five n-vectors, d² and
  blocks that the design allows;
* ``from gdnp import minimize`` in units of ``import sklearn.linear_model``, fresh processes in turn.
"""

from __future__ import annotations

import argparse
import operator
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np


def seconds(run: Callable[[], object]) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def in_turn(
    first: Callable[[], object], second: Callable[[], object], repeats: int
) -> tuple[float, float, float]:
    """Median seconds of each, and the median ratio first/second of neighbouring calls."""
    first(), second()
    pairs = [(seconds(first), seconds(second)) for _ in range(repeats)]
    return median(a for a, _ in pairs), median(b for _, b in pairs), median(a / b for a, b in pairs)


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    """A well conditioned Gaussian design; speed does not depend on the numbers."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    return X, np.where(X[:, 0] + rng.standard_normal(n) > 0.0, 1.0, -1.0)


def measure_pass(n: int, d: int, repeats: int) -> None:
    """One pass against one read."""
    from gdnp import Objective
    from gdnp.design.threads import ordered_sum

    X, y = data(n, d)
    objective = Objective(X, y, n_jobs=2)
    design = objective.design
    w = np.full(d, 0.1)

    def squares(k: int) -> float:
        values = design.block(k).values
        return float(np.vdot(values, values))

    def read() -> None:
        ordered_sum(squares, len(design.bounds), operator.add, design.n_jobs, X.size)

    def one_pass() -> None:
        point = objective.at(w)
        _ = point.value, point.gradient

    a, b, ratio = in_turn(one_pass, read, repeats)
    print(f"pass: {1e3 * a:.1f} ms, read: {1e3 * b:.1f} ms, ratio {ratio:.2f} (target 1.6), {n} x {d}")


def measure_memory(n: int, d: int) -> None:
    """Peak of a fit beyond X, each method in a fresh process so that nothing older counts."""
    for method in ("gdnp", "gdnp_metric", "agd", "GDNPClassifier"):
        code = f"import passes; passes.fit_and_report({n}, {d}, {method!r})"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent)


def fit_and_report(n: int, d: int, method: str) -> None:
    """Sample the resident memory during a fit."""
    from gdnp import GDNPClassifier, Objective, minimize

    def fit(X: np.ndarray, y: np.ndarray) -> None:
        if method == "GDNPClassifier":
            GDNPClassifier(alpha=1.0 / len(y), n_jobs=2).fit(X, y)
        else:
            minimize(Objective(X, y, n_jobs=2), method, max_iter=8)

    X, y = data(n, d)
    fit(X[:20_000], y[:20_000])  # imports and thread pools

    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    before, peak, done = resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, resident())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    fit(X, y)
    done.set()
    watcher.join()
    extra = peak - before
    print(
        f"memory of {method} beyond X: {extra / 2**20:.1f} MiB = {extra / (8 * n):.2f} n-vectors "
        f"= {100 * extra / X.nbytes:.1f} % of X (target: five n-vectors, d² and blocks; 10 %)",
        flush=True,
    )


def measure_import(repeats: int) -> None:
    """The import against scikit-learn's."""

    def importing(statement: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    try:
        from gdnp import GDNPClassifier  # noqa: F401

        ours = "from gdnp import GDNPClassifier"
    except ImportError:
        ours = "from gdnp import minimize"
    a, b, ratio = in_turn(importing(ours), importing("import sklearn.linear_model"), repeats)
    print(f"'{ours}': {a:.2f} s, 'import sklearn.linear_model': {b:.2f} s, ratio {ratio:.2f} (target 1.1)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--columns", type=int, default=54)
    parser.add_argument("--repeats", type=int, default=21)
    options = parser.parse_args()
    measure_pass(options.rows, options.columns, options.repeats)
    measure_memory(options.rows, options.columns)
    measure_import(7)
