"""The page of verdicts, written from the registry and from the numbers recorded in ``recorded.json``.

The numbers are recorded rather than measured each time, so that the page is the same on every machine; the
tests measure afresh and compare.
"""

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from gdnp.paper.claims.registry import CLAIMS, ClaimResult, Measurement, Verdict, run_claims

RECORDED = Path(__file__).with_name("recorded.json")
ROUNDING = 1e-5
"""Bounds at or below this are tolerances for zero: the digits of what stays below them mean nothing."""

PHRASES = {
    Verdict.HOLDS: "hold",
    Verdict.HOLDS_WITH_CORRECTION: "hold with a correction",
    Verdict.FALSE_AS_PRINTED: "are false as printed",
    Verdict.OUTSIDE_ITS_ASSUMPTIONS: "fail outside their assumptions",
    Verdict.DEPENDS_ON_A_CHOICE: "depend on a choice that is not printed",
}

MARK = "<!-- From here on written by `python -m gdnp.paper.claims`: do not edit by hand. -->\n"
"""On the page what stands above it is written by hand."""


def recorded_results() -> list[ClaimResult]:
    """The recorded measurements, in the order of the registry.

    Raises
    ------
    ValueError
        When the record does not have exactly the claims of the registry.
    """
    entries = json.loads(RECORDED.read_text(encoding="utf-8"))
    if list(entries) != list(CLAIMS):
        odd = sorted(set(entries) ^ set(CLAIMS)) or "the same claims in another order"
        raise ValueError(f"{RECORDED.name} should have every claim once. Got {odd}: record the claims again.")
    return [ClaimResult(CLAIMS[name], Measurement.read(entry)) for name, entry in entries.items()]


def record() -> None:
    """Measure every claim and write ``recorded.json``.

    Raises
    ------
    ValueError
        When a verdict is not the one its claim declares, or a data set or PyTorch is missing.
    """
    results = run_claims()
    bad = [f"{result.claim.id}: {result.outcome}" for result in results if not result.agrees]
    if bad:
        raise ValueError(f"only verdicts that claims declare can be recorded. Got {'; '.join(bad)}.")
    entries = {}
    for result in results:
        found = result.measurement
        assert found is not None
        measured = found.measured if found.measured.is_integer() else float(f"{found.measured:.2g}")
        entries[result.claim.id] = replace(found, measured=measured, bound=float(f"{found.bound:.3g}")).plain
    RECORDED.write_text(json.dumps(entries, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def verdicts_markdown() -> str:
    """The text of ``docs/verdicts.md`` below ``MARK``."""
    results = recorded_results()
    parts = [f"\n{counted([result.claim.recorded for result in results])}\n", *_table(results)]
    for section, group in groupby(results, key=lambda result: result.claim.section):
        parts.append(f"\n## {section}\n")
        parts += [_details(result) for result in group]
    return "\n".join(parts).rstrip("\n") + "\n"


def counted(verdicts: list[Verdict]) -> str:
    """How many statements of the paper got which word, and apart from them those of its appendix and ours."""
    own = [verdict for verdict in verdicts if verdict.of_the_paper]
    counts = ", ".join(f"{own.count(verdict)} {phrase}" for verdict, phrase in PHRASES.items())
    appendix, ours = (verdicts.count(word) for word in (Verdict.RECONSTRUCTED, Verdict.DERIVED))
    return (
        f"Of the paper's own {len(own)}, {counts}.\n"
        f"Of its appendix {appendix} are reconstructed. Another {ours} are ours."
    )


def _table(results: list[ClaimResult]) -> list[str]:
    rows = ["| claim | source | verdict | measured | bound |", "|---|---|---|---|---|"]
    for result in results:
        claim, found = result.claim, result.measurement
        assert found is not None
        rows.append(
            f"| [{claim.id}](#{claim.id}) | {_cell(claim.source)} | {result.outcome} "
            f"| {_measured(found)} | {found.bound:g} |"
        )
    return rows


def _measured(found: Measurement) -> str:
    tiny = found.bound <= ROUNDING and found.measured <= found.bound
    return f"{found.measured:.3g}" if not tiny or found.bound == 0.0 else f"below {found.bound:g}"


def _details(result: ClaimResult) -> str:
    claim, found = result.claim, result.measurement
    assert found is not None
    lines = [
        f"### {claim.id}\n",
        f"{_cell(claim.statement)} *({_cell(claim.source)})*\n",
        f"- **{result.outcome}**. {_cell(found.evidence)}",
        f"- Scope: {_cell(claim.scope)}.",
    ]
    if found.counterexample:
        lines.append(f"- Where it fails: {_cell(found.counterexample)}")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    """Text in which Markdown finds no column and no emphasis."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")
