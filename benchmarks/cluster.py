"""Fits on a Dask cluster of two processes: rounds, bytes and seconds, against memory, a model and rivals.

    python benchmarks/cluster.py --rows 200000 --columns 20
    python benchmarks/cluster.py --rows 2000000 --columns 50 --rivals
    python benchmarks/cluster.py --kills 20
    python benchmarks/cluster.py --rounds 16 64 256 1024

Every fit is the log loss with alpha 1e-4 on the rows of ``scale.py``, which are made on the workers and kept
there; `later` is the fastest of three after the first. Bytes are those of jobs, vectors and sums, not Dask's
own; `wire` is all that went over the loopback meanwhile, and `predicted` what the model of
docs/scale.md says. With --rivals dask-ml and Spark are fitted where they are installed; each line ends with f
of gdnp's objective at its solution, whatever its own is.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ALPHA, TOL = 1e-4, 1e-8
LATER = 3
"""Fits after the first, of which the fastest counts."""


def part_of(n, d, k):
    """The k-th chunk of rows, (X, y): any one can be made again."""
    rng = np.random.default_rng(0)
    mixing = np.eye(d) + 0.4 * rng.standard_normal((d, d)) / np.sqrt(d)
    scale = 10.0 ** rng.uniform(-2.0, 2.0, d)
    offset, w = rng.standard_normal(d) * scale, rng.standard_normal(d) / np.sqrt(d)
    rng = np.random.default_rng([1, k])
    rows = rng.standard_t(5, size=(n, d)) @ mixing
    y = rows @ w + 0.3 + rng.logistic(size=n) > 0.0
    return rows * scale + offset, y.astype(np.float64)


def sizes_of(n, parts):
    return [n * (k + 1) // parts - n * k // parts for k in range(parts)]


def collections(client, n, d, parts):
    """X and y on the workers in turn, kept there: the first to be up would else make most parts."""
    import dask
    import dask.array as da

    there, each = sorted(client.scheduler_info()["workers"]), []
    for k, size in enumerate(sizes_of(n, parts)):
        place = {"workers": [there[k % len(there)]], "allow_other_workers": True}
        each.append((size, dask.delayed(client.submit(part_of, size, d, k, **place))))
    X = da.concatenate([da.from_delayed(part[0], (size, d), float) for size, part in each])
    y = da.concatenate([da.from_delayed(part[1], (size,), float) for size, part in each])
    X, y = client.persist([X, y])
    from distributed import wait

    wait([X, y])
    return X, y


@contextmanager
def cluster(workers):
    import dask
    from distributed import Client, LocalCluster

    # Parts stay where they are: what was never run is not taken for half a second of work.
    dask.config.set({"distributed.scheduler.work-stealing": False})
    dask.config.set({"distributed.scheduler.unknown-task-duration": "1ms"})
    options = {"threads_per_worker": 1, "dashboard_address": None, "host": "127.0.0.1"}
    with LocalCluster(n_workers=workers, **options) as made, Client(made) as client:
        yield client


def wire():
    """Bytes that the loopback has sent so far; 0 where Linux does not say."""
    try:
        lines = Path("/proc/net/dev").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.strip().startswith("lo:"))


def objective_there(X, y, coef, intercept):
    """f of gdnp's objective at a solution, where the rows are."""
    t = (X @ np.asarray(coef) + intercept) * (1.0 - 2.0 * y)
    loss = t.map_blocks(lambda t: np.logaddexp(0.0, t)).mean().compute()
    return float(loss) + 0.5 * ALPHA * float(np.dot(coef, coef))


def processor(client):
    """Seconds of processors that all processes have had so far."""
    return time.process_time() + sum(client.run(time.process_time).values())


def fitted(X, y, client):
    """A fit with what it took."""
    from gdnp import GDNPClassifier

    spent = processor(client)
    begin, sent = time.perf_counter(), wire()
    model = GDNPClassifier(alpha=ALPHA, tol=TOL).fit(X, y)
    found = {name: float(column[-1]) for name, column in model.history_.items()}
    found |= {"wall": time.perf_counter() - begin, "wire": wire() - sent}
    return model, found | {"cpu": processor(client) - spent}


def in_memory(n, d, parts):
    """The model of the same rows on two threads; seconds, and of processors, of a first and a later fit.

    And what one thread takes for a reading that makes value and gradient, and for a Gram.
    """
    from gdnp import GDNPClassifier

    each = [part_of(size, d, k) for k, size in enumerate(sizes_of(n, parts))]
    X, y = (np.concatenate(some) for some in zip(*each, strict=True))
    fits = []
    for _ in range(1 + LATER):
        begin, spent = time.perf_counter(), time.process_time()
        model = GDNPClassifier(alpha=ALPHA, tol=TOL, n_jobs=2).fit(X, y)
        fits.append((time.perf_counter() - begin, time.process_time() - spent))
    return model, fits[0], min(fits[1:]), [alone(X, *job) for job in jobs_of(y, d)]


