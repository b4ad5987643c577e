"""Table 1: the fits find laws that are known, and what is measured is what was claimed."""

import json
import math

import numpy as np
import pytest

from gdnp.paper import EXPERIMENTS, Options, redraw, reproduce
from gdnp.paper.table1.experiment import Profile, Table1
from gdnp.paper.table1.rates import compare, fit_log, fit_power

TINY = Table1(
    quick=Profile(
        d=3,
        kappa=4.0,
        r=0.5,
        rows=300,
        starts=2,
        max_iter=400,
        gdnp_max_iter=60,
        decades=(1, 6),
        per_decade=4,
        separate_per_decade=2,
    )
)
EPS = 10.0 ** -np.linspace(1.0, 8.0, 15)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return reproduce(TINY, Options(), tmp_path_factory.mktemp("table1"), workers=1)


def without_seconds(document):
    """All but what a clock has measured, and what is ranked by it."""
    if isinstance(document, dict):
        return {k: without_seconds(v) for k, v in document.items() if k != "seconds"}
    if isinstance(document, list):
        return [without_seconds(v) for v in document if not _timed(v)]
    return document


def _timed(value):
    return isinstance(value, str) and (value.startswith("Seconds") or "time: each is a search" in value)


# --- the fits


@pytest.mark.parametrize("p", [0.5, 1.75, 2.0])
def test_power_law_is_recovered(p):
    law = fit_power(EPS, 3.0 * EPS**-p)
    assert (law.exponent, law.factor) == pytest.approx((p, 3.0))
    assert law.high - law.low < 1e-9
    np.testing.assert_allclose(law(EPS), 3.0 * EPS**-p)
    assert compare(EPS, 3.0 * EPS**-p)["better"] == "power"


@pytest.mark.parametrize(("a", "b"), [(5.0, 120.0), (-30.0, 40.0), (200.0, 3.0)])
def test_logarithm_is_recovered(a, b):
    counts = a + b * np.log10(1.0 / EPS)
    law = fit_log(EPS, counts)
    assert (law.offset, law.per_decade) == pytest.approx((a, b), rel=1e-6)
    np.testing.assert_allclose(law(EPS), counts)
    assert compare(EPS, counts)["better"] == "log"


def test_intervals_cover_as_often_as_they_say(rng):
    """With independent errors of log N, 95 % of the intervals of p hold the exponent."""
    x = np.log(1.0 / EPS)
    hits = 0
    for _ in range(400):
        law = fit_power(EPS, np.exp(1.0 + 0.75 * x + 0.2 * rng.standard_normal(len(x))))
        hits += law.low < 0.75 < law.high
    assert 0.92 <= hits / 400 <= 0.98


def test_verdicts_beside_the_two_laws(rng):
    assert compare(EPS[:4], [1.0, 2.0, 3.0, 4.0])["better"] == "too few points"
    assert compare(EPS, np.ones(15))["better"] == "too few points"
    wild = np.exp(rng.standard_normal(15) * 2.0 + 5.0)
    assert compare(EPS, wild)["better"] == "neither"


# --- what is measured


def panel(outcome, world, loss):
    (found,) = (p for p in outcome.summary["panels"] if (p["world"], p["loss"]) == (world, loss))
    return found


def test_gd_on_softplus_is_linear_at_the_rate_of_the_hessian(outcome):
    found = panel(outcome, "population", "log_loss")
    laws = found["methods"]["gd"]["laws"]["fine"]
    assert laws["better"] == "log"
    assert laws["log"]["per_decade"] == pytest.approx(found["curvature"]["gd_per_decade"], rel=0.05)
    assert found["curvature"]["smallest"] > 0.0
    assert any("positive definite" in sentence for sentence in found["findings"])


def test_gdnp_takes_no_more_than_theorem_2_allows(outcome):
    found = panel(outcome, "population", "log_loss")
    gdnp = found["methods"]["gdnp"]
    assert gdnp["laws"]["fine"]["better"] == "log"
    assert gdnp["laws"]["fine"]["log"]["per_decade"] <= 1.1 * found["curvature"]["gdnp_per_decade"]
    assert gdnp["iterations"][-1] <= found["methods"]["gd"]["iterations"][-1]


