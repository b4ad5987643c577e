"""The interactive drawings of Figure 3: valid, and the means are those of the saved runs."""

import numpy as np

from paper_problems import FIGURE3 as TINY
from paper_problems import are_valid_plotly, saved


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
        trace for trace in TINY.interactive(settings, results)[1]["data"] if trace.get("name") == "W1"
    )
    chains = [[results[f"bn/{seed}/{start}"] for start in (0, 5, 10)] for seed in (0, 1)]
    norms = [[record["norm"][0] for piece in chain for record in piece["records"]] for chain in chains]
    assert trace["x"] == [0, 2, 4, 5, 8, 10, 12]
    np.testing.assert_allclose(trace["y"], np.exp(np.log(norms).mean(axis=0)), rtol=1e-3)
