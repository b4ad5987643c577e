"""From the curves that benchopt measured to one table a loss: ``python benchmarks/table.py FILE [FILE ...]``.

Suboptimality is relative to the best value that any solver reached on the set. A solver's time to a target is
the shortest of its runs, over all tolerances, repetitions and files, that ended within it; a dash means that
none did. The ratio is the time of the fastest peer over ours: above 1 we are faster. The geometric mean is
over the sets where a peer and we reached the target; sets that only one side reached are named underneath.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import geometric_mean

import numpy as np
import pandas as pd

TARGETS = (1e-4, 1e-6, 1e-8)
OURS = "gdnp"
KEYS = ["objective_name", "dataset_name", "solver_name", "time", "objective_value"]


def read(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The runs of several results, Parquet or CSV, with a column ``gap`` of relative suboptimality.

    Raises
    ------
    ValueError
        When a file has not the columns of a benchopt result, or there is no run at all.
    """
    frames = []
    for path in map(Path, paths):
        frame = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        missing = [key for key in KEYS if key not in frame]
        if missing:
            raise ValueError(f"{path} should be a result of benchopt. Got no column {', '.join(missing)}.")
        frames.append(frame[KEYS])
    runs = pd.concat(frames, ignore_index=True)
    runs = runs[np.isfinite(runs["objective_value"])].copy()
    if runs.empty:
        raise ValueError("There is no finite objective in these results: run the benchmark first.")
    runs["solver_name"] = runs["solver_name"].str.replace(r"\[.*", "", regex=True)
    best = runs.groupby(["objective_name", "dataset_name"])["objective_value"].transform("min")
    runs["gap"] = runs["objective_value"] / best - 1.0
    return runs


def seconds_to(runs: pd.DataFrame, target: float) -> pd.DataFrame:
    """Seconds to a target, sets by solvers, NaN where it was not reached; ours is the first column."""
    names = runs["solver_name"].unique()
    order = sorted(names, key=lambda name: (name != OURS, name))
    reached = runs[runs["gap"] <= target]
    table = reached.pivot_table(index="dataset_name", columns="solver_name", values="time", aggfunc="min")
    return table.reindex(index=runs["dataset_name"].unique(), columns=order)


def ratios(seconds: pd.DataFrame) -> pd.Series:
    """Time of the fastest peer over ours, NaN where either did not get there."""
    if OURS not in seconds:
        return pd.Series(np.nan, index=seconds.index)
    return seconds.drop(columns=OURS).min(axis=1) / seconds[OURS]


def _time(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{1e3 * value:.3g} ms" if value < 1.0 else f"{value:.3g} s"


def _section(runs: pd.DataFrame, target: float) -> list[str]:
    seconds = seconds_to(runs, target)
    ratio = ratios(seconds)
    lines = [f"### to {target:g}", ""]
    lines += ["| data | " + " | ".join(seconds.columns) + " | ratio |"]
    lines += ["|---|" + "---:|" * (len(seconds.columns) + 1)]
    for name, row in seconds.iterrows():
        shown = "–" if np.isnan(ratio[name]) else f"{ratio[name]:.2f}"
        lines.append(f"| {name} | " + " | ".join(map(_time, row)) + f" | {shown} |")
    known = ratio.dropna()
    mean = f"{geometric_mean(known):.2f} over {len(known)} sets" if len(known) else "none"
    lines += ["", f"Geometric mean of the ratios: {mean}."]
    ours = seconds[OURS] if OURS in seconds else pd.Series(np.nan, index=seconds.index)
    peers = seconds.drop(columns=OURS, errors="ignore").min(axis=1)
    for words, alone in (
        (f"Only {OURS} got there", ours.notna() & peers.isna()),
        (f"{OURS} did not get there, a peer did", ours.isna() & peers.notna()),
        (f"{OURS} is slower", ratio < 1.0),
    ):
        if alone.any():
            lines.append(f"{words}: {', '.join(map(str, seconds.index[alone]))}.")
    return [*lines, ""]


def markdown(runs: pd.DataFrame, targets: Sequence[float] = TARGETS) -> str:
    """The tables of all losses and targets."""
    lines = []
    for name, part in runs.groupby("objective_name"):
        lines += [f"## {name}", ""]
        for target in targets:
            lines += _section(part, target)
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the files named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="results of benchopt, .parquet or .csv")
    parser.add_argument("--targets", nargs="*", type=float, default=TARGETS)
    options = parser.parse_args(arguments)
    print(markdown(read(options.files), options.targets))


if __name__ == "__main__":
    main()
