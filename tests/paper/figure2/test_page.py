"""The page of Figure 2 is written from a finished result, and its numbers are those of the result."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from gdnp.paper import EXPERIMENTS, StoreError
from paper_problems import FIGURE2

WORDS = ("faster", "level", "slower")


@pytest.fixture(scope="module")
def script():
    """The script as a module; ``benchmarks`` is no package."""
    path = Path(__file__).parents[3] / "benchmarks" / "figure2.py"
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_figure2", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_page_and_pictures_come_from_the_result(script, figure2, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPERIMENTS, "figure2", FIGURE2)
    monkeypatch.setattr("gdnp.columns.run", None)
    assert script.main([str(figure2.directory), str(tmp_path)]) == 0
    text = (tmp_path / "figure2.md").read_text(encoding="utf-8")
    for name in re.findall(r"\]\((\S+\.png)\)", text):
        assert (tmp_path / name).read_bytes() == (figure2.directory / name).read_bytes()
    cells = figure2.summary["cells"]
    for rival, counts in figure2.summary["counts"].items():
        assert script.counted(cells, rival) == " / ".join(str(counts[word]) for word in WORDS)
    assert (
        f"| all | {' | '.join(script.counted(cells, rival) for rival in figure2.summary['counts'])} |" in text
    )
    assert "**quick** profile" in text
    assert "nan" not in text


def test_each_choice_divides_the_cells(script, figure2):
    sizes = {name: len(cells) for name, cells in script.groups(figure2.summary["cells"])}
    total = sizes.pop("all")
    assert sizes["N(0, I)"] == sizes["N(0, I/d)"] == total / 3
    assert sizes["h stein"] == sizes["steps of the theory"] == sizes["(4, 0.5)"] == total / 2


def test_a_folder_that_is_no_result_is_refused(script, tmp_path):
    with pytest.raises(StoreError, match=r"Got no settings\.json"):
        script.write(tmp_path, tmp_path)


def test_cells_are_counted_beside_what_the_claims_saw(script, figure2, monkeypatch):
    monkeypatch.setattr(script, "PLACES", ((4.0, 0.5),))
    here = [c for c in figure2.summary["cells"] if (c["data"], c["loss"]) == ("(4, 0.5)", "log_loss")]
    rows = list(script.beside_claims(figure2.summary["cells"]))
    assert [row[0] for row in rows] == ["`gdnp-against-gd`", "`gdnp-against-bn-wn`", "`gdnp-against-agd`"]
    for (_, verdict, seen, counts), rival in zip(rows, ("GD", "BN and WN", "AGD"), strict=True):
        assert verdict == "DEPENDS ON AN UNPRINTED CHOICE"
        assert seen.startswith(f"faster than {rival} in")
        faster = sum(cell["against"][rival] == "faster" for cell in here)
        assert counts.startswith(f"{faster} / ")
        assert counts.endswith(f" of {len(here)}")
