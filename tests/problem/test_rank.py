"""Columns that others make up: the least of all minimisers, for every loss, storage and solver."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp import GDNPClassifier, GDNPRegressor, Objective, minimize
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LOSSES
from gdnp.problem.rank import least
from gdnp.solvers import Status
from problems import CONVEX, problem_of
from rational import least_squares
from reference import objective

FORMS = {"dense": np.asarray, "csr": sp.csr_array}


def codes(rng, n, k):
    return np.eye(k)[np.r_[np.arange(k), rng.integers(0, k, n - k)]]


def sums(A):
    return np.column_stack((A, A.sum(axis=1), A[:, 0] - 2.0 * A[:, 1]))


KINDS = {
    "sums": lambda rng, n: sums(rng.standard_normal((n, 4))),
    "two codes": lambda rng, n: np.column_stack((codes(rng, n, 4), codes(rng, n, 5))),
    "twins": lambda rng, n: np.repeat(rng.standard_normal((n, 4)), 2, axis=1),
    "a composition": lambda rng, n: rng.dirichlet(np.ones(6), n),
    "low rank": lambda rng, n: rng.standard_normal((n, 3)) @ rng.standard_normal((3, 9)),
}


def singular(rng, kind, n):
    """X of one of the kinds, with scales that span 1e3, and a combination of its columns."""
    X = KINDS[kind](rng, n)
    X = X * 10.0 ** rng.uniform(-1.5, 1.5, X.shape[1])
    eta = X @ rng.standard_normal(X.shape[1])
    return X, (eta - eta.mean()) / eta.std()


def target_of(rng, eta, loss):
    if loss.task == "regression":
        return eta + rng.standard_normal(len(eta))
    return np.where(eta + rng.logistic(size=len(eta)) > 0.0, 1.0, -1.0)


def row_space_part(X, coef, fit_intercept=True):
    """The projection of coefficients on what the rows of X span, centred where there is an intercept."""
    Z = X - X.mean(axis=0) if fit_intercept else X
    return np.linalg.lstsq(Z, Z @ coef, rcond=1e-11)[0]


def fitted(loss, **options):
    return (GDNPRegressor if loss.task == "regression" else GDNPClassifier)(loss, **options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n", [50, 2000])
@pytest.mark.parametrize("kind", KINDS)
def test_least_squares_is_that_of_least_norm(kind, n, fit_intercept, form):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        X, eta = singular(rng, kind, n)
        y = eta + rng.standard_normal(n)
        model = GDNPRegressor(alpha=0.0, fit_intercept=fit_intercept).fit(FORMS[form](X), y)
        Z, z = (X - X.mean(axis=0), y - y.mean()) if fit_intercept else (X, y)
        right = np.linalg.lstsq(Z, z, rcond=1e-11)[0]
        np.testing.assert_allclose(model.coef_, right, atol=1e-9 * np.abs(right).max())
        assert model.certificate_.status is Status.CONVERGED


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_every_loss_ends_at_the_limit_of_a_vanishing_ridge(loss, kind):
    rng = np.random.default_rng(3)
    X, eta = singular(rng, kind, 300)
    y = target_of(rng, eta, loss)
    model = fitted(loss, alpha=0.0, tol=1e-12).fit(X, y)
    coef = np.ravel(model.coef_)
    part = row_space_part(X, coef)
    np.testing.assert_allclose(coef, part, atol=1e-8 * np.abs(part).max())
    assert model.certificate_.status is Status.CONVERGED
    ridge = 1e-8 * np.square(X).mean(axis=0).min()
    if loss.quadratic:
        Z = np.vstack((X - X.mean(axis=0), np.sqrt(300 * ridge) * np.eye(X.shape[1])))
        near = np.linalg.lstsq(Z, np.append(y - y.mean(), np.zeros(X.shape[1])), rcond=None)[0]
        np.testing.assert_allclose(coef, near, atol=1e-3 * np.abs(near).max())
    elif loss.convex:
        near = fitted(loss, alpha=ridge, tol=1e-12).fit(X, y)
        shift = X @ (coef - np.ravel(near.coef_))
        assert np.ptp(shift) <= 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("n", [30, 90_000])
@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "pseudo_huber"])
def test_few_rows_and_many(loss, n, form):
    """Few take a triangle of all rows, many a Gram whose small pivots are checked on X."""
    rng = np.random.default_rng(0)
    X, eta = singular(rng, "sums", n)
    y = target_of(rng, eta, LOSSES[loss])
    model = fitted(LOSSES[loss], alpha=0.0, tol=1e-10).fit(FORMS[form](X), y)
    coef, b = np.ravel(model.coef_), np.ravel(model.intercept_)[0]
    np.testing.assert_allclose(coef, row_space_part(X, coef), atol=1e-9 * np.abs(coef).max())
    plain = fitted(LOSSES[loss], alpha=0.0, tol=1e-10).fit(X[:, :4], y)
    right = objective(LOSSES[loss], X[:, :4], y, np.ravel(plain.coef_), np.ravel(plain.intercept_)[0], 0.0)
    assert objective(LOSSES[loss], X, y, coef, b, 0.0) == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("loss", ["squared_error", "log_loss"])
def test_every_solver_returns_it(rng, solver, loss):
    A = rng.standard_normal((200, 2))
    X, loss = np.column_stack((A, A.sum(axis=1), A[:, 0] - 2.0 * A[:, 1])), LOSSES[loss]
    y = target_of(rng, A @ [1.0, 2.0], loss)
    best = fitted(loss, alpha=0.0, tol=1e-12).fit(X, y)
    model = fitted(loss, alpha=0.0, solver=solver, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(model.coef_, best.coef_, atol=1e-4)
    coef = np.ravel(model.coef_)
    np.testing.assert_allclose(coef, row_space_part(X, coef), atol=1e-12)
    value = objective(loss, X, y, coef, np.ravel(model.intercept_)[0], 0.0)
    assert value / best.certificate_.objective - 1.0 <= model.certificate_.gap + 1e-13


@pytest.mark.parametrize("solver", ["auto", "gdnp_metric", "agd"])
@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)  # the others have no minimiser here
@pytest.mark.parametrize("kind", ["sums", "two codes"])
def test_a_weight_of_two_is_a_row_twice_and_of_zero_a_row_left_out(kind, loss, solver):
    for seed in range(2):
        rng = np.random.default_rng(seed)
        X, eta = singular(rng, kind, 120)
        X /= np.abs(X).max(axis=0)  # the solvers of raw coordinates are slow in others
        y, weight = target_of(rng, eta, loss), rng.integers(0, 3, 120)
        order = rng.permutation(np.repeat(np.arange(120), weight))
        tol = 1e-13 if solver == "auto" else 1e-10
        model = fitted(loss, alpha=0.0, solver=solver, tol=tol, max_iter=20_000)
        one = model.fit(X, y, sample_weight=weight)
        coef, b = np.ravel(one.coef_), np.ravel(one.intercept_)
        two = model.fit(X[order], y[order])
        near = (1e-6 if solver == "auto" else 1e-3) * np.abs(coef).max()
        np.testing.assert_allclose(np.ravel(two.coef_), coef, atol=near)
        np.testing.assert_allclose(np.ravel(two.intercept_), b, atol=near)


@pytest.mark.parametrize("span", [3, 20, 60, 200])
def test_dyadic_columns_of_any_scales_against_rational_arithmetic(span):
    """What each column adds to predictions is right, in units of those."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        n, r = rng.integers(4, 12), rng.integers(1, 4)
        X = rng.integers(-4, 5, (n, r)).astype(float)
        X = np.column_stack((X, X @ rng.integers(-2, 3, (r, rng.integers(1, 4)))))
        X *= 2.0 ** rng.integers(-span, span + 1, X.shape[1])
        y, weight = rng.integers(-8, 9, n).astype(float), rng.integers(1, 4, n).astype(float)
        for form in FORMS.values():
            model = GDNPRegressor(alpha=0.0).fit(form(X), y, sample_weight=weight)
            coef, intercept = least_squares(X, y, weight)
            np.testing.assert_allclose(model.coef_, coef, rtol=0.0, atol=1e-11 * np.abs(coef).max())
            assert np.max(np.abs(model.coef_ - coef) * X.std(axis=0)) <= 1e-9 * np.ptp(y)
            assert model.intercept_ == pytest.approx(intercept, abs=1e-11 * np.abs(y).max())


