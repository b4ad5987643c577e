"""One method in one cell: tuned on starts of its own, reported on others."""

import numpy as np
import pytest

from gdnp import columns, methods, minimize
from gdnp.datasets import gaussian_parameters
from gdnp.paper.runner import cells
from gdnp.paper.runner.cells import facts, field_of, label_of, mean_at, race, starts_of, word
from gdnp.population import Halfspace

SPEC = {"name": "population", "d": 3, "n": 400, "kappa": 4.0, "r": 0.5, "seed": 0}
CONFIG = {"data": SPEC, "loss": "log_loss", "scale": "unit", "method": "gd", "h": "stein", "seed": 0}
CONFIG |= {"grid": [0.5, 1.0, 2.0], "tuning_starts": 2, "starts": 3, "iterations": 5}


def test_runs_are_those_of_the_method_from_the_starts_that_are_reported():
    f = Halfspace(*gaussian_parameters(3, kappa=4.0, r=0.5, seed=0), "log_loss")
    found, starts = race(CONFIG), starts_of(3, "unit", 0, 3)
    best = minimize(f, methods.gdnp_metric(), max_iter=50, tol=1e-14).objective
    step = columns.safe_step(field_of(SPEC, "log_loss")[0])
    for k, start in enumerate(starts.T):
        for tuning, multiple in (("theory", 1.0), ("best", found["multiple"])):
            result = minimize(f, methods.gd(step=multiple * step), start, max_iter=5, tol=0.0)
            assert found[tuning][-1, k] == pytest.approx(result.objective - best, rel=1e-6)


def test_a_best_at_the_end_of_the_grid_extends_it(monkeypatch):
    monkeypatch.setattr(cells, "DECIDED", 5)
    few = race({**CONFIG, "grid": [0.125, 0.25]})
    assert few["multiple"] > 0.25
    ratio = np.log2(few["multiple"] / 0.25)
    assert ratio == pytest.approx(round(ratio))


def test_the_multiple_is_the_best_of_those_tried(monkeypatch):
    monkeypatch.setattr(cells, "DECIDED", 5)
    f, reference = field_of(SPEC, "log_loss")
    best = reference.objective
    starts, found = starts_of(3, "unit", cells.TUNING_STARTS, 2), race(CONFIG)["multiple"]

    def score(multiple):
        return np.log(columns.run(f, "gd", starts, multiple, 5).objective[-1] - best).mean()

    assert score(found) <= min(score(0.7 * found), score(1.4 * found)) + 0.5
    assert score(found) <= min(map(score, CONFIG["grid"])) + 1e-12


def test_scales_are_those_of_the_starts():
    sizes = [np.std(starts_of(400, scale, 0, 20)) for scale in cells.SCALES]
    assert sizes == pytest.approx([0.05, 1.0, 10.0], rel=0.05)


def test_minima_are_those_of_the_problem():
    for name in ("population", "sample"):
        f, best = field_of({**SPEC, "name": name}, "log_loss")
        end = columns.run(f, "gdnp_metric", starts_of(3, "unit", 0, 1), 1.0, 40).objective[-1, 0]
        assert end == pytest.approx(best.objective, abs=1e-9)
    assert field_of(SPEC, "sigmoid")[1] is None


def test_facts_are_those_of_the_design():
    found = facts({"data": SPEC})
    assert (found["rank"], found["separable"]) == (3, False)
    assert (found["kappa"], found["r"]) == pytest.approx((4.0, 0.5))
    assert found["minimum"] == field_of(SPEC, "log_loss")[1].objective


def test_what_is_kept_is_that_of_the_best_runs():
    found = race({**CONFIG, "data": {**SPEC, "name": "sample"}, "kept": ["objective", "passes", "zero_one"]})
    np.testing.assert_allclose(found["best"], found["objective"] - found["objective"].min(), atol=0.2)
    assert found["passes"].tolist() == [[k + 1.0] * 3 for k in range(6)]
    assert ((found["zero_one"] >= 0.0) & (found["zero_one"] <= 1.0)).all()
    assert "objective" not in race(CONFIG)


def test_starts_are_the_same_for_every_method_and_no_two_are_one():
    kept = {**CONFIG, "kept": ["length"]}
    first = [race({**kept, "method": name})["length"][0] for name in ("gd", "agd")]
    np.testing.assert_array_equal(*first)
    assert len(set(first[0])) == 3


def test_words_and_labels():
    assert [word(1.0, 1.3), word(1.0, 1.1), word(1.3, 1.0)] == ["faster", "level", "slower"]
    assert [label_of(SPEC), label_of({**SPEC, "name": "sample"}), label_of({"name": "a9a"})] == [
        "(4, 0.5)",
        "(4, 0.5) sample",
        "a9a",
    ]
    assert mean_at({"best": [[1.0, 1.0], [1e-2, 1e-4]]}, "best") == pytest.approx(1e-3)
