"""What an experiment is, and the one runner that carries any of them from settings to figures."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gdnp.paper.runner.charts import Figure
from gdnp.parts import Reporter, computed
from gdnp.store import Part, Store, StoreError

Settings = dict[str, Any]
Results = Mapping[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """What a user may choose about any experiment.

    `data` are names of ``gdnp.datasets`` or files; empty for the experiment's own choice. `full` is the
    paper's size. `columns` are two of the data for Figure 1, by name or by number from 1, `device` is where
    Figure 3 trains, as PyTorch names it. `losses` and `methods`, ``MODULE:OBJECT`` of one's own, are for
    Figure 2: losses in place of its two, methods beside its own.
    """

    data: tuple[str, ...] = ()
    full: bool = False
    seed: int = 0
    columns: tuple[str, ...] = ()
    device: str = "cpu"
    losses: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()


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


SENTENCES: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("sentences.json").read_text(encoding="utf-8")
)
"""What experiments say of their results, and parts of sentences; numbers fill their braces."""


def said(experiment: str, key: str, /, **shown: Any) -> str:
    """A sentence of an experiment, filled."""
    return SENTENCES[experiment][key].format(**shown)


NOTES = json.loads(Path(__file__).with_name("notes.json").read_text(encoding="utf-8"))
"""Sentences on how experiments are made, filled from their settings, always ("") or where a fact is true."""


class Experiment:
    """A figure, table or set of claims that can be computed in parts, summarised and drawn.

    All but ``settings`` are functions of their arguments alone: drawing needs no computation. `settings` is
    what ``settings`` returned, and `results` has every part's result by its name, as read back from JSON.
    ``name`` is the word after ``gdnp reproduce``, ``title`` a line that says what it shows; a `quick` that is
    given has sizes in place of those of the quick profile.
    """

    name: str
    title: str
    quick: Mapping[str, Any] = MappingProxyType({})
    full: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, quick: Mapping[str, Any] | None = None) -> None:
        self.quick = {**self.quick, **(quick or {})}

    def begun(self, options: Options) -> tuple[str, Mapping[str, Any], Settings]:
        """What one of two profiles begins with: its folder, its sizes, and the head of its settings."""
        kind, size = ("full", self.full) if options.full else ("quick", self.quick)
        head = {"experiment": self.name, "profile": kind, "gdnp": version("gdnp"), "seed": options.seed}
        return f"{self.name}-{kind}", size, head

    def summary_head(self, settings: Settings, **facts: Any) -> dict[str, Any]:
        """What the summary of an experiment of two sizes begins with, and its notes."""
        known = NOTES.get(self.name, {})
        chosen = (texts for fact, texts in known.items() if not fact or facts.get(fact))
        return {
            "title": self.title,
            **{key: settings[key] for key in ("experiment", "profile", "seed")},
            "notes": [text.format(**settings, **facts) for texts in chosen for text in texts],
        }

    def settings(self, options: Options) -> tuple[str, Settings]:
        """The name of its folder, and the whole configuration as JSON. Refuses data it cannot use."""
        raise NotImplementedError

    def parts(self, settings: Settings, options: Options) -> list[Part]:
        """What is to be computed; `options` only says where data lie."""
        raise NotImplementedError

    def summarise(self, settings: Settings, results: Results) -> dict[str, Any]:
        """What came out, in numbers and in words, as JSON; it is written last."""
        raise NotImplementedError

    def tables(self, summary: Mapping[str, Any]) -> list[Table]:
        """The main numbers of what ``summarise`` returned."""
        raise NotImplementedError

    def draw(self, settings: Settings, results: Results, directory: Path) -> list[Path]:
        """Write the figures into `directory`, which is there, and return their paths."""
        return []

    def interactive(self, settings: Settings, results: Results) -> list[Figure]:
        """The figures for the report, as plotly has them; where there are none it embeds the PNG files."""
        return []


class OptionError(ValueError):
    """An experiment cannot be run with these options; a matter of usage, not of data."""


class Unavailable(ImportError):
    """An experiment needs a package that is not installed; the others do not."""


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

    The result goes to a sub-folder of `out` named by the experiment and its profile; `force` deletes a
    finished one that is there, instead of reusing or refusing it. Results do not depend on the number of
    processes, `workers`, by default one a core. Above 1 they need a main module that can be imported, as
    everything that starts processes does.

    A folder that holds something else is a ``StoreError``; Ctrl-C is ``Stopped``, after which the same call
    goes on from the finished parts.
    """
    options, reporter = options or Options(), reporter or Reporter()
    folder, settings = experiment.settings(options)
    parts = experiment.parts(settings, options)
    store = Store(Path(out) / folder)
    reused = store.begin(settings, force=force)
    if reused:
        reporter.message(
            f"{store.directory} already holds this result: it is drawn again, not computed again "
            "(--force computes it anew)."
        )
    results = computed(experiment.title, parts, store, workers, reporter)
    if not reused:
        store.finish(experiment.summarise(settings, results), options.seed)
    figures = experiment.draw(settings, results, store.directory)
    return Outcome(store.directory, figures, store.summary, reused)


def redraw(
    experiment: Experiment, source: str | os.PathLike[str], directory: str | os.PathLike[str] | None = None
) -> Outcome:
    """Draw a finished result again from its files into `directory`, by default its own; compute nothing.

    A `source` that is not the folder of a finished result of this experiment is a ``StoreError``.
    """
    store = Store(source)
    settings = store.settings
    if settings is None or settings.get("experiment") != experiment.name:
        found = "no settings.json" if settings is None else f"one of {settings.get('experiment')!r}"
        raise StoreError(f"{source} should be the folder of a result of {experiment.name}. Got {found}.")
    summary = store.summary
    try:
        parts = experiment.parts(settings, Options())
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{source} should be a result of this code. Got one of other code: run it again."
        ) from error
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
