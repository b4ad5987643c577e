"""The preconditioner of a stage: which rows it is made from, and what is known of it afterwards."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import eigh
from scipy.special import expit
from sklearn.datasets import load_breast_cancer

from gdnp import Objective
from gdnp.design import as_design
from gdnp.losses import LogLoss, Probit, Sigmoid
from gdnp.newton import solve
from gdnp.newton.preconditioners.choice import Event, Facts, Kind, Stage, first_stage, next_stage
from gdnp.newton.preconditioners.full import FullPreconditioner
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.newton.preconditioners.making import (
    BINS,
    LEAST_SHARE,
    expected_curvature,
    made,
    made_at_constant,
    seen_of,
)
from gdnp.newton.preconditioners.rows import BasisPreconditioner, KernelPreconditioner
from problems import correlated, draw, problem_of

DIAGONAL = Stage((Kind.DIAGONAL,))


def full(rows):
    return Stage((Kind.FULL,), rows)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_moments_are_the_diagonal_of_the_constant(rng, fit_intercept):
    X = rng.standard_normal((30, 50)) * np.logspace(-2, 2, 50) + 1.0
    problem = problem_of(X, np.sign(rng.standard_normal(30)), LogLoss(), 1e-3, fit_intercept)
    g = rng.standard_normal(51)
    passes = problem.cost.passes
    quick = made_at_constant(problem, DIAGONAL, problem.constant).solve(g)
    assert problem.cost.passes == passes
    slow = made(problem, DIAGONAL, problem.constant.margins).solve(g)
    np.testing.assert_allclose(quick, slow, rtol=1e-9, atol=1e-12)


def test_one_matrix_at_the_constant_serves_every_class(rng):
    """Where φ'' is the same in every row it is S times that."""
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3, fit_intercept=False)
    problem.shared.problems = 3
    g, passes = rng.standard_normal(9), problem.cost.passes
    shared = made_at_constant(problem, full(300), problem.constant).solve(g)
    assert problem.cost.passes - passes == 4.0
    made_at_constant(problem, full(300), problem.constant)
    assert problem.cost.passes - passes == 4.0
    own = made(problem, full(300), problem.constant.margins).solve(g)
    np.testing.assert_allclose(shared, own, rtol=1e-9, atol=1e-12)


def test_a_damped_preconditioner_gives_shorter_steps(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    point, stage = problem.point(np.zeros(9)), first_stage(Facts.of(problem))
    lengths = [
        np.linalg.norm(made(problem, stage, point.margins, damping=damping).solve(point.x_gradient)[:-1])
        for damping in (0.0, 1e-8, 1e-4, 1.0)
    ]
    assert np.all(np.diff(lengths) < 0.0)
    assert lengths[-1] < 0.5 * lengths[0]


def test_the_kinds_and_what_is_seen_of_them(rng):
    X, y = correlated(rng, 40, 60, 5)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    margins = problem.constant.margins
    for kind, expected in {
        Kind.DIAGONAL: LowRankPreconditioner,
        Kind.LOW_RANK: LowRankPreconditioner,
        Kind.FULL: FullPreconditioner,
        Kind.KERNEL: KernelPreconditioner,
    }.items():
        found = made(problem, Stage((kind,), 16), margins)
        seen = seen_of(found)
        assert isinstance(found, expected)
        assert seen.event is Event.MADE
        assert seen.diagonal is (kind is Kind.DIAGONAL)
        assert (seen.rest > 0.0) is (kind is Kind.LOW_RANK)
        assert not seen.basis
    assert seen_of(made(problem, Stage((Kind.LOW_RANK,), 16, flat=True), margins)).diagonal
    basis = BasisPreconditioner(rng.standard_normal((5, 9)), np.ones(9), np.ones(5), fit_intercept=True)
    assert seen_of(basis, Event.GIVEN).basis


def test_directions_are_added_while_they_stand_out(rng):
    X, y = correlated(rng, 600, 200, 40, noise=0.05)
    problem = problem_of(X, y, LogLoss(), 1e-4)
    facts, stage, last, ranks = Facts.of(problem), Stage((Kind.LOW_RANK,), 16), None, []
    for _ in range(4):
        last = made(problem, stage, np.zeros(600), previous=last)
        ranks.append(len(last.values))
        stage = next_stage(facts, stage, seen_of(last))
    assert ranks == [16, 48, 48, 48]
    assert stage.repeats == 3


def test_a_diagonal_serves_where_no_direction_stands_out(rng):
    X = sp.random_array((3000, 400), density=0.1, rng=rng, format="csr")
    problem = problem_of(X, np.sign(rng.standard_normal(3000)), LogLoss(), 1e-3)
    stage = Stage((Kind.LOW_RANK,), 16)
    first = made(problem, stage, np.zeros(3000))
    assert len(first.values) == 16
    stage = next_stage(Facts.of(problem), stage, seen_of(first))
    assert seen_of(made(problem, stage, np.zeros(3000))).diagonal


# Rows that hardly curve f


def charged(problem, margins, stage):
    before = problem.cost.passes
    found = made(problem, stage, margins)
    return problem.cost.passes - before, found


@pytest.mark.parametrize(("far", "part"), [(0.0, 1.0), (0.3, 1.0), (0.7, 0.3)])
def test_rows_that_hardly_curve_f_are_left_out_where_they_are_many(rng, far, part):
    """φ'' falls far from the boundary. To copy the rest pays only where that is much less."""
    X, y = draw(rng, n=1000)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    margins = np.where(np.arange(1000) < 1000 * far, -20.0, -0.1)
    passes, found = charged(problem, margins, full(1000))
    assert passes == pytest.approx(part * 8 / 2)
    g = rng.standard_normal(9)
    c = problem.curvature(margins)
    product = problem.hessian_product(c, found.solve(g), np.empty(1000))
    np.testing.assert_allclose(product, g, atol=1e-6 * np.abs(g).max())


def test_few_rows_are_drawn_in_proportion_to_their_curvature(rng):
    """One row in ten curves f: all rows drawn are among them, and H is that of all rows."""
    X, y = draw(rng, n=20_000)
    problem = problem_of(X, y, LogLoss(), 0.0)
    margins = np.where(np.arange(20_000) % 10 == 0, 0.0, -12.0)
    passes, found = charged(problem, margins, full(1000))
    assert passes == pytest.approx(1000 / 20_000 * 8 / 2)
    g = np.append(rng.standard_normal(8), 0.5)
    product = problem.hessian_product(problem.curvature(margins), found.solve(g), np.empty(20_000))
    assert np.linalg.norm(product - g) < 0.3 * np.linalg.norm(g)


def test_leaving_rows_out_saves_passes(monkeypatch):
    X, y = load_breast_cancer(return_X_y=True)

    def passes():
        return solve(problem_of(X, 2.0 * y - 1.0, LogLoss(), 1.0 / len(y))).history["passes"][-1]

    with_few = passes()
    monkeypatch.setattr("gdnp.newton.preconditioners.making.NEGLIGIBLE", 0.0)
    assert with_few < 0.9 * passes()


def test_a_curvature_that_is_not_finite_is_refused(rng):
    X, y = draw(rng, n=50)
    problem = problem_of(X, y, Sigmoid(), 0.0)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        made(problem, full(50), np.full(50, np.nan))


def test_columns_that_all_but_depend_on_each_other_keep_their_difference(rng):
    """A Gram squares it to below rounding; reflections of the rows do not."""
    X = rng.standard_normal((60, 4))
    X[:, 3] = X[:, 2] + 1e-8 * X[:, 3]
    problem = problem_of(X, np.sign(rng.standard_normal(60)), LogLoss(), 0.0)
    margins = problem.constant.margins
    p = np.array([0.0, 0.0, 1.0, -problem.coordinates.scale[2] / problem.coordinates.scale[3], 0.0])
    product = problem.hessian_product(problem.curvature(margins), p, problem.design.rows.empty())
    np.testing.assert_allclose(made(problem, full(60), margins).solve(product), p, atol=1e-4)


# What a bounded loss curves on average: the share that wrong labels leave, and an H near ∇²f


def uncentred(X, y, loss, weight=None):
    """In raw coordinates, so that margins are those of the test."""
    return Objective.unchecked(as_design(X), y.copy(), weight, loss, 0.0, fit_intercept=False)


@pytest.mark.parametrize("loss", [Sigmoid(), Probit()], ids=lambda loss: loss.name)
def test_wrong_labels_leave_their_share(loss):
    # Four of five labels agree with the prediction, at 40 different ones of ten rows each for either sign.
    eta = np.repeat(np.linspace(0.2, 3.0, 400), 10)
    right = np.tile([1.0] * 8 + [-1.0] * 2, 400)
    problem = uncentred(eta[:, None], right, loss)
    curvature = expected_curvature(problem, -right * eta)
    np.testing.assert_allclose(curvature, 0.6 * np.abs(loss.curvature(eta)) / len(eta), rtol=0.02)


@pytest.mark.parametrize("weighted", [False, True])
def test_quantiles_keep_their_sums(rng, weighted):
    n, loss = 20000, Sigmoid()
    eta = rng.standard_t(3, n)
    y = np.where(rng.random(n) < expit(2.0 * eta), 1.0, -1.0)
    s = rng.random(n) if weighted else np.ones(n)
    s /= s.sum()
    curvature = expected_curvature(uncentred(eta[:, None], y, loss, s if weighted else None), -y * eta)
    assert np.all(curvature >= 0.0)
    true, order = s * loss.curvature(-y * eta), np.argsort(eta)
    half = order[: n // 2], order[n // 2 :]
    for rows in half:  # in no quantile but those about 0 do labels leave less than the least share
        assert curvature[rows].sum() == pytest.approx(true[rows].sum(), rel=0.05)


def test_a_share_that_cancels_counts_a_little(rng):
    eta = rng.standard_normal(5000)
    y = np.where(np.arange(5000) % 2 == 0, 1.0, -1.0)
    curvature = expected_curvature(uncentred(eta[:, None], y, Sigmoid()), -y * eta)
    gross = np.abs(Sigmoid().curvature(eta)) / 5000
    assert np.median(curvature / gross) == pytest.approx(LEAST_SHARE, rel=1e-9)


def test_few_rows_stand_for_themselves(rng):
    eta = rng.standard_normal(BINS)
    curvature = expected_curvature(uncentred(eta[:, None], np.ones(BINS), Sigmoid()), -eta)
    upwards = Sigmoid().curvature(-eta) > 0.0
    np.testing.assert_allclose(curvature[upwards], Sigmoid().curvature(-eta)[upwards] / BINS)
    assert np.all(curvature >= 0.0)


def test_a_preconditioner_of_it_is_near_the_hessian(rng):
    # With 30 % of the labels wrong, the rows that bend upwards alone curve up to twice as much as f does.
    n, d = 60000, 10
    X = rng.standard_normal((n, d))
    eta = X @ np.full(d, 1.0 / np.sqrt(d))
    y = np.where(rng.random(n) < 0.7, np.sign(eta), -np.sign(eta))
    problem = uncentred(X, y, Sigmoid())
    true = problem.curvature(-y * eta)
    hessian = X.T @ (true[:, None] * X)

    def against(c):
        return eigh(hessian, X.T @ (c[:, None] * X), eigvals_only=True)

    found = against(expected_curvature(problem, -y * eta))
    assert 0.8 < found[0] <= found[-1] < 1.25
    assert against(np.maximum(true, 0.0))[0] < 0.65
