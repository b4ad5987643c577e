"""Every claim, measured afresh: the verdict is the recorded one, and so are the numbers on the page."""

import json
import math
import re
import sys
from dataclasses import replace

import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.paper.claims import (
    CLAIMS,
    Claim,
    Measurement,
    Verdict,
    judge,
    recorded_results,
    registry,
    run_claims,
    verdicts,
    verdicts_markdown,
)

RECORDED = {result.claim.id: result.measurement for result in recorded_results()}
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def numbers(text):
    return [float(number) for number in NUMBER.findall(text)]


def same(found, recorded):
    """Up to the last digit shown, or both nothing but rounding."""
    return math.isclose(found, recorded, rel_tol=0.2) or max(abs(found), abs(recorded)) < 1e-6


def is_a_race(name):
    """Constant steps at the edge of stability amplify the last digit: such numbers keep their order."""
    return CLAIMS[name].section.startswith("4.4")


@pytest.mark.parametrize("name", CLAIMS)
def test_verdict_is_the_recorded_one(name):
    (result,) = run_claims([name])
    if result.measurement is None:
        pytest.skip(f"{result.outcome}: {result.reason}")
    found, recorded = result.measurement, RECORDED[name]
    assert found.verdict is result.claim.recorded is recorded.verdict, found.evidence
    assert result.agrees
    assert found.bound == pytest.approx(recorded.bound, rel=0.01)
    if recorded.bound <= verdicts.ROUNDING and recorded.measured <= recorded.bound:
        assert found.measured <= found.bound
    else:
        assert found.measured == pytest.approx(recorded.measured, rel=1.0 if is_a_race(name) else 0.06)
    for text, quoted in zip(
        (found.evidence, found.counterexample), (recorded.evidence, recorded.counterexample), strict=True
    ):
        assert NUMBER.sub("#", text or "") == NUMBER.sub("#", quoted or "")
        assert is_a_race(name) or all(map(same, numbers(text or ""), numbers(quoted or "")))


def test_every_claim_says_what_it_needs():
    for name, claim in CLAIMS.items():
        assert claim.id == name
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert claim.statement.endswith(".")
        assert all((claim.source, claim.scope, claim.section))
        assert claim.recorded is not Verdict.FAILS
        assert RECORDED[name].evidence.endswith(".")
        if claim.recorded in (Verdict.HOLDS_WITH_CORRECTION, Verdict.FAILS_OUTSIDE_SCOPE):
            assert RECORDED[name].counterexample


def test_the_list_of_the_paper_is_covered():
    required = {
        *("eq-7", "eq-8", "eq-9", "eq-13", "eq-14", "eq-15", "eq-17", "eq-18", "eq-19"),
        *("theorem-1", "theorem-1-order", "lemma-1", "theorem-2", "algorithm-3", "wn-remark", "lda-oracle"),
        *("direction-loss-independent", "gdnp-iterates", "gdnp-seq", "gdnp-metric-one-step", "two-step"),
        *("sigmoid-no-critical-point", "assumption-4-footnote-3", "assumption-1-a9a", "footnote-1"),
        *("lemma-2", "theorem-3", "eq-22", "eq-100-101", "eq-104", "algorithm-2-one-sweep", "mlp-gradient"),
        *("w-gradient-orthogonal", "bn-wn-like-gd", "gdnp-accelerates-a9a", "ridge-direction", "stein"),
    }
    assert required <= set(CLAIMS)


@pytest.mark.parametrize(
    ("holds", "corrected", "inside", "verdict"),
    [
        (True, False, False, Verdict.HOLDS),
        (True, True, True, Verdict.HOLDS),
        (False, True, False, Verdict.HOLDS_WITH_CORRECTION),
        (False, False, True, Verdict.FAILS_OUTSIDE_SCOPE),
        (False, False, False, Verdict.FAILS),
    ],
)
def test_verdicts_follow_from_what_was_seen(holds, corrected, inside, verdict):
    measurement = judge(2, 1, "seen.", holds=holds, corrected=corrected, inside=inside)
    assert measurement == Measurement(2.0, 1.0, verdict, "seen.")


