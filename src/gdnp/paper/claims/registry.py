"""What a claim is, how its verdict is computed, and how the whole registry is run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any

import numpy as np

from gdnp.datasets import DataNotFoundError


class Verdict(Enum):
    """What a check found, in a word that follows by rule.

    HOLDS: as printed. HOLDS WITH CORRECTION: a misprint, or a wrong norm, factor or term, whose proof gives
    the corrected form. FALSE AS PRINTED: false under the paper's own assumptions. OUTSIDE ITS ASSUMPTIONS:
    it fails where they do not hold. DEPENDS ON AN UNPRINTED CHOICE: both outcomes were seen, and the choice
    is named. RECONSTRUCTED: text of the appendix that was not seen, in a form that holds. DERIVED: ours, and
    it holds. No claim is recorded as FAILS: it is what a broken check or program comes to.
    """

    HOLDS = "HOLDS"
    HOLDS_WITH_CORRECTION = "HOLDS WITH CORRECTION"
    FALSE_AS_PRINTED = "FALSE AS PRINTED"
    OUTSIDE_ITS_ASSUMPTIONS = "OUTSIDE ITS ASSUMPTIONS"
    DEPENDS_ON_A_CHOICE = "DEPENDS ON AN UNPRINTED CHOICE"
    RECONSTRUCTED = "RECONSTRUCTED"
    DERIVED = "DERIVED"
    FAILS = "FAILS"

    @property
    def of_the_paper(self) -> bool:
        """Whether it judges a statement that the paper prints."""
        return self not in (Verdict.RECONSTRUCTED, Verdict.DERIVED)


@dataclass(frozen=True)
class Measurement:
    """What a check measured: the number that decides, what it was compared with, what follows, in words.

    `counterexample` says where the statement as printed, or beyond its scope, fails.
    """

    measured: float
    bound: float
    verdict: Verdict
    evidence: str
    counterexample: str | None = None

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "verdict": self.verdict.value}

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> Measurement:
        """The measurement that ``plain`` was made of; other entries beside its own are left."""
        found = {field.name: entry[field.name] for field in fields(cls)}
        return cls(**{**found, "verdict": Verdict(entry["verdict"])})


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, or one that corrects it, in our words, with the check that judges it.

    `source` says where the paper has it ("derived": it is ours), `scope` what is assumed. `recorded` is the
    verdict in the documentation, and `mutants` name wrong code under which that of a race, a rate or a bound
    changes. The check is deterministic.
    """

    id: str
    statement: str
    source: str
    scope: str
    section: str
    recorded: Verdict
    check: Callable[[], Measurement]
    mutants: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClaimResult:
    """One run of one claim; without a measurement there is a `reason` why it could not run.

    What was `missing` then is "data" or the name of a package.
    """

    claim: Claim
    measurement: Measurement | None
    reason: str | None = None
    missing: str = "data"

    @property
    def outcome(self) -> str:
        """The verdict as text, or 'NOT RUN: data missing', 'NOT RUN: torch missing'."""
        return (
            f"NOT RUN: {self.missing} missing" if self.measurement is None else self.measurement.verdict.value
        )

    @property
    def agrees(self) -> bool | None:
        """Whether the verdict is the recorded one; None when the check could not run."""
        return None if self.measurement is None else self.measurement.verdict is self.claim.recorded

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON, with the words of the claim; the reason why it could not run is its evidence."""
        nothing = {"measured": None, "bound": None, "evidence": self.reason, "counterexample": None}
        return {
            **{key: getattr(self.claim, key) for key in ("id", "statement", "source", "scope")},
            **(nothing if self.measurement is None else self.measurement.plain),
            "recorded": self.claim.recorded.value,
            "verdict": self.outcome,
            "agrees": self.agrees,
            "missing": self.missing if self.measurement is None else None,
        }

    @classmethod
    def read(cls, entry: Mapping[str, Any]) -> ClaimResult:
        """The result that ``plain`` was made of."""
        found = None if entry["measured"] is None else Measurement.read(entry)
        return cls(CLAIMS[entry["id"]], found, entry["evidence"], missing=entry.get("missing") or "")


EXTRAS = ("torch",)
"""Packages that some checks need and that an installation may lack."""

STATEMENTS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("statements.json").read_text(encoding="utf-8")
)
"""The statements of the paper in its order, and ours, by the ids of the claims: in our words.

