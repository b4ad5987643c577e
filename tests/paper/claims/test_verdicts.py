"""The page of verdicts and its record."""

import json

import pytest

from gdnp.paper.claims import Measurement, Verdict, verdicts, verdicts_markdown


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
