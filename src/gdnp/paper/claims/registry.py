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
    """What a check measured.

    Attributes
    ----------
    measured, bound : float
        The number that decides, and what it was compared with.
    verdict : Verdict
        What follows.
    evidence : str
        The measurement in words.
    counterexample : str or None
        Where the statement as printed, or beyond its scope, fails.
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
    """A statement of the paper, or one that corrects it, with the check that judges it.

    Attributes
    ----------
    id : str
        Key in ``CLAIMS``.
    statement : str
        In our words.
    source : str
        Where the paper says it; "derived" marks what is ours.
    scope : str
        What is assumed.
    section : str
        Of the paper.
    recorded : Verdict
        The verdict that stands in the documentation.
    check : callable
        Measures afresh: seeded, deterministic.
    mutants : tuple of str
        Names of wrong code under which the verdict changes, of a race, a rate or a bound.
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
    """One run of one claim.

    Attributes
    ----------
    claim : Claim
    measurement : Measurement or None
        None when the check could not run.
    reason : str or None
        Why it could not run.
    missing : str
        What could not be found, where it could not run: "data" or a package.
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
    """What a check saw.

    Parameters
    ----------
    measured : float
        The number that decides.
    holds : bool
        What else the statement needs was seen wherever it was tried.
    instead : bool
        Where it does not hold: what the recorded word stands for was seen, its correction or its other side.
    bound : float, optional
        In place of that of the statement.
    **shown
        What fills the sentences.
    """
    return Seen(float(measured), holds, instead, bound, shown)


def judge(about: Mapping[str, Any], found: Seen) -> Measurement:
    """The verdict on a statement of ``STATEMENTS`` that follows from what was seen, and its words.

    It holds where the number is at most the bound and the slack, and `holds`. The word for that is HOLDS, or
    what is recorded of a statement that is not the paper's.
    """
    bound = about["bound"] if found.bound is None else found.bound
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
    about = STATEMENTS[id]
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
    """Check claims, by default all of them.

    The results have the order of `ids`. A claim whose data set or extra package is not on this machine has
    no measurement, and a reason.

    Raises
    ------
    ValueError
        For an unknown id.
    """
    chosen = list(CLAIMS if ids is None else ids)
    unknown = [name for name in chosen if name not in CLAIMS]
    if unknown:
        raise ValueError(f"a claim must be one of {', '.join(CLAIMS)}. Got {', '.join(map(repr, unknown))}.")
    return [_run(CLAIMS[name]) for name in chosen]


def _run(claim: Claim) -> ClaimResult:
    found, reason, missing = None, None, "data"
    try:
        found = claim.check()
    except DataNotFoundError as error:
        reason = str(error)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:  # a mistake of ours, not an installation without the extra
            raise
        reason, missing = str(error), error.name
    return ClaimResult(claim, found, reason, missing)
