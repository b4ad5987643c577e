"""The summary of Figure 2 follows from the curves."""

import numpy as np
import pytest

from gdnp.paper import Store
from gdnp.paper.figure2.race import RACERS
from gdnp.paper.figure2.summary import _reached, panels
from paper_problems import FIGURE2 as TINY
from paper_problems import saved


@pytest.fixture(scope="module")
def results(figure2):
    return saved(TINY, figure2)[1]


def test_summary_follows_from_the_curves(figure2, results):
    softplus, sigmoid = figure2.summary["panels"]
    assert (softplus["quantity"], sigmoid["quantity"]) == ("suboptimality", "gradient norm")
    f = np.array([results[f"gaussian/log_loss/agd/start-{k}"]["curves"]["objective"] for k in range(3)])
    gap = f - results["gaussian/log_loss/reference"]["objective"]
    assert (gap > 0.0).all()
    entry = softplus["methods"]["agd"]
    assert entry["final"]["measure"] == pytest.approx(np.median(gap[:, -1]))
    hits = [np.flatnonzero(row <= 1e-2) for row in gap]
    expected = sorted(hit[0] if hit.size else np.inf for hit in hits)[1]
    assert (entry["iterations_to"]["1e-02"]["median"] or np.inf) == expected
    finals = {name: entry["final"]["objective"] for name, entry in sigmoid["methods"].items()}
    assert sigmoid["ordering"]["final_objective"] == sorted(finals, key=finals.__getitem__)
    assert sigmoid["best_objective"] <= min(finals.values())


@pytest.mark.parametrize(
    ("measure", "median", "mean", "runs"),
    [
        ([[3, 1, 0], [3, 3, 0], [3, 0, 3]], 1.0, 4 / 3, 3),  # the first time counts, not the last
        ([[3, 3, 3], [3, 3, 3], [3, 0, 3]], None, None, 1),
        ([[3, 1, 0], [3, 3, 3]], None, None, 1),
        ([[0, 3, 3]], 0.0, 0.0, 1),
    ],
)
def test_reached(measure, median, mean, runs):
    counts = np.broadcast_to(np.arange(3.0), np.shape(measure))
    assert _reached(np.array(measure, dtype=float), 1.0, counts) == {
        "median": median,
        "mean": mean,
        "runs": runs,
    }


def test_findings_state_who_is_ahead_as_measured(figure2):
    for panel in figure2.summary["panels"]:
        ends = {name: entry["final"]["objective"] for name, entry in panel["methods"].items()}
        for rival, label in (("gd_safe", "GD (safe step)"), ("agd", "AGD with a tuned step")):
            word = "ahead of" if ends["gdnp_inner"] < ends[rival] else "behind"
            expected = f"GDNP (inner steps) ends {word} {label} after the same iterations"
            assert any(sentence.startswith(expected) for sentence in panel["findings"])


def test_run_that_ends_early_stays_where_it_was(figure2, results):
    store = Store(figure2.directory)
    for panel in panels(store.settings, results):
        assert all(curve.shape == (3, 13) for curves in panel.curves.values() for curve in curves.values())
        ended = panel.curves["two_step"]["objective"]
        assert (ended[:, 2:] == ended[:, 1:2]).all()


def test_tables_have_a_row_for_every_method(figure2):
    tables = TINY.tables(figure2.summary)
    assert [table.title for table in tables] == ["Gaussian design, softplus", "Gaussian design, sigmoid"]
    for table in tables:
        assert [row[0] for row in table.rows] == [racer.label for racer in RACERS.values()]
        assert {len(row) for row in table.rows} == {len(table.columns)}


def test_orderings_are_by_the_median_and_never_comes_last(figure2):
    for panel in figure2.summary["panels"]:
        name = "iterations_to" if panel["loss"] == "log_loss" else "iterations_to_excess"
        target = "1e-04" if panel["loss"] == "log_loss" else "1e-02"
        medians = [panel["methods"][method][name][target]["median"] for method in panel["ordering"][name]]
        known = [median for median in medians if median is not None]
        assert known == sorted(known)
        assert medians == known + [None] * (len(medians) - len(known))
