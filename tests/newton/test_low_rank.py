"""Directions beside a diagonal: exact where all are taken, enough where few stand out, else left."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import eigh
from sklearn.exceptions import ConvergenceWarning

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import as_design
from gdnp.losses import LogLoss, SquaredError
from gdnp.newton.preconditioners import stages as metric_kinds
from gdnp.newton.preconditioners.choice import Metrics, _kinds
from gdnp.newton.preconditioners.full import DiagonalCurvature
from gdnp.newton.preconditioners.low_rank import LowRankCurvature
from gdnp.newton.preconditioners.stages import Full, LowRank
from gdnp.problem.interface import Cost
from gdnp.solvers.state import Status
from gdnp.standardized import Standardized, gram, gram_product, standardise
from problems import correlated

FORMS = {"dense": np.asarray, "csr": sp.csr_array, "csc": sp.csc_array}


def problem_of(X, y, alpha, fit_intercept=True, weight=None, loss=None):
    loss = LogLoss() if loss is None else loss
    design, coordinates = standardise(as_design(X), weight, loss, alpha, fit_intercept)
    return Standardized(design, -y, None, weight, loss, coordinates, fit_intercept=fit_intercept, cost=Cost())


def matrix_of(problem, c):
    """H over (v, γ)."""
    found, d = gram(problem, c, central=False), problem.d
    H = np.zeros((d + 1, d + 1))
    H[:d, :d] = found.scatter + np.diag(problem.ridge)
    H[d, :d] = H[:d, d] = found.first
    H[d, d] = found.total
    return H if problem.fit_intercept else H[:d, :d]


def inverse_of(metric, size):
    d = size - 1
    columns = [metric.solve(np.eye(d + 1)[k]) for k in range(d + 1)]
    return np.array(columns).T


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("chosen", [False, True])
def test_products_are_those_of_the_gram(rng, form, fit_intercept, chosen):
    X, y = correlated(rng, 80, 7, 3)
    problem = problem_of(FORMS[form](X), y, 1e-2, fit_intercept)
    index = np.flatnonzero(rng.random(80) < 0.4) if chosen else None
    c = rng.random(80 if index is None else len(index))
    found = gram(problem, c, index)
    mean = found.mean if fit_intercept else np.zeros(7)
    V = rng.standard_normal((7, 4))
    before = problem.cost.passes
    np.testing.assert_allclose(
        gram_product(problem, c, V, mean, index), found.scatter @ V, rtol=1e-9, atol=1e-11
    )
    assert problem.cost.passes - before == pytest.approx(4.0 * len(c) / 80)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_all_directions_are_the_matrix(rng, form, fit_intercept):
    X, y = correlated(rng, 60, 9, 4)
    problem = problem_of(FORMS[form](X), y, 0.0, fit_intercept)
    c = rng.random(60)
    metric = LowRankCurvature(problem, c, None, problem.ridge, 9)
    H = matrix_of(problem, c)
    inverse = inverse_of(metric, 10)[: len(H), : len(H)]
    np.testing.assert_allclose(inverse @ H, np.eye(len(H)), atol=1e-8)
    assert metric.rest == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 10.0])
def test_a_few_directions_make_up_for_the_factors(rng, alpha):
    """H⁻¹∇²f is as well conditioned as the noise beside the factors allows; a diagonal leaves them all."""
    X, y = correlated(rng, 400, 60, 5)
    X *= np.logspace(-3, 3, 60)
    problem = problem_of(X, y, alpha)
    c = problem.curvature(problem.at(np.zeros(61)).margins)
    H = matrix_of(problem, c)
    spread = {}
    for name, metric in {
        "diagonal": metric_kinds.Diagonal(problem).make(c, problem.ridge),
        "low rank": LowRankCurvature(problem, c, None, problem.ridge, 12),
    }.items():
        inverse = inverse_of(metric, 61)
        np.testing.assert_allclose(inverse, inverse.T, rtol=1e-7, atol=1e-9 * np.abs(inverse).max())
        values = eigh(H, np.linalg.inv(0.5 * (inverse + inverse.T)), eigvals_only=True)
        spread[name] = values[-1] / values[0]
    assert spread["low rank"] < 60.0
    assert spread["low rank"] <= 1.1 * spread["diagonal"]
    if alpha < 1e-3:
        assert spread["diagonal"] > 1e3


def test_the_basis_of_the_last_makes_the_next_more_exact(rng):
    X, y = correlated(rng, 500, 80, 30, noise=0.5)
    problem = problem_of(X, y, 1e-4)
    c = problem.curvature(np.zeros(500))
    first = LowRankCurvature(problem, c, None, problem.ridge, 10)
    second = LowRankCurvature(problem, c, None, problem.ridge, 10, first.basis)
    assert np.all(second.values >= first.values - 1e-12)
    assert second.values.sum() > 1.1 * first.values.sum()


def test_rows_fewer_than_directions_leave_a_metric_that_is_safe(rng):
    """Of 5 rows no 16 directions can be had; what is not seen keeps the curvature of the others."""
    X, y = correlated(rng, 200, 40, 40)
    problem = problem_of(X, y, 1e-9)
    c = np.full(200, 1e-4)
    c[:5] = 1.0
    metric = LowRankCurvature(problem, c, np.arange(5), problem.ridge, 16)
    assert len(metric.values) <= 5
    exact = np.linalg.solve(matrix_of(problem, c), g := rng.standard_normal(41))
    assert g @ metric.solve(g) < 10.0 * (g @ exact)


def test_a_product_that_is_not_finite_is_refused(rng):
    X, y = correlated(rng, 50, 20, 3)
    problem = problem_of(X, y, 1e-3)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        LowRankCurvature(problem, np.full(50, np.inf), None, problem.ridge, 16)


def test_directions_are_added_while_they_stand_out(rng):
    X, y = correlated(rng, 600, 200, 40, noise=0.05)
    problem = problem_of(X, y, 1e-4)
    c, kind = problem.curvature(np.zeros(600)), LowRank(problem)
    ranks, settled = [], []
    for _ in range(4):
        ranks.append(len(kind.make(c, problem.ridge).values))
        kind.grow()
        settled.append(kind.settled)
    assert ranks == [16, 48, 48, 48]
    assert settled == [False, False, True, True]


def test_a_diagonal_serves_where_no_direction_stands_out(rng):
    X = sp.random_array((3000, 400), density=0.1, rng=rng, format="csr")
    problem = problem_of(X, np.sign(rng.standard_normal(3000)), 1e-3)
    c, kind = problem.curvature(np.zeros(3000)), LowRank(problem)
    assert isinstance(kind.make(c, problem.ridge), LowRankCurvature)
    kind.grow()
    assert kind.cost == metric_kinds.DIAGONAL_COST
    assert isinstance(kind.make(c, problem.ridge), DiagonalCurvature)


def test_the_kinds_follow_each_other(rng, monkeypatch):
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.LARGEST_MATRIX", 64)
    X, y = correlated(rng, 600, 200, 10, noise=0.05)
    metrics, margins = Metrics(problem_of(X, y, 1e-4)), np.zeros(600)
    seen = []
    for _ in range(5):
        seen.append(type(metrics.at(margins)).__name__)
        metrics.sharpen()
    assert seen == ["DiagonalCurvature", *["LowRankCurvature"] * 2, *["FullCurvature"] * 2]


@pytest.mark.parametrize(
    ("n", "d", "loss", "last"),
    [
        (300, 100, LogLoss(), "Full"),  # of no more columns than the first limit
        (300, 150, LogLoss(), "Full"),  # no larger than twice X
        (300, 250, LogLoss(), "LowRank"),  # beyond the second limit
        (150, 300, LogLoss(), "Kernel"),
        (150, 180, SquaredError(), "Full"),  # nearly square: a kernel would blow up rounding
        (250, 300, LogLoss(), "LowRank"),
    ],
)
def test_the_last_kind_is_a_matrix_where_one_may_be_held(rng, monkeypatch, n, d, loss, last):
    limits = {"LARGEST_MATRIX": 64, "LAST_MATRIX": 100, "LARGEST_LAST_MATRIX": 200}
    for name, limit in limits.items():
        monkeypatch.setattr(f"gdnp.newton.preconditioners.choice.{name}", limit)
    X, y = correlated(rng, n, d, 10, noise=0.05)
    assert type(_kinds(problem_of(X, y, 1e-4, loss=loss), rough=False, sure=False)[-1]).__name__ == last


@pytest.mark.parametrize(
    ("n", "d", "loss", "dear", "names"),
    [
        (900, 300, SquaredError(), 20.0, ["Diagonal", "Full"]),
        (900, 300, SquaredError(), 10.0, ["Diagonal", "LowRank", "Full"]),
        (900, 300, LogLoss(), 20.0, ["Diagonal", "LowRank", "Full"]),
        (900, 500, SquaredError(), 20.0, ["Diagonal", "LowRank"]),  # beyond the last limit
        (300, 900, SquaredError(), 20.0, ["Diagonal", "Kernel"]),
        (300, 900, LogLoss(), 20.0, ["Diagonal", "LowRank", "Kernel"]),
    ],
)
def test_least_squares_go_without_directions_where_a_matrix_is_cheaper(
    rng, monkeypatch, n, d, loss, dear, names
):
    """It is made once, where another loss needs several; here it costs 13 passes."""
    limits = {
        "LARGEST_MATRIX": 64,
        "LAST_MATRIX": 400,
        "LARGEST_LAST_MATRIX": 400,
        "WITHOUT_DIRECTIONS": dear,
    }
    for name, limit in limits.items():
        monkeypatch.setattr(f"gdnp.newton.preconditioners.choice.{name}", limit)
    X, y = rng.standard_normal((n, d)), np.sign(rng.standard_normal(n))
    found = _kinds(problem_of(X, y, 1e-4, loss=loss), rough=False, sure=False)
    assert [type(kind).__name__ for kind in found] == names


def test_a_sparse_matrix_gets_none_that_is_much_larger(rng, monkeypatch):
    for name, limit in {"LARGEST_MATRIX": 64, "LAST_MATRIX": 100}.items():
        monkeypatch.setattr(f"gdnp.newton.preconditioners.choice.{name}", limit)
    y = np.sign(rng.standard_normal(900))
    for density, last in (0.2, "Full"), (0.05, "LowRank"):  # 2 n d = 12 d²: enough from 1/12 on
        X = sp.random_array((900, 150), density=density, rng=rng, format="csr")
        assert type(_kinds(problem_of(X, y, 1e-4), rough=False, sure=False)[-1]).__name__ == last


def test_a_diagonal_alone_takes_many_more_steps_where_columns_are_correlated(rng, monkeypatch):
    for name in "LARGEST_MATRIX", "LAST_MATRIX", "LARGEST_LAST_MATRIX":
        monkeypatch.setattr(f"gdnp.newton.preconditioners.choice.{name}", 256)
    X, y = correlated(rng, 1500, 600, 30, noise=0.02)
    model = GDNPClassifier(alpha=1e-6).fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    assert model.certificate_.proved
    steps = len(model.history_["passes"])
    monkeypatch.setattr(LowRank, "worthwhile", False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X, y)
    assert len(model.history_["passes"]) > 1.5 * steps


def test_columns_of_all_sizes_that_a_few_factors_explain(rng, monkeypatch):
    """The ridge rules the small columns, which are no directions to look for."""
    for name in "LARGEST_MATRIX", "LAST_MATRIX", "LARGEST_LAST_MATRIX":
        monkeypatch.setattr(f"gdnp.newton.preconditioners.choice.{name}", 256)
    X, _ = correlated(rng, 1500, 600, 30, noise=0.02)
    X *= 10.0 ** rng.uniform(-8.0, 8.0, 600)
    target = X @ (rng.standard_normal(600) / X.std(axis=0)) + rng.standard_normal(1500)
    model = GDNPRegressor().fit(X, target)
    assert model.certificate_.status is Status.CONVERGED
    assert len(model.history_["passes"]) < 200


def test_a_matrix_is_the_last_resort(rng, monkeypatch):
    """Where eigenvalues fall by orders of magnitude and go on falling, directions are never enough."""
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.LARGEST_MATRIX", 64)
    made = []
    monkeypatch.setattr(Full, "make", lambda self, *a, make=Full.make: made.append(1) or make(self, *a))
    X = rng.standard_normal((2000, 300)) * np.logspace(0, -4, 300) @ rng.standard_normal((300, 300))
    y = np.sign(X @ rng.standard_normal(300) + 3.0 * rng.logistic(size=2000))
    model = GDNPClassifier(alpha=1e-10).fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    assert made
