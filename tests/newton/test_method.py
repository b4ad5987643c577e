"""The production solver finds the optimum of the raw objective, however the data is scaled or stored."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

import gdnp
from gdnp import GDNPClassifier, GDNPRegressor, Objective
from gdnp.losses import LOSSES, Huber, LogLoss
from gdnp.newton import newton, solve
from gdnp.population import Halfspace
from gdnp.solvers import Status
from problems import CONVEX, cancer, correlated, draw, estimator, problem_of, value_of
from reference import objective, reference


def raw(rng, n=400):
    """Columns from 1e-8 to 1e8, one with an offset of 1e3 at a scale of 1e-5, and one nearly twice there."""
    X = rng.standard_normal((n, 9))
    X[:, 8] = X[:, 0] + 1e-7 * X[:, 8]
    X = X * np.logspace(-8, 8, 9)
    X[:, 3] += 1e3
    return X


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e-8])
@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_optimum_is_the_references(rng, loss, alpha, fit_intercept):
    X, y = draw(rng, loss=loss)
    best = reference(loss, X, y, alpha, fit_intercept=fit_intercept)[2]
    model = estimator(loss, alpha=alpha, fit_intercept=fit_intercept).fit(X, y)
    assert value_of(model, X, y, alpha) <= best * (1.0 + 1e-8)
    assert model.certificate_.status is Status.CONVERGED
    assert model.certificate_.proved


@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-8, 1e-12])
@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_optimum_on_raw_columns(rng, loss, alpha):
    X = raw(rng)
    eta = (X - X.mean(0)) / X.std(0) @ rng.standard_normal(9)
    y = np.where(eta + rng.standard_normal(400) > 0, 1.0, -1.0)
    y = y if loss.task == "classification" else eta + rng.standard_normal(400)
    best = reference(loss, X, y, alpha)[2]
    model = estimator(loss, alpha=alpha).fit(X, y)
    assert value_of(model, X, y, alpha) <= best * (1.0 + 1e-6)


def test_breast_cancer_raw():
    X, y = load_breast_cancer(return_X_y=True)
    signs = 2.0 * y - 1.0
    model = GDNPClassifier(alpha=1.0 / len(y)).fit(X, y)
    best = reference(LogLoss(), X, signs, 1.0 / len(y))[2]
    assert value_of(model, X, signs, 1.0 / len(y)) == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("shape", [(30, 70), (20, 50)])
@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_fewer_rows_than_columns(rng, loss, shape):
    X = rng.standard_normal(shape)
    y = np.sign(rng.standard_normal(shape[0]))
    model = estimator(loss, alpha=0.1).fit(X, y)
    best = reference(loss, X, y, 0.1)[2]
    assert value_of(model, X, y, 0.1) <= best * (1.0 + 1e-8)


@pytest.mark.parametrize("seed", [3, 9])
def test_a_matrix_that_rounding_keeps_from_the_hessian_is_left_alone(seed):
    """Columns far from zero, without an intercept: a matrix of their squares has no digit of their spread."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((12, 16)) + 10.0 ** rng.uniform(0, 8, 16)
    y = rng.random(12) < 0.5
    model = GDNPClassifier(alpha=1e-10, fit_intercept=False).fit(X, y)
    assert model.certificate_.status is Status.CONVERGED
    assert model.n_iter_ < 100


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_far_fewer_rows_than_columns(rng, form):
    X = rng.standard_normal((60, 4000))
    y = np.sign(rng.standard_normal(60))
    model = GDNPClassifier(alpha=0.1).fit(form(X), y)
    assert model.certificate_.proved
    assert model.certificate_.gap <= 1e-8


def test_many_columns_use_no_matrix(rng):
    X = sp.random(5000, 3000, 0.005, format="csr", random_state=0)
    y = np.sign(X @ rng.standard_normal(3000) + 0.1 * rng.standard_normal(5000))
    model = GDNPClassifier(alpha=1e-3).fit(X, y)
    assert model.certificate_.proved
    assert model.certificate_.gap <= 1e-8


