"""Two checkouts of gdnp on the same sets, fit by fit in turn: ``peers.py --against SRC``.

Each checkout has one process that lives for all sets, and gets the data from the same files. Fits alternate,
old, new, old, new, so that a change of the machine's speed hits both. The ratio of a set is the median of the
ratios of neighbours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import joblib
from comparison import Row

__all__ = ["check_source", "pairs", "row", "rows"]

WORKER = Path(__file__).with_name("worker.py")
LEAST_SECONDS = 1.0
"""Of fits of one checkout on one set: short fits are repeated more often than asked for."""
MOST_PAIRS = 50

Fit = Callable[[Path], dict[str, float]]


def check_source(src: Path) -> None:
    """Refuse a folder without a gdnp.

    Raises
    ------
    ValueError
    """
    if not (src / "gdnp" / "__init__.py").is_file():
        raise ValueError(f"--against should name a folder that holds gdnp, as src does. Got {src}.")


@contextmanager
def worker(src: Path, settings: dict[str, str | float]) -> Iterator[Fit]:
    """A process that fits with the gdnp of one checkout: data file -> seconds, passes, gap, objective.

    Parameters
    ----------
    src : Path
        The folder that holds ``gdnp``.
    settings : dict
        ``loss``, ``ridge`` and ``tol`` of all fits.
    """
    src = src.resolve()
    paths = os.pathsep.join(filter(None, (str(src), os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": paths}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(WORKER)], stdin=pipe, stdout=pipe, text=True, env=environment
    ) as process:

        def answer() -> dict:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the worker of {src} ended early: its traceback is above.")
            return json.loads(line)

        def fit(data: Path) -> dict[str, float]:
            print(json.dumps({"data": str(data), **settings}), file=process.stdin, flush=True)
            return answer()

        found = Path(answer()["gdnp"])
        if not found.is_relative_to(src):
            raise ValueError(f"the worker of {src} should import gdnp from there. Got {found}.")
        yield fit


def pairs(
    old: Callable[[], dict], new: Callable[[], dict], repeats: int
) -> Iterator[tuple[dict[str, float], dict[str, float]]]:
    """Fits in turn, after one of each that does not count: it loads the data and warms the caches."""
    old(), new()
    spent, done = 0.0, 0
    while done < repeats or (spent < LEAST_SECONDS and done < MOST_PAIRS):
        pair = old(), new()
        yield pair
        spent, done = spent + min(fit["seconds"] for fit in pair), done + 1


def row(name: str, fits: Iterable[tuple[dict[str, float], dict[str, float]]]) -> Row:
    """What the pairs of one set come to."""
    fits = list(fits)
    old, new = fits[-1]
    return Row(
        name,
        median(a["seconds"] for a, _ in fits),
        median(b["seconds"] for _, b in fits),
        median(b["seconds"] / a["seconds"] for a, b in fits),
        old["passes"],
        new["passes"],
        max(old["gap"], new["gap"]),
    )


def rows(
    old: Path,
    new: Path,
    sets: Iterable[str],
    load: Callable[[str], tuple],
    settings: dict[str, str | float],
    repeats: int,
) -> Iterator[Row]:
    """A row for each set, as soon as it is measured.

    Parameters
    ----------
    old, new : Path
        The ``src`` folders of the checkouts.
    sets : iterable of str
    load : callable
        Name -> (X, y).
    settings : dict
        ``loss``, ``ridge`` and ``tol``.
    repeats : int
        Fewest pairs.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        first, second = [stack.enter_context(worker(src, settings)) for src in (old, new)]
        for name in sets:
            data = folder / name
            joblib.dump(load(name), data)
            fits = pairs(partial(first, data), partial(second, data), repeats)
            yield row(name, fits)
            data.unlink()
