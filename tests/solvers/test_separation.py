"""Directions of recession: against exact arithmetic, and what an ordinary fit gets for nothing."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

import gdnp
from gdnp import Objective
from gdnp.losses import LogLoss
from gdnp.population import Halfspace
from gdnp.problem.gram import hessian
from gdnp.solvers import separation as module
from gdnp.solvers.conjugate import still
from gdnp.solvers.separation import all_apart, diverges, leaves_open, separation
from gdnp.solvers.state import Status
from problems import problem_of
from separations import FastTail, SlowTail, cases

TOUCHING = np.array([[-1.0], [0.0], [0.0], [1.0]]), np.array([-1.0, -1.0, 1.0, 1.0])
"""Separated but for two rows at 0, one of either class."""


def of_case(case, form=np.asarray):
    options = {"fit_intercept": case.fit_intercept, "center": case.fit_intercept, "sample_weight": case.s}
    return Objective(form(case.X), case.y, "log_loss", **options).standardised


def all_of(problem):
    """Its kind when the rest is looked at until it has nothing left, and how many rows are apart by then."""
    count = 0
    while True:
        found = separation(problem)
        count += found.count
        if found.rest is None:
            return ("partial" if count and found.kind == "none" else found.kind), count
        problem = problem.reweighted(found.rest).standardised


def exact_step(problem, point):
    """A Newton step by the matrix itself, along the flat directions 0."""
    matrix = hessian(problem, problem.curvature(point.margins))
    step = -np.linalg.lstsq(matrix, point.x_gradient, rcond=1e-13)[0]
    return replace(still(point, np.positive), step=step, slope=problem.slope(step))


@settings(max_examples=50, deadline=None, derandomize=True)
@given(cases())
def test_programs_against_exact_arithmetic(case):
    for form in (np.asarray, sp.csr_array):
        assert all_of(of_case(case, form)) == (case.kind, case.apart.sum())


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases())
def test_a_direction_is_a_witness(case):
    """q < 0 in the rows that are counted, 0 in the rest, whose weights are its share."""
    problem = of_case(case)
    found = separation(problem)
    if found.direction is None:
        assert case.kind == found.kind == "none"
        return
    coef, intercept = problem.raw(found.direction)
    q = case.margins(coef, intercept)
    moved = q < -1e-9
    assert moved.sum() == found.count
    assert np.abs(q[~moved]).max(initial=0.0) < 1e-13
    assert np.abs(q).max() <= 1.0 + 1e-12  # rows of weight 0 may move more
    assert not (moved & ~case.apart).any()
    assert found.share == pytest.approx(case.weight[~moved].sum())
    if found.rest is not None:
        np.testing.assert_allclose(found.rest[case.s > 0.0], np.where(moved, 0.0, case.weight) / found.share)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(cases())
def test_an_exact_step_shows_every_direction(case):
    """Stiemke's lemma: wherever it is taken, a step leaves a direction open if there is one."""
    problem = of_case(case)
    for x in (np.zeros(problem.n_features + 1), np.linspace(-1.0, 1.0, problem.n_features + 1)):
        point = problem.point(np.append(x[:-1], x[-1] * case.fit_intercept))
        if case.kind != "none":
            assert leaves_open(problem, point, exact_step(problem, point))


@pytest.mark.parametrize("loss", [LogLoss(), SlowTail(), FastTail()], ids=lambda loss: loss.name)
def test_a_step_shows_a_direction_of_any_increasing_loss(loss):
    problem = problem_of(*TOUCHING, loss, 0.0)
    for v in (0.0, 1.0, 5.0):
        point = problem.point(np.array([v, 0.1]))
        step = exact_step(problem, point)
        assert leaves_open(problem, point, step)
        found = separation(problem, point, step)
        assert (found.kind, found.count, found.share) == ("partial", 2, 0.5)
        np.testing.assert_allclose(found.direction / found.direction[0], [1.0, 0.0], atol=1e-15)


def test_a_ridge_or_a_loss_that_turns_leaves_nothing_open():
    for loss, alpha in (("log_loss", 1e-3), ("sigmoid", 0.0), ("pseudo_huber", 0.0)):
        problem = problem_of(*TOUCHING, gdnp.losses.LOSSES[loss], alpha)
        assert not leaves_open(problem, problem.constant, still(problem.constant, np.positive))


