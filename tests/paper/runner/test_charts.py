"""A chart is drawn in print and in the report from the same data."""

from dataclasses import replace

import numpy as np
import pytest

from gdnp.paper.runner.charts import Chart, Curve, draw, show
from gdnp.plotting import STYLES
from paper_problems import are_valid_plotly

X = np.arange(500.0)
RUNS = np.exp(-X / 50.0) * np.array([[1.0], [2.0]])
CHART = Chart("Title", "a note", "iterations", "gap", [Curve("GD", STYLES["gd"], X, RUNS)])


@pytest.mark.parametrize(
    ("runs", "log", "kept"),
    [
        ([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]], True, [0.0, 2.0]),
        ([[1.0, 0.0, 2.0], [1.0, 1.0, 1.0]], False, [0.0, 1.0, 2.0]),
        ([[1.0, np.nan, 2.0], [-1.0, 1.0, np.inf]], False, [0.0]),
    ],
)
def test_what_cannot_be_shown_is_left_out(runs, log, kept):
    x, values = Curve("a", STYLES["gd"], np.arange(3.0), np.array(runs)).kept(log=log)
    np.testing.assert_array_equal(x, kept)
    assert np.isfinite(values).all()


def test_the_report_has_the_geometric_mean_on_a_logarithmic_axis_and_buttons():
    linear = replace(CHART, log=False, height=(0.0, 3.0), span=(0.0, 100.0))
    figure = show("What", "why", {"log": CHART, "linear": linear})
    assert are_valid_plotly([figure])
    means = [trace for trace in figure["data"] if trace.get("name") == "GD"]
    for trace, mean in zip(means, (np.sqrt(RUNS[0] * RUNS[1]), RUNS.mean(axis=0)), strict=True):
        assert trace["x"][:12] == list(range(12))  # where a curve falls steeply every point is there
        assert trace["x"][-1] == 499
        assert len(trace["x"]) < 215
        np.testing.assert_allclose(trace["y"], mean[np.array(trace["x"], dtype=int)], rtol=1e-3)
    first, second = (button["args"][1] for button in figure["layout"]["updatemenus"][0]["buttons"])
    assert (first["yaxis.type"], second["yaxis.type"]) == ("log", "linear")
    assert (first["yaxis.autorange"], second["yaxis.autorange"]) == (True, False)
    assert second["yaxis.range"] == [0.0, 3.0]


def test_a_curve_without_a_name_is_for_print_alone():
    plain = replace(CHART, curves=[Curve("", STYLES["gd"], X, RUNS)])
    assert show("What", "why", {"only": plain})["data"] == []


def test_one_legend_names_each_curve_once(tmp_path):
    other = replace(CHART, curves=[*CHART.curves, Curve("AGD", STYLES["agd"], X, 0.0 * RUNS)])
    written = draw([[CHART, other], [CHART, CHART]], tmp_path / "chart", headline="All of it")
    assert [path.name for path in written] == ["chart.png", "chart.pdf"]
    again = draw([[CHART, other], [CHART, CHART]], tmp_path / "again", headline="All of it")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]