Each has the bound of its number, with a slack for rounding, and the sentences of its evidence and of a
counterexample. What was seen fills their braces.
"""
WORDS = ("statement", "source", "scope", "section", "evidence")
"""What a statement cannot do without."""

RECORDED = Path(__file__).with_name("recorded.json")
"""What was measured when the documentation was written, by ``benchmarks/verdicts.py`` of the repository."""

CLAIMS: dict[str, Claim] = {}
"""Every claim by its id, in the order of the paper."""


@dataclass(frozen=True)
class Seen:
    """What a check saw; see ``seen``."""

    measured: float
    holds: bool
    instead: bool
    bound: float | None
    shown: dict[str, Any]


def seen(
    measured: float, *, holds: bool = True, instead: bool = False, bound: float | None = None, **shown: Any
) -> Seen:
    """What a check saw: the number that decides, a bound if not the statement's, what fills its sentences.

    `holds`: what else the statement needs was seen wherever it was tried. `instead`, where it does not hold:
    what the recorded word stands for was seen, its correction or its other side.
    """
    return Seen(float(measured), holds, instead, bound, shown)


def judge(about: Mapping[str, Any], found: Seen) -> Measurement:
    """The verdict on a statement of ``STATEMENTS`` that follows from what was seen, and its words.

    It holds where the number is at most the bound and the slack, and `holds`. The word for that is HOLDS, or
    what is recorded of a statement that is not the paper's.
    """
    bound = about.get("bound") if found.bound is None else found.bound
    if bound is None:
        raise ValueError("a claim needs a bound: in its statement, or as seen(..., bound=). Got neither.")
    recorded = Verdict(about.get("recorded", "HOLDS"))
    holds = found.holds and found.measured <= bound + about.get("slack", 0.0)
    if holds:
        verdict = Verdict.HOLDS if recorded.of_the_paper else recorded
    else:
        other = recorded.of_the_paper and recorded is not Verdict.HOLDS
        verdict = recorded if found.instead and other else Verdict.FAILS
    where = about.get("counterexample") if verdict is recorded and not holds else None
    shown = {**found.shown, "measured": found.measured, "bound": bound}
    evidence, there = about["evidence"].format(**shown), where and where.format(**shown)
    return Measurement(found.measured, float(bound), verdict, evidence, there)


def check(id: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register the decorated check of a statement of ``STATEMENTS`` as a ``Claim``.

    It returns what was ``seen``, or yields errors, the largest of which decides.
    """
    about = STATEMENTS.get(id, {})
    lacking = [word for word in WORDS if word not in about]
    if lacking:
        raise ValueError(f"STATEMENTS[{id!r}] should have {', '.join(WORDS)}. Got no {', '.join(lacking)}.")
    words = {key: about[key] for key in ("statement", "source", "scope", "section")}

    def registered(check: Callable[[], Any]) -> Callable[[], Any]:
        if id in CLAIMS:
            raise ValueError(f"claim ids must be unique. Got {id!r} twice.")

        @wraps(check)
        def judged() -> Measurement:
            found = check()
            return judge(about, found if isinstance(found, Seen) else seen(np.max(list(found))))

        recorded = Verdict(about.get("recorded", "HOLDS"))
        mutants = tuple(about.get("mutants", ()))
        CLAIMS[id] = Claim(id, **words, recorded=recorded, check=judged, mutants=mutants)
        return check

    return registered


def run_claims(ids: Iterable[str] | None = None) -> list[ClaimResult]:
    """Check claims, by default all, in the order of `ids`; an unknown one is a ValueError.

    A claim whose data set or extra package is not on this machine has no measurement, and a reason.
    """
    chosen = list(CLAIMS if ids is None else ids)
    unknown = [name for name in chosen if name not in CLAIMS]
    if unknown:
        raise ValueError(f"a claim must be one of {', '.join(CLAIMS)}. Got {', '.join(map(repr, unknown))}.")
    return [_run(CLAIMS[name]) for name in chosen]


def _run(claim: Claim) -> ClaimResult:
    try:
        return ClaimResult(claim, claim.check())
    except DataNotFoundError as error:
        return ClaimResult(claim, None, str(error))
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:  # a mistake of ours, not an installation without the extra
            raise
        return ClaimResult(claim, None, str(error), error.name)


def recorded_results() -> list[ClaimResult]:
    """The measurements in ``recorded.json``, in the order of the registry, all of which should be there."""
    entries = json.loads(RECORDED.read_text(encoding="utf-8"))
    if list(entries) != list(CLAIMS):
        odd = sorted(set(entries) ^ set(CLAIMS)) or "the same claims in another order"
        raise ValueError(f"{RECORDED.name} should have every claim once. Got {odd}: record the claims again.")
    return [ClaimResult(CLAIMS[name], Measurement.read(entry)) for name, entry in entries.items()]