def jobs_of(y, d):
    from gdnp.design.block import Scatter, Valued
    from gdnp.losses import LOSSES

    sigma, t, c = 1.0 - 2.0 * y, np.empty(len(y)), np.full(len(y), 0.25)
    value = Valued(np.zeros(d), 0.0, LOSSES["log_loss"])
    return ("value", value, (sigma, None, None), (t,), d), ("gram", Scatter(np.zeros(d)), (c,), (), d * d)


def alone(X, verb, state, reads, writes, size):
    """Seconds of one thread, the least of three."""
    from gdnp.design import DenseDesign

    seconds = []
    for _ in range(3):
        begin = time.thread_time()
        DenseDesign(X, 1).map(verb, state, reads=reads, writes=writes, partial_size=size)
        seconds.append(time.thread_time() - begin)
    return min(seconds)


def bound_on_bytes(rounds, lanes, d, grams):
    """What the rounds may send: 8 (2d + 64) numbers a lane, and the packed half of a Gram."""
    return rounds * lanes * 8 * (2 * d + 64) + grams * lanes * 4 * d * (d + 1)


def empty_round(client, parts):
    """Seconds of a round that does nothing, the least of ten: as many tasks, and a sum of sums."""
    from gdnp.design.cluster import ClusterRows

    rows = ClusterRows(client, range(parts + 1))
    v, seconds = rows.hold(np.zeros(parts)), []
    for _ in range(10):
        begin = time.perf_counter()
        rows.total(_first, v)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def _first(v):
    return [float(v[0])]


def report(n, d, parts, rivals):
    here, first, memory, (reading, gram) = in_memory(n, d, parts)
    print(f"rows {n}, columns {d}, parts {parts}, kernels {os.environ.get('GDNP_KERNELS', 'default')}")
    print(
        f"memory    first {first[0]:.2f} s, later {memory[0]:.2f} s ({memory[1]:.2f} s of processors), "
        f"a reading {reading:.2f} s of one, a Gram {gram:.2f} s, f {here.certificate_.objective:.16f}"
    )
    for workers in (1, 2):
        with cluster(workers) as client:
            X, y = collections(client, n, d, parts)
            empty = empty_round(client, parts)
            for call in ("first", "later"):
                fits = [fitted(X, y, client) for _ in range(LATER if call == "later" else 1)]
                model, found = min(fits, key=lambda fit: fit[1]["wall"])
                f, rounds = model.certificate_, found["rounds"]
                allowed = memory[0] + 0.1 * rounds + (1.0 if call == "first" else 0.0)
                grams = int((found["passes"] - found["readings"]) / (d / 2))
                predicted = (found["readings"] * reading + grams * gram) / workers + rounds * empty
                print(
                    f"{workers} worker{'s' if workers > 1 else ' '} {call:5} {found['wall']:.2f} s (allowed "
                    f"{allowed:.2f}, predicted {predicted:.2f}, an empty round {1e3 * empty:.0f} ms; "
                    f"{found['cpu']:.2f} s of processors), "
                    f"{found['readings']:.0f} readings, {grams} Grams, {rounds:.0f} rounds, "
                    f"{found['bytes'] / 1e6:.4f} MB (wire {found['wire'] / 1e6:.2f} MB), "
                    f"f {f.objective:.16f}, gap {f.gap:.1e}, "
                    f"off by {abs(f.objective - here.certificate_.objective) / f.objective:.1e}"
                )
                ok = rounds <= 12 and found["bytes"] <= 1e6
                print(f"          rounds <= 12 and bytes <= 1 MB: {'yes' if ok else 'NO'}")
            if workers == 2 and rivals:
                dask_ml(X, y)
    if rivals:
        spark(n, d, parts)


def dask_ml(X, y):
    """dask-ml's two fastest solvers, which penalise standardised columns."""
    try:
        from dask_ml.linear_model import LogisticRegression
    except ImportError as error:
        print(f"dask-ml   not run: {error}")
        return
    for solver in ("newton", "lbfgs"):
        begin, sent = time.perf_counter(), wire()
        try:
            model = LogisticRegression(solver=solver, C=1.0 / (ALPHA * len(X)), max_iter=100, tol=TOL)
            model.fit(X, y)
        except Exception as error:
            print(f"dask-ml   {solver}: {type(error).__name__}: {str(error)[:100]}")
            continue
        seconds, sent = time.perf_counter() - begin, wire() - sent
        f = objective_there(X, y, model.coef_.ravel(), float(np.ravel(model.intercept_)[0]))
        print(f"dask-ml   {solver} {seconds:.2f} s, wire {sent / 1e6:.0f} MB, f {f:.10f} (another objective)")


