"""The summary of Figure 2 follows from the runs: every cell has a verdict, every panel its numbers."""

import numpy as np
import pytest

from gdnp.paper.figure2.summary import reached
from gdnp.paper.runner.cells import METHODS, RACERS, part_name
from paper_problems import FIGURE2 as TINY
from paper_problems import saved


@pytest.fixture(scope="module")
def found(figure2):
    return saved(TINY, figure2)


def test_every_cell_has_a_verdict_for_every_rival(figure2):
    cells = figure2.summary["cells"]
    assert len(cells) == 2 * 2 * 3 * 2 * 2  # data, losses, scales, h, tunings
    for rival, counts in figure2.summary["counts"].items():
        assert sum(counts.values()) == len(cells)
        assert counts["faster"] == sum(cell["against"][rival] == "faster" for cell in cells)
    assert len({cell["label"] for cell in cells}) == len(cells)


def test_verdicts_follow_from_the_runs(figure2, found):
    settings, results = found
    data = {("(4, 0.5)"): settings["data"][0], "(4, 0.5) sample": settings["data"][1]}
    for cell in figure2.summary["cells"]:
        for name in RACERS:
            runs = results[part_name(data[cell["data"]], cell["loss"], cell["scale"], name, cell["h"])]
            ends = np.asarray(runs[cell["tuning"]])[-1]
            assert cell["means"][name] == pytest.approx(np.exp(np.log(ends).mean()), rel=1e-12)
        assert cell["means"][cell["first"]] == min(cell["means"][name] for name in RACERS)
        ratio = cell["means"]["gdnp_inner"] / cell["means"]["gd"]
        word = "faster" if ratio < 1.0 / 1.2 else "slower" if ratio > 1.2 else "level"
        assert cell["against"]["GD"] == word


def test_panels_follow_from_the_curves(figure2, found):
    settings, results = found
    softplus, sigmoid = figure2.summary["panels"]
    run = results[part_name(settings["data"][1], "log_loss", "unit", "agd", "stein")]
    gap = np.array(run["objective"]) - results["(4, 0.5) sample/facts"]["minimum"]
    np.testing.assert_allclose(gap, run["best"], rtol=1e-9)
    entry = softplus["methods"]["agd"]
    assert entry["final"]["measure"] == pytest.approx(np.median(gap[-1]))
    hits = [np.flatnonzero(row <= 1e-4) for row in gap.T]
    expected = sorted(hit[0] if hit.size else np.inf for hit in hits)[1]
    assert (entry["iterations"] or np.inf) == expected
    assert (entry["passes"] or np.inf) == expected + 1  # gradient descent: one at the start, one a step
    finals = [entry["final"]["objective"] for entry in sigmoid["methods"].values()]
    assert sigmoid["best_objective"] <= min(finals)


@pytest.mark.parametrize(
    ("measure", "median"),
    [
        ([[3, 1, 0], [3, 3, 0], [3, 0, 3]], 1.0),  # the first time counts, not the last
        ([[3, 3, 3], [3, 3, 3], [3, 0, 3]], None),
        ([[3, 1, 0], [3, 3, 3]], None),
        ([[0, 3, 3]], 0.0),
    ],
)
def test_reached(measure, median):
    runs = np.array(measure, dtype=float).T
    assert reached(runs, 1.0, np.broadcast_to(np.arange(3.0)[:, None], runs.shape)) == median


def test_sentences_say_who_is_ahead_as_measured(figure2):
    for panel in figure2.summary["panels"]:
        cells = [
            cell
            for cell in figure2.summary["cells"]
            if cell["label"].startswith(panel["label"]) and cell["data"] == "(4, 0.5) sample"
        ]
        faster = sum(cell["against"]["AGD"] == "faster" for cell in cells)
        expected = f"GDNP after 100 iterations against AGD, in {len(cells)} cells: faster in {faster},"
        assert any(sentence.startswith(expected) for sentence in panel["findings"])


def test_a_method_that_a_small_gradient_flatters_is_named(figure2):
    sigmoid = figure2.summary["panels"][1]
    ends = {e["label"]: e["final"] for e in sigmoid["methods"].values()}
    best = min(ends.values(), key=lambda end: end["objective"])
    misled = [
        label
        for label, end in ends.items()
        if end["objective"] > 1.05 * best["objective"] and end["gradient_norm"] < best["gradient_norm"]
    ]
    said = [s for s in sigmoid["findings"] if s.startswith("A small gradient")]
    assert bool(said) == bool(misled)
    assert all(f"{label} (gradient norm" in said[0] for label in misled)
    assert any(s.startswith("Final lengths in S (median): GD ") for s in sigmoid["findings"])


def test_tables_have_a_row_for_every_method_and_for_every_cell(figure2):
    *panels, cells = TINY.tables(figure2.summary)
    assert [table.title for table in panels] == ["(4, 0.5) sample, softplus", "(4, 0.5) sample, sigmoid"]
    for table in panels:
        assert [row[0] for row in table.rows] == list(METHODS.values())
    assert len(cells.rows) == len(figure2.summary["cells"])
    assert "GDNP against GD: faster in" in cells.note
    for table in (*panels, cells):
        assert {len(row) for row in table.rows} == {len(table.columns)}
