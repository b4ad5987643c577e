"""What an experiment is, and the one runner that carries any of them from settings to figures."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from gdnp.design.threads import available_cores
from gdnp.paper.runner.interactive import Figure
from gdnp.paper.runner.store import Part, Store, StoreError

__all__ = [
    "Experiment",
    "OptionError",
    "Options",
    "Outcome",
    "Reporter",
    "Results",
    "Stopped",
    "Table",
    "Unavailable",
    "redraw",
    "reproduce",
    "sized",
    "summary_head",
]

Settings = dict[str, Any]
Results = Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """What a user may choose about any experiment.

    Attributes
    ----------
    data : tuple of str
        Names of ``gdnp.datasets`` or files; empty for the experiment's own choice.
    full : bool
        The paper's size rather than the quick profile.
    seed : int
    columns : tuple of str
        Two columns of the data, by name or by number from 1; for Figure 1.
    device : str
        Where networks are trained, as PyTorch names it; for Figure 3.
    """

    data: tuple[str, ...] = ()
    full: bool = False
    seed: int = 0
    columns: tuple[str, ...] = ()
    device: str = "cpu"


@dataclass(frozen=True)
class Table:
    """A few numbers for people; the first of `columns` names the row."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str = ""

    def markdown(self) -> list[str]:
        """The lines of columns and rows."""
        cells = [self.columns, ["---"] * len(self.columns), *self.rows]
        return [f"| {' | '.join(row)} |" for row in cells]


class Experiment(Protocol):
    """A figure, table or set of claims that can be computed in parts, summarised and drawn.

    All but ``settings`` are functions of their arguments alone: drawing needs no computation. `settings` is
    what ``settings`` returned, and `results` has every part's result by its name, as read back from JSON.
    """

    @property
    def name(self) -> str:
        """The word after ``gdnp reproduce``."""

    @property
    def title(self) -> str:
        """One line that says what it shows."""

    def settings(self, options: Options) -> tuple[str, Settings]:
        """The name of its folder, and the whole configuration as JSON. Refuses data it cannot use."""

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """What is to be computed; `options` only says where data lie."""

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """What came out, in numbers and in words, as JSON; it is written last."""

    def draw(self, settings: Settings, results: Results, directory: Path) -> list[Path]:
        """Write the figures into `directory`, which is there, and return their paths."""

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """The figures for the report, as plotly has them; where there are none it embeds the PNG files."""

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """The main numbers of what ``summarise`` returned."""


Size = TypeVar("Size")


def sized(name: str, quick: Size, full: Size, options: Options) -> tuple[str, Size, Settings]:
    """What an experiment of two sizes begins with: its folder, its profile, and the head of its settings."""
    kind, profile = ("full", full) if options.full else ("quick", quick)
    head = {"experiment": name, "profile": kind, "gdnp": version("gdnp"), "seed": options.seed}
    return f"{name}-{kind}", profile, head


def summary_head(title: str, settings: Settings) -> dict[str, Any]:
    """What the summary of an experiment of two sizes begins with."""
    return {"title": title, **{key: settings[key] for key in ("experiment", "profile", "seed")}}


class Reporter(Protocol):
    """Who is told how a run goes; ``gdnp.cli`` shows it, and the default is silent."""

    def message(self, text: str) -> None:
        """One sentence."""

    def progress(
        self, title: str, total: float, done: float
    ) -> AbstractContextManager[Callable[[str, float], None]]:
        """A bar of `total` units of work, `done` of them from before; yields (part name, units) -> None."""


class _Silent:
    def message(self, text: str) -> None:
        pass

    @contextmanager
    def progress(self, title: str, total: float, done: float) -> Iterator[Callable[[str, float], None]]:
        yield lambda name, cost: None


class OptionError(ValueError):
    """An experiment cannot be run with these options; a matter of usage, not of data."""


class Unavailable(ImportError):
    """An experiment needs a package that is not installed; the others do not."""


class Stopped(KeyboardInterrupt):
    """Ctrl-C during a run of which `done` parts of `total` are saved in `directory`."""

    def __init__(self, directory: Path, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} parts are saved in {directory}")
        self.directory, self.done, self.total = directory, done, total


@dataclass(frozen=True)
class Outcome:
    """Where a result is, and what it says; `reused` where it was there already and nothing was computed."""

    directory: Path
    figures: list[Path]
    summary: dict[str, Any]
    reused: bool


