"""``theorems`` as an experiment: a part for each claim, and results that are read back."""

import pytest

from gdnp.paper import EXPERIMENTS, OptionError, Options, reproduce
from gdnp.paper.claims import CLAIMS, ClaimResult, experiment
from gdnp.paper.claims.experiment import Theorems, _code, _measure


@pytest.fixture
def few(monkeypatch):
    claims = {name: CLAIMS[name] for name in ("eq-9", "eq-15")}
    monkeypatch.setattr(experiment, "CLAIMS", claims)
    return claims


def test_verdicts_are_measured_counted_and_compared(few, tmp_path):
    outcome = reproduce(Theorems(), Options(), tmp_path, workers=1)
    summary = outcome.summary
    assert [claim["id"] for claim in summary["claims"]] == list(few)
    assert summary["counts"] == {"HOLDS": 2}
    assert summary["disagreements"] == outcome.figures == []
    (table,) = Theorems().tables(summary)
    assert [row[0] for row in table.rows] == list(few)
    assert table.note == "2 holds. Different from the recorded verdict: none."
    for entry in summary["claims"]:
        result = ClaimResult.read(entry)
        assert result.claim is few[entry["id"]]
        assert result.agrees
        assert result.measurement.measured == entry["measured"]


def test_a_verdict_that_differs_is_a_disagreement():
    claims = {name: _measure({"claim": name}) for name in ("eq-9", "eq-15")}
    claims["eq-15"] |= {"agrees": False, "verdict": "FAILS"}
    summary = Theorems().summarise({"claims": claims}, claims)
    assert summary["disagreements"] == ["eq-15"]
    assert Theorems().tables(summary)[0].note.endswith("Different from the recorded verdict: eq-15.")


def test_a_claim_without_its_data_is_read_back_as_such(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    result = ClaimResult.read(_measure({"claim": "assumption-1-a9a"}))
    assert result.outcome == "NOT RUN: data missing"
    assert "a9a is not on this machine" in result.reason


@pytest.mark.parametrize("name", ["check.py", "statements.json"])
def test_a_result_is_of_one_source(monkeypatch, tmp_path, name):
    (tmp_path / "__init__.py").write_text("")
    monkeypatch.setattr(experiment.gdnp, "__file__", str(tmp_path / "__init__.py"))
    seen = set()
    for contents in ("a", "b"):
        (tmp_path / name).write_text(contents)
        seen.add(_code())
    assert len(seen) == 2


def test_takes_no_data():
    with pytest.raises(OptionError, match=r"theorems takes no --data\. Got a9a"):
        Theorems().settings(Options(data=("a9a",)))
    assert isinstance(EXPERIMENTS["theorems"], Theorems)
