"""Section 4.4 as an experiment: every cell has a verdict that follows from its runs."""

import numpy as np
import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.paper import OptionError, Options, Store
from gdnp.paper.runner.cells import METHODS, RACERS, part_name
from gdnp.paper.section44.experiment import FULL, QUICK, Section44
from paper_problems import SECTION44, saved


@pytest.fixture(scope="module")
def results(section44):
    return saved(SECTION44, section44)[1]


def test_every_cell_has_a_verdict_for_every_rival(section44):
    cells = section44.summary["cells"]
    assert len(cells) == 1 * 2 * 3 * 2 * 2  # data, losses, scales, h, tunings
    for rival, counts in section44.summary["counts"].items():
        assert sum(counts.values()) == len(cells)
        assert counts["faster"] == sum(cell["against"][rival] == "faster" for cell in cells)
    assert len({cell["label"] for cell in cells}) == len(cells)


def test_verdicts_follow_from_the_runs(section44, results):
    settings = Store(section44.directory).settings
    for cell in section44.summary["cells"]:
        for name in RACERS:
            runs = results[part_name(settings["data"][0], cell["loss"], cell["scale"], name, cell["h"])]
            ends = np.asarray(runs[cell["tuning"]])[-1]
            assert cell["means"][name] == pytest.approx(np.exp(np.log(ends).mean()), rel=1e-12)
        assert cell["means"][cell["first"]] == min(cell["means"].values())
        ratio = cell["means"]["gdnp_inner"] / cell["means"]["gd"]
        word = "faster" if ratio < 1.0 / 1.2 else "slower" if ratio > 1.2 else "level"
        assert cell["against"]["GD"] == word


def test_the_table_has_a_row_for_every_cell(section44):
    (table,) = SECTION44.tables(section44.summary)
    assert len(table.rows) == len(section44.summary["cells"])
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "GDNP against GD: faster in" in table.note


def test_the_full_design_is_that_of_the_docs():
    assert set(FULL.methods) == set(METHODS)
    assert [round(step / FULL.grid[0], 6) for step in FULL.grid] == [round(1.3**k, 6) for k in range(12)]
    assert (FULL.tuning_starts, FULL.starts, FULL.every) == (3, 10, 1)
    assert set(QUICK.populations) <= set(FULL.populations)


def test_a9a_that_is_not_here_is_said_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="fetch_a9a"):
        Section44().settings(Options(full=True))
    assert Section44().settings(Options())[0] == "section44-quick"


def test_takes_no_data():
    with pytest.raises(OptionError, match=r"data of its own\. Got --data a9a"):
        Section44().settings(Options(data=("a9a",)))
