"""Pieces of interactive figures."""

import numpy as np
import pytest

from gdnp.interactive import band_traces, flat, line_style, rounded, scatter, switched, thinned
from gdnp.plotting import STYLES


def test_band_is_the_mean_with_its_interval():
    shade, line = band_traces(
        np.arange(3.0), np.array([[1.0, 10.0, np.nan], [100.0, 10.0, 1.0]]), "GD", STYLES["gd"]
    )
    assert line["x"] == [0.0, 1.0]
    assert line["y"] == [10.0, 10.0]
    assert shade["y"][1] == shade["y"][2] == 10.0
    assert shade["y"][0] > 100.0 > 1.0 > shade["y"][3]


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