def spark(n, d, parts):
    """Spark on two threads, standardization=False: the same objective."""
    try:
        from pyspark.ml.classification import LogisticRegression
        from pyspark.ml.functions import array_to_vector
        from pyspark.sql import SparkSession
        from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType

        session = SparkSession.builder.master("local[2]").config("spark.driver.memory", "8g")
        session = session.config("spark.ui.enabled", "false").getOrCreate()
    except Exception as error:
        print(f"Spark     not run: {type(error).__name__}: {str(error).splitlines()[0][:100]}")
        return
    session.sparkContext.setLogLevel("ERROR")
    sizes = sizes_of(n, parts)

    def rows(k):
        X, y = part_of(sizes[k], d, k)
        return zip(X.tolist(), y.tolist(), strict=True)

    schema = StructType([StructField("x", ArrayType(DoubleType())), StructField("label", DoubleType())])
    table = session.createDataFrame(
        session.sparkContext.parallelize(range(parts), parts).flatMap(rows), schema
    )
    table = table.select(array_to_vector("x").alias("features"), "label").cache()
    begin = time.perf_counter()
    table.count()
    cached = time.perf_counter() - begin
    begin = time.perf_counter()
    model = LogisticRegression(regParam=ALPHA, tol=TOL, maxIter=200, standardization=False).fit(table)
    seconds = time.perf_counter() - begin
    w, b, f = model.coefficients.toArray(), model.intercept, 0.0
    for k, size in enumerate(sizes):
        X, y = part_of(size, d, k)
        f += np.logaddexp(0.0, (X @ w + b) * (1.0 - 2.0 * y)).sum()
    f = f / n + 0.5 * ALPHA * float(w @ w)
    print(f"Spark     local[2] {seconds:.2f} s after {cached:.1f} s of caching, f {f:.16f}")
    session.stop()


def killed(n, d, parts, count):
    """Fits during which a worker is killed after a part of the usual time, each on other workers."""
    with cluster(2) as client:
        X, y = collections(client, n, d, parts)
        fitted(X, y, client)
        whole, usual = fitted(X, y, client)
        print(
            f"undisturbed {usual['wall']:.2f} s, {usual['rounds']:.0f} rounds, "
            f"f {whole.certificate_.objective!r}"
        )
        same = 0
        for k in range(count):
            rounds = 1 + k % int(usual["rounds"] - 1)  # the first looks at the parts
            pid = sorted(client.run(os.getpid).values())[k % 2]
            with killing(pid, rounds) as dead:
                model, found = disturbed(X, y)
            f, g = whole.certificate_, model.certificate_
            off = abs(f.objective - g.objective) / f.objective
            same += bool(dead) and off <= 1e-12 and f.status is g.status
            print(
                f"kill {k + 1} in round {rounds}: {found['wall']:.2f} s, off by {off:.1e}, {g.status.name}",
                flush=True,
            )
            client.wait_for_workers(2)
            time.sleep(1.0)  # a nanny whose worker dies while it starts gives up
        print(f"{same} of {count} with the same status and objective to 1e-12")
    return same == count


def disturbed(X, y):
    from gdnp import GDNPClassifier

    begin = time.perf_counter()
    model = GDNPClassifier(alpha=ALPHA, tol=TOL).fit(X, y)
    return model, {"wall": time.perf_counter() - begin}


@contextmanager
def killing(pid, at):
    """SIGKILL to a worker, in the middle of a round; the list of those that were killed."""
    from gdnp.design.cluster import ClusterRows

    original, seen, dead = ClusterRows.fetched, [0], []

    def kill():
        os.kill(pid, signal.SIGKILL)
        dead.append(pid)

    def fetched(self, futures):
        seen[0] += 1
        if seen[0] == at:
            threading.Timer(0.005, kill).start()
        return original(self, futures)

    ClusterRows.fetched = fetched
    try:
        yield dead
    finally:
        ClusterRows.fetched = original


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--parts", type=int, default=16)
    parser.add_argument("--rivals", action="store_true", help="dask-ml and Spark, where they are installed")
    parser.add_argument("--kills", type=int, default=0, help="fits with a worker killed in each")
    parser.add_argument("--rounds", type=int, nargs="+", help="numbers of parts: what an empty round takes")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    if args.kills:
        sys.exit(0 if killed(args.rows, args.columns, args.parts, args.kills) else 1)
    if args.rounds:
        with cluster(2) as client:
            for parts in args.rounds:
                print(
                    f"{parts:5} parts: {1e3 * empty_round(client, parts):.0f} ms an empty round", flush=True
                )
        return
    report(args.rows, args.columns, args.parts, args.rivals)


if __name__ == "__main__":
    main()
