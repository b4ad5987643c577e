"""Table 1: the laws that are fitted, what is measured and drawn, and that it repeats but for the clock."""

import json

import numpy as np
import pytest

from gdnp.columns import safe_step
from gdnp.paper import EXPERIMENTS, Options, redraw, reproduce
from gdnp.paper.runner.cells import field_of
from gdnp.paper.runner.problems import gaussian_objective, start_at
from gdnp.paper.table1 import Table1, ceiling, compare, count_at, epsilons, known
from gdnp.solvers import minimize
from paper_problems import TABLE1 as TINY
from paper_problems import are_valid_plotly, saved

EPS = 10.0 ** -np.linspace(1.0, 8.0, 15)


@pytest.mark.parametrize("p", [0.5, 1.75, 2.0])
def test_power_law_is_recovered(p):
    found = compare(EPS, 30.0 * EPS**-p)
    law = found["power"]
    assert (law["value"], law["offset"]) == pytest.approx((p, np.log10(30.0)))
    assert law["high"] - law["low"] < 1e-9
    np.testing.assert_allclose(count_at("power", law, EPS), 30.0 * EPS**-p)
    assert found["better"] == "power"


@pytest.mark.parametrize(("a", "b"), [(5.0, 120.0), (-30.0, 40.0), (200.0, 3.0)])
def test_logarithm_is_recovered(a, b):
    counts = a + b * np.log10(1.0 / EPS)
    found = compare(EPS, counts)
    assert (found["log"]["offset"], found["log"]["value"]) == pytest.approx((a, b), rel=1e-6)
    np.testing.assert_allclose(count_at("log", found["log"], EPS), counts)
    assert found["better"] == "log"


def test_intervals_cover_as_often_as_they_say(rng):
    """With independent errors of log N, 95 % of the intervals of p hold the exponent."""
    x = np.log(1.0 / EPS)
    hits = 0
    for _ in range(400):
        law = compare(EPS, np.exp(1.0 + 0.75 * x + 0.2 * rng.standard_normal(len(x))))["power"]
        hits += law["low"] < 0.75 < law["high"]
    assert 0.92 <= hits / 400 <= 0.98


def test_verdicts_beside_the_two_laws(rng):
    assert compare(EPS[:4], np.arange(1.0, 5.0))["better"] == "too few points"
    assert compare(EPS, np.ones(15))["better"] == "too few points"
    wild = np.exp(rng.standard_normal(15) * 2.0 + 5.0)
    assert compare(EPS, wild)["better"] == "neither"


def without_seconds(document):
    """All but what a clock has measured."""
    if isinstance(document, dict):
        return {k: without_seconds(v) for k, v in document.items() if k != "seconds"}
    return [without_seconds(v) for v in document] if isinstance(document, list) else document


def test_same_bytes_twice_but_for_the_clock(table1, tmp_path):
    again = reproduce(TINY, Options(), tmp_path, workers=2)
    parts = sorted(path.name for path in (table1.directory / "parts").iterdir())
    assert parts == sorted(path.name for path in (again.directory / "parts").iterdir())
    for name in [*(f"parts/{name}" for name in parts), "settings.json", "summary.json"]:
        first, second = (json.loads((found.directory / name).read_text()) for found in (table1, again))
        assert without_seconds(first) == without_seconds(second), name


def test_refuses_other_data():
    with pytest.raises(ValueError, match=r"about Gaussian data, where .* Got a9a: leave --data out"):
        TINY.settings(Options(data=("a9a",)))
    assert TINY.settings(Options(data=("gaussian",)))[0] == "table1-quick"


def test_is_registered():
    assert isinstance(EXPERIMENTS["table1"], Table1)


def test_epsilons_fall_evenly_from_the_first_decade_to_the_last():
    for separate, each in ((False, 4), (True, 2)):
        found = epsilons(TINY.quick, separate=separate)
        assert len(found) == 5 * each + 1
        np.testing.assert_allclose(np.diff(np.log10(found)), -1.0 / each)
        assert (found[0], found[-1]) == pytest.approx((1e-1, 1e-6))


def panel(table1, world, loss):
    (found,) = (p for p in table1.summary["panels"] if (p["world"], p["loss"]) == (world, loss))
    return found


