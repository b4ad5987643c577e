"""What Table 1 measures is what was claimed."""

import numpy as np
import pytest

from gdnp.paper.runner.problems import gaussian_objective, start_at
from gdnp.paper.table1.summary import known
from gdnp.solvers import minimize
from paper_problems import TABLE1 as TINY
from paper_problems import saved


def panel(table1, world, loss):
    (found,) = (p for p in table1.summary["panels"] if (p["world"], p["loss"]) == (world, loss))
    return found


def test_gd_on_softplus_is_linear_at_the_rate_of_the_hessian(table1):
    found = panel(table1, "population", "log_loss")
    laws = found["methods"]["gd"]["laws"]["fine"]
    assert laws["better"] == "log"
    assert laws["log"]["value"] == pytest.approx(found["curvature"]["gd"], rel=0.05)
    assert found["curvature"]["smallest"] > 0.0
    assert any("positive definite" in sentence for sentence in found["findings"])


def test_gdnp_takes_no_more_than_theorem_2_allows(table1):
    found = panel(table1, "population", "log_loss")
    gdnp = found["methods"]["gdnp"]
    assert gdnp["laws"]["fine"]["better"] == "log"
    assert gdnp["laws"]["fine"]["log"]["value"] <= 1.1 * found["curvature"]["gdnp"]
    assert gdnp["iterations"][-1] <= found["methods"]["gd"]["iterations"][-1]


def test_gd_on_the_sigmoid_is_sublinear(table1):
    """‖∇f‖ ~ t^(-3/4) as the length runs away like t^(1/4): p tends to 4/3, below the bound's 2."""
    laws = panel(table1, "population", "sigmoid")["methods"]["gd"]["laws"]["all"]
    assert laws["better"] == "power"
    assert 1.0 < laws["power"]["value"] < 1.8


def test_a_small_gradient_of_the_sigmoid_is_a_long_point_and_the_page_says_so(table1):
    found = panel(table1, "population", "sigmoid")
    gdnp = found["methods"]["gdnp"]
    assert gdnp["length"][-1] > 100.0
    assert gdnp["zero_one"][-1] > 1.2 * found["methods"]["agd"]["zero_one"][4]
    assert "no finite critical point" in found["findings"][-1]


def test_counts_rise_as_epsilon_falls_and_are_first_hits(table1):
    for found in table1.summary["panels"]:
        for name, entry in found["methods"].items():
            there = [n for n in entry["iterations"] if n is not None]
            if name != "agd_nonconvex":  # whose parameters change with ε
                assert there == sorted(there)
            reached = [n is not None for n in entry["iterations"]]
            assert reached == sorted(reached, reverse=True)


def test_first_hits_are_those_of_the_method_by_itself(table1):
    """GD and GDNP on the sample, from one start at a time, by the solver."""
    settings, results = saved(TINY, table1)
    spec = {**settings["design"], "name": "sample"}
    f = gaussian_objective(spec, "sample", "log_loss")
    starts = [start_at(spec["d"], settings["seed"], k) for k in range(settings["starts"])]
    for name in ("gd", "gdnp"):
        found = results[f"sample/log_loss/{name}"]
        epsilons, ours = settings["epsilons"][name], found["iterations"]
        for k, start in enumerate(starts):
            norms = []
            minimize(
                f,
                name,
                start,
                max_iter=40,
                tol=0.0,
                callback=lambda p, norms=norms: norms.append(np.linalg.norm(p.point.gradient)),
            )
            hits = [(eps, row[k]) for eps, row in zip(epsilons, ours, strict=True) if eps >= min(norms)]
            assert len(hits) > 4
            for eps, n in hits:
                assert n == int(np.argmax(np.array(norms) <= eps)), (name, eps)


def test_a_pass_is_an_iteration_and_the_start_is_one_too(table1):
    gd = panel(table1, "sample", "log_loss")["methods"]["gd"]
    extra = np.array(gd["passes"][:12]) - np.array(gd["iterations"][:12])
    np.testing.assert_allclose(extra, 1.0, atol=0.2)  # up to the means over starts
    assert gd["seconds"] > 0.0


def test_tables_have_a_cell_for_every_column(table1):
    for table in TINY.tables(table1.summary):
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_known_leaves_out_what_is_not_there_or_too_small():
    eps, values = known([0.1, 0.01, 0.001, 1e-4], [0.0, 2.0, None, 5.0], 1.0)
    assert (eps.tolist(), values.tolist()) == ([0.01, 1e-4], [2.0, 5.0])
    assert [len(found) for found in known([0.1], [None])] == [0, 0]
