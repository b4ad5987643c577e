"""``gdnp explore``: the page, written whole, and opened where there is a browser."""

import tempfile
import webbrowser

import pytest

from command import one_sentence
from gdnp.cli import main
from gdnp.explorer import page


def test_the_page_is_written_and_nothing_opened(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail(address))
    out = tmp_path / "page.html"
    assert main(["explore", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.read_text(encoding="utf-8") == page()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("there", [True, False], ids=["a browser", "none"])
def test_the_page_is_opened_where_there_is_a_browser(tmp_path, capsys, monkeypatch, there):
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or there)
    assert main(["explore"]) == 0
    path, captured = tmp_path / "gdnp-explorer.html", capsys.readouterr()
    assert opened == [path.as_uri()]
    assert captured.out == f"{path}\n"
    assert captured.err == ("" if there else "No browser answers here: open that file in one.\n")
    assert path.is_file()


def test_a_file_that_is_there_is_kept(tmp_path, capsys):
    out = tmp_path / "data.csv"
    out.write_text("a,b\n")
    assert main(["explore", "--out", str(out)]) == 1
    assert "overwrite it with --force" in one_sentence(capsys)
    assert out.read_text() == "a,b\n"
    assert main(["explore", "--out", str(out), "--force"]) == 0
    assert out.read_text(encoding="utf-8") == page()


def test_a_file_that_cannot_be_written_is_refused(tmp_path, capsys):
    assert main(["explore", "--out", str(tmp_path / "no" / "page.html")]) == 2
    assert "folder that can be written to" in one_sentence(capsys)
