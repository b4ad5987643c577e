"""The registry: every claim says what it needs, and verdicts follow from what was seen."""

import math
import re
from dataclasses import replace

import pytest

from gdnp.paper.claims import CLAIMS, Measurement, Verdict, judge, registry, run_claims
from paper_problems import RECORDED


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
    measurement = judge(1, 1, "seen.", holds=holds, corrected=corrected, inside=inside)
    assert measurement == Measurement(1.0, 1.0, verdict, "seen.")


@pytest.mark.parametrize(("measured", "slack"), [(2.0, 0.0), (1.5, 0.1), (math.nan, 0.0)])
def test_what_exceeds_its_bound_does_not_hold(measured, slack):
    assert judge(measured, 1.0, "", slack=slack).verdict is Verdict.FAILS
    assert judge(measured, 1.0, "", slack=slack, corrected=True).verdict is Verdict.HOLDS_WITH_CORRECTION
    assert judge(1.0 + slack, 1.0, "", slack=slack).verdict is Verdict.HOLDS


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


def test_an_import_that_is_a_mistake_is_not_an_extra(made_up, monkeypatch):
    def mistaken():
        raise ModuleNotFoundError("No module named 'gdnp.misspelt'", name="gdnp.misspelt")

    monkeypatch.setitem(made_up, "absent", replace(made_up["absent"], check=mistaken))
    with pytest.raises(ModuleNotFoundError, match="misspelt"):
        run_claims(["absent"])


def test_ids_are_unique():
    with pytest.raises(ValueError, match=r"claim ids must be unique\. Got 'eq-7' twice"):
        registry.register("eq-7", "", source="", section="", scope="")(lambda: None)


def test_a_measurement_is_read_back():
    found = judge(2.0, 1.0, "seen.", corrected=True, counterexample="there.")
    assert found.plain["verdict"] == "HOLDS WITH CORRECTION"
    assert Measurement.read({**found.plain, "id": "of a claim"}) == found