def test_the_threshold_is_the_rounding_of_the_entries():
    """What is left of a column by a thousand times its rounding counts; what one rounding leaves does not."""
    rng = np.random.default_rng(0)
    A = rng.integers(-99, 100, (60, 3)).astype(float)
    for left, kept in ((2.0**-44, 4), (2.0**-58, 3)):
        X = np.column_stack((A, A @ [1.0, 1.0, 1.0]))
        X[:, 3] += left * 99.0 * rng.choice([-1.0, 1.0], 60) if kept == 4 else 0.0
        problem = problem_of(X, A[:, 0], LOSSES["squared_error"], 0.0)
        assert problem.n_features == kept
        problem = problem_of(X, np.sign(A[:, 0]), LOSSES["log_loss"], 0.0)
        assert problem.n_features == kept


@pytest.mark.parametrize("alpha", [0.0, 1e-9])
def test_columns_are_left_out_only_without_a_ridge(rng, alpha):
    X = sums(rng.standard_normal((50, 3)))
    problem = problem_of(X, X[:, 0], LOSSES["squared_error"], alpha)
    assert problem.n_features == (5 if alpha else 3)


def test_raw_coefficients_and_back(rng):
    """The way there keeps predictions, and the way back makes the coefficients least."""
    X = sums(rng.standard_normal((80, 3))) + 5.0
    problem = problem_of(X, X[:, 0], LOSSES["pseudo_huber"], 0.0)
    coef, intercept = rng.standard_normal(5), 0.7
    again, b = problem.raw(problem.from_raw(coef, intercept))
    np.testing.assert_allclose(X @ again + b, X @ coef + intercept, rtol=1e-12)
    np.testing.assert_allclose(again, row_space_part(X, coef), atol=1e-12)