@pytest.fixture
def made_up(monkeypatch):
    """A registry of three: one that agrees, one that differs, one without its data."""

    def missing():
        raise DataNotFoundError("no such file here")

    def claim(name, check):
        return Claim(name, "Statement.", "Eq. 0", "scope", "0", Verdict.HOLDS, check)

    claims = {
        "fine": claim("fine", lambda: judge(0, 1, "fine.", holds=True)),
        "wrong": claim("wrong", lambda: judge(2, 1, "wrong.", holds=False)),
        "absent": claim("absent", missing),
    }
    for module in (registry, verdicts):
        monkeypatch.setattr(module, "CLAIMS", claims)
    return claims


def test_run_claims_reports_each_outcome(made_up):
    seen = []
    results = run_claims(progress=lambda claim, done, total: seen.append((claim.id, done, total)))
    assert seen == [("fine", 0, 3), ("wrong", 1, 3), ("absent", 2, 3)]
    assert [result.outcome for result in results] == ["HOLDS", "FAILS", "NOT RUN: data missing"]
    assert [result.agrees for result in results] == [True, False, None]
    assert results[2].reason == "no such file here"
    assert [result.claim.id for result in run_claims(["wrong", "fine"])] == ["wrong", "fine"]


@pytest.mark.usefixtures("made_up")
def test_unknown_claims_are_refused():
    with pytest.raises(ValueError, match=r"a claim must be one of fine, wrong, absent\. Got 'eq-99'"):
        run_claims(["fine", "eq-99"])


@pytest.mark.parametrize("name", ["assumption-1-a9a", "gdnp-accelerates-a9a"])
def test_missing_data_is_never_a_verdict(name, monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    (result,) = run_claims([name])
    assert result.outcome == "NOT RUN: data missing"
    assert result.agrees is None
    assert "a9a is not on this machine" in result.reason


@pytest.mark.parametrize(
    "name", ["mlp-gradient", "lemma-2", "first-layer-gradient", "cross-dependency-rank-one"]
)
def test_a_missing_extra_is_never_a_verdict(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    for module in [module for module in sys.modules if module.partition("gdnp.nn")[1]]:
        monkeypatch.delitem(sys.modules, module)
    (result,) = run_claims([name])
    assert result.outcome == "NOT RUN: torch missing"
    assert result.agrees is None
    assert result.reason.endswith("run: pip install 'gdnp[torch]'.")


def test_an_import_that_is_a_mistake_is_not_an_extra(made_up, monkeypatch):
    def mistaken():
        raise ModuleNotFoundError("No module named 'gdnp.misspelt'", name="gdnp.misspelt")

    monkeypatch.setitem(made_up, "absent", replace(made_up["absent"], check=mistaken))
    with pytest.raises(ModuleNotFoundError, match="misspelt"):
        run_claims(["absent"])


def test_ids_are_unique():
    with pytest.raises(ValueError, match=r"claim ids must be unique\. Got 'eq-7' twice"):
        registry.claim("eq-7", "", source="", section="", recorded=Verdict.HOLDS, scope="")(lambda: None)


@pytest.mark.usefixtures("made_up")
def test_only_declared_verdicts_are_recorded(monkeypatch, tmp_path):
    monkeypatch.setattr(verdicts, "RECORDED", tmp_path / "recorded.json")
    with pytest.raises(ValueError, match="Got wrong: FAILS; absent: NOT RUN: data missing"):
        verdicts.record()
    assert not list(tmp_path.iterdir())


def test_a_record_is_read_back(made_up, monkeypatch, tmp_path):
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(verdicts, "RECORDED", tmp_path / "recorded.json")
    verdicts.record()
    (result,) = verdicts.recorded_results()
    assert result.measurement == Measurement(0.0, 1.0, Verdict.HOLDS, "fine.")
    assert "| [fine](#fine) | Eq. 0 | HOLDS | 0 | 1 |" in verdicts_markdown()
    (tmp_path / "recorded.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"should have every claim once\. Got \['fine'\]"):
        verdicts.recorded_results()
