"""The page of the report, from results that have been read back."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from gdnp._files import require
from gdnp.interactive import Figure
from gdnp.paper.claims import ClaimResult, Verdict
from gdnp.paper.report.style import styled
from gdnp.paper.runner.experiment import Table
from gdnp.store import Store

__all__ = ["Result", "page"]

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


@dataclass(frozen=True)
class Result:
    """A finished result, read back."""

    store: Store
    title: str
    summary: Mapping[str, Any]
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    images: Sequence[Path] = ()


def page(results: Sequence[Result], verdicts: Sequence[ClaimResult], directory: Path) -> str:
    """The page; its links are relative to `directory`."""
    figures: list[Figure] = []
    sections = [("verdicts", "Verdicts", _verdicts(verdicts))] if verdicts else []
    for result in results:
        section = _experiment(result, figures, directory)
        sections.append((result.store.directory.name, _short(result), section))
    if results:
        sections.append(("environment", "Environment", _environments(results)))
    template = Template(
        resources.files("gdnp.paper.report").joinpath("report.html").read_text(encoding="utf-8")
    )
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
        figures=json.dumps([styled(figure) for figure in figures], allow_nan=False).replace("<", "\\u003c"),
        plotly=_plotly() if figures else "",
    )


def _plotly() -> str:
    require("plotly", "The report")
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _short(result: Result) -> str:
    """The title up to its colon, and the profile."""
    profile = result.summary.get("profile")
    return result.title.split(":")[0] + (f" ({profile})" if profile else "")


def _lead(results: Sequence[Result], verdicts: Sequence[ClaimResult]) -> str:
    parts = []
    if verdicts:
        found = Counter(result.outcome for result in verdicts)
        counts = [f"{number} {_look(word)[1].lower().lstrip('✓±✗ ')}" for word, number in found.items()]
        parts.append(
            f"{len(verdicts)} statements of Kohler et al. (AISTATS 2019), and corrections to them, each "
            f"checked by a measurement. The verdicts: {', '.join(counts)}."
        )
    if results:
        noun = "experiment" if len(results) == 1 else "experiments"
        parts.append(f"Below them {len(results)} {noun}, run again, with every number as it came out.")
    return " ".join(parts) or "Nothing has been reproduced yet."


def _footer(results: Sequence[Result]) -> str:
    dates = sorted(str(result.store.environment.get("date", "")) for result in results)
    when = f", from results of {escape(dates[-1][:10])}" if dates and dates[-1] else ""
    return (
        f"Written by gdnp {escape(version('gdnp'))}{when}. The page needs no network. The paper: J. Kohler, "
        "H. Daneshmand, A. Lucchi, M. Zhou, K. Neymeyr, T. Hofmann, <cite>Exponential convergence rates for "
        "Batch Normalization: the power of length-direction decoupling in non-convex optimization</cite>, "
        "AISTATS 2019."
    )


def _verdicts(verdicts: Sequence[ClaimResult]) -> str:
    found = Counter(result.outcome for result in verdicts)
    counts = []
    for outcome in sorted(found, key=lambda outcome: [*LOOKS, outcome].index(outcome)):
        look, words = _look(outcome)
        counts.append(f'<li class="{look}"><b>{found[outcome]}</b>{escape(words)}</li>')
    rows = []
    for section, group in groupby(verdicts, key=lambda result: result.claim.section):
        rows.append(f'<tr class="part"><th colspan="4" scope="rowgroup">{escape(section)}</th></tr>')
        rows += [_verdict(result) for result in group]
    return (
        '<h2 id="verdicts-title">Verdicts</h2>'
        "<p>Every verdict follows from a measurement: a statement holds where <em>measured</em> does not "
        "exceed <em>bound</em>; it holds with a correction only where the printed form was seen to fail and "
        "the corrected one to hold. Statements of the appendix are reconstructed; derived ones are ours.</p>"
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
    evidence = result.reason or "" if found is None else found.evidence
    more = [f"<p>{escape(evidence)}</p>", f"<p><b>Scope:</b> {escape(claim.scope)}.</p>"]
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


def _experiment(result: Result, figures: list[Figure], directory: Path) -> str:
    """The section of a result; its interactive figures are added to `figures`."""
    key = escape(result.store.directory.name)
    parts = [
        f'<h2 id="{key}-title">{escape(result.title)}</h2>',
        _sentences(result.summary.get("findings", ())),
    ]
    shown = [
        _interactive_figure(number, figure) for number, figure in enumerate(result.figures, len(figures))
    ]
    figures += result.figures
    if not shown:
        shown = [_image(path, result.title) for path in result.images]
    if shown:
        three = " three" if len(shown) % 3 == 0 and len(shown) % 2 else ""
        parts.append(f'<div class="figures{three}">{"".join(shown)}</div>')
    if result.images:
        parts.append(_files(result, directory))
    panels = result.summary.get("panels", ())
    findings = {str(panel.get("label")): panel.get("findings", ()) for panel in panels}
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


def _files(result: Result, directory: Path) -> str:
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


def _environments(results: Sequence[Result]) -> str:
    """One column a result."""
    columns = {_short(result): _flat(result.store.environment) for result in results}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [(key, *(column.get(key, "") for column in columns.values())) for key in keys]
    table = Table("What it was run with", ("", *columns), rows)
    return f'<h2 id="environment-title">Environment</h2>{_table(table)}'


def _flat(record: Mapping[str, Any]) -> dict[str, str]:
    """The record without its levels; what is null, a package, is not installed."""
    found: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            found |= _flat(value)
        else:
            found[str(key)] = "not installed" if value is None else str(value)
    return found
