"""One self-contained HTML page of everything that was reproduced: verdicts, curves, tables, environment.

It is made from stored results alone, so it can be written again at any time, and it needs no network to be
read. Where an experiment has no interactive figures, its PNG files are embedded.
"""

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import resources
from importlib.metadata import version
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from gdnp._files import replacing, require
from gdnp.paper.claims import CLAIMS, ClaimResult, Verdict, recorded_results
from gdnp.paper.report.formulas import with_formulas
from gdnp.paper.runner.charts import Figure
from gdnp.paper.runner.experiment import Experiment, Options, Table
from gdnp.store import Store, StoreError

NAME = "report.html"
OTHER = LookupError, TypeError, ValueError
"""What reading the result of other code may raise."""
TITLE = "Exponential convergence rates for Batch Normalization: what holds"
LOOKS = {
    Verdict.HOLDS.value: ("holds", "✓ Holds"),
    Verdict.HOLDS_WITH_CORRECTION.value: ("corrected", "± Holds with a correction"),
    Verdict.FALSE_AS_PRINTED.value: ("fails", "✗ False as printed"),
    Verdict.OUTSIDE_ITS_ASSUMPTIONS.value: ("fails", "✗ Fails outside its assumptions"),
    Verdict.DEPENDS_ON_A_CHOICE.value: ("corrected", "± Depends on an unprinted choice"),
    Verdict.RECONSTRUCTED.value: ("holds", "✓ Reconstructed, and holds"),
    Verdict.DERIVED.value: ("holds", "✓ Derived, and holds"),
    Verdict.FAILS.value: ("fails", "✗ Fails"),
}
"""The class and the words of a verdict: never colour alone."""
PASSING = {"date", "seconds"}
"""What differs from result to result on one machine."""


@dataclass(frozen=True)
class Result:
    """A finished result, read back."""

    store: Store
    title: str
    summary: Mapping[str, Any]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    images: Sequence[Path] = ()

    @property
    def short(self) -> str:
        """The title up to its colon, and the profile."""
        profile = self.summary.get("profile")
        return self.title.split(":")[0] + (f" ({profile})" if profile else "")

    def seen_from(self, directory: Path, first: int) -> dict[str, Any]:
        """What the template shows: figures numbered from `first`, and links relative to `directory`."""
        files = sorted([*self.images, *self.store.directory.glob("*.pdf")])
        panels = self.summary.get("panels", ())
        return {
            **vars(self),
            "key": self.store.directory.name,
            "short": self.short,
            "shown": list(enumerate(self.figures, first)),
            "files": [(path.name, Path(os.path.relpath(path, directory)).as_posix()) for path in files],
            "panels": {str(panel.get("label")): panel.get("findings", ()) for panel in panels},
        }


def find_results(directory: str | os.PathLike[str]) -> list[Path]:
    """The finished results in a folder, and the folder itself if it is one, by name."""
    folder = Path(directory)
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    return [path for path in folders if Store(path).finished and Store(path).settings is not None]


def write_report(
    folders: Iterable[Path] | None, directory: str | os.PathLike[str], experiments: Mapping[str, Experiment]
) -> Path:
    """Write ``report.html`` into `directory` from finished results, by default all that are there.

    `experiments`, by name, make the tables and the interactive figures of their results. A result of any
    other is shown by its images, and so is one that other code has left. Verdicts are those of a result of
    ``theorems``, else those on record. A folder without a finished result is a ``StoreError``.
    """
    directory = Path(directory)
    results = [_read(one, experiments) for one in (find_results(directory) if folders is None else folders)]
    entries = [entry for result in results for entry in result.summary.get("claims", ())]
    verdicts: list[ClaimResult] = []
    with suppress(*OTHER):  # of other code: those on record are shown
        verdicts = [ClaimResult.read(entry) for entry in entries if entry["id"] in CLAIMS]
    results = [result for result in results if "claims" not in result.summary]
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / NAME) as beside:
        beside.write_text(page(results, verdicts or recorded_results(), directory), encoding="utf-8")
    return directory / NAME


def _read(folder: Path, experiments: Mapping[str, Experiment]) -> Result:
    store = Store(folder)
    settings, summary = store.settings, store.summary
    if settings is None:
        raise StoreError(f"{folder} should hold a finished result. Got no readable settings.json there.")
    name = str(settings.get("experiment", folder.name))
    found = Result(store, str(summary.get("title", name)), summary, images=sorted(folder.glob("*.png")))
    experiment = experiments.get(name)
    if experiment is None or "claims" in summary:  # claims are a table of their own
        return found
    with suppress(*OTHER):  # what other code has left has other keys
        parts = experiment.parts(settings, Options())
        results = store.results(parts)
        complete = len(results) == len(parts)
        figures = experiment.interactive(settings, results) if complete else []
        return replace(found, tables=experiment.tables(summary), figures=figures)
    return found


