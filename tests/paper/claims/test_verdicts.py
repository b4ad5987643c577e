"""The page of verdicts and its record."""

import json
from pathlib import Path

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


def test_statements_of_the_paper_are_counted_apart():
    words = [Verdict.HOLDS, Verdict.HOLDS, Verdict.FALSE_AS_PRINTED, Verdict.DERIVED, Verdict.RECONSTRUCTED]
    assert verdicts.counted(words) == (
        "Of the paper's own 3, 2 hold, 0 hold with a correction, 1 are false as printed, 0 fail outside "
        "their assumptions, 0 depend on a choice that is not printed.\nOf its appendix 1 are reconstructed. "
        "Another 1 are ours."
    )


def test_every_verdict_but_a_failure_has_a_word_on_the_page():
    page = (Path(__file__).parents[3] / "docs" / "verdicts.md").read_text(encoding="utf-8")
    words = [word.value for word in Verdict if word is not Verdict.FAILS]
    assert [word for word in words if f"| {word} |" not in page] == []
