"""The interactive drawings of Figure 2: valid, and the means are those of the saved curves."""

import numpy as np

from paper_problems import FIGURE2 as TINY
from paper_problems import are_valid_plotly, saved


def test_figures_are_valid_plotly(figure2):
    softplus, sigmoid = figures = TINY.interactive(*saved(TINY, figure2))
    assert are_valid_plotly(figures)
    labels = [[button["label"] for button in f["layout"]["updatemenus"][0]["buttons"]] for f in figures]
    assert labels[0] == ["iterations", "passes"]
    assert labels[1] == ["gradient norm, iterations", "gradient norm, passes", "objective f", "0-1 error"]
    assert softplus["layout"]["yaxis"]["type"] == sigmoid["layout"]["yaxis"]["type"] == "log"


def test_line_is_the_geometric_mean_of_the_runs(figure2):
    settings, results = saved(TINY, figure2)
    figure = TINY.interactive(settings, results)[1]
    trace = next(trace for trace in figure["data"] if trace.get("name") == "AGD")
    runs = [results[f"gaussian/sigmoid/agd/start-{k}"]["curves"]["gradient_norm"] for k in range(3)]
    assert trace["x"] == list(range(13))
    np.testing.assert_allclose(trace["y"], np.exp(np.log(runs).mean(axis=0)), rtol=1e-3)
    low, high = figure["layout"]["yaxis"]["range"]
    assert 10.0**low <= np.min(runs) * 1.001
    assert 10.0**high >= np.max(np.array(runs)[:, 0])