# --- the page


def page(results: Sequence[Result], verdicts: Sequence[ClaimResult], directory: Path) -> str:
    """The page; its links are relative to `directory`."""
    jinja2, figures = require("jinja2", "The report"), [f for result in results for f in result.figures]
    markup = jinja2.utils.markupsafe.Markup
    engine = jinja2.Environment(autoescape=True, undefined=jinja2.ChainableUndefined)
    engine.filters |= {
        "look": _look,
        "base64": lambda path: base64.b64encode(path.read_bytes()).decode("ascii"),
        # No line may break after the e of 1e-4.
        "text": lambda text: markup(re.sub(r"(?<=\de)-(?=\d)", "\u2011", with_formulas(str(text)))),
    }
    firsts = accumulate((len(result.figures) for result in results), initial=0)
    found = Counter(result.outcome for result in verdicts)
    words = sorted(found, key=lambda outcome: [*LOOKS, outcome].index(outcome))
    dates = sorted(str(result.store.environment.get("date", "")) for result in results)
    # "</script>" and "<!--" must not occur inside a script element.
    data = json.dumps([styled(figure) for figure in figures], allow_nan=False).replace("<", "\\u003c")
    source = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    text = engine.from_string(source).render(
        title=TITLE,
        version=version("gdnp"),
        lead=_lead(len(results), len(verdicts)),
        when=f", from results of {dates[-1][:10]}" if dates and dates[-1] else "",
        verdicts=[(name, list(group)) for name, group in groupby(verdicts, key=lambda r: r.claim.section)],
        counts=[(*_look(outcome), found[outcome]) for outcome in words],
        results=[one.seen_from(directory, first) for one, first in zip(results, firsts, strict=False)],
        environment=_environments(results),
        figures=markup(data),
        plotly=markup(require("plotly.offline", "The report").get_plotlyjs() if figures else ""),
    )
    return str(text)


def _look(outcome: str) -> tuple[str, str]:
    return LOOKS.get(outcome, ("unknown", outcome.capitalize()))


def _lead(results: int, verdicts: int) -> str:
    noun = "experiment" if results == 1 else "experiments"
    runs = f"{results} {noun}, run again, with every number as it came out. " if results else ""
    return (
        f"{runs}{verdicts} statements of Kohler et al. (AISTATS 2019), and corrections to them, each with "
        "its measurement."
    )


def _environments(results: Sequence[Result]) -> Table:
    """One column for all results, or one for each where they were run with other things."""
    columns = {}
    for result in results:
        record = result.store.environment
        flat = {**record.get("packages", {}), **{k: v for k, v in record.items() if k != "packages"}}
        columns[result.short] = {k: "not installed" if v is None else str(v) for k, v in flat.items()}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    if columns and {key for key in keys if len({one.get(key) for one in columns.values()}) > 1} <= PASSING:
        columns = {"all of them": next(iter(columns.values()))}
    rows = [(key, *(column.get(key, "") for column in columns.values())) for key in keys]
    return Table("What it was run with", ("", *columns), rows)


# --- how figures look, whoever made them

STYLE: Figure = json.loads(resources.files(__package__).joinpath("style.json").read_text(encoding="utf-8"))
"""Defaults of an axis and of the layout, in colours that the page knows the dark counterparts of."""
AXIS: Figure = STYLE["axis"]
LAYOUT: Figure = {**STYLE["layout"], "xaxis": AXIS, "yaxis": AXIS}


def styled(figure: Figure) -> Figure:
    """The figure with the page's defaults, and without the title, which is in the text."""
    layout = {key: value for key, value in figure.get("layout", {}).items() if key != "title"}
    axes = {key: _over(AXIS, value) for key, value in layout.items() if key[:5] in ("xaxis", "yaxis")}
    return {"data": figure.get("data", []), "layout": {**_over(LAYOUT, layout), **axes}}


def _over(defaults: Any, given: Any) -> Any:
    """`given`, with what it leaves open taken from `defaults`."""
    if not isinstance(defaults, Mapping) or not isinstance(given, Mapping):
        return given
    return {**defaults, **{key: _over(defaults.get(key), value) for key, value in given.items()}}
