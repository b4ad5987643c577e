"""No fit claims more than is true: a sample of the generated problems, and checks that the check can fail."""

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reference import exact_ridge_minimum

FOLDER = Path(__file__).parents[2] / "benchmarks"
MANY = 200


@pytest.fixture(scope="module")
def truth():
    """The script, which imports others beside it."""
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_truth", FOLDER / "truth.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(FOLDER))
        patched.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(scope="module")
def sample(truth):
    return [truth.judged(number, seed=1) for number in range(MANY)]


def test_no_claim_is_below_the_truth(truth, sample):
    false = [r for r in sample if truth.is_false(r)]
    assert not [r for r in sample if "error" in r]
    assert not false


@pytest.mark.parametrize(
    ("number", "seed"),
    [(11757, 0), (13920, 0), (16416, 0), (16569, 0), (17047, 0), (17881, 0), (19933, 0), (317, 5)],
)
def test_claims_that_were_false(truth, number, seed):
    """Rows in another order, offsets, columns that are combinations but for rounding, huge coefficients."""
    assert not truth.is_below(truth.judged(number, seed))


@pytest.mark.parametrize(
    "number",
    [1553, 1609, 4247, 5636, 6191, 6775, 7302, 7706, 8513, 11049, 14013, 14124, 15319, 16020, 18605, 19976],
)
def test_runs_that_ended_too_early(truth, number):
    """Directions that few rows curve, beside others that rounding of squares hides them behind."""
    found = truth.judged(number)
    assert found["status"] == "CONVERGED"
    assert not truth.is_below(found)


def test_most_claims_are_tight(sample):
    """A claim of infinity would never be false."""
    eps = np.finfo(float).eps
    sure = [r for r in sample if r["status"] in ("CONVERGED", "STALLED") and r["tol"] >= 1e-12]
    assert len(sure) > 0.7 * MANY
    assert np.median([r["claim"] / max(r["truth"], eps) for r in sure]) < 100.0


def test_a_false_claim_is_found(truth, sample):
    found = [r for r in sample if r["truth"] > 1e-12 and r["truth"] > 10.0 * r["error_of_truth"]]
    assert len(found) > 10
    assert all(truth.is_below({**r, "claim": 0.5 * r["truth"]}) for r in found)
    assert all(truth.is_false({**r, "claim": 0.5 * r["truth"]}) for r in found if r["alpha"] > 0.0)


@pytest.mark.parametrize("many", [True, False])
def test_the_reference_knows_the_ridge(truth, rng, many):
    """That of least squares is a ratio of integers."""
    exact = sys.modules["exact"]
    X, y = (
        rng.standard_normal((12, 5)) * [1.0, 1e-6, 1e6, 1.0, 1.0] + [0.0, 0.0, 0.0, 1e5, 0.0],
        rng.random(12),
    )
    problem = exact.Exact(X, y, None, "squared_error", 0.25, True, many)
    _, best, _, error, _ = exact.least_value(problem, np.zeros(5), 0.0)
    assert float(best) == pytest.approx(exact_ridge_minimum(X, y, 0.25), rel=1e-14)
    assert error < 1e-16


def test_the_reference_keeps_the_digits_of_an_intercept_that_cancels(truth):
    """Long doubles lose 1e-11 or so of 1e8 - 1e8, which a small f can tell."""
    exact = sys.modules["exact"]
    X, y = np.array([[1e9 + 1.0], [1e9 - 1.0]]) / 3.0, np.zeros(2)
    margins = []
    for many in (False, True):
        problem = exact.Exact(X, y, None, "squared_error", 0.0, True, many)
        margins.append(problem.margins(problem.inside([0.3], -1e8)))
    assert max(abs(float(b) - float(a)) for a, b in zip(*margins, strict=True)) < 1e-16


def test_the_reference_of_a_bounded_loss_stays_near_by(truth, rng):
    """From a row deep on the wrong side f falls far off; near by it falls to the edge, and no lower."""
    exact = sys.modules["exact"]
    problem = exact.Exact(np.array([[1.0], [-1.0]]), np.array([1.0, 1.0]), None, "sigmoid", 0.0, False, True)
    start = problem.inside([0.0], 0.0)
    _, best = problem.nearby(start)
    assert float(best) == pytest.approx(0.5, rel=1e-12)  # a row goes up as the other goes down
    problem = exact.Exact(np.array([[1.0]]), np.array([1.0]), None, "sigmoid", 0.0, False, True)
    value, best, _, _, far = exact.least_value(problem, np.array([2.0]), 0.0)
    assert float(best) == pytest.approx(1.0 / (1.0 + np.exp(3.0)), rel=1e-6)
    assert far < 0.1 * best < value


def test_the_reference_tells_separable_data(truth, rng):
    exact = sys.modules["exact"]
    X = rng.standard_normal((40, 3))
    y = np.where(X[:, 0] > 0.0, 1.0, -1.0)
    assert exact.Exact(X, y, None, "log_loss", 0.0, True, False).separated(np.zeros(4)) is True
    y[:5] *= -1.0
    assert exact.Exact(X, y, None, "log_loss", 0.0, True, False).separated(np.zeros(4)) is False
    rare = np.column_stack((X, np.arange(40) < 2))
    y[:2] = 1.0
    assert exact.Exact(rare, y, None, "log_loss", 0.0, True, False).separated(np.zeros(5)) is True


@pytest.mark.parametrize("number", [239, 294, 2834, 7835, 10160, 13370, 14333, 17876])
def test_separation_is_said_where_it_is_seen_in_many_digits(truth, number):
    """Columns far from zero or made up by others: a program in double precision sees what is not there."""
    found = truth.judged(number)
    assert found["separated"] is truth.is_diverging(found)


def test_the_reference_checks_what_a_program_finds(truth, monkeypatch, rng):
    exact = sys.modules["exact"]
    X = rng.standard_normal((40, 3))
    y = np.where(X[:, 0] + rng.standard_normal(40) > 0.0, 1.0, -1.0)
    problem = exact.Exact(X, y, None, "log_loss", 0.0, True, True)

    def wrong(costs, *rest, **options):
        return SimpleNamespace(status=0, x=-np.ones(len(costs)))

    monkeypatch.setattr(exact, "linprog", wrong)
    assert problem.separated(np.zeros(4)) is None


def test_a_run_goes_on_where_it_ended_and_fills_its_page(truth, tmp_path, capsys):
    out, page = tmp_path / "truth.jsonl", tmp_path / "page.md"
    truth.main(["--count", "4", "--jobs", "1", "--out", str(out)])
    first = out.read_text(encoding="utf-8")
    out.write_text(first + '{"number": 4, "ki', encoding="utf-8")  # cut off
    truth.main(["--count", "6", "--jobs", "1", "--out", str(out)])
    assert sorted(r["number"] for r in truth.read(out)) == list(range(6))
    assert out.read_text(encoding="utf-8").startswith(first)
    page.write_text(f"before\n{truth.MARK}\nold\n{truth.END}\nafter\n", encoding="utf-8")
    truth.main(["--out", str(out), "--page", str(page)])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| problems | 6 |" in text
    assert "old" not in text
    capsys.readouterr()
    truth.main(["--show", "0"])
    assert math.isfinite(json.loads(capsys.readouterr().out)["truth"])
