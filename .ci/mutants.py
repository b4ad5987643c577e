"""Break the core a little, many times, and see whether its tests notice: a sample of mutants with cosmic-ray.

    python .ci/mutants.py [MODULE ...] [--sample 60] [--seed 0] [--minutes 60] [--page docs/mutants.md]

Each place of the code that can be mutated is taken once, with one of its mutations, and a seeded sample of
the places is run. The tests are those of the core that take no more than ``LONGEST`` seconds. Those of the
mutated module come first, then the others from the fastest on. Every process works on a copy of its own. A
mutant that no test notices is a *survivor*; survivors go to the page, where words once written are kept.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CORE = ("problem", "newton", "solvers")
TESTS = ("tests/newton", "tests/solvers", "tests/problem")
PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q")

LONGEST = 2.0
"""Seconds of a test that runs for each mutant: the few that take longer would be most of the time."""
PATIENCE = 5.0
"""Times what the tests take, after which a mutant counts as noticed: it loops."""
WANTED = re.compile(
    r"core/(ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow|MatMult)_(Add|Sub|Mul|Div)"
    r"|ReplaceComparisonOperator_(?!.*_Is(Not)?$).*|ReplaceComparisonOperator_Is(Not)?_Is(Not)?"
    r"|ReplaceUnaryOperator_(USub_UAdd|Delete_.*)|AddNot|Replace(True|False|And|Or|Break|Continue)With.*"
    r"|ExceptionReplacer|NumberReplacer|ZeroIterationForLoop)"
)
"""Operators whose mutants could be slips of the pen: no shifts of floats, bits or missing decorators."""

BEGIN, END = "<!-- survivors -->", "<!-- end of survivors -->"
HEAD = ("| where | the line | becomes | word |", "|---|---|---|---|")
NEW = "?"
"""The word of a survivor that nobody has looked at."""


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed.

    Attributes
    ----------
    module : str
        Path from the root.
    line : int
    old, new : str
        The changed lines.
    """

    module: str
    line: int
    old: str
    new: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same when lines move."""
        return self.module, self.old, self.new


# What is run


def sample(items: Iterable[Any], size: int, seed: int) -> list[Any]:
    """A mutant of each of `size` places, all chosen at random, the same ones for the same code.

    Parameters
    ----------
    items : iterable of cosmic_ray.work_item.WorkItem
    size, seed : int
    """
    places: dict[tuple[str, tuple[int, int]], list[Any]] = {}
    for item in items:
        (mutation,) = item.mutations
        if WANTED.fullmatch(mutation.operator_name):
            places.setdefault((str(mutation.module_path), mutation.start_pos), []).append(item)
    draw = random.Random(seed)
    chosen = draw.sample(sorted(places), min(size, len(places)))
    return [draw.choice(sorted(places[place], key=_order)) for place in chosen]


def _order(item: Any) -> tuple[Any, ...]:
    """The name of a work item is random; this is not."""
    (mutation,) = item.mutations
    return mutation.operator_name, mutation.occurrence, sorted(mutation.operator_args.items())


def durations(report: str) -> dict[str, float]:
    """Seconds of each test, its fixtures included, from what ``pytest --durations=0 -vv`` prints."""
    found: dict[str, float] = {}
    for seconds, test in re.findall(r"^ *([\d.]+)s (?:setup|call|teardown) +(.+?) *$", report, re.MULTILINE):
        found[test] = found.get(test, 0.0) + float(seconds)
    return found


def in_order(module: str, seconds: Mapping[str, float]) -> list[str]:
    """The tests for a module: its own first, then from the fastest on; slow ones are left out."""
    path = Path(module).relative_to("src/gdnp")
    own = f"{(Path('tests') / path.parent / f'test_{path.stem}.py').as_posix()}::"
    fast = [test for test, taken in seconds.items() if taken <= LONGEST]
    return sorted(fast, key=lambda test: (not test.startswith(own), seconds[test]))


def _copy(folder: Path) -> Path:
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def _enter(folders: Any) -> None:
    """A process of the pool goes to a copy that no other one uses."""
    folder = folders.get()
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder / "src")


def _measure(folder: Path) -> dict[str, float]:
    """Seconds of each test of the code as it is."""
    done = subprocess.run(
        [*PYTEST, "--durations=0", "-vv", *TESTS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"the tests should pass before anything is mutated. Got:\n{done.stdout[-3000:]}")
    return durations(done.stdout)


def run(modules: Sequence[str], size: int, seed: int, minutes: float, jobs: int) -> tuple[list[Any], int]:
    """Mutants with what became of them, (item, result) each, and how many there was no time for."""
    from cosmic_ray.commands import init
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.work_db import use_db

    end = time.monotonic() + 60.0 * minutes
    with tempfile.TemporaryDirectory() as scratch:
        copies = [_copy(Path(scratch, str(k))) for k in range(jobs)]
        seconds = _measure(copies[0])
        commands = {}
        for number, module in enumerate(modules):
            tests = Path(scratch, f"tests-{number}")
            tests.write_text("\n".join(in_order(module, seconds)) + "\n", encoding="utf-8")
            commands[module] = shlex.join([*PYTEST, "-x", f"@{tests}"])
        most = PATIENCE * sum(taken for taken in seconds.values() if taken <= LONGEST)
        os.chdir(copies[0])
        with use_db(str(Path(scratch, "session.sqlite"))) as session:
            init(map(Path, modules), session, {})
            chosen = sample(session.work_items, size, seed)
        os.chdir(ROOT)
        context = multiprocessing.get_context("spawn")
        folders = context.Queue()
        for copy in copies:
            folders.put(copy)
        finished = []
        with ProcessPoolExecutor(jobs, context, _enter, (folders,)) as pool:
            pending = {
                pool.submit(
                    mutate_and_test, item.mutations, commands[str(item.mutations[0].module_path)], most
                ): item
                for item in chosen
            }
            for done in as_completed(pending):
                if done.cancelled():
                    continue
                finished.append((pending[done], done.result()))
                print(*_line(pending[done].mutations[0], done.result()), flush=True)
                if time.monotonic() > end:
                    for waiting in pending:
                        waiting.cancel()
        return finished, len(chosen) - len(finished)


def _line(mutation: Any, result: Any) -> tuple[str, ...]:
    outcome = result.test_outcome or result.worker_outcome
    return outcome.value, f"{mutation.module_path}:{mutation.start_pos[0]}", mutation.operator_name


# What is written


def survivor(module: str, line: int, diff: str) -> Survivor:
    """From the difference that cosmic-ray notes; what it adds is empty where a line is gone."""
    lines = [text for text in diff.splitlines() if not text.startswith(("---", "+++"))]
    old, new = (" ".join(text[1:].strip() for text in lines if text.startswith(sign)) for sign in "-+")
    return Survivor(module, line, old, new)


def row(found: Survivor, word: str) -> str:
    """A row of the table; a bar inside of code must not end the cell."""
    old, new = (f"`{text.replace('|', chr(92) + '|')}`" if text else "nothing" for text in found.key[1:])
    return f"| {found.module}:{found.line} | {old} | {new} | {word} |"


def words(page: str) -> Iterator[tuple[tuple[str, str, str], str]]:
    """What was written about each survivor of a page, by its key."""
    table = page.partition(BEGIN)[2].partition(END)[0]
    for line in table.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0].startswith("src/"):
            old, new = (cell.replace(r"\|", "|").strip("`") for cell in cells[1:3])
            yield (cells[0].rpartition(":")[0], old, "" if new == "nothing" else new), cells[3]


def written(page: str, survivors: Iterable[Survivor], note: str) -> str:
    """The page with a new table, and the old words where a survivor was there before.

    Raises
    ------
    ValueError
        When the page has no place for a table.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"the page should have a line {BEGIN} and then a line {END}. Got none: write them.")
    known = dict(words(page))
    ordered = sorted(survivors, key=lambda found: (found.module, found.line, found.new))
    rows = [row(found, known.get(found.key, NEW)) for found in ordered]
    return "\n".join([before + begin, "", note, "", *HEAD, *rows, "", end + after])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sample and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="src/gdnp/...py; all of the core if none"
    )
    parser.add_argument("--sample", type=int, default=60, metavar="N", help="how many mutants")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="after these no other mutant is begun")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the survivors into this page")
    options = parser.parse_args(arguments)
    core = [path for part in CORE for path in sorted((ROOT / "src/gdnp" / part).rglob("*.py"))]
    modules = options.modules or [path.relative_to(ROOT).as_posix() for path in core]
    for name in modules:
        if not (ROOT / name).is_file():
            parser.error(f"MODULE should be a file of the source, such as {modules[-1]}. Got {name}.")
    finished, left = run(modules, options.sample, options.seed, options.minutes, options.jobs)
    survivors = [
        survivor(str(item.mutations[0].module_path), item.mutations[0].start_pos[0], result.diff or "")
        for item, result in finished
        if not result.is_killed
    ]
    note = f"{len(survivors)} of {len(finished)} mutants survived (seed {options.seed}; {left} not run)."
    print(note, *(row(found, "") for found in survivors), sep="\n")
    if options.page:
        page = options.page.read_text(encoding="utf-8")
        options.page.write_text(written(page, survivors, note), encoding="utf-8")


if __name__ == "__main__":
    main()
