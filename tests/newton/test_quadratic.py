"""Least squares with a ridge: Newton's equations are the whole problem, and every iteration is seen."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp import GDNPRegressor, Objective
from gdnp.losses import SquaredError
from gdnp.newton import solve
from gdnp.newton.preconditioners.rows import KernelPreconditioner
from gdnp.solvers import Status
from problems import draw, problem_of
from reference import exact_ridge_minimum, objective, reference

LOSS = SquaredError()


def wide(rng, n=60, d=200):
    X = rng.standard_normal((n, 5)) @ rng.standard_normal((5, d)) + 0.05 * rng.standard_normal((n, d))
    return X, X @ rng.standard_normal(d) + rng.standard_normal(n)


def test_many_rows_take_one_step(rng):
    X, y = draw(rng, n=5000, loss=LOSS)
    model = GDNPRegressor(alpha=1e-3).fit(X, y)
    assert model.n_iter_ == 1
    assert model.certificate_.proved
    assert model.certificate_.gap < 1e-14
    coef, intercept, _ = reference(LOSS, X, y, 1e-3)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-10)
    assert model.intercept_ == pytest.approx(intercept)


@pytest.fixture
def without_a_kernel_at_once(monkeypatch):
    """Where a matrix is dear, conjugate gradients begin in a diagonal."""
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.AT_ONCE", 0.0)


@pytest.mark.usefixtures("without_a_kernel_at_once")
def test_the_history_is_that_of_conjugate_gradients(rng):
    X, y = wide(rng)
    problem = problem_of(X, y, LOSS, 1e-3)
    seen = []
    end = solve(problem, callback=lambda row: seen.append((row, row.solution())))
    assert len(end.history["passes"]) == len(seen) > 5
    for row, (coef, intercept) in seen:
        assert row.objective == pytest.approx(objective(LOSS, X, y, coef, intercept, 1e-3), rel=1e-9)
    assert np.all(np.diff(end.history["objective"]) <= 1e-12 * end.history["objective"][0])
    assert np.all(np.diff(end.history["passes"]) > 0.0)
    assert end.certificate.proved
    assert end.objective == pytest.approx(reference(LOSS, X, y, 1e-3)[2], rel=1e-8)


@pytest.mark.usefixtures("without_a_kernel_at_once")
@pytest.mark.parametrize("max_iter", [1, 3])
def test_conjugate_gradients_count_as_iterations(rng, max_iter):
    X, y = wide(rng)
    end = solve(problem_of(X, y, LOSS, 1e-3), max_iter=max_iter)
    assert end.certificate.status is Status.MAX_ITER
    assert end.n_iter == len(end.history["passes"]) - 1 == max_iter
    best = reference(LOSS, X, y, 1e-3)[2]
    assert end.certificate.objective / best - 1.0 <= end.certificate.gap


@pytest.mark.usefixtures("without_a_kernel_at_once")
def test_a_preconditioner_too_slow_gives_way_and_the_proof_is_waited_for(rng, monkeypatch):
    X, y = wide(rng)
    problem = problem_of(X, y, LOSS, 1e-9)
    for name, value in (("SHORTEST", 2), ("LONGEST", 2)):
        monkeypatch.setattr(f"gdnp.newton.closing.{name}", value)
    end = solve(problem)
    assert isinstance(end.state.preconditioner, KernelPreconditioner)
    assert end.certificate.status is Status.CONVERGED
    assert end.certificate.proved


@pytest.mark.parametrize("alpha", [0.0, 1e-8])
def test_targets_that_are_met_exactly(rng, alpha):
    x = rng.standard_normal(500)
    model = GDNPRegressor(alpha=alpha).fit(x[:, None], 3.0 * x + 1.0)
    assert model.certificate_.status is Status.CONVERGED
    assert model.coef_[0] == pytest.approx(3.0, rel=1e-6)


@pytest.mark.parametrize(("n", "d", "alpha"), [(167, 13, 1.0), (92, 1234, 100.0), (500, 1, 0.0)])
def test_a_constant_target_is_done_at_its_rounding(rng, n, d, alpha):
    X = (rng.standard_normal((n, 3)) @ rng.standard_normal((3, d))) * np.logspace(-3, 3, d)
    model = GDNPRegressor(alpha=alpha).fit(X, np.full(n, 0.1))
    assert model.certificate_.status is Status.CONVERGED
    assert model.n_iter_ <= 2
    assert np.abs(X @ model.coef_).max() < 1e-15


def test_ridges_at_the_limit_of_a_basis_of_the_rows():
    """f is 0 to rounding of the targets; what is asked is that it gets there, and does not warn."""
    for seed in range(6):
        r = np.random.default_rng(seed)
        X = r.standard_normal((8, 68)) * 10.0 ** r.uniform(-8.0, 8.0, 68)
        y = r.standard_normal(8)
        model = GDNPRegressor(alpha=1e-12).fit(X, y)
        assert objective(SquaredError(), X, y, model.coef_, model.intercept_, 1e-12) < 1e-15


@pytest.mark.parametrize(("n", "d", "mixed"), [(8, 90, 0.0), (20, 30, 0.1)])
def test_regression_with_fewer_rows_than_columns_in_any_units(n, d, mixed):
    """The minimum is down to 1e-20 of the variance of y; inner products of rows lose the small columns."""
    for seed in range(6):
        r = np.random.default_rng(seed)
        X = r.standard_normal((n, d)) * 10.0 ** r.uniform(-8.0, 8.0, d)
        X = X @ (np.eye(d) + mixed * r.standard_normal((d, d)))
        X += np.abs(X).mean(axis=0) * 10.0 ** r.uniform(-1.0, 1.0, d)
        y = r.standard_normal(n)
        model = GDNPRegressor(alpha=1e-4).fit(X, y)  # warns, an error here, if tol is not met
        least = exact_ridge_minimum(X, y, 1e-4)
        assert model.certificate_.objective == pytest.approx(least, rel=1e-6, abs=0.0)


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0])
@pytest.mark.parametrize(("n", "d"), [(30, 200), (80, 120)])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_few_rows_and_a_ridge_are_one_system_to_the_last_digits(rng, n, d, alpha, form):
    """w = Xᵀa of the n equations (X Xᵀ + n alpha I) a = y - mean, X centred."""
    X, y = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-1.0, 1.0, d), rng.standard_normal(n)
    Z = X - X.mean(axis=0)
    w = Z.T @ np.linalg.solve(Z @ Z.T + n * alpha * np.eye(n), y - y.mean())
    model = GDNPRegressor(alpha=alpha).fit(form(X), y)
    np.testing.assert_allclose(model.coef_, w, rtol=0.0, atol=1e-11 * np.abs(w).max())
    assert model.n_iter_ <= 2
    assert model.certificate_.proved


def test_regression_with_very_many_columns_in_any_units():
    """More than a matrix of columns is held for, and too many for the products of rows to be exact."""
    r = np.random.default_rng(0)
    X = r.standard_normal((120, 40_000)) * 10.0 ** r.uniform(-8.0, 8.0, 40_000)
    model = GDNPRegressor(alpha=1e-6).fit(X, r.standard_normal(120))  # a warning is an error
    assert model.certificate_.proved


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_many_rows_take_one_gram_and_no_product_with_it(rng, form, fit_intercept, monkeypatch):
    X, y = 3.0 + rng.standard_normal((300, 10)) * np.logspace(-3.0, 3.0, 10), rng.standard_normal(300)
    s = rng.random(300) * (rng.random(300) < 0.8)
    monkeypatch.setattr(Objective, "hessian_product", None)
    model = GDNPRegressor(alpha=1e-2, fit_intercept=fit_intercept).fit(form(X), y, s)
    Z, t = (v - np.average(v, axis=0, weights=s) * fit_intercept for v in (X, y))
    w = np.linalg.solve((Z.T * s) @ Z + s.sum() * 1e-2 * np.eye(10), (Z.T * s) @ t)
    np.testing.assert_allclose(model.coef_, w, rtol=0.0, atol=1e-10 * np.abs(w).max())
    assert model.certificate_.proved
    assert model.certificate_.gap < 1e-13