STORED = {
    "csr": sp.csr_matrix,
    "csc": sp.csc_array,
    "int64 csc": lambda X: _wide(sp.csc_matrix(X)),
    "fortran": np.asfortranarray,
    "read-only": lambda X: _frozen(X),
    "float32": lambda X: X.astype(np.float32),
    "float32 csr": lambda X: sp.csr_array(X.astype(np.float32)),
    "list": lambda X: X.tolist(),
}


def _wide(X):
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    return X


def _frozen(X):
    X = X.copy()
    X.flags.writeable = False
    return X


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_storage_does_not_matter(rng, loss, store):
    X, y = draw(rng, loss=loss)
    X = (
        np.where(np.abs(X) < 0.5, 0.0, X).astype(np.float32).astype(np.float64)
    )  # sparse, and exact in float32
    coef = estimator(loss, alpha=1e-2).fit(X, y).coef_
    np.testing.assert_allclose(estimator(loss, alpha=1e-2).fit(store(X), y).coef_, coef, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.int8, np.float16, np.bool_, np.uint64])
def test_small_and_integer_types(rng, dtype):
    X = rng.integers(0, 2, (200, 5)).astype(dtype)
    y = rng.integers(0, 2, 200)
    narrow, wide = GDNPClassifier().fit(X, y), GDNPClassifier().fit(X.astype(np.float64), y)
    np.testing.assert_allclose(narrow.coef_, wide.coef_, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_repeated_rows_are_weights(rng, loss):
    X, y = draw(rng, loss=loss)
    times = rng.integers(0, 4, len(y))
    repeated = estimator(loss, alpha=1e-2).fit(np.repeat(X, times, axis=0), np.repeat(y, times))
    weighted = estimator(loss, alpha=1e-2).fit(X, y, sample_weight=7.0 * times)
    assert weighted.certificate_.objective == pytest.approx(repeated.certificate_.objective, rel=1e-7)
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_units_of_columns_do_not_matter_without_a_ridge(rng, loss):
    X, y = draw(rng, loss=loss)
    units = np.logspace(-9, 9, X.shape[1])
    plain, scaled = (estimator(loss, alpha=0.0).fit(Z, y) for Z in (X, X * units))
    assert scaled.certificate_.objective == pytest.approx(plain.certificate_.objective, rel=1e-8)
    np.testing.assert_allclose(scaled.coef_ * units, plain.coef_, rtol=1e-3, atol=1e-6)


def test_threads_do_not_change_a_bit(rng):
    X, y = draw(rng, n=30_000, d=12)
    one, two = (GDNPClassifier(n_jobs=jobs).fit(X, y) for jobs in (1, 2))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    again = GDNPClassifier(n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(again.coef_, two.coef_)


DEGENERATE = {
    "twin columns": lambda X: np.column_stack((X, X[:, 0])),
    "constant column": lambda X: np.column_stack((X, np.full(len(X), 0.1))),
    "constant far from zero": lambda X: np.column_stack((X, np.full(len(X), 1e12))),
    "all zero": lambda X: 0.0 * X,
    "one of 1e150": lambda X: X * np.append(1e150, np.ones(X.shape[1] - 1)),
    "all of 1e150": lambda X: 1e150 * X,
    "one of 1e-160": lambda X: X * np.append(1e-160, np.ones(X.shape[1] - 1)),
    "all of 1e-160": lambda X: 1e-160 * X,
    "offsets of 1e9": lambda X: X + 1e9,
    "one column": lambda X: X[:, :1],
    "one huge entry": lambda X: np.where(np.arange(X.size).reshape(X.shape) == 7, 1e6, X),
}


@pytest.mark.parametrize("alpha", [1e-4, 0.0])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("spoil", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_data_gives_a_finite_model(rng, spoil, loss, alpha):
    X, y = draw(rng, n=120, d=4, loss=loss)
    X = spoil(X)
    model = estimator(loss, alpha=alpha).fit(X, y)
    assert np.isfinite(model.coef_).all()
    assert np.isfinite(model.intercept_).all()
    assert model.certificate_.status is Status.CONVERGED
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_separable_data_without_a_ridge(rng, form):
    X = rng.standard_normal((200, 3))
    y = X @ [1.0, -2.0, 0.5] > 0.0
    with pytest.warns(UserWarning, match="the data is separable, a hyperplane has all rows"):
        model = GDNPClassifier(alpha=0.0).fit(form(X), y)
    assert model.certificate_.status is Status.LENGTH_DIVERGES
    assert model.score(form(X), y) == 1.0
    assert np.linalg.norm(model.direction_) > 0.0
    np.testing.assert_allclose(model.length_ * model.direction_, model.coef_[0])


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_entries_in_two_parts_are_one_number(form):
    a = np.linspace(0.5, 1.5, 200)
    X = sp.csr_array((np.repeat(a / 2.0, 2), np.zeros(400, int), np.arange(0, 401, 2)), shape=(200, 1))
    X = X if form == "csr" else X.tocsc()
    whole = GDNPClassifier().fit(a[:, None], a > 1.0)
    parts = GDNPClassifier().fit(X, a > 1.0)
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 2.0])
@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_a_constant_target_of_many_rows(rng, loss, value):
    model = GDNPRegressor(loss).fit(rng.standard_normal((20_000, 3)), np.full(20_000, value))
    assert model.intercept_ == pytest.approx(value)
    assert model.certificate_.status is Status.CONVERGED


def test_classifiers_with_fewer_rows_than_columns_in_any_units(rng):
    for _ in range(50):
        d = int(rng.integers(20, 100))
        n = int(rng.integers(d // 2, d))
        X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8.0, 8.0, d)
        y = np.arange(n) % 2
        assert GDNPClassifier().fit(X, y).certificate_.status is Status.CONVERGED


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_fewer_rows_than_columns_of_any_size(rng, size, alpha):
    """Margins grow until φ'' is as small as the ridge in units of the columns, 1e-20 here."""
    X = size * rng.standard_normal((40, 400))
    y = rng.integers(0, 2, 40)
    model = GDNPClassifier(alpha=alpha).fit(X, y)  # warns, an error here, if tol is not met
    assert model.certificate_.proved
    assert model.n_iter_ < 80


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("offset", [1e12, 1e15, 4e15])
def test_a_column_that_varies_in_its_last_digits(rng, offset, form):
    """Its spread is below the rounding of a sum of its entries, and yet exact."""
    steps = rng.integers(0, 3, 300).astype(float)
    y = (steps + rng.standard_normal(300) > 1.0).astype(int)
    constant = np.full(300, 0.1)
    plain = GDNPClassifier(alpha=1e-4).fit(steps[:, None], y)
    far = form(np.column_stack([steps + offset, constant]))
    model = GDNPClassifier(alpha=1e-4)
    if offset > 1e12:  # the intercept, -offset times the coefficient, is rounded by more than tol allows
        with pytest.warns(ConvergenceWarning, match="the arithmetic allows no better"):
            model.fit(far, y)
    else:
        model.fit(far, y)
    np.testing.assert_allclose(model.coef_, [[plain.coef_[0, 0], 0.0]], rtol=1e-5)


@pytest.mark.parametrize("C", [1.0, 100.0])
def test_both_ways_lead_to_the_same_point(rng, monkeypatch, C):
    X, y = correlated(rng, 700, 150, 8, noise=1.0)
    for kind in (GDNPClassifier, GDNPRegressor):
        fits = []
        for cheap in (0.0, np.inf):
            monkeypatch.setattr("gdnp.newton.preconditioners.choice.AT_ONCE", cheap)
            fits.append(kind(alpha=1.0 / (C * len(y)), tol=1e-12).fit(X, y))
        np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-4, atol=1e-6)
        assert fits[0].certificate_.status is fits[1].certificate_.status is Status.CONVERGED


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_history_ends_where_the_certificate_was_given(rng, loss):
    X, y = draw(rng, loss=loss)
    model = estimator(loss, alpha=1e-2).fit(X, y)
    assert model.history_["objective"][-1] == model.certificate_.objective
    assert len({len(column) for column in model.history_.values()}) == 1
    for name in ("passes", "seconds"):
        assert (np.diff(model.history_[name]) >= 0.0).all()


# What a run is made of


def test_a_renewed_preconditioner_saves_steps(monkeypatch):
    renewed = cancer().history["passes"][-1]
    monkeypatch.setattr("gdnp.newton.method.Newton._stale", lambda *_: False)
    assert renewed < 0.8 * cancer().history["passes"][-1]


def test_a_length_searched_with_the_step_saves_passes(monkeypatch):
    searched = cancer().history["passes"][-1]
    monkeypatch.setattr("gdnp.newton.method.FAR", np.inf)
    assert searched < 0.9 * cancer().history["passes"][-1]


# The one loop

PROBLEMS = {
    "log loss": ("log_loss", {}),
    "no intercept": ("log_loss", {"fit_intercept": False}),
    "weights": ("log_loss", {"weighted": True}),
    "pseudo-huber": ("pseudo_huber", {}),
    "squared error": ("squared_error", {}),
    "sigmoid": ("sigmoid", {}),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_minimize_is_what_the_estimators_do(rng, name):
    loss, options = PROBLEMS[name]
    X, y = draw(rng, n=500, loss=LOSSES[loss])
    X = X + 3.0
    fit_intercept = options.get("fit_intercept", True)
    weight = rng.random(500) if options.get("weighted") else None
    model = estimator(LOSSES[loss], alpha=1e-3, fit_intercept=fit_intercept).fit(X, y, sample_weight=weight)
    problem = Objective(
        X, y, loss, alpha=1e-3, fit_intercept=fit_intercept, center=fit_intercept, sample_weight=weight
    )
    result = gdnp.minimize(problem, "newton")
    np.testing.assert_allclose(result.coef, np.ravel(model.coef_), rtol=1e-10, atol=1e-12)
    assert result.intercept == pytest.approx(np.ravel(model.intercept_)[0], rel=1e-10, abs=1e-12)
    found, known = result.certificate, model.certificate_
    assert (found.status, found.kind) == (known.status, known.kind)
    assert result.status is found.status
    assert found.objective == pytest.approx(known.objective, rel=1e-10)
    assert found.gap <= 1e-8
    shift = float(problem.coordinates.centre @ result.coef) if fit_intercept else 0.0
    assert problem.at(result.coef, result.intercept + shift).value == pytest.approx(found.objective)


@pytest.mark.parametrize("center", [True, False])
def test_centring_without_an_intercept(rng, center):
    X, y = draw(rng)
    problem = Objective(X + 2.0, y, alpha=1e-2, center=center)
    result = gdnp.minimize(problem, "newton", tol=1e-14)
    assert result.status is Status.CONVERGED
    assert np.abs(problem.at(result.coef).gradient).max() < 1e-6
    assert result.intercept == pytest.approx(-(X + 2.0).mean(0) @ result.coef if center else 0.0)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_rows_of_the_history_are_what_a_callback_sees(rng, loss):
    X, y = draw(rng, loss=loss)
    problem, seen = Objective(X, y, loss, alpha=1e-3, fit_intercept=True), []
    result = gdnp.minimize(problem, "newton", callback=lambda row: seen.append((row, row.solution())))
    assert list(result.history) == ["passes", "seconds", "objective", "gradient_norm", "length"]
    assert len(seen) == result.n_iter + 1
    for k, (row, (coef, intercept)) in enumerate(seen):
        assert row.iteration == k
        assert row.objective == result.history["objective"][k]
        assert objective(loss, X, y, coef, intercept, 1e-3) == pytest.approx(row.objective, rel=1e-9)
    np.testing.assert_array_equal(seen[-1][1][0], result.coef)
    assert result.history["length"][-1] == pytest.approx((X @ result.coef).std(), rel=1e-6)


@pytest.mark.parametrize("max_iter", [1, 3])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_iterations_at_most(rng, loss, max_iter):
    X, y = draw(rng, n=500, loss=loss)
    X = X * np.logspace(0, 3, 8)
    result = gdnp.minimize(Objective(X, y, loss, alpha=1e-9, fit_intercept=True), "newton", max_iter=max_iter)
    assert result.n_iter == len(result.history["passes"]) - 1 <= max_iter
    assert result.certificate is not None
    if result.status is Status.MAX_ITER:
        assert result.n_iter == max_iter


def test_a_start_of_ones_own(rng):
    X, y = draw(rng)
    problem = Objective(X, y, alpha=1e-3)
    best = gdnp.minimize(problem, "newton").coef
    near = gdnp.minimize(problem, "newton", 0.9 * best)
    assert near.history["objective"][0] == pytest.approx(problem.at(0.9 * best).value)
    np.testing.assert_allclose(near.coef, best, rtol=1e-5)


def test_a_population_has_no_rows():
    halfspace = Halfspace([0.3, 0.2], np.diag([1.0, 0.5]), "log_loss")
    message = r"newton needs rows of data, a gdnp.Objective. Got Halfspace; use gdnp_metric for a population"
    with pytest.raises(TypeError, match=message):
        gdnp.minimize(halfspace, "newton")


@pytest.mark.parametrize("solver", ["gd", "gdnp_metric"])
def test_the_certificate_of_another_solver_is_billed(rng, solver):
    X, y = draw(rng)
    model = GDNPClassifier(alpha=1e-2, solver=solver, max_iter=20_000).fit(X, y)
    passes = model.history_["passes"]
    assert passes[-1] - passes[-2] > 5.0
    assert model.history_["objective"][-1] == model.history_["objective"][-2]


@pytest.mark.parametrize("delta", [1e-10, 1.0])
def test_what_rounding_of_targets_costs_is_a_matter_of_the_loss(rng, delta):
    """Far from zero, residuals that cannot be told apart cost a robust loss their size, not their square."""
    y = 1e9 + rng.standard_normal(60)
    problem = problem_of(rng.standard_normal((60, 3)), y, Huber(delta), 0.0)
    missed = np.finfo(float).eps ** (2 / 3) * problem.constant.intercept
    floor = solve(problem).state.floor
    assert floor == pytest.approx(max(1e-15 * problem.constant.value, float(Huber(delta).value(missed))))


def test_one_step_that_leads_to_more_in_sight_does_not_renew(rng):
    """Where there is a ridge and φ is convex; all steps with this H count then."""
    X = rng.standard_normal((300, 5))
    y = np.where(X[:, 0] + rng.logistic(size=300) > 0.0, 1.0, -1.0)
    seen, method = (1.0, 1e-4, 1e-6, 2e-6, 3e-6), newton()
    for loss, alpha, expected in (
        ("log_loss", 1e-3, False),
        ("log_loss", 0.0, True),
        ("sigmoid", 1e-3, True),
    ):
        state = method.init(Objective(X, y, loss, alpha=alpha, fit_intercept=True), None)
        assert method._stale(state, seen, 1e-9) is expected
    rising = (1e-6, 2e-6, 3e-6)
    state = method.init(Objective(X, y, alpha=1e-3, fit_intercept=True), None)
    assert method._stale(state, rising, 1e-9)
