"""The page of the report, from results that have been read back."""

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

from gdnp._files import require
from gdnp.paper.claims import ClaimResult, Verdict
from gdnp.paper.report.formulas import with_formulas
from gdnp.paper.report.style import styled
from gdnp.paper.runner.charts import Figure
from gdnp.paper.runner.experiment import Table
from gdnp.store import Store

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


def page(results: Sequence[Result], verdicts: Sequence[ClaimResult], directory: Path) -> str:
    """The page; its links are relative to `directory`."""
    jinja2, figures = require("jinja2", "The report"), [f for result in results for f in result.figures]
    engine = jinja2.Environment(autoescape=True, undefined=jinja2.ChainableUndefined)
    engine.filters |= {
        "look": _look,
        "base64": _encoded,
        "text": lambda text: jinja2.utils.markupsafe.Markup(_as_html(str(text))),
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
        lead=_lead(results, found),
        when=f", from results of {dates[-1][:10]}" if dates and dates[-1] else "",
        verdicts=[(name, list(group)) for name, group in groupby(verdicts, key=lambda r: r.claim.section)],
        counts=[(*_look(outcome), found[outcome]) for outcome in words],
        results=[one.seen_from(directory, first) for one, first in zip(results, firsts, strict=False)],
        environment=_environments(results),
        figures=jinja2.utils.markupsafe.Markup(data),
        plotly=jinja2.utils.markupsafe.Markup(
            require("plotly.offline", "The report").get_plotlyjs() if figures else ""
        ),
    )
    return str(text)


def _as_html(text: str) -> str:
    """Formulas in MathML, and no line break after the e of 1e-4."""
    return re.sub(r"(?<=\de)-(?=\d)", "\N{NON-BREAKING HYPHEN}", with_formulas(text))


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _look(outcome: str) -> tuple[str, str]:
    return LOOKS.get(outcome, ("unknown", outcome.capitalize()))


def _lead(results: Sequence[Result], found: Mapping[str, int]) -> str:
    parts = []
    if found:
        counts = [f"{number} {_look(word)[1].lower().lstrip('✓±✗ ')}" for word, number in found.items()]
        parts.append(
            f"{sum(found.values())} statements of Kohler et al. (AISTATS 2019), and corrections to them, "
            f"each with its measurement. The verdicts: {', '.join(counts)}."
        )
    if results:
        noun = "experiment" if len(results) == 1 else "experiments"
        parts.insert(0, f"{len(results)} {noun}, run again, with every number as it came out.")
    return " ".join(parts) or "Nothing has been reproduced yet."


def _environments(results: Sequence[Result]) -> Table:
    """One column for all results, or one for each where they were run with other things."""
    columns = {result.short: _flat(result.store.environment) for result in results}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    if columns and {key for key in keys if len({one.get(key) for one in columns.values()}) > 1} <= PASSING:
        columns = {"all of them": next(iter(columns.values()))}
    rows: list[tuple[str, ...]] = [
        (key, *(column.get(key, "") for column in columns.values())) for key in keys
    ]
    return Table("What it was run with", ("", *columns), rows)


def _flat(record: Mapping[str, Any]) -> dict[str, str]:
    """The record without its levels; what is null, a package, is not installed."""
    found: dict[str, str] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            found |= _flat(value)
        else:
            found[str(key)] = "not installed" if value is None else str(value)
    return found
