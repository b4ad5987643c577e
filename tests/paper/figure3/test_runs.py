"""Runs of Figure 3, joined from their segments and read at equal loss."""

import numpy as np

from gdnp.paper import reproduce
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.runs import at_losses, collect, common_losses, layer_numbers
from paper_problems import DIGITS, FIGURE3, SIZE3, TIMES, runs_of, saved


def test_segments_join_to_the_run_that_is_not_cut(figure3, tmp_path):
    whole = Figure3({**SIZE3, "segment": 12})
    other = reproduce(whole, DIGITS, tmp_path, workers=1)
    for network in ("bn", "gd"):
        cut, uncut = (collect(*saved(FIGURE3, entry), network) for entry in (figure3, other))
        assert cut.loss.shape == (2, 13)
        np.testing.assert_array_equal(cut.loss, uncut.loss)
        np.testing.assert_array_equal(cut.gradient_norm, uncut.gradient_norm)
        np.testing.assert_array_equal(cut.times, [0, 2, 4, 5, 8, 10, 12])
        for measure, values in cut.dependencies.items():
            np.testing.assert_array_equal(values, uncut.dependencies[measure])


def test_a_loss_that_rises_is_waited_out():
    loss = np.geomspace(2.0, 0.1, 2001)
    loss[400:500], loss[500:900] = 3.0, 2.5
    runs = runs_of(np.geomspace(1.0, 0.1, len(TIMES))[:, None] * np.ones(6), loss=loss)
    found = at_losses(runs, "raw", np.array([np.sqrt(loss[200] * loss[1000]), loss[1200]]))
    values = runs.dependencies["raw"][0]
    np.testing.assert_allclose(found[0], [np.sqrt(values[1] * values[5]), values[6]])


def test_layers_are_all_but_the_central_one():
    assert layer_numbers({"network": {"depth": 6, "width": 50, "layer": 4}}) == [1, 2, 3, 5, 6, 7]


def test_common_losses_need_a_range_that_every_run_passes():
    values = np.ones((len(TIMES), 6))
    fast, slow = (runs_of(values, loss=np.geomspace(2.0, low, 2001)) for low in (0.02, 0.5))
    losses = common_losses({"bn": fast, "gd": slow})
    np.testing.assert_allclose(losses[[0, -1]], [2.0, 0.5])
    above = runs_of(values, loss=np.geomspace(9.0, 3.0, 2001))
    assert common_losses({"bn": fast, "gd": above}) is None
    diverged = runs_of(values, loss=np.append(np.ones(2000), np.nan))
    assert common_losses({"bn": fast, "gd": diverged}) is None
