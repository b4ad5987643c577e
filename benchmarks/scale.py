"""Files of any size: seconds, readings and memory of fits, against what a model says.

    python benchmarks/scale.py --rows 2000000 --columns 50 --folder SCRATCH

makes the set once (correlated, heavy-tailed columns of scales 1e-2 to 1e2 with offsets) as npy and Parquet.
Every case is a process: its peak is that of the case alone. Seconds of the processor may be at most those of
the fit in memory, and 1.3 times readings times what it takes to copy or to decode the file once.

`pread`, `memmap` and `same` (Parquet) take the steps of rows in memory; `dear` (npy) and `parquet` those of
rows that are dear to read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

CASES = ("memory", "memmap", "pread", "dear", "parquet", "same", "copy", "decode", "sgd")
CHUNK = 1 << 17


def rows_of(n, d, seed=0):
    """(X, y) in chunks that depend on the seed alone."""
    rng = np.random.default_rng(seed)
    mixing = np.eye(d) + 0.4 * rng.standard_normal((d, d)) / np.sqrt(d)
    scale = 10.0 ** rng.uniform(-2.0, 2.0, d)
    offset, w = rng.standard_normal(d) * scale, rng.standard_normal(d) / np.sqrt(d)
    for low in range(0, n, CHUNK):
        rows = rng.standard_t(5, size=(min(CHUNK, n - low), d)) @ mixing
        y = rows @ w + 0.3 + rng.logistic(size=len(rows)) > 0.0
        yield rows * scale + offset, y.astype(np.float64)


def make(folder, n, d, tables):
    """X.npy, y.npy and with `tables` a folder of Parquet, unless they are there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    done = folder / ("done-table" if tables else "done")
    (folder / "table").mkdir(parents=True, exist_ok=True)
    if done.exists():
        return
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (n, d))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.float64, (n,))
    names = [f"c{j}" for j in range(d)]
    schema = pa.schema([(name, pa.float64()) for name in [*names, "y"]])
    low = 0
    with pq.ParquetWriter(folder / "table" / "part.parquet", schema) as writer:
        for rows, labels in rows_of(n, d):
            X[low : low + len(rows)], y[low : low + len(rows)] = rows, labels
            low += len(rows)
            if tables:
                arrays = [pa.array(np.ascontiguousarray(column)) for column in rows.T]
                writer.write_table(pa.table([*arrays, pa.array(labels)], schema=schema))
    X.flush()
    y.flush()
    done.touch()


def fitted(case, folder, memory):
    """The model of a case, or None where it is a part of the cost."""
    from gdnp import GDNPClassifier
    from gdnp.design import source

    X, y, table = folder / "X.npy", folder / "y.npy", folder / "table"
    model = GDNPClassifier(alpha=1e-4, tol=1e-8)
    if case == "memory":
        arrays = np.load(X), np.load(y)
        return timed(lambda: model.fit(*arrays))
    if case == "memmap":
        return timed(lambda: model.fit(np.load(X, mmap_mode="r"), np.load(y)))
    if case in ("pread", "dear"):
        options = {"memory": memory, "scratch": folder} if case == "dear" else {}
        return timed(lambda: model.fit(X, y, **options))
    options = {"memory": memory, "scratch": folder} if memory else {}
    if case == "same":
        return timed(lambda: model.fit(source(table, y="y", read_cost=1.0, **options)))
    return timed(lambda: model.fit(table, "y", **options))


def timed(work):
    wall, cpu = time.perf_counter(), time.process_time()
    model = work()
    return model, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def copied(path):
    buffer = memoryview(bytearray(1 << 23))
    with path.open("rb", buffering=0) as opened:
        while opened.readinto(buffer):
            pass


def decoded(folder):
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / "part.parquet", pre_buffer=False) as table:
        for _ in table.iter_batches(columns=table.schema_arrow.names[:-1]):
            pass


