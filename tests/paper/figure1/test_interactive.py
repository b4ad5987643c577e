"""The interactive drawings of Figure 1: valid, and the curves are the saved ones."""

import numpy as np

from paper_problems import FIGURE1 as TINY
from paper_problems import are_valid_plotly, saved


def test_figures_are_valid_plotly(figure1):
    figures = TINY.interactive(*saved(TINY, figure1))
    assert [figure["layout"]["title"]["text"] for figure in figures] == [
        "Least squares",
        "Logistic",
        "Sigmoid",
    ]
    assert are_valid_plotly(figures)


def test_paths_end_where_the_saved_ones_do(figure1):
    settings, results = saved(TINY, figure1)
    for figure, loss in zip(TINY.interactive(settings, results), settings["losses"], strict=True):
        traces = [trace for trace in figure["data"] if trace.get("visible", True)]
        by_name = {trace["name"]: trace for trace in traces if "name" in trace}
        paths = results["population/paths"]
        entry = paths["losses"][loss]
        for name, expected in (("GD", entry["gd"]), ("GDNP_seq: direction, then length", entry["ray"])):
            end = by_name[name]["x"][-1], by_name[name]["y"][-1]
            np.testing.assert_allclose(end, expected[-1], rtol=1e-3)
        np.testing.assert_allclose(
            [by_name["start"]["x"][0], by_name["start"]["y"][0]], paths["start"], rtol=1e-3
        )
        assert ("minimum" in by_name) == (entry["gd_stationary"] or entry["ray_stationary"])
        arrows = [trace for trace in traces if trace["type"] == "scatter" and "name" not in trace]
        assert all(trace["x"][2::3] == [None] * (len(trace["x"]) // 3) for trace in arrows)


def test_level_sets_shade_low_values(figure1):
    """The share of the frame where f is lower takes the place of f."""
    settings, results = saved(TINY, figure1)
    figure = TINY.interactive(settings, results)[0]
    (ground,) = (t for t in figure["data"] if t["type"] == "contour" and t.get("visible", True))
    values = np.array(results["population/levels/squared_error"]["values"])
    shares = np.array(ground["z"])
    assert shares.shape == values.shape
    assert shares.flat[values.argmin()] == shares.min() == 0.0
    assert shares.flat[values.argmax()] == shares.max() < 1.0
    assert (np.argsort(shares, axis=None)[-3:] == np.argsort(values, axis=None)[-3:]).all()
