"""The runs of Figure 3, joined and read at equal loss, and the verdicts on dependencies that are known."""

import numpy as np
import pytest

from gdnp.paper import reproduce
from gdnp.paper.figure3.experiment import Figure3
from gdnp.paper.figure3.verdicts import at_losses, collect, common_losses, geometric, judge, layer_numbers
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


SETTINGS = {"network": {"depth": 6, "width": 50, "layer": 4}, "iterations": 2000}


def verdicts(runs, basis="iterations"):
    losses = common_losses(runs) if basis == "loss" else None
    found = [verdict for verdict in judge(SETTINGS, runs, losses) if verdict["basis"] == basis]
    return {(v["id"], v["network"]): v for v in found if v["measure"] == "raw"}


def course(layers, fall):
    """Layers' dependencies that fall by a factor over the run, geometrically."""
    return np.geomspace(1.0, 1.0 / fall, len(TIMES))[:, None] * np.array(layers)


def test_verdicts_as_the_paper_has_them():
    """W1 > ... > W7, BN's falls 64-fold in 2000 iterations (8-fold in 1000), GD's stays."""
    layers = [6.0, 5.0, 4.0, 2.0, 1.0, 0.5]
    found = verdicts({"bn": runs_of(course(layers, 64.0)), "gd": runs_of(course(layers, 1.5))})
    assert found["depth", "bn"]["value"] == pytest.approx(1.2)
    assert found["depth", "bn"]["holds"] == 2
    assert found["distance-downstream", "gd"]["value"] == pytest.approx(2.0)
    assert found["distance-upstream", "bn"]["value"] == pytest.approx(4.0 / 5.0)
    assert found["distance-upstream", "bn"]["holds"] == 0
    assert found["upstream", "bn"]["value"] == pytest.approx(np.sqrt(77.0 / 5.25))
    assert found["upstream-same-size", "bn"]["value"] == pytest.approx(np.sqrt(2.0 * 5.0))
    assert found["decay", "bn"]["value"] == pytest.approx(8.0)
    assert found["decay", "bn"]["holds"] == 2
    assert found["elevated", "gd"]["value"] == pytest.approx(1.5**-0.5)
    assert found["elevated", "gd"]["holds"] == 2
    assert not found["elevated", "bn"]["expected"]


def test_verdicts_that_fail():
    layers = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    found = verdicts({"bn": runs_of(course(layers, 1.1)), "gd": runs_of(course(layers, 64.0))})
    missed = ("depth", "distance-downstream", "upstream", "upstream-same-size", "before-criticality")
    assert all(found[name, "bn"]["holds"] == 0 for name in missed)
    assert found["distance-upstream", "bn"]["holds"] == 2
    assert found["decay", "bn"]["holds"] == found["elevated", "gd"]["holds"] == 0


def test_before_criticality_is_while_the_gradient_is_large():
    """Downstream takes over at measurement 7, which counts if the gradient is not small by then."""
    values = course([3.0, 3.0, 3.0, 1.0, 1.0, 1.0], 1.0)
    values[7:, 3:] = 9.0
    for small_from, expected in ((5, 3.0), (9, 1.0 / 3.0)):
        gradient = np.ones(TIMES[-1] + 1)
        gradient[TIMES[small_from] :] = 0.05
        runs = runs_of(values, gradient=gradient)
        found = verdicts({"bn": runs, "gd": runs})
        for name in ("before-criticality", "before-criticality-same-size"):
            assert found[name, "bn"]["value"] == pytest.approx(expected)


def test_equal_loss_compares_at_losses_that_both_reach():
    """GD is four times as slow: at equal loss its dependencies, a function of the loss alone, are BN's."""
    layers = np.array([6.0, 5.0, 4.0, 2.0, 1.0, 0.5])
    fast, slow = np.geomspace(2.0, 0.02, 2001), np.geomspace(2.0, 2.0 / 100.0**0.25, 2001)
    runs = {
        name: runs_of(loss[TIMES][:, None] * layers, loss=loss) for name, loss in (("bn", fast), ("gd", slow))
    }
    losses = common_losses(runs)
    assert losses[0] == pytest.approx(2.0)
    assert losses[-1] == pytest.approx(2.0 / 100.0**0.25)
    for entry in runs.values():
        np.testing.assert_allclose(at_losses(entry, "raw", losses)[0], losses[:, None] * layers, rtol=1e-10)
    found = verdicts(runs, "loss")
    assert found["decay", "bn"]["value"] == found["decay", "gd"]["value"] == pytest.approx(100.0**0.25)


def test_without_a_common_loss_only_equal_iterations_are_judged():
    runs = {"bn": runs_of(course(np.ones(6), 2.0)), "gd": runs_of(course(np.ones(6), 4.0))}
    assert {verdict["basis"] for verdict in judge(SETTINGS, runs, None)} == {"iterations"}


def test_geometric_mean():
    assert geometric(np.array([[1.0, 2.0], [4.0, 8.0]])) == pytest.approx([2.0, 4.0])