def test_gd_on_softplus_is_linear_at_the_rate_of_the_hessian(table1):
    """Iterations a decade are those of the least eigenvalue at the minimiser, by central differences."""
    laws = panel(table1, "population", "log_loss")["methods"]["gd"]["laws"]["fine"]
    f, best = field_of({**table1.summary["design"], "name": "population"}, "log_loss")
    h, ones = 1e-4, np.ones(len(f.u))
    ends = [f.rays(best.coef[:, None] + e * np.eye(len(f.u))).gradient(ones) for e in (h, -h)]
    smallest = np.linalg.eigvalsh((ends[0] - ends[1]) / (2.0 * h))[0]
    assert smallest > 0.0
    assert laws["better"] == "log"
    decade = np.log(10.0) / -np.log1p(-safe_step(f) * smallest)
    assert laws["log"]["value"] == pytest.approx(decade, rel=0.05)


def test_gdnp_takes_no_more_than_theorem_2_allows(table1):
    found = panel(table1, "population", "log_loss")
    gdnp = found["methods"]["gdnp"]
    assert gdnp["laws"]["fine"]["better"] == "log"
    decade = np.log(10.0) / -np.log1p(-1.0 / table1.summary["design"]["kappa"])
    assert gdnp["laws"]["fine"]["log"]["value"] <= 1.1 * decade
    assert gdnp["iterations"][-1] <= found["methods"]["gd"]["iterations"][-1]


def test_gd_on_the_sigmoid_is_sublinear(table1):
    """‖∇f‖ ~ t^(-3/4) as the length runs away like t^(1/4): p tends to 4/3, below the bound's 2."""
    laws = panel(table1, "population", "sigmoid")["methods"]["gd"]["laws"]["all"]
    assert laws["better"] == "power"
    assert 1.0 < laws["power"]["value"] < 1.8


def test_the_page_says_that_a_small_gradient_of_the_sigmoid_is_no_critical_point(table1):
    for world in ("population", "sample"):
        assert "no finite critical point" in panel(table1, world, "sigmoid")["findings"][-1]
        assert len(panel(table1, world, "log_loss")["findings"]) == 1


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


def test_redraws_from_files_alone(table1, tmp_path):
    drawn = redraw(TINY, table1.directory, tmp_path)
    assert [path.name for path in drawn.figures] == ["table1.png", "table1.pdf"]
    for path in drawn.figures:
        assert path.read_bytes() == (table1.directory / path.name).read_bytes()
    printed = [cell for table in TINY.tables(drawn.summary) for row in table.rows for cell in row]
    assert {"GDNP", "log²(1/ε)", "ε^(-7/4) log(1/ε)"} <= set(printed)
    assert not any("nan" in cell for cell in printed)


def test_linear_axis_is_not_for_the_slowest():
    """Its top is that of the slowest method, or three times the median."""

    def panel(*tops):
        methods = {str(k): {"epsilons": [0.1, 0.01], "iterations": [1.0, top]} for k, top in enumerate(tops)}
        return {"methods": methods}

    assert ceiling(panel(10.0, 20.0, 50.0, 70.0)) == pytest.approx(1.08 * 70.0)
    assert ceiling(panel(10.0, 20.0, 50.0, 7000.0)) == pytest.approx(1.08 * 105.0)
    assert ceiling(panel(10.0, 20.0, None)) == pytest.approx(1.08 * 20.0)
    assert ceiling({"methods": {"a": {"epsilons": [0.1], "iterations": [None]}}}) == pytest.approx(1.08)


def test_figures_are_valid_plotly(table1):
    figures = TINY.interactive(*saved(TINY, table1))
    assert len(figures) == 4
    assert are_valid_plotly(figures)
    for figure, panel in zip(figures, table1.summary["panels"], strict=True):
        labels = [button["label"] for button in figure["layout"]["updatemenus"][0]["buttons"]]
        passes = [] if panel["world"] == "population" else ["passes"]  # the population has none
        assert labels == ["iterations", *passes, "iterations, linear axis"]


def test_points_are_those_of_the_summary(table1):
    figure = TINY.interactive(*saved(TINY, table1))[0]
    entry = table1.summary["panels"][0]["methods"]["gd"]
    trace = next(trace for trace in figure["data"] if trace["name"] == "GD")
    known = [(eps, n) for eps, n in zip(entry["epsilons"], entry["iterations"], strict=True) if n is not None]
    np.testing.assert_allclose(np.column_stack([trace["x"], trace["y"]]), known, rtol=1e-3)
    first, last = figure["layout"]["xaxis"]["range"]
    assert first > np.log10(max(entry["epsilons"])) > np.log10(min(entry["epsilons"])) > last
