"""``python -m gdnp.paper.claims PAGE``."""

import runpy
import sys

import pytest

from gdnp.paper.claims import verdicts


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the package has been imported already
@pytest.mark.parametrize("head", ["", "# By hand\n\n"])
def test_records_the_claims_and_writes_the_page(made_up, monkeypatch, tmp_path, capsys, head):
    if head:
        (tmp_path / "page.md").write_text(f"{head}{verdicts.MARK}what was there", encoding="utf-8")
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(verdicts, "RECORDED", tmp_path / "recorded.json")
    monkeypatch.setattr(sys, "argv", ["claims", str(tmp_path / "page.md")])
    runpy.run_module("gdnp.paper.claims", run_name="__main__")
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert page.startswith(head if head.strip() else verdicts.MARK)
    assert page.count(verdicts.MARK) == page.count("### fine") == 1
    assert "what was there" not in page
    assert '"fine"' in (tmp_path / "recorded.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == f"{tmp_path / 'page.md'}\n"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_page_without_the_mark_stays(made_up, monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("by hand", encoding="utf-8")
    del made_up["wrong"], made_up["absent"]
    monkeypatch.setattr(verdicts, "RECORDED", tmp_path / "recorded.json")
    monkeypatch.setattr(sys, "argv", ["claims", str(page)])
    with pytest.raises(SystemExit, match=r"page\.md should hold the line"):
        runpy.run_module("gdnp.paper.claims", run_name="__main__")
    assert page.read_text(encoding="utf-8") == "by hand"
