"""The registry: every claim says what it needs, and verdicts follow from what was seen."""

import math
import re
from dataclasses import replace

import pytest

from gdnp.paper.claims import CLAIMS, Measurement, Verdict, registry, run_claims
from gdnp.paper.claims.registry import judge, seen
from paper_problems import RECORDED


def test_every_claim_says_what_it_needs():
    for name, claim in CLAIMS.items():
        assert claim.id == name
        assert re.fullmatch(r"[a-z0-9-]+", name)
        assert claim.statement.endswith(".")
        assert all((claim.source, claim.scope, claim.section))
        assert claim.recorded is not Verdict.FAILS
        assert RECORDED[name].evidence.endswith(".")
        if claim.recorded not in (Verdict.HOLDS, Verdict.RECONSTRUCTED, Verdict.DERIVED):
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


WORDS = {"statement": "S.", "source": "ours", "section": "0", "scope": "none"}


def about(word=Verdict.HOLDS, **more):
    return {**WORDS, "recorded": word.value, "bound": 1.0, "evidence": "{n:.1f} seen.", **more}


@pytest.mark.parametrize(
    ("holds", "instead", "recorded", "verdict"),
    [
        (True, False, Verdict.HOLDS, Verdict.HOLDS),
        (True, True, Verdict.FALSE_AS_PRINTED, Verdict.HOLDS),
        (False, True, Verdict.HOLDS_WITH_CORRECTION, Verdict.HOLDS_WITH_CORRECTION),
        (False, False, Verdict.HOLDS_WITH_CORRECTION, Verdict.FAILS),
        (False, True, Verdict.OUTSIDE_ITS_ASSUMPTIONS, Verdict.OUTSIDE_ITS_ASSUMPTIONS),
        (False, True, Verdict.HOLDS, Verdict.FAILS),
        (False, True, Verdict.DERIVED, Verdict.FAILS),
    ],
)
def test_verdicts_follow_from_what_was_seen(holds, instead, recorded, verdict):
    measurement = judge(about(recorded), seen(1, holds=holds, instead=instead, n=2))
    assert measurement == Measurement(1.0, 1.0, verdict, "2.0 seen.")


@pytest.mark.parametrize(("measured", "slack"), [(2.0, 0.0), (1.5, 0.1), (math.nan, 0.0)])
def test_what_exceeds_its_bound_does_not_hold(measured, slack):
    corrected = Verdict.HOLDS_WITH_CORRECTION
    assert judge(about(slack=slack), seen(measured, n=1)).verdict is Verdict.FAILS
    assert judge(about(corrected, slack=slack), seen(measured, instead=True, n=1)).verdict is corrected
    assert judge(about(slack=slack), seen(1.0 + slack, n=1)).verdict is Verdict.HOLDS
    assert judge(about(), seen(2.0, bound=3.0, n=1)).verdict is Verdict.HOLDS


@pytest.mark.parametrize("word", [Verdict.DERIVED, Verdict.RECONSTRUCTED])
def test_what_the_paper_does_not_print_has_a_word_of_its_own_where_it_holds(word, monkeypatch):
    monkeypatch.setattr(registry, "CLAIMS", {})
    monkeypatch.setattr(registry, "STATEMENTS", {"right": about(word), "wrong": about(word)})
    registry.check("right")(lambda: seen(0, n=1))
    registry.check("wrong")(lambda: seen(2, n=1))
    assert [result.measurement.verdict for result in run_claims(["right", "wrong"])] == [word, Verdict.FAILS]
    assert not word.of_the_paper


@pytest.mark.parametrize(
    ("errors", "verdict"), [((0.5, 0.2), "HOLDS"), ((0.5, 2.0), "FAILS"), ((0.5, math.nan, 0.2), "FAILS")]
)
def test_the_largest_of_the_errors_that_a_check_yields_decides(errors, verdict, monkeypatch):
    monkeypatch.setattr(registry, "CLAIMS", {})
    monkeypatch.setattr(registry, "STATEMENTS", {"all": about(evidence="seen.")})
    registry.check("all")(lambda: iter(errors))
    (result,) = run_claims(["all"])
    assert result.outcome == verdict


def test_a_counterexample_is_shown_where_the_statement_fails_as_recorded():
    false = about(Verdict.FALSE_AS_PRINTED, counterexample="at {n}.")
    assert judge(false, seen(2, instead=True, n=3)).counterexample == "at 3."
    assert judge(false, seen(2, n=3)).counterexample is None
    assert judge(false, seen(1, n=3)).counterexample is None


def test_run_claims_reports_each_outcome(made_up):
    results = run_claims()
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
        registry.check("eq-7")(lambda: None)


def test_a_measurement_is_read_back():
    corrected = about(Verdict.HOLDS_WITH_CORRECTION, counterexample="there.")
    found = judge(corrected, seen(2.0, instead=True, n=1))
    assert found.plain["verdict"] == "HOLDS WITH CORRECTION"
    assert Measurement.read({**found.plain, "id": "of a claim"}) == found


def test_every_statement_has_a_check_in_the_order_of_the_paper():
    assert list(registry.STATEMENTS) == list(CLAIMS)
    for name, claim in CLAIMS.items():
        about = registry.STATEMENTS[name]
        assert (claim.statement, claim.source, claim.scope) == tuple(
            about[key] for key in ("statement", "source", "scope")
        )
        words = {"statement", "source", "section", "scope", "recorded", "mutants"}
        assert set(about) <= words | {"bound", "slack", "evidence", "counterexample"}


def test_a_check_without_a_statement_is_refused():
    with pytest.raises(ValueError, match=r"STATEMENTS\['none'\] should have .*\. Got no statement, source"):
        registry.check("none")


def test_a_statement_without_evidence_or_bound_is_refused(monkeypatch):
    half = {key: value for key, value in about().items() if key not in ("bound", "evidence")}
    monkeypatch.setattr(registry, "CLAIMS", {})
    monkeypatch.setattr(registry, "STATEMENTS", {"half": half, "unbounded": {**half, "evidence": "seen."}})
    with pytest.raises(ValueError, match=r"STATEMENTS\['half'\] should have .*\. Got no evidence\."):
        registry.check("half")
    registry.check("unbounded")(lambda: seen(0))
    with pytest.raises(ValueError, match=r"a claim needs a bound: in its statement, or as seen"):
        run_claims(["unbounded"])