def test_rows_too_far_out_to_be_seen_are_left_open_unless_the_others_say_all(rng):
    """Beyond rounding φ' proves nothing; but rows that span all there is leave no direction for those."""
    X = np.vstack([rng.standard_normal((40, 2)), [[90.0, 0.0]]])
    y = np.append(np.where(rng.random(40) < 0.5, 1.0, -1.0), 1.0)
    problem = problem_of(X, y, LogLoss(), 0.0)
    point = problem.point(problem.from_raw(np.array([1.0, 0.0]), 0.0))
    step = replace(still(point, np.positive), step=np.zeros(3), slope=problem.slope(np.zeros(3)))
    assert leaves_open(problem, point, step)
    assert separation(problem, point, step).kind == "none"


def test_where_curvature_is_rounding_a_step_proves_nothing():
    """φ' of a slow tail can still be seen where φ'' cannot, and the step then has no idea of its length."""
    problem = problem_of(*TOUCHING, SlowTail(), 0.0)
    point = problem.point(problem.from_raw(np.array([1e6]), 0.0))
    step = replace(still(point, np.positive), step=np.zeros(2), slope=problem.slope(np.zeros(2)))
    assert leaves_open(problem, point, step)
    assert separation(problem, point, step).kind == "partial"


def test_an_ordinary_fit_never_asks(rng, monkeypatch):
    def refuse(*_):
        raise AssertionError("asked")

    monkeypatch.setattr(module, "eigh", refuse)
    monkeypatch.setattr(module, "linprog", refuse)
    for d in (2, 5, 20):
        X = rng.standard_normal((60 * d, d))
        y = np.where(X[:, 0] + rng.standard_normal(len(X)) > 0.3, 1.0, -1.0)
        result = gdnp.minimize(Objective(X, y, fit_intercept=True), "newton")
        assert result.status is Status.CONVERGED
        assert result.certificate.separation is None


def test_programs_that_would_be_too_large_or_fail_decide_nothing(rng, monkeypatch):
    X = rng.standard_normal((60, 3))
    problem = problem_of(X, np.where(X[:, 0] + X[:, 1] > 0.0, 1.0, -1.0), LogLoss(), 0.0)
    assert separation(problem).direction is not None
    with monkeypatch.context() as patch:
        patch.setattr(module, "LARGEST_GRAM", 5)
        assert separation(problem).kind == "not decided"
    monkeypatch.setattr(module, "_program", lambda *_: None)
    assert separation(problem).kind == "not decided"


def test_columns_too_many_for_a_matrix(monkeypatch):
    """Small entries of a step go instead of a projection: enough for a rare code."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((300, 4))
    X[:, 3] = np.arange(300) < 3
    y = np.where(X[:, 0] + rng.standard_normal(300) > 0.0, 1.0, -1.0)
    y[:3] = 1.0
    exact = gdnp.minimize(Objective(X, y, fit_intercept=True), "newton")
    monkeypatch.setattr(module, "LARGEST_GRAM", 3)
    found = gdnp.minimize(Objective(X, y, fit_intercept=True), "newton")
    assert found.certificate.diverging == exact.certificate.diverging == (3,)
    np.testing.assert_allclose(found.coef, exact.coef, rtol=1e-4)


def test_margins_that_are_rounding_are_not_apart():
    problem = problem_of(*TOUCHING, LogLoss(), 0.0)
    hold = problem.design.rows.hold
    for least, expected in ((-1.0, True), (-1e-3, False), (1.0, False)):
        point = problem.known(np.zeros(2), hold(np.array([-1e13, least, -2.0, -1e13])))
        assert all_apart(problem, point) is expected


@pytest.mark.parametrize("method", sorted(set(gdnp.methods.METHODS) - {"rayleigh_gd"}))
def test_every_method_says_that_there_is_no_minimiser(method):
    X, y = TOUCHING
    objective = Objective(X, y, fit_intercept=method != "agd_nonconvex")
    assert gdnp.minimize(objective, method, max_iter=300).status is Status.LENGTH_DIVERGES


def test_where_there_is_a_minimiser_or_no_data_nothing_is_said(rng):
    X = rng.standard_normal((50, 2))
    y = np.where(rng.random(50) < 0.5, 1.0, -1.0)
    assert not diverges(Objective(X, y).at(np.array([0.1, -0.3])))
    assert not diverges(Objective(X, y, alpha=1e-3).origin)
    assert not diverges(Halfspace(np.array([0.5]), np.eye(1), "log_loss").at(np.ones(1)))


def test_the_look_at_the_end_takes_no_more_memory_than_the_run(rng):
    X = rng.standard_normal((400_000, 3))
    y = np.where(X[:, 0] + rng.standard_normal(len(X)) > 0.0, 1.0, -1.0)
    point = Objective(X, y, n_jobs=1).at(np.array([1.0, 0.0, 0.0]))
    _ = point.gradient, point.objective.standardised
    tracemalloc.start()
    try:
        assert not diverges(point)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * y.nbytes  # two row vectors at a time, and blocks
