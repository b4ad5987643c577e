"""The interactive drawings of Table 1: valid, and the points are those of the summary."""

import numpy as np

from paper_problems import TABLE1 as TINY
from paper_problems import are_valid_plotly, saved


def test_figures_are_valid_plotly(table1):
    figures = TINY.interactive(*saved(TINY, table1))
    assert len(figures) == 4
    assert are_valid_plotly(figures)
    for figure, panel in zip(figures, table1.summary["panels"], strict=True):
        labels = [button["label"] for button in figure["layout"]["updatemenus"][0]["buttons"]]
        passes = [] if panel["world"] == "population" else ["passes"]  # the population has none
        assert labels == ["iterations", "iterations, linear axis", *passes, "seconds"]


def test_points_are_those_of_the_summary(table1):
    figure = TINY.interactive(*saved(TINY, table1))[0]
    entry = table1.summary["panels"][0]["methods"]["gd"]
    trace = next(trace for trace in figure["data"] if trace["name"] == "GD")
    known = [(eps, n) for eps, n in zip(entry["epsilons"], entry["iterations"], strict=True) if n is not None]
    np.testing.assert_allclose(np.column_stack([trace["x"], trace["y"]]), known, rtol=1e-3)
    first, last = figure["layout"]["xaxis"]["range"]
    assert first > np.log10(max(entry["epsilons"])) > np.log10(min(entry["epsilons"])) > last
