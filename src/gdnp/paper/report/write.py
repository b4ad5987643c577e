"""One self-contained HTML page of everything that was reproduced: verdicts, curves, tables, environment.

It is made from stored results alone, so it can be written again at any time, and it needs no network to be
read. Where an experiment has no interactive figures, its PNG files are embedded.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from gdnp._files import replacing
from gdnp.paper.claims import CLAIMS, ClaimResult, recorded_results
from gdnp.paper.report.page import Result, page
from gdnp.paper.runner.charts import Figure
from gdnp.paper.runner.experiment import Experiment, Options
from gdnp.store import Store, StoreError

NAME = "report.html"


def find_results(directory: str | os.PathLike[str]) -> list[Path]:
    """The finished results in a folder, and the folder itself if it is one, by name."""
    folder = Path(directory)
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    return [path for path in folders if Store(path).finished and Store(path).settings is not None]


def write_report(
    folders: Iterable[Path] | None, directory: str | os.PathLike[str], experiments: Mapping[str, Experiment]
) -> Path:
    """Write ``report.html`` from finished results.

    Parameters
    ----------
    folders : iterable of Path, or None
        Of finished results; None takes all that are in `directory`.
    directory : path
        Where the page goes.
    experiments : dict of Experiment
        By name, as ``gdnp.paper.EXPERIMENTS``: they make the tables and the interactive figures of their
        results. A result of any other is shown by its images. Verdicts are those of a result of
        ``theorems``, else those on record.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        When a folder does not hold a finished result.
    ImportError
        When plotly is not installed.
    """
    directory = Path(directory)
    results = [_read(one, experiments) for one in (find_results(directory) if folders is None else folders)]
    verdicts = _measured(results) or recorded_results()
    results = [result for result in results if "claims" not in result.summary]
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / NAME) as beside:
        beside.write_text(page(results, verdicts, directory), encoding="utf-8")
    return directory / NAME


def _read(folder: Path, experiments: Mapping[str, Experiment]) -> Result:
    store = Store(folder)
    settings, summary = store.settings, store.summary
    if settings is None:
        raise StoreError(f"{folder} should hold a finished result. Got no readable settings.json there.")
    name = str(settings.get("experiment", folder.name))
    found = Result(store, str(summary.get("title", name)), summary, images=sorted(folder.glob("*.png")))
    experiment = experiments.get(name)
    other = settings.get("gdnp", version("gdnp")) != version("gdnp")
    # Another version's summary and parts may be other ones, and claims are a table of their own.
    if experiment is None or other or "claims" in summary:
        return found
    parts = experiment.parts(settings, Options())
    results = store.results(parts)
    figures: list[Figure] = []
    if len(results) == len(parts):  # none is missing
        figures = experiment.interactive(settings, results)
    return replace(found, tables=experiment.tables(summary), figures=figures)


def _measured(results: Sequence[Result]) -> list[ClaimResult]:
    """The verdicts of a result of ``theorems``, as far as the claims are still in the registry."""
    entries = [entry for result in results for entry in result.summary.get("claims", ())]
    return [ClaimResult.read(entry) for entry in entries if entry["id"] in CLAIMS]
