"""What Table 1 measures is what was claimed."""

import math

import numpy as np
import pytest

from gdnp.paper.table1.summary import reached
from paper_problems import TABLE1 as TINY


def panel(table1, world, loss):
    (found,) = (p for p in table1.summary["panels"] if (p["world"], p["loss"]) == (world, loss))
    return found


def test_gd_on_softplus_is_linear_at_the_rate_of_the_hessian(table1):
    found = panel(table1, "population", "log_loss")
    laws = found["methods"]["gd"]["laws"]["fine"]
    assert laws["better"] == "log"
    assert laws["log"]["per_decade"] == pytest.approx(found["curvature"]["gd_per_decade"], rel=0.05)
    assert found["curvature"]["smallest"] > 0.0
    assert any("positive definite" in sentence for sentence in found["findings"])


def test_gdnp_takes_no_more_than_theorem_2_allows(table1):
    found = panel(table1, "population", "log_loss")
    gdnp = found["methods"]["gdnp"]
    assert gdnp["laws"]["fine"]["better"] == "log"
    assert gdnp["laws"]["fine"]["log"]["per_decade"] <= 1.1 * found["curvature"]["gdnp_per_decade"]
    assert gdnp["iterations"][-1] <= found["methods"]["gd"]["iterations"][-1]


def test_gd_on_the_sigmoid_is_sublinear(table1):
    """‖∇f‖ ~ t^(-3/4) as the length runs away like t^(1/4): p tends to 4/3, below the bound's 2."""
    laws = panel(table1, "population", "sigmoid")["methods"]["gd"]["laws"]["all"]
    assert laws["better"] == "power"
    assert 1.0 < laws["power"]["exponent"] < 1.8


def test_sigmoid_has_no_finite_critical_point_and_says_so(table1):
    found = panel(table1, "population", "sigmoid")
    infinity = found["infinity"]
    assert (np.array(infinity["best"]["slope"]) < 0.0).all()
    assert infinity["best"]["objective"][3] - infinity["infimum"] == pytest.approx(0.0, abs=1e-5)
    assert infinity["coin"]["zero_one"] == pytest.approx(0.5, abs=1e-12)
    assert infinity["coin"]["gradient_norm"][-1] < 1e-6
    text = " ".join(found["findings"])
    assert "no finite critical point" in text
    assert f"{infinity['coin']['gradient_norm'][-1]:.1e}" in text


def test_counts_rise_as_epsilon_falls_and_are_first_hits(table1):
    for found in table1.summary["panels"]:
        for name, entry in found["methods"].items():
            for column in ("iterations", "iterations_dual"):
                known = [n for n in entry[column] if n is not None]
                if name != "agd_nonconvex":  # whose parameters change with ε
                    assert known == sorted(known)
            reached = [n is not None for n in entry["iterations"]]
            assert reached == sorted(reached, reverse=True)


def test_passes_are_counted_on_the_sample_only(table1):
    gd = panel(table1, "sample", "log_loss")["methods"]["gd"]
    extra = np.array(gd["passes"][:12]) - np.array(gd["iterations"][:12])
    assert np.ptp(extra) < 0.2  # the Gram matrix and the start
    assert set(panel(table1, "population", "log_loss")["methods"]["gd"]["passes"]) <= {0.0, None}


def test_seconds_and_numbers_are_finite(table1):
    for found in table1.summary["panels"]:
        for entry in found["methods"].values():
            known = [s for s in entry["seconds"] if s is not None]
            assert all(math.isfinite(s) and s >= 0.0 for s in known)


def test_tables_have_a_cell_for_every_column(table1):
    for table in TINY.tables(table1.summary):
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_reached_leaves_out_what_is_not_there_or_too_small():
    eps, values = reached([0.1, 0.01, 0.001, 1e-4], [0.0, 2.0, None, 5.0], 1.0)
    assert (eps.tolist(), values.tolist()) == ([0.01, 1e-4], [2.0, 5.0])
    assert [len(found) for found in reached([0.1], [None])] == [0, 0]