def peak():
    """Megabytes of this process at its most; ``getrusage`` would count those of its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024.0


def stochastic(folder, n):
    """scikit-learn's SGD over the same chunks, on standardised columns: another objective."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.preprocessing import StandardScaler

    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy", mmap_mode="r")
    scaler, model = StandardScaler(), SGDClassifier("log_loss", alpha=1e-4)
    chunks = [slice(low, low + CHUNK) for low in range(0, n, CHUNK)]
    for chunk in chunks:
        scaler.partial_fit(X[chunk])
    for _ in range(3):
        for chunk in chunks:
            model.partial_fit(scaler.transform(X[chunk]), y[chunk], classes=[0.0, 1.0])
    return np.ravel(model.coef_) / scaler.scale_, float(
        model.intercept_[0] - np.ravel(model.coef_) @ (scaler.mean_ / scaler.scale_)
    )


def objective(folder, n, coef, intercept):
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy", mmap_mode="r")
    total = 0.0
    for low in range(0, n, CHUNK):
        t = (X[low : low + CHUNK] @ coef + intercept) * (1.0 - 2.0 * y[low : low + CHUNK])
        total += np.logaddexp(0.0, t).sum()
    return total / n + 0.5e-4 * float(coef @ coef)


def run(case, folder, n, d, memory):
    """What one case takes, as a record."""
    if case == "copy":
        _, found = timed(lambda: copied(folder / "X.npy"))
    elif case == "decode":
        _, found = timed(lambda: decoded(folder / "table"))
    elif case == "sgd":
        solution, found = timed(lambda: stochastic(folder, n))
        found["objective"] = objective(folder, n, *solution)
    else:
        model, found = fitted(case, folder, memory)
        one, last = model.certificate_, {k: float(v[-1]) for k, v in model.history_.items()}
        found |= {"gap": one.gap, "kind": one.kind, "objective": one.objective, "passes": last["passes"]}
        found |= {name: last[name] for name in ("readings", "bytes") if name in last}
        found["coef"] = [float(w).hex() for w in (*model.coef_.ravel(), model.intercept_[0])]
    found["peak_mb"] = peak()
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--memory", default=None, help="of the cases dear and parquet, like 600MB")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--one", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    folder = args.folder / f"{args.rows}x{args.columns}"
    if args.one:
        print(json.dumps(run(args.one, folder, args.rows, args.columns, args.memory)))
        return
    make(folder, args.rows, args.columns, bool({"parquet", "same", "decode"} & set(args.cases)))
    found = {case: [] for case in args.cases}
    for _ in range(args.repeats):
        for case in args.cases:
            command = [sys.executable, __file__, "--one", case, *sys.argv[1:]]
            found[case].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    best = {case: min(runs, key=lambda run: run["cpu"]) for case, runs in found.items()}
    report(best)


def report(best):
    """A line for each case: measured, predicted, and how near the coefficients are to those in memory."""
    reference = best.get("memory", {}).get("coef")
    once = {"pread": best.get("copy"), "dear": best.get("copy")}
    once |= {"parquet": best.get("decode"), "same": best.get("decode")}
    print(
        f"{'case':8} {'wall s':>8} {'cpu s':>8} {'readings':>9} {'MB read':>9} {'peak MB':>8} {'gap':>8} "
        f"{'objective':>20} {'cpu at most':>11}  coefficients"
    )
    for case, run in best.items():
        predicted = ""
        if once.get(case) and "memory" in best:
            predicted = f"{best['memory']['cpu'] + 1.3 * run['readings'] * once[case]['cpu']:11.2f}"
        same = ""
        if reference and "coef" in run:
            a, b = (np.array([float.fromhex(w) for w in one]) for one in (run["coef"], reference))
            same = "equal" if (a == b).all() else f"{np.max(np.abs(a - b) / np.abs(b)):.1e}"
        print(
            f"{case:8} {run['wall']:8.2f} {run['cpu']:8.2f} {run.get('readings', np.nan):9.2f} "
            f"{run.get('bytes', np.nan) / 1e6:9.0f} {run['peak_mb']:8.0f} {run.get('gap', np.nan):8.1e} "
            f"{run.get('objective', np.nan):20.16f} {predicted:>11}  {same}"
        )


if __name__ == "__main__":
    main()
