"""One self-contained HTML page of everything that was reproduced: verdicts, curves, tables, environment.

It is made from stored results alone, so it can be written again at any time, and it needs no network to be
read. An experiment may offer ``interactive(settings, results) -> list`` of plotly figures (dictionaries of
``data`` and ``layout``); where it does not, its PNG files are embedded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gdnp._files import replacing
from gdnp.paper.claims import CLAIMS, ClaimResult, Measurement, Verdict, recorded_results
from gdnp.paper.interactive_figures import INTERACTIVE
from gdnp.paper.report.page import Result, page
from gdnp.paper.report.style import Figure
from gdnp.paper.runner.experiment import Experiment, Options, Outcome
from gdnp.paper.runner.store import Store, StoreError

__all__ = ["NAME", "find_results", "write_report"]

NAME = "report.html"


def find_results(directory: str | os.PathLike[str]) -> list[Path]:
    """The finished results in a folder, and the folder itself if it is one, by name.

    Parameters
    ----------
    directory : path

    Returns
    -------
    list of Path
    """
    folder = Path(directory)
    folders = [folder, *sorted(path for path in folder.iterdir() if path.is_dir())] if folder.is_dir() else []
    return [path for path in folders if Store(path).finished and Store(path).settings is not None]


def write_report(
    outcomes: Iterable[Outcome | str | os.PathLike[str]] | None,
    directory: str | os.PathLike[str],
    *,
    claims: Sequence[ClaimResult] | None = None,
) -> Path:
    """Write ``report.html`` from finished results.

    Parameters
    ----------
    outcomes : iterable of Outcome or path, or None
        What ``reproduce`` returned, or the folders of finished results; None takes all that are in
        `directory`.
    directory : path
        Where the page goes.
    claims : sequence of ClaimResult, optional
        Verdicts measured now; by default those of a result of ``theorems``, else those on record.

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
    folders = find_results(directory) if outcomes is None else [_folder(entry) for entry in outcomes]
    results = [_read(folder) for folder in folders]
    verdicts = list(claims or _measured(results) or recorded_results())
    results = [result for result in results if "claims" not in result.summary]
    directory.mkdir(parents=True, exist_ok=True)
    with replacing(directory / NAME) as beside:
        beside.write_text(page(results, verdicts, directory), encoding="utf-8")
    return directory / NAME


def _folder(entry: Outcome | str | os.PathLike[str]) -> Path:
    return entry.directory if isinstance(entry, Outcome) else Path(entry)


def _read(folder: Path) -> Result:
    from gdnp.paper import EXPERIMENTS

    store = Store(folder)
    settings, summary = store.settings, store.summary
    if settings is None:
        raise StoreError(f"{folder} should hold a finished result. Got no readable settings.json there.")
    name = str(settings.get("experiment", folder.name))
    found = Result(
        store=store,
        name=name,
        title=str(summary.get("title", name)),
        summary=summary,
        images=sorted(folder.glob("*.png")),
        environment=_json(folder / "environment.json"),
    )
    experiment = EXPERIMENTS.get(name)
    if experiment is None or settings.get("gdnp", version("gdnp")) != version("gdnp"):
        return found  # of another version, whose summary and parts may be other ones
    figures = _interactive(experiment, settings, store)
    return Result(**{**vars(found), "tables": experiment.tables(summary), "figures": figures})


def _interactive(experiment: Experiment, settings: dict[str, Any], store: Store) -> list[Figure]:
    """The experiment's plotly figures; none where it offers none or a part is missing."""
    make: Callable[..., list[Figure]] | None = getattr(
        experiment, "interactive", INTERACTIVE.get(experiment.name)
    )
    if make is None:
        return []
    parts = {part.name: store.load(part) for part in experiment.parts(settings, Options())}
    if any(result is None for result in parts.values()):
        return []
    return make(settings, parts)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _measured(results: Sequence[Result]) -> list[ClaimResult]:
    """The verdicts of a result of ``theorems``, as far as the claims are still in the registry."""
    entries = [entry for result in results for entry in result.summary.get("claims", ())]
    return [
        ClaimResult(
            CLAIMS[entry["id"]],
            None
            if entry["measured"] is None
            else Measurement(
                entry["measured"],
                entry["bound"],
                Verdict(entry["verdict"]),
                entry["evidence"],
                entry["counterexample"],
            ),
            entry["evidence"],
            missing=entry.get("missing") or "",
        )
        for entry in entries
        if entry["id"] in CLAIMS
    ]