def test_where_no_rank_is_known_conjugate_gradients_find_the_least(rng, monkeypatch):
    for module in ("rank", "objective"):
        monkeypatch.setattr(f"gdnp.problem.{module}.LARGEST_GRAM", 16)
    monkeypatch.setattr("gdnp.newton.preconditioners.choice.LARGEST_GRAM", 16)
    X = rng.standard_normal((60, 90)) @ np.diag(rng.uniform(0.5, 2.0, 90))
    y = rng.standard_normal(60)
    raw = Objective(X, y, "squared_error", fit_intercept=True)
    assert not raw.standardised.shared.rank_is_known
    coef = rng.standard_normal(90)
    monkeypatch.setattr("gdnp.problem.rank.LARGEST_GRAM", 1000)  # as many products
    np.testing.assert_allclose(least(raw, coef), row_space_part(X, coef), atol=1e-9)


def test_large_columns_take_the_place_of_small_ones(rng):
    """The combination is told from a column of 1e-12; the least coefficients are those of the large one."""
    a, b = rng.integers(-9, 10, (2, 40)).astype(float)
    X = np.column_stack((2.0**-40 * a, b, 2.0**40 * (a + b)))
    y = rng.integers(-9, 10, 40).astype(float)
    model = GDNPRegressor(alpha=0.0).fit(X, y)
    coef, _ = least_squares(X, y)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-9)


def test_a_sum_in_single_precision_or_far_from_zero_is_one(rng):
    """Rounding of the stored entries is what makes it another column."""
    A = rng.standard_normal((300, 3))
    y = A @ [1.0, 2.0, 3.0] + rng.standard_normal(300)
    near, single = sums(A), sums(A).astype(np.float32)
    far = sums(A + 1e7)
    for X in (single, sp.csr_array(single), far):
        model = GDNPRegressor(alpha=0.0).fit(X, y)
        np.testing.assert_allclose(model.coef_, GDNPRegressor(alpha=0.0).fit(near, y).coef_, atol=1e-5)


def test_a_column_that_varies_in_its_last_digits_is_no_sum(rng):
    steps, other = rng.integers(0, 3, (2, 300)).astype(float)
    y = steps + other + rng.standard_normal(300)
    plain = GDNPRegressor(alpha=0.0).fit(np.column_stack((steps, other)), y)
    for offset in (1e12, 4e15):
        problem = problem_of(np.column_stack((steps + offset, other)), y, LOSSES["squared_error"], 0.0)
        assert problem.n_features == 2
        coef, _ = problem.raw(problem.shared.triangle.x)
        np.testing.assert_allclose(coef, plain.coef_, rtol=1e-9)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_many_rows_tell_a_small_pivot_from_none(rng, loss):
    """What is left is beyond the digits of S, and not of X."""
    A = rng.standard_normal((200_000, 4))
    X = np.column_stack((A, A.sum(axis=1) + 1e-8 * rng.standard_normal(200_000)))
    assert problem_of(X, np.sign(A[:, 0]), LOSSES[loss], 0.0).n_features == 5
    assert problem_of(sums(A), np.sign(A[:, 0]), LOSSES[loss], 0.0).n_features == 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("of_class", [None, (1.0, 1.0), (0.7, 2.1)])
