"""The page of verdicts and its record."""

import json
from pathlib import Path

import pytest

from gdnp.paper.claims import Measurement, Verdict, recorded_results, registry
from paper_problems import verdicts


@pytest.mark.usefixtures("made_up")
def test_only_declared_verdicts_are_recorded(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "RECORDED", tmp_path / "recorded.json")
    with pytest.raises(ValueError, match="Got wrong: FAILS; absent: NOT RUN: data missing"):
        verdicts.record()
    assert not list(tmp_path.iterdir())


def test_a_record_is_read_back(made_up, monkeypatch, tmp_path):
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(registry, "RECORDED", tmp_path / "recorded.json")
    verdicts.record()
    (result,) = recorded_results()
    assert result.measurement == Measurement(0.0, 1.0, Verdict.HOLDS, "fine.")
    assert "| [fine](#fine) | Eq. 0 | HOLDS | 0 | 1 |" in verdicts.verdicts_markdown()
    (tmp_path / "recorded.json").write_text(json.dumps({}))
    with pytest.raises(ValueError, match=r"should have every claim once\. Got \['fine'\]"):
        recorded_results()


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


@pytest.mark.parametrize("head", ["", "# By hand\n\n"])
def test_script_records_the_claims_and_writes_the_page(made_up, monkeypatch, tmp_path, capsys, head):
    if head:
        (tmp_path / "page.md").write_text(f"{head}{verdicts.MARK}what was there", encoding="utf-8")
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(registry, "RECORDED", tmp_path / "recorded.json")
    assert verdicts.main([str(tmp_path / "page.md")]) == 0
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page.startswith(head if head.strip() else verdicts.MARK)
    assert page.count(verdicts.MARK) == page.count("### fine") == 1
    assert "what was there" not in page
    assert '"fine"' in (tmp_path / "recorded.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{tmp_path / 'page.md'}\n"


def test_a_page_without_the_mark_stays(made_up, monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("by hand", encoding="utf-8")
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(registry, "RECORDED", tmp_path / "recorded.json")
    with pytest.raises(SystemExit, match=r"page\.md should hold the line"):
        verdicts.main([str(page)])
    assert page.read_text(encoding="utf-8") == "by hand"