def test_gd_on_the_sigmoid_is_sublinear(outcome):
    """‖∇f‖ ~ t^(-3/4) as the length runs away like t^(1/4): p tends to 4/3, below the bound's 2."""
    laws = panel(outcome, "population", "sigmoid")["methods"]["gd"]["laws"]["all"]
    assert laws["better"] == "power"
    assert 1.0 < laws["power"]["exponent"] < 1.8


def test_sigmoid_has_no_finite_critical_point_and_says_so(outcome):
    found = panel(outcome, "population", "sigmoid")
    infinity = found["infinity"]
    assert (np.array(infinity["best"]["slope"]) < 0.0).all()
    assert infinity["best"]["objective"][3] - infinity["infimum"] == pytest.approx(0.0, abs=1e-5)
    assert infinity["coin"]["zero_one"] == pytest.approx(0.5, abs=1e-12)
    assert infinity["coin"]["gradient_norm"][-1] < 1e-6
    text = " ".join(found["findings"])
    assert "no finite critical point" in text
    assert f"{infinity['coin']['gradient_norm'][-1]:.1e}" in text


def test_counts_rise_as_epsilon_falls_and_are_first_hits(outcome):
    for found in outcome.summary["panels"]:
        for name, entry in found["methods"].items():
            for column in ("iterations", "iterations_dual"):
                known = [n for n in entry[column] if n is not None]
                if name != "agd_nonconvex":  # whose parameters change with ε
                    assert known == sorted(known)
            reached = [n is not None for n in entry["iterations"]]
            assert reached == sorted(reached, reverse=True)


def test_passes_are_counted_on_the_sample_only(outcome):
    gd = panel(outcome, "sample", "log_loss")["methods"]["gd"]
    extra = np.array(gd["passes"][:12]) - np.array(gd["iterations"][:12])
    assert np.ptp(extra) < 0.2  # the Gram matrix and the start
    assert set(panel(outcome, "population", "log_loss")["methods"]["gd"]["passes"]) <= {0.0, None}


def test_same_bytes_twice_but_for_the_clock(outcome, tmp_path):
    again = reproduce(TINY, Options(), tmp_path, workers=2)
    parts = sorted(path.name for path in (outcome.directory / "parts").iterdir())
    assert parts == sorted(path.name for path in (again.directory / "parts").iterdir())
    for name in [*(f"parts/{name}" for name in parts), "settings.json", "summary.json"]:
        first, second = (json.loads((found.directory / name).read_text()) for found in (outcome, again))
        assert without_seconds(first) == without_seconds(second), name


def test_redraws_from_files_alone(outcome, tmp_path):
    drawn = redraw(TINY, outcome.directory, tmp_path)
    assert [path.name for path in drawn.figures] == ["table1.png", "table1.pdf", "table1.md"]
    for path in drawn.figures:
        assert path.read_bytes() == (outcome.directory / path.name).read_bytes()
    text = (tmp_path / "table1.md").read_text()
    for expected in ("## softplus, population", "| GDNP | log²(1/ε) |", "ε^(-7/4) log(1/ε)"):
        assert expected in text
    assert "nan" not in text
    for table in TINY.tables(drawn.summary):
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_seconds_and_numbers_are_finite(outcome):
    for found in outcome.summary["panels"]:
        for entry in found["methods"].values():
            known = [s for s in entry["seconds"] if s is not None]
            assert all(math.isfinite(s) and s >= 0.0 for s in known)


def test_refuses_other_data():
    with pytest.raises(ValueError, match=r"about Gaussian data, where .* Got a9a: leave --data out"):
        TINY.settings(Options(data=("a9a",)))
    assert TINY.settings(Options(data=("gaussian",)))[0] == "table1-quick"


def test_is_registered():
    assert isinstance(EXPERIMENTS["table1"], Table1)
