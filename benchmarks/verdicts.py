"""The page of verdicts, from the registry of claims and the numbers that are recorded.

    GDNP_DATA=DIR python benchmarks/verdicts.py [PAGE]    # measures, records, writes docs/verdicts.md

The numbers are recorded rather than measured each time, so that the page is the same on every machine; the
tests measure afresh and compare.
"""

import argparse
import json
import sys
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from gdnp.paper.claims import Verdict, recorded_results, registry, run_claims

ROUNDING = 1e-5
"""Bounds at or below this are tolerances for zero: the digits of what stays below them mean nothing."""

PHRASES = {
    Verdict.HOLDS: "hold",
    Verdict.HOLDS_WITH_CORRECTION: "hold with a correction",
    Verdict.FALSE_AS_PRINTED: "are false as printed",
    Verdict.OUTSIDE_ITS_ASSUMPTIONS: "fail outside their assumptions",
    Verdict.DEPENDS_ON_A_CHOICE: "depend on a choice that is not printed",
}

MARK = "<!-- From here on written by `python benchmarks/verdicts.py`: do not edit by hand. -->\n"
"""On the page what stands above it is written by hand."""


def record():
    """Measure every claim and write ``recorded.json``.

    A verdict that is not the one its claim declares is refused, and so is missing data or PyTorch.
    """
    results = run_claims()
    bad = [f"{result.claim.id}: {result.outcome}" for result in results if not result.agrees]
    if bad:
        raise ValueError(f"only verdicts that claims declare can be recorded. Got {'; '.join(bad)}.")
    entries = {}
    for result in results:
        found = result.measurement
        measured = found.measured if found.measured.is_integer() else float(f"{found.measured:.2g}")
        entries[result.claim.id] = replace(found, measured=measured, bound=float(f"{found.bound:.3g}")).plain
    registry.RECORDED.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def verdicts_markdown():
    """The text of ``docs/verdicts.md`` below ``MARK``."""
    results = recorded_results()
    parts = [f"\n{counted([result.claim.recorded for result in results])}\n", *_table(results)]
    for section, group in groupby(results, key=lambda result: result.claim.section):
        parts.append(f"\n## {section}\n")
        parts += [_details(result) for result in group]
    return "\n".join(parts).rstrip("\n") + "\n"


def counted(verdicts):
    """How many statements of the paper got which word, and apart from them those of its appendix and ours."""
    own = [verdict for verdict in verdicts if verdict.of_the_paper]
    counts = ", ".join(f"{own.count(verdict)} {phrase}" for verdict, phrase in PHRASES.items())
    appendix, ours = (verdicts.count(word) for word in (Verdict.RECONSTRUCTED, Verdict.DERIVED))
    return (
        f"Of the paper's own {len(own)}, {counts}.\n"
        f"Of its appendix {appendix} are reconstructed. Another {ours} are ours."
    )


def _table(results):
    rows = ["| claim | source | verdict | measured | bound |", "|---|---|---|---|---|"]
    for result in results:
        claim, found = result.claim, result.measurement
        rows.append(
            f"| [{claim.id}](#{claim.id}) | {_cell(claim.source)} | {result.outcome} "
            f"| {_measured(found)} | {found.bound:g} |"
        )
    return rows


def _measured(found):
    tiny = found.bound <= ROUNDING and found.measured <= found.bound
    return f"{found.measured:.3g}" if not tiny or found.bound == 0.0 else f"below {found.bound:g}"


def _details(result):
    claim, found = result.claim, result.measurement
    lines = [
        f"### {claim.id}\n",
        f"{_cell(claim.statement)} *({_cell(claim.source)})*\n",
        f"- **{result.outcome}**. {_cell(found.evidence)}",
        f"- Scope: {_cell(claim.scope)}.",
    ]
    if found.counterexample:
        lines.append(f"- Where it fails: {_cell(found.counterexample)}")
    return "\n".join(lines) + "\n"


def _cell(text):
    """Text in which Markdown finds no column and no emphasis."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def main(arguments=None):
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", nargs="?", type=Path, default=Path("docs/verdicts.md"))
    page = parser.parse_args(arguments).page
    record()
    head, mark, _ = (page.read_text(encoding="utf-8") if page.is_file() else MARK).partition(MARK)
    if not mark:
        sys.exit(f"{page} should hold the line {MARK.strip()!r}. Got none: name another page, or put it in.")
    page.write_text(head + MARK + verdicts_markdown(), encoding="utf-8")
    print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
