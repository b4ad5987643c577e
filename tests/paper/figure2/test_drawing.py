"""The drawings of Figure 2 come from files alone, and show the curves at iterations or passes."""

import numpy as np
import pytest

from gdnp.paper.figure2.drawing import FLOOR, chart
from gdnp.paper.runner.cells import METHODS, part_name
from paper_problems import FIGURE2 as TINY
from paper_problems import are_valid_plotly, saved


@pytest.fixture(scope="module")
def results(figure2):
    return saved(TINY, figure2)


def test_figures_are_drawn_from_files_alone(figure2, results, monkeypatch, tmp_path):
    monkeypatch.setattr("gdnp.columns.run", None)
    written = TINY.draw(*results, tmp_path)
    names = ["section44", "figure2", "figure2-passes", "figure2-sigmoid"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for path in written:
        assert path.read_bytes() == (figure2.directory / path.name).read_bytes()


def test_curves_are_read_at_iterations_or_at_passes(results):
    """At so many passes it is the last value that had been paid for, none before the first."""
    settings, found = results
    sample = settings["data"][1]
    run = found[part_name(sample, "log_loss", "unit", "gdnp_inner", "stein")]
    values, spent = np.array(run["best"]).T, np.array(run["passes"]).T
    at, paid = (
        next(c for c in chart(settings, found, sample, "log_loss", against=how).curves if c.label == "GDNP")
        for how in ("iterations", "passes")
    )
    np.testing.assert_array_equal(at.runs, np.maximum(values, 0.1 * FLOOR["log_loss"]))
    for row, cost, seen in zip(values, spent, paid.runs, strict=True):
        assert np.isnan(seen[: int(np.ceil(cost[0]))]).all()
        for x in range(int(np.ceil(cost[0])), len(seen)):
            assert seen[x] == row[np.flatnonzero(cost <= x)[-1]]


def test_figures_are_valid_plotly(results):
    softplus, sigmoid = figures = TINY.interactive(*results)
    assert are_valid_plotly(figures)
    labels = [[button["label"] for button in f["layout"]["updatemenus"][0]["buttons"]] for f in figures]
    tail = ["steps of the theory", "starts N(0, I/d)", "starts 10 N(0, I)"]
    assert labels[0] == ["iterations", "passes", *tail]
    assert labels[1] == ["iterations", "passes", "objective f", "0-1 error", *tail]
    assert softplus["layout"]["yaxis"]["type"] == sigmoid["layout"]["yaxis"]["type"] == "log"


def test_line_is_the_geometric_mean_of_the_runs(results):
    settings, found = results
    figure = TINY.interactive(settings, found)[1]
    trace = next(trace for trace in figure["data"] if trace.get("name") == "AGD")
    runs = np.array(found[part_name(settings["data"][1], "sigmoid", "unit", "agd", "stein")]["best"])
    assert trace["x"] == list(range(13))
    np.testing.assert_allclose(trace["y"], np.exp(np.log(runs).mean(axis=1)), rtol=1e-3)
    low, high = figure["layout"]["yaxis"]["range"]
    assert 10.0**low <= runs.min() * 1.001
    assert 10.0**high >= runs[0].max()


def test_every_method_is_in_every_chart(results):
    settings, found = results
    for loss in settings["losses"]:
        for what in ("measure", "objective", "zero_one"):
            drawn = chart(settings, found, settings["data"][1], loss, what)
            assert [curve.label for curve in drawn.curves] == list(METHODS.values())
            assert drawn.log == (what == "measure")
