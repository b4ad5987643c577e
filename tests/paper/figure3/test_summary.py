"""The summary of Figure 3: what its runs say, a run that diverges included."""

import numpy as np

from gdnp.paper import reproduce
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.summary import summarise, tables
from gdnp.paper.figure3.verdicts import BASES, STATEMENTS
from paper_problems import DIGITS, SIZE3, saved
from paper_problems import FIGURE3 as TINY


def test_run_leaves_figures_tables_and_verdicts(figure3):
    assert sorted(path.name for path in figure3.figures) == [
        f"figure3{name}.{kind}" for name in ("-equal-loss", "-scaled", "") for kind in ("pdf", "png")
    ]
    assert all(path.stat().st_size > 10_000 for path in figure3.figures)
    summary = figure3.summary
    assert summary["layers"] == [1, 2, 4, 5]
    assert len(summary["verdicts"]) == len(STATEMENTS) * 2 * 2 * 2  # networks, measures, bases
    assert {verdict["of"] for verdict in summary["verdicts"]} == {2}
    for network in summary["networks"].values():
        assert network["loss"][1] < network["loss"][0]
        assert np.array(network["dependencies"]["raw"]).shape == (2, 4)
    assert [len(table.rows) for table in tables(summary)] == [len(STATEMENTS), len(STATEMENTS), 8]
    for table, basis in zip(tables(summary), BASES, strict=False):
        for row, statement in zip(table.rows, STATEMENTS, strict=True):
            held = [
                v["holds"] == 2
                for v in summary["verdicts"]
                if (v["id"], v["basis"], v["expected"]) == (statement.id, basis, True)
            ]
            assert (row[0], row[-1] == "holds") == (statement.text, all(held))


def test_a_run_that_diverges_is_told_not_hidden(figure3):
    settings, results = saved(TINY, figure3)
    for piece in (results["gd/0/5"], results["gd/0/10"]):
        piece["loss"] = [None] * len(piece["loss"])
        piece["gradient_norm"] = [None] * len(piece["gradient_norm"])
        for record in piece["records"]:
            record["norm"] = [None] * 4
    summary = summarise(settings, results)
    assert summary["losses"] is None
    assert "The runs have no training loss in common" in summary["panels"][0]["findings"][-1]
    gd = [v for v in summary["verdicts"] if v["network"] == "gd" and v["id"] == "upstream"]
    assert all(np.isnan(v["value"]) and v["holds"] <= 1 for v in gd)


def test_shallow_networks_have_no_pairs_to_compare(torch, tmp_path):
    shallow = Figure3({**SIZE3, "depth": 2, "seeds": 1, "iterations": 4})
    summary = reproduce(shallow, DIGITS, tmp_path, workers=1).summary
    values = {v["id"]: v["value"] for v in summary["verdicts"] if v["network"] == "bn"}
    assert values["upstream-same-size"] is values["distance-upstream"] is None
    assert values["upstream"] > 0.0
    assert "-" in tables(summary)[0].rows[2][1]
