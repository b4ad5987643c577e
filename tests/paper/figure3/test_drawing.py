"""The drawings of Figure 3 need neither PyTorch nor a run, and no two layers look the same."""

import sys

import numpy as np

from gdnp.paper import redraw
from gdnp.paper.figure3.drawing import DOWNSTREAM, UPSTREAM, layer_styles
from paper_problems import FIGURE3 as TINY
from paper_problems import are_valid_plotly, saved


def test_redraws_from_files_alone(figure3, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    drawn = redraw(TINY, figure3.directory, tmp_path)
    for path in drawn.figures:
        assert path.read_bytes() == (figure3.directory / path.name).read_bytes()


def test_every_layer_has_a_look_of_its_own():
    styles = layer_styles({"network": {"depth": 6, "layer": 4}})
    assert list(styles) == [1, 2, 3, 5, 6, 7]
    assert len({(style.color, style.dashes, style.marker) for style in styles.values()}) == 6
    assert {styles[i].color for i in (1, 2, 3)} == set(UPSTREAM)
    assert {styles[i].color for i in (5, 6, 7)} == set(DOWNSTREAM)
    for i in (1, 2, 3):  # the layers at one distance have dashes and marker in common
        assert styles[4 - i].dashes == styles[4 + i].dashes
        assert styles[4 - i].marker == styles[4 + i].marker


def test_interactive_figures_are_valid_plotly(figure3):
    figures = TINY.interactive(*saved(TINY, figure3))
    assert [figure["layout"]["title"]["text"] for figure in figures] == [
        "Loss and gradient norm",
        "Dependencies, BN",
        "Dependencies, GD (no BN)",
    ]
    assert are_valid_plotly(figures)
    assert len(figures[1]["layout"]["updatemenus"][0]["buttons"]) == 4


def test_dependencies_are_geometric_means_over_the_seeds(figure3):
    settings, results = saved(TINY, figure3)
    trace = next(
        trace
        for trace in TINY.interactive(settings, results)[1]["data"]
        if trace.get("name", "").startswith("W1,")
    )
    chains = [[results[f"bn/{seed}/{start}"] for start in (0, 5, 10)] for seed in (0, 1)]
    norms = [[record["norm"][0] for piece in chain for record in piece["records"]] for chain in chains]
    assert trace["x"] == [0, 2, 4, 5, 8, 10, 12]
    np.testing.assert_allclose(trace["y"], np.exp(np.log(norms).mean(axis=0)), rtol=1e-3)