def reproduce(
    experiment: Experiment,
    options: Options | None = None,
    out: str | os.PathLike[str] = "gdnp-results",
    *,
    force: bool = False,
    workers: int | None = None,
    reporter: Reporter | None = None,
) -> Outcome:
    """Compute what is missing of an experiment, summarise it and draw it.

    Parameters
    ----------
    experiment : Experiment
    options : Options, optional
    out : path
        The result goes to a sub-folder of this one, named by the experiment and its profile.
    force : bool
        Delete a finished result that is there, instead of reusing or refusing it.
    workers : int or None
        Processes; None means one for each core. Results do not depend on it. Values above 1 need a main
        module that can be imported, as everything that starts processes does.
    reporter : Reporter, optional

    Returns
    -------
    Outcome

    Raises
    ------
    StoreError
        When the folder holds something else.
    Stopped
        On Ctrl-C; the same call goes on from the finished parts.
    """
    options, reporter = options or Options(), reporter or _Silent()
    folder, settings = experiment.settings(options)
    parts = experiment.parts(settings, options)
    store = Store(Path(out) / folder)
    reused = store.begin(settings, force=force)
    if reused:
        reporter.message(
            f"{store.directory} already holds this result: it is drawn again, not computed again "
            "(--force computes it anew)."
        )
    results = _computed(experiment.title, parts, store, workers, reporter)
    if not reused:
        store.finish(experiment.summarise(settings, results), options.seed)
    figures = experiment.draw(settings, results, store.directory)
    return Outcome(store.directory, figures, store.summary, reused)


def redraw(
    experiment: Experiment, source: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
) -> Outcome:
    """Draw a finished result again from its files, without computing anything.

    Parameters
    ----------
    experiment : Experiment
    source : path
        The folder of a finished result.
    directory : path, optional
        Where the figures go; by default `source` itself.

    Returns
    -------
    Outcome

    Raises
    ------
    StoreError
        When `source` is not a finished result of this experiment.
    """
    store = Store(source)
    settings = store.settings
    if settings is None or settings.get("experiment") != experiment.name:
        found = "no settings.json" if settings is None else f"one of {settings.get('experiment')!r}"
        raise StoreError(f"{source} should be the folder of a result of {experiment.name}. Got {found}.")
    summary = store.summary
    parts = experiment.parts(settings, Options())
    results = store.results(parts)
    missing = [part.name for part in parts if part.name not in results]
    if missing:
        raise StoreError(
            f"{source} should hold every part of the result. Got {len(missing)} missing or damaged, "
            f"the first being {missing[0]}: run it again without --from."
        )
    target = Path(directory) if directory is not None else store.directory
    target.mkdir(parents=True, exist_ok=True)
    return Outcome(store.directory, experiment.draw(settings, results, target), summary, reused=True)


def _computed(
    title: str, parts: Sequence[Part], store: Store, workers: int | None, reporter: Reporter
) -> dict[str, dict[str, Any]]:
    """The results of all parts by name, those that are not in the store computed and saved."""
    results = store.results(parts)
    missing = [part for part in parts if part.name not in results]
    if not missing:
        return results
    if results:
        reporter.message(f"Going on from {len(results)} finished parts of {len(parts)}.")
    store.parts.mkdir(parents=True, exist_ok=True)
    done = sum(part.cost for part in parts if part.name in results)
    total = sum(part.cost for part in parts)
    workers = min(available_cores() if workers is None else workers, len(missing))
    compute = _in_turn if workers == 1 else _in_processes
    try:
        with (
            reporter.progress(title, total, done) as advance,
            closing(compute(missing, results, workers)) as computed,
        ):
            for part, result in computed:
                results[part.name] = store.save(part, result)
                advance(part.name, part.cost)
    except KeyboardInterrupt:
        # Counted where they are: the interrupt may have come between saving a part and noting it.
        saved = sum((store.parts / part.filename).is_file() for part in parts)
        raise Stopped(store.directory, saved, len(parts)) from None
    return results


Computed = Generator[tuple[Part, dict[str, Any]], None, None]


def _in_turn(missing: Sequence[Part], results: Mapping[str, Any], workers: int) -> Computed:
    """Compute the parts in their order, which has needed ones first."""
    for part in missing:
        yield part, part.function(part.config, *(results[needed.name] for needed in part.needs))


def _in_processes(missing: Sequence[Part], results: Mapping[str, Any], workers: int) -> Computed:
    """Compute the parts as soon as what they need is there, the longest first."""
    waiting = sorted(missing, key=lambda part: -part.cost)
    running: dict[Future[dict[str, Any]], Part] = {}
    others = set(multiprocessing.active_children())
    # Spawned, not forked: a fork of a process with threads may hang.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent)
    try:
        while waiting or running:
            ready = [part for part in waiting if all(needed.name in results for needed in part.needs)]
            with _ignored_interrupt():
                for part in ready:
                    needed = [results[need.name] for need in part.needs]
                    running[pool.submit(part.function, part.config, *needed)] = part
            waiting = [part for part in waiting if part not in ready]
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _ignored_interrupt() -> Iterator[None]:
    """Let processes start deaf to Ctrl-C, which goes to all of a terminal: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _end_with_parent() -> None:
    """Leave no worker behind when the parent is killed outright."""
    parent = multiprocessing.parent_process()
    if parent is not None:

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()
