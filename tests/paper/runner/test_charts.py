"""A chart is drawn in print and in the report from the same data."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from gdnp.paper.runner.charts import (
    Chart,
    Curve,
    band,
    draw_charts,
    flat,
    line_style,
    on_grid,
    rounded,
    scatter,
    show,
    switched,
    thinned,
)
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


def test_band_is_the_mean_with_its_interval():
    """Where a run has no value nothing is shown."""
    runs = np.array([[1.0, 10.0, np.nan], [100.0, 10.0, 1.0]])
    chart = replace(CHART, curves=[Curve("GD", STYLES["gd"], np.arange(3.0), runs)])
    shade, line = show("What", "why", {"only": chart})["data"]
    assert line["x"] == [0.0, 1.0]
    assert line["y"] == [10.0, 10.0]
    assert shade["y"][1] == shade["y"][2] == 10.0
    assert shade["y"][0] > 100.0 > 1.0 > shade["y"][3]


def test_a_curve_without_a_name_is_for_print_alone():
    plain = replace(CHART, curves=[Curve("", STYLES["gd"], X, RUNS)])
    assert show("What", "why", {"only": plain})["data"] == []


def test_one_legend_names_each_curve_once(tmp_path):
    other = replace(CHART, curves=[*CHART.curves, Curve("AGD", STYLES["agd"], X, 0.0 * RUNS)])
    written = draw_charts([[CHART, other], [CHART, CHART]], tmp_path / "chart", headline="All of it")
    assert [path.name for path in written] == ["chart.png", "chart.pdf"]
    again = draw_charts([[CHART, other], [CHART, CHART]], tmp_path / "again", headline="All of it")
    assert [path.read_bytes() for path in written] == [path.read_bytes() for path in again]


# --- bands


def test_interval_is_students(rng):
    runs = rng.standard_normal((7, 5))
    found = band(runs, log=False)
    for k in range(5):
        expected = stats.ttest_1samp(runs[:, k], 0.0).confidence_interval(0.90)
        assert (found.low[k], found.high[k]) == pytest.approx(tuple(expected))
    assert found.mean == pytest.approx(runs.mean(axis=0))
    assert found.bottom == pytest.approx(np.percentile(runs, 5, axis=0))
    assert found.top == pytest.approx(np.percentile(runs, 95, axis=0))


def test_logarithmic_band_is_the_band_of_logarithms(rng):
    runs = rng.lognormal(size=(6, 4))
    logs, found = band(np.log10(runs), log=False), band(runs)
    for name in ("mean", "low", "high", "bottom", "top"):
        assert getattr(found, name) == pytest.approx(10.0 ** getattr(logs, name))


def test_one_run_has_no_width():
    found = band(np.array([[1.0, 2.0]]))
    for name in ("mean", "low", "high", "bottom", "top"):
        assert getattr(found, name) == pytest.approx([1.0, 2.0])


def test_on_grid_never_looks_ahead():
    found = on_grid(np.array([2.0, 3.0, 3.0, 5.0]), np.array([9.0, 8.0, 7.0, 6.0]), np.arange(7.0))
    assert np.array_equal(found, [np.nan, np.nan, 9.0, 7.0, 7.0, 6.0, 6.0], equal_nan=True)


# --- pieces of figures of the report


def test_pieces():
    assert rounded(np.array([1.23456, np.nan, np.inf])) == [1.235, None, None]
    assert flat({"xaxis": {"title": {"text": "x"}, "range": [0, 1]}}) == {
        "xaxis.title.text": "x",
        "xaxis.range": [0, 1],
    }
    points = np.arange(2000.0).reshape(1000, 2)
    assert len(thinned(points)) == 200
    assert thinned(points)[[0, -1]].tolist() == points[[0, -1]].tolist()
    assert thinned(points[:5]) is not None
    views = [("a", [{"y": [1]}], {"yaxis": {"type": "log"}}), ("b", [{"y": [2]}, {"y": [3]}], {})]
    figure = switched("T", "C", views)
    assert [trace.get("visible", True) for trace in figure["data"]] == [True, False, False]
    assert figure["layout"]["updatemenus"][0]["buttons"][0]["method"] == "update"
    assert figure["layout"]["updatemenus"][0]["buttons"][1]["args"][0] == {"visible": [False, True, True]}
    assert "updatemenus" not in switched("T", "C", views[:1])["layout"]


def test_a_trace_without_a_label_is_only_seen():
    bare, named = (
        scatter(np.arange(2.0), np.array([1.0, np.nan])),
        scatter(np.ones(1), np.ones(1), "GD", "%{x}"),
    )
    assert (bare["hoverinfo"], bare["showlegend"], bare["y"]) == ("skip", False, [1.0, None])
    assert (named["name"], named["showlegend"], named["hovertemplate"]) == ("GD", True, "%{x}<extra></extra>")


@pytest.mark.parametrize("name", STYLES)
def test_a_method_looks_as_in_print(name):
    style, found = STYLES[name], line_style(STYLES[name])
    assert found["line"]["color"] == style.color
    assert (found["line"]["dash"] == "solid") == isinstance(style.dashes, str)
    assert ("marker" in found) == bool(style.marker)
