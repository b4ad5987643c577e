"""One self-contained HTML page of everything that was reproduced: verdicts, curves, tables, environment.

It is made from stored results alone, so it can be written again at any time, and it needs no network to be
read. An experiment may offer ``interactive(settings, results) -> list`` of plotly figures (dictionaries of
``data`` and ``layout``); where it does not, its PNG files are embedded.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from gdnp._files import replacing
from gdnp.datasets.files import require
from gdnp.paper.claims import CLAIMS, ClaimResult, Measurement, Verdict, recorded_results
from gdnp.paper.experiment import Experiment, Options, Outcome, Table
from gdnp.paper.interactive_figures import INTERACTIVE
from gdnp.paper.store import Store, StoreError

__all__ = ["NAME", "find_results", "write_report"]

NAME = "report.html"
TITLE = "Exponential convergence rates for Batch Normalization: what holds"
Figure = dict[str, Any]

LOOKS = {
    Verdict.HOLDS.value: ("holds", "✓ Holds"),
    Verdict.HOLDS_WITH_CORRECTION.value: ("corrected", "± Holds with a correction"),
    Verdict.FAILS_OUTSIDE_SCOPE.value: ("fails", "✗ Fails outside its scope"),
    Verdict.FAILS.value: ("fails", "✗ Fails"),
}
"""The class and the words of a verdict: never colour alone."""
AXIS = {
    "gridcolor": "#dfe2e8",
    "linecolor": "#c3c8d1",
    "zerolinecolor": "#c3c8d1",
    "tickcolor": "#c3c8d1",
    "showline": True,
    "ticks": "outside",
    "automargin": True,
    "title": {"standoff": 8, "font": {"size": 13}},
    "tickfont": {"size": 12},
    "ticklabeloverflow": "allow",
}
LAYOUT: Figure = {
    "autosize": True,
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {
        "family": "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif",
        "size": 13,
        "color": "#565d6a",
    },
    "margin": {"l": 8, "r": 20, "t": 8, "b": 8},
    "xaxis": AXIS,
    "yaxis": AXIS,
    "legend": {
        "orientation": "h",
        "xref": "container",
        "x": 0,
        "xanchor": "left",
        "yref": "container",
        "y": 0,
        "yanchor": "bottom",
        "font": {"color": "#16181d"},
    },
    "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#c3c8d1", "font": {"color": "#16181d"}},
    "hovermode": "closest",
}
"""Defaults, in colours that the page knows the dark counterparts of."""


@dataclass(frozen=True)
class _Result:
    """A finished result, read back."""

    store: Store
    name: str
    title: str
    summary: Mapping[str, Any]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    images: Sequence[Path] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)


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
        beside.write_text(_page(results, verdicts, directory), encoding="utf-8")
    return directory / NAME


def _folder(entry: Outcome | str | os.PathLike[str]) -> Path:
    return entry.directory if isinstance(entry, Outcome) else Path(entry)


# --- reading


def _read(folder: Path) -> _Result:
    from gdnp.paper import EXPERIMENTS

    store = Store(folder)
    settings, summary = store.settings, store.summary
    if settings is None:
        raise StoreError(f"{folder} should hold a finished result. Got no readable settings.json there.")
    name = str(settings.get("experiment", folder.name))
    found = _Result(
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
    return _Result(**{**vars(found), "tables": experiment.tables(summary), "figures": figures})


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


def _measured(results: Sequence[_Result]) -> list[ClaimResult]:
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


# --- the page


def _page(results: Sequence[_Result], verdicts: Sequence[ClaimResult], directory: Path) -> str:
    figures: list[Figure] = []
    sections = [("verdicts", "Verdicts", _verdicts(verdicts))] if verdicts else []
    for result in results:
        identity = f"{result.store.directory.name}"
        sections.append((identity, _short(result), _experiment(result, figures, directory)))
    if results:
        sections.append(("environment", "Environment", _environments(results)))
    template = Template(resources.files("gdnp.paper").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(TITLE),
        version=escape(version("gdnp")),
        lead=_lead(results, verdicts),
        contents="".join(f'<li><a href="#{quote(key)}">{escape(name)}</a></li>' for key, name, _ in sections),
        body="\n".join(
            f'<section id="{escape(key)}" aria-labelledby="{escape(key)}-title">{text}</section>'
            for key, _, text in sections
        ),
        footer=_footer(results),
        # "</script>" and "<!--" must not occur inside a script element.
        figures=json.dumps([_styled(figure) for figure in figures], allow_nan=False).replace("<", "\\u003c"),
        plotly=_plotly() if figures else "",
    )


def _plotly() -> str:
    require("plotly", "The report")
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _short(result: _Result) -> str:
    """The title up to its colon, and the profile."""
    profile = result.summary.get("profile")
    return result.title.split(":")[0] + (f" ({profile})" if profile else "")


def _lead(results: Sequence[_Result], verdicts: Sequence[ClaimResult]) -> str:
    parts = []
    if verdicts:
        outcomes = [result.outcome for result in verdicts]
        counts = [
            f"{outcomes.count(o)} {_look(o)[1].lower().lstrip('✓±✗ ')}" for o in dict.fromkeys(outcomes)
        ]
        parts.append(
            f"{len(verdicts)} statements of Kohler et al. (AISTATS 2019), and corrections to them, each "
            f"checked by a measurement. The verdicts: {', '.join(counts)}."
        )
    if results:
        noun = "experiment" if len(results) == 1 else "experiments"
        parts.append(f"Below them {len(results)} {noun}, run again, with every number as it came out.")
    return " ".join(parts) or "Nothing has been reproduced yet."


def _footer(results: Sequence[_Result]) -> str:
    dates = sorted(str(result.environment.get("date", "")) for result in results)
    when = f", from results of {escape(dates[-1][:10])}" if dates and dates[-1] else ""
    return (
        f"Written by gdnp {escape(version('gdnp'))}{when}. The page needs no network. The paper: J. Kohler, "
        "H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr, T. Hofmann, <cite>Exponential convergence rates for "
        "Batch Normalization: the power of length-direction decoupling in non-convex optimization</cite>, "
        "AISTATS 2019."
    )


# --- verdicts


def _verdicts(verdicts: Sequence[ClaimResult]) -> str:
    outcomes = [result.outcome for result in verdicts]
    counts = []
    for outcome in dict.fromkeys([*LOOKS, *outcomes]):
        if outcome in outcomes:
            look, words = _look(outcome)
            counts.append(f'<li class="{look}"><b>{outcomes.count(outcome)}</b>{escape(words)}</li>')
    rows = []
    for section, group in groupby(verdicts, key=lambda result: result.claim.section):
        rows.append(f'<tr class="part"><th colspan="4" scope="rowgroup">{escape(section)}</th></tr>')
        rows += [_verdict(result) for result in group]
    return (
        '<h2 id="verdicts-title">Verdicts</h2>'
        "<p>Every verdict follows from a measurement: a statement holds where <em>measured</em> does not "
        "exceed <em>bound</em>; it holds with a correction only where the printed form was seen to fail and "
        "the corrected one to hold.</p>"
        f'<ul class="counts">{"".join(counts)}</ul>'
        '<table class="verdicts"><thead><tr><th scope="col">Verdict</th><th scope="col">Statement</th>'
        '<th scope="col" class="number">Measured</th><th scope="col" class="number">Bound</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _look(outcome: str) -> tuple[str, str]:
    return LOOKS.get(outcome, ("unknown", outcome.capitalize()))


def _verdict(result: ClaimResult) -> str:
    claim, found = result.claim, result.measurement
    look, words = _look(result.outcome)
    more = (
        [f"<p>{escape(result.reason or '')}</p>"] if found is None else [f"<p>{escape(found.evidence)}</p>"]
    )
    more.append(f"<p><b>Scope:</b> {escape(claim.scope)}.</p>")
    if found is not None and found.counterexample:
        more.append(f"<p><b>Where it fails:</b> {escape(found.counterexample)}</p>")
    numbers = ("", "") if found is None else (f"{found.measured:.3g}", f"{found.bound:.4g}")
    cells = "".join(
        f'<td class="number" data-label="{label}">{value}</td>'
        for label, value in zip(("measured", "bound"), numbers, strict=True)
    )
    return (
        f'<tr id="claim-{escape(claim.id)}"><td><span class="badge {look}">{escape(words)}</span></td>'
        f'<td><span class="statement">{escape(claim.statement)}</span>'
        f'<span class="source">{escape(claim.source)}</span>'
        f"<details><summary>What was measured</summary>{''.join(more)}</details></td>{cells}</tr>"
    )


# --- experiments


def _experiment(result: _Result, figures: list[Figure], directory: Path) -> str:
    """The section of a result; its interactive figures are added to `figures`."""
    key = escape(result.store.directory.name)
    parts = [
        f'<h2 id="{key}-title">{escape(result.title)}</h2>',
        _sentences(result.summary.get("findings", ())),
    ]
    shown = []
    for figure in result.figures:
        shown.append(_interactive_figure(len(figures), figure))
        figures.append(figure)
    if not shown:
        shown = [_image(path, result.title) for path in result.images]
    if shown:
        three = " three" if len(shown) % 3 == 0 and len(shown) % 2 else ""
        parts.append(f'<div class="figures{three}">{"".join(shown)}</div>')
    if result.images:
        parts.append(_files(result, directory))
    findings = {
        str(panel.get("label")): panel.get("findings", ()) for panel in result.summary.get("panels", ())
    }
    parts += [_table(table) + _sentences(findings.pop(table.title, ())) for table in result.tables]
    parts += [f"<h3>{_text(label)}</h3>{_sentences(found)}" for label, found in findings.items() if found]
    if result.summary.get("notes"):
        parts.append(f"<h3>Notes</h3>{_sentences(result.summary['notes'])}")
    return "".join(parts)


def _sentences(sentences: Iterable[Any]) -> str:
    items = "".join(f"<li>{_text(str(sentence))}</li>" for sentence in sentences)
    return f'<ul class="sentences">{items}</ul>' if items else ""


def _text(text: str) -> str:
    """Escaped, and without a line break after the e of 1e-4."""
    return re.sub(r"(?<=\de)-(?=\d)", "\N{NON-BREAKING HYPHEN}", escape(text))


def _interactive_figure(number: int, figure: Figure) -> str:
    layout = figure.get("layout", {})
    title = layout.get("title", "")
    title = str(title.get("text", "") if isinstance(title, Mapping) else title) or f"Figure {number + 1}"
    caption = str((layout.get("meta") or {}).get("caption", ""))
    wide = ' class="wide"' if (layout.get("meta") or {}).get("wide") else ""
    return (
        f"<figure{wide}><figcaption><h3>{escape(title)}</h3>"
        f'<p class="caption">{escape(caption)}</p></figcaption>'
        f'<div class="plot" id="plot-{number}" data-figure="{number}" role="group" '
        f'aria-label="{escape(f"Interactive figure: {title}. {caption}")}"></div></figure>'
    )


def _image(path: Path, title: str) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    alt = escape(f"{title}: {path.stem}")
    return f'<figure class="wide"><img src="data:image/png;base64,{data}" alt="{alt}"></figure>'


def _files(result: _Result, directory: Path) -> str:
    """Links to the files for print, relative to the page."""
    links = []
    for path in sorted([*result.images, *result.store.directory.glob("*.pdf")]):
        target = quote(Path(os.path.relpath(path, directory)).as_posix())
        links.append(f'<a href="{target}">{escape(path.name)}</a>')
    return f'<p class="muted">For print, beside this page: {", ".join(links)}.</p>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in table.columns)
    rows = "".join(
        f'<tr><th scope="row">{escape(first)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in table.rows
    )
    note = f'<p class="muted">{escape(table.note)}</p>' if table.note else ""
    title = escape(table.title)
    return (
        f'<div class="scroll" role="region" aria-label="{title}" tabindex="0"><table class="numbers">'
        f"<caption>{title}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _environments(results: Sequence[_Result]) -> str:
    """One column a result."""
    columns = {_short(result): _flat(result.environment) for result in results}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [(key, *(column.get(key, "") for column in columns.values())) for key in keys]
    table = Table("What it was run with", ("", *columns), rows)
    return f'<h2 id="environment-title">Environment</h2>{_table(table)}'


def _flat(record: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            flat |= {
                str(name): "not installed" if entry is None else str(entry) for name, entry in value.items()
            }
        else:
            flat[str(key)] = str(value)
    return flat


# --- figures


def _styled(figure: Figure) -> Figure:
    """The figure with the page's defaults, and without the title, which is in the text."""
    layout = {
        key: value for key, value in figure.get("layout", {}).items() if key not in ("title", "template")
    }
    axes = {key: _over(AXIS, value) for key, value in layout.items() if key[:5] in ("xaxis", "yaxis")}
    return {"data": figure.get("data", []), "layout": {**_over(LAYOUT, layout), **axes}}


def _over(defaults: Any, given: Any) -> Any:
    """`given`, with what it leaves open taken from `defaults`."""
    if not isinstance(defaults, Mapping) or not isinstance(given, Mapping):
        return given
    return {**defaults, **{key: _over(defaults.get(key), value) for key, value in given.items()}}
