"""The drawing of Table 1 and its page come from files alone."""

import numpy as np
import pytest

from gdnp.paper import redraw
from gdnp.paper.table1.drawing import _ceiling
from paper_problems import TABLE1 as TINY
from paper_problems import are_valid_plotly, saved


def test_redraws_from_files_alone(table1, tmp_path):
    drawn = redraw(TINY, table1.directory, tmp_path)
    assert [path.name for path in drawn.figures] == ["table1.png", "table1.pdf"]
    for path in drawn.figures:
        assert path.read_bytes() == (table1.directory / path.name).read_bytes()
    printed = [cell for table in TINY.tables(drawn.summary) for row in table.rows for cell in row]
    assert {"GDNP", "log²(1/ε)", "ε^(-7/4) log(1/ε)"} <= set(printed)
    assert not any("nan" in cell for cell in printed)


def test_linear_axis_is_not_for_the_slowest():
    """Its top is that of the slowest method within three times the median."""

    def panel(*tops):
        methods = {str(k): {"epsilons": [0.1, 0.01], "iterations": [1.0, top]} for k, top in enumerate(tops)}
        return {"methods": methods}

    assert _ceiling(panel(10.0, 20.0, 50.0, 70.0)) == pytest.approx(1.08 * 50.0)
    assert _ceiling(panel(10.0, 20.0, None)) == pytest.approx(1.08 * 20.0)
    assert _ceiling({"methods": {"a": {"epsilons": [0.1], "iterations": [None]}}}) == 1.0


def test_figures_are_valid_plotly(table1):
    figures = TINY.interactive(*saved(TINY, table1))
    assert len(figures) == 4
    assert are_valid_plotly(figures)
    for figure, panel in zip(figures, table1.summary["panels"], strict=True):
        labels = [button["label"] for button in figure["layout"]["updatemenus"][0]["buttons"]]
        passes = [] if panel["world"] == "population" else ["passes"]  # the population has none
        assert labels == ["iterations", *passes, "iterations, linear axis"]


def test_points_are_those_of_the_summary(table1):
    figure = TINY.interactive(*saved(TINY, table1))[0]
    entry = table1.summary["panels"][0]["methods"]["gd"]
    trace = next(trace for trace in figure["data"] if trace["name"] == "GD")
    known = [(eps, n) for eps, n in zip(entry["epsilons"], entry["iterations"], strict=True) if n is not None]
    np.testing.assert_allclose(np.column_stack([trace["x"], trace["y"]]), known, rtol=1e-3)
    first, last = figure["layout"]["xaxis"]["range"]
    assert first > np.log10(max(entry["epsilons"])) > np.log10(min(entry["epsilons"])) > last
