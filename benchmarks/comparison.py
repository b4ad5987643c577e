"""Speed and work of a new gdnp over those of an old one: baselines as files, ratios, and what is too much."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import geometric_mean, median

from joblib import cpu_count

from gdnp._files import replacing

FORMAT = 1
MOST_PASSES = 1.03
"""Of a set, new over old."""
MOST_MEAN_PASSES = 1.0 + 1e-9
MOST_MEAN_SECONDS = 1.05
"""What the noise of a busy machine leaves of a geometric mean over the sets."""


@dataclass(frozen=True)
class Row:
    """One set, or one solver on it, old and new.

    Attributes
    ----------
    name : str
    old_seconds, new_seconds : float
        Medians.
    seconds : float
        New over old: of the medians, or the median of the ratios of neighbours.
    old_passes, new_passes : float or None
        None for solvers that do not count them.
    gap : float
        The larger relative suboptimality of the two.
    """

    name: str
    old_seconds: float
    new_seconds: float
    seconds: float
    old_passes: float | None
    new_passes: float | None
    gap: float

    @property
    def passes(self) -> float | None:
        """New over old, where both are counted."""
        if self.old_passes is None or self.new_passes is None:
            return None
        return self.new_passes / self.old_passes


# Baselines


def environment() -> dict[str, str | int]:
    """What a measurement of speed depends on."""
    packages = {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
    return {**packages, "python": platform.python_version(), "processor": processor(), "cores": cpu_count()}


def processor() -> str:
    """The model; what Python itself says of it is empty on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def write(path: Path, loss: str, target: float, sets: dict[str, dict[str, dict]]) -> None:
    """A baseline, there whole or not at all: {set: {solver: {seconds, repeats, passes, gap, tol}}}."""
    document = {"format": FORMAT, "loss": loss, "target": target, "environment": environment(), "sets": sets}
    with replacing(path) as beside:
        beside.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> dict:
    """The document that ``write`` wrote.

    Raises
    ------
    ValueError
        For anything else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} should be a baseline, as --save writes it. Got no JSON: {error}.") from None
    found = document.get("format") if isinstance(document, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path} should be a baseline of format {FORMAT}. Got {found!r}: --save it again.")
    return document


def check_comparable(document: dict, loss: str, target: float, sets: Iterable[str]) -> None:
    """Refuse a baseline of another problem.

    Raises
    ------
    ValueError
        When its loss or target is another, or a set is not in it.
    """
    for name, wanted in (("loss", loss), ("target", target)):
        if document[name] != wanted:
            raise ValueError(
                f"the baseline should be of --{name} {wanted}. Got {document[name]}: --save another, "
                f"or compare with --{name} {document[name]}."
            )
    missing = [name for name in sets if name not in document["sets"]]
    if missing:
        raise ValueError(
            f"the baseline should hold every set that is compared. Got only {', '.join(document['sets'])}: "
            f"leave {', '.join(missing)} out, or --save them too."
        )


def summary(seconds: Sequence[float], passes: float | None, gap: float, tol: float) -> dict:
    """The entry of one solver on one set."""
    return {"seconds": median(seconds), "repeats": list(seconds), "passes": passes, "gap": gap, "tol": tol}


def row(name: str, old: dict, new: dict) -> Row:
    """Two entries of ``summary``."""
    ratio = new["seconds"] / old["seconds"]
    gap = max(old["gap"], new["gap"])
    return Row(name, old["seconds"], new["seconds"], ratio, old["passes"], new["passes"], gap)


def differences(old: dict, new: dict) -> list[str]:
    """What the environments do not share, in words."""
    return [
        f"{key} {old.get(key)} then, {new.get(key)} now"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


# Ratios


def mean(rows: Iterable[Row], what: Callable[[Row], float | None]) -> float | None:
    """The geometric mean of a ratio over the rows that have it; None where none has."""
    known = [ratio for ratio in map(what, rows) if ratio is not None]
    return geometric_mean(known) if known else None


def too_much(rows: Sequence[Row]) -> list[str]:
    """What --check refuses, a sentence each."""
    found = [
        f"{row.name}: passes should rise by {MOST_PASSES - 1.0:.0%} at most. Got {row.old_passes:.1f} "
        f"to {row.new_passes:.1f}."
        for row in rows
        if row.passes is not None and row.passes > MOST_PASSES
    ]
    passes = mean(rows, lambda row: row.passes)
    if passes is not None and passes > MOST_MEAN_PASSES:
        found.append(f"Geometric mean: passes should not rise. Got {passes:.4f} of the old ones.")
    seconds = mean(rows, lambda row: row.seconds)
    if seconds is not None and seconds > MOST_MEAN_SECONDS:
        found.append(
            f"Geometric mean: seconds should rise by {MOST_MEAN_SECONDS - 1.0:.0%} at most. "
            f"Got {seconds:.3f} of the old ones."
        )
    return found


HEAD = (
    f"{'':28}{'old ms':>10}{'new ms':>10}{'new/old':>9}"
    f"{'old passes':>12}{'new passes':>12}{'new/old':>9}{'gap':>10}"
)


def line(row: Row) -> str:
    """A row of the table under ``HEAD``."""
    known = row.passes is not None
    passes = f"{row.old_passes:12.1f}{row.new_passes:12.1f}{row.passes:9.3f}" if known else f"{'-':>33}"
    return (
        f"{row.name:28}{1e3 * row.old_seconds:10.1f}{1e3 * row.new_seconds:10.1f}{row.seconds:9.3f}"
        f"{passes}{row.gap:10.1e}"
    )


def means(rows: Sequence[Row]) -> str:
    """The last line of the table."""
    seconds, passes = mean(rows, lambda row: row.seconds), mean(rows, lambda row: row.passes)
    shown = [f"{'-' if ratio is None else format(ratio, '.3f')}" for ratio in (seconds, passes)]
    return f"geometric means of new/old over {len(rows)} sets: seconds {shown[0]}, passes {shown[1]}"
