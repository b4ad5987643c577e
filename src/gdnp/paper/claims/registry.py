"""What a claim is, how its verdict is computed, and how the whole registry is run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from gdnp.datasets import DataNotFoundError

__all__ = ["CLAIMS", "Claim", "ClaimResult", "Measurement", "Verdict", "claim", "judge", "run_claims"]


class Verdict(Enum):
    """What a check found. No claim is recorded as FAILS: it is what a broken check or program comes to."""

    HOLDS = "HOLDS"
    HOLDS_WITH_CORRECTION = "HOLDS WITH CORRECTION"
    FAILS_OUTSIDE_SCOPE = "FAILS OUTSIDE SCOPE"
    FAILS = "FAILS"


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
    """

    id: str
    statement: str
    source: str
    scope: str
    section: str
    recorded: Verdict
    check: Callable[[], Measurement]


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
    seconds : float
        What it took.
    missing : str
        What could not be found, where it could not run: "data" or a package.
    """

    claim: Claim
    measurement: Measurement | None
    reason: str | None = None
    seconds: float = 0.0
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


EXTRAS = ("torch",)
"""Packages that some checks need and that an installation may lack."""

CLAIMS: dict[str, Claim] = {}
"""Every claim by its id, in the order of the paper."""


def claim(
    id: str, statement: str, *, source: str, section: str, recorded: Verdict, scope: str
) -> Callable[[Callable[[], Measurement]], Callable[[], Measurement]]:
    """Register the decorated check as a ``Claim`` with these fields."""

    def register(check: Callable[[], Measurement]) -> Callable[[], Measurement]:
        if id in CLAIMS:
            raise ValueError(f"claim ids must be unique. Got {id!r} twice.")
        CLAIMS[id] = Claim(id, statement, source, scope, section, recorded, check)
        return check

    return register


def judge(
    measured: float,
    bound: float,
    evidence: str,
    *,
    holds: bool,
    corrected: bool = False,
    inside: bool = False,
    counterexample: str | None = None,
) -> Measurement:
    """The measurement with the verdict that follows from what was seen.

    Parameters
    ----------
    measured, bound, evidence, counterexample
        As in ``Measurement``.
    holds : bool
        The statement, as its source has it, was seen to hold wherever it was tried.
    corrected : bool
        It was not, and its correction was.
    inside : bool
        It was not, but was within the scope that the claim names.
    """
    if holds:
        verdict = Verdict.HOLDS
    elif corrected:
        verdict = Verdict.HOLDS_WITH_CORRECTION
    elif inside:
        verdict = Verdict.FAILS_OUTSIDE_SCOPE
    else:
        verdict = Verdict.FAILS
    return Measurement(float(measured), float(bound), verdict, evidence, counterexample)


def run_claims(
    ids: Iterable[str] | None = None, progress: Callable[[Claim, int, int], object] | None = None
) -> list[ClaimResult]:
    """Check claims, by default all of them.

    Parameters
    ----------
    ids : iterable of str or None
        Keys of ``CLAIMS``.
    progress : callable or None
        Called before each check with the claim, how many are done, and how many there are.

    Returns
    -------
    list of ClaimResult
        In the order asked for. A claim whose data set or extra package is not on this machine has no
        measurement, and a reason.

    Raises
    ------
    ValueError
        For an unknown id.
    """
    chosen = list(CLAIMS if ids is None else ids)
    unknown = [name for name in chosen if name not in CLAIMS]
    if unknown:
        raise ValueError(f"a claim must be one of {', '.join(CLAIMS)}. Got {', '.join(map(repr, unknown))}.")
    results = []
    for done, name in enumerate(chosen):
        if progress is not None:
            progress(CLAIMS[name], done, len(chosen))
        results.append(_run(CLAIMS[name]))
    return results


def _run(claim: Claim) -> ClaimResult:
    begin = time.perf_counter()
    try:
        measurement = claim.check()
    except DataNotFoundError as error:
        return ClaimResult(claim, None, str(error), time.perf_counter() - begin)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:  # a mistake of ours, not an installation without the extra
            raise
        return ClaimResult(claim, None, str(error), time.perf_counter() - begin, error.name)
    return ClaimResult(claim, measurement, None, time.perf_counter() - begin)