def test_sums_of_many_equal_numbers_round_the_mean_and_S(rng, form, fit_intercept, of_class):
    """Codes of categories, many of them rare: their sums round one way, by far more than their entries."""
    n, sizes = 20_000, (9, 16, 7, 14, 6, 5, 41)
    X = []
    for k in sizes:
        p = 0.5 ** np.arange(k) + 1e-4
        X.append(np.eye(k)[np.append(np.repeat(rng.integers(0, k, 200), 2), rng.choice(k, n, p=p / p.sum()))])
    X = np.column_stack(X)
    y = np.where(rng.logistic(size=len(X)) < 0.5 * X[:, 0] - X[:, 10] - 1.0, 1, -1)
    y[:400] = np.tile([-1, 1], 200)  # of the same rows: no direction separates them
    weight = None if of_class is None else np.where(y > 0, of_class[1], of_class[0])
    problem = Objective(FORMS[form](X), y, fit_intercept=fit_intercept, sample_weight=weight)
    assert problem.standardised.n_features == sum(sizes) - len(sizes)
    fit = minimize(problem, "newton")
    assert fit.status is Status.CONVERGED
    lost = np.logaddexp(0.0, -y * (X @ fit.coef + fit.intercept))
    assert fit.objective == pytest.approx(np.average(lost, weights=weight), rel=1e-12)


def test_a_small_pivot_is_kept_beside_columns_that_are_sums(rng):
    """Both are below the rounding of S; too many rows for reflections."""
    n = 300_000
    A = rng.standard_normal((n, 60))
    near = A[:, :3] + 1e-6 * rng.standard_normal((n, 3))
    X = np.column_stack((A, A[:, :4].sum(axis=1), near))
    y = np.sign(A[:, 0] + rng.standard_normal(n))
    assert problem_of(X, y, LOSSES["log_loss"], 0.0).n_features == 63


def test_a_handful_of_rows(rng):
    X = sums(rng.standard_normal((12, 3)))
    assert problem_of(X, np.sign(X[:, 0]), LOSSES["log_loss"], 0.0).n_features == 3


@pytest.mark.parametrize("seed", [370, 438, 711, 739])
def test_small_columns_in_the_basis_give_way_to_large_ones(seed):
    """Designs whose independent columns are the small ones: their digits would be lost in the large."""
    rng = np.random.default_rng(seed)
    n, r = int(rng.integers(4, 14)), int(rng.integers(1, 5))
    d = r + int(rng.integers(0, 4))
    X = rng.integers(-4, 5, (n, r)).astype(float)
    X = np.column_stack((X, X @ rng.integers(-2, 3, (r, d - r))))
    span = [3, 20, 60, 200][seed % 4]
    X, y = X * 2.0 ** rng.integers(-span, span + 1, d), rng.integers(-8, 9, n).astype(float)
    model = GDNPRegressor(alpha=0.0).fit(X, y)
    coef, _ = least_squares(X, y)
    np.testing.assert_allclose(model.coef_, coef, rtol=0.0, atol=1e-11 * np.abs(coef).max())
    assert np.max(np.abs(model.coef_ - coef) * X.std(axis=0)) <= 1e-9 * np.ptp(y)


def test_by_the_kernel_of_the_columns_it_is_the_same(rng, monkeypatch):
    X = sums(rng.standard_normal((80, 5))) * 10.0 ** rng.uniform(-1.0, 1.0, 7)
    problem = problem_of(X, X[:, 0], LOSSES["pseudo_huber"], 0.0)
    x = rng.standard_normal(problem.n_features + 1)
    right = problem.raw(x)[0]
    monkeypatch.setattr("gdnp.problem.coordinates.LARGEST_GRAM", 2)
    np.testing.assert_allclose(problem.raw(x)[0], right, rtol=1e-10)


@pytest.mark.parametrize("solver", ["auto", "gd", "agd"])
def test_a_warm_start_off_the_rows_ends_on_them(rng, solver):
    A = rng.standard_normal((100, 2))
    X, y = np.column_stack((A, A[:, 0] + A[:, 1])), A[:, 0] + rng.standard_normal(100)
    model = GDNPRegressor(alpha=0.0, solver=solver, warm_start=True).fit(X, y)
    right = model.coef_.copy()
    model.coef_ = right + np.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(model.fit(X, y).coef_, right, atol=1e-4)
    np.testing.assert_allclose(model.coef_, row_space_part(X, model.coef_), atol=1e-12)
