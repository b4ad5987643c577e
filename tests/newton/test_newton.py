"""The production solver finds the optimum of the raw objective, however the data is scaled or stored."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import as_design
from gdnp.losses import LOSSES, LogLoss, PseudoHuber, Sigmoid, SquaredError, get_loss
from gdnp.newton.lbfgs import Memory
from gdnp.newton.line_search import search
from gdnp.newton.model import Model
from gdnp.newton.preconditioners import stages as metric_kinds
from gdnp.newton.preconditioners.choice import Metrics
from gdnp.newton.preconditioners.full import DiagonalCurvature, FullCurvature, KernelCurvature
from gdnp.newton.preconditioners.row_space import RowSpaceCurvature
from gdnp.newton.run import certify, solve
from gdnp.newton.sampling import sample, sample_size
from gdnp.newton.start import decoupled_start
from gdnp.solvers.certificates import smallest_curvature
from gdnp.solvers.state import Status
from gdnp.standardized import (
    Gram,
    Place,
    dense_rows,
    diagonal,
    gram,
    intercept_ray,
    kernel_matrix,
    length_ray,
    line_jet,
    plane_jet,
    standardise,
)
from problems import CONVEX, draw, estimator, problem_of
from reference import exact_ridge_minimum, objective, reference


def raw(rng, n=400):
    """Columns from 1e-8 to 1e8, one with an offset of 1e3 at a scale of 1e-5, and one nearly twice there."""
    X = rng.standard_normal((n, 9))
    X[:, 8] = X[:, 0] + 1e-7 * X[:, 8]
    X = X * np.logspace(-8, 8, 9)
    X[:, 3] += 1e3
    return X


def value_of(model, X, y, alpha, weight=None):
    return objective(
        get_loss(model.loss), X, y, np.ravel(model.coef_), np.ravel(model.intercept_)[0], alpha, weight
    )


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


@pytest.mark.parametrize("positive", [0.5, 0.02])
def test_many_rows_are_sampled_and_still_exact(rng, positive):
    X = rng.standard_t(4, (40_000, 6)) * np.logspace(0, 3, 6)
    eta = X @ (rng.standard_normal(6) / np.logspace(0, 3, 6))
    y = np.where(eta + rng.logistic(size=40_000) > np.quantile(eta, 1.0 - positive), 1.0, -1.0)
    model = GDNPClassifier(alpha=1e-5).fit(X, y)
    assert value_of(model, X, y, 1e-5) <= reference(LogLoss(), X, y, 1e-5)[2] * (1.0 + 1e-8)


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


# Degenerate data


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
    with pytest.warns(UserWarning, match="separable, or the loss bounded, and no ridge"):
        model = GDNPClassifier(alpha=0.0).fit(form(X), y)
    assert model.certificate_.status is Status.LENGTH_DIVERGES
    assert model.score(form(X), y) == 1.0
    assert np.linalg.norm(model.direction_) > 0.0
    np.testing.assert_allclose(model.length_ * model.direction_, model.coef_[0])


# Losses that are not convex


@pytest.mark.parametrize("name", ["sigmoid", "probit"])
def test_bounded_losses_end_at_a_local_minimum(rng, name):
    X, y = draw(rng, n=600)
    y[rng.random(600) < 0.2] *= -1.0
    model = GDNPClassifier(name, alpha=1e-3).fit(X, y)
    certificate = model.certificate_
    assert certificate.status is Status.CONVERGED
    assert certificate.kind == "newton_decrement"
    assert certificate.smallest_curvature > 0.0
    errors = np.mean(model.predict(X) != y)
    assert certificate.zero_one_error == pytest.approx(errors)
    risk = LOSSES[name].value(-y * model.decision_function(X)).mean()
    assert certificate.smoothing_gap == pytest.approx(risk - errors, abs=1e-12)


def test_more_starts_are_never_worse(rng):
    X, y = draw(rng, n=150, d=6)
    y[rng.random(150) < 0.3] *= -1.0
    one = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    many = GDNPClassifier("sigmoid", alpha=1e-4, n_init=5, random_state=0).fit(X, y)
    assert many.certificate_.objective <= one.certificate_.objective * (1.0 + 1e-9)


def test_another_start_finds_a_lower_minimum():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    y = np.where(np.random.default_rng(17).random(len(y)) < 0.2, 1 - y, y)
    one = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    many = GDNPClassifier("sigmoid", alpha=1e-4, n_init=4, random_state=0).fit(X, y)
    assert many.certificate_.objective < one.certificate_.objective - 1e-4
    assert many.certificate_.status is Status.CONVERGED


def test_leaves_a_saddle_along_negative_curvature():
    # By symmetry f is stationary at w = 0, whatever the intercept, and with one of 1 it curves down along w.
    X = np.array([[1.0], [1.0], [-1.0], [-1.0], [4.0], [-4.0], [4.0], [-4.0]])
    y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 1e-6)
    outcome = solve(problem, start=np.array([0.0, 1.0]))
    assert outcome.certificate.smallest_curvature > -1e-8
    assert outcome.certificate.objective < problem.at(np.array([0.0, 1.0])).value - 0.1


# Parts


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber(), SquaredError()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_every_metric_solves_its_own_system(rng, loss, fit_intercept):
    X, y = draw(rng, n=25, d=6, loss=loss)
    problem = problem_of(X, y, loss, 0.3, fit_intercept)
    place = problem.at(np.append(0.1 * rng.standard_normal(6), 0.2 if fit_intercept else 0.0))
    c = problem.curvature(place.margins)
    slope = np.empty(25)
    metrics = [
        FullCurvature(gram(problem, c), problem.ridge),
        KernelCurvature(problem, kernel_matrix(problem, 1.0 / problem.ridge), problem.ridge, c),
        RowSpaceCurvature(dense_rows(problem), problem.ridge, c, fit_intercept=fit_intercept),
    ]
    g = np.append(rng.standard_normal(6), 1.0 if fit_intercept else 0.0)
    for metric in metrics:
        np.testing.assert_allclose(
            problem.hessian_product(c, metric.solve(g), slope), g, rtol=1e-8, atol=1e-10
        )
    along = DiagonalCurvature(diagonal(problem, c), problem.ridge).solve(g)
    assert along @ g > 0.0


@pytest.mark.parametrize("form", [np.ascontiguousarray, np.asfortranarray, sp.csr_array, sp.csc_array])
def test_the_kernel_of_several_blocks(rng, monkeypatch, form):
    monkeypatch.setattr("gdnp.design.dense.BLOCK_FLOATS", 64 * 200)
    monkeypatch.setattr("gdnp.design.sparse.BLOCK_ENTRIES", 2000)
    monkeypatch.setattr("gdnp.design.sparse.BLOCK_ENTRIES_PER_COLUMN", 1)
    X = rng.standard_normal((150, 200)) * np.logspace(-3, 3, 200) + 1.0
    problem = problem_of(form(X), rng.standard_normal(150), SquaredError(), 1e-3)
    assert (len(problem.design.bounds) > 2) is (form is not sp.csc_array)
    inverse_ridge = rng.random(200)
    Z = (X - X.mean(axis=0)) * problem.scale
    np.testing.assert_allclose(
        kernel_matrix(problem, inverse_ridge), (Z * inverse_ridge) @ Z.T, rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradient_is_the_derivative(rng, loss):
    X, y = draw(rng, n=40, d=3, loss=loss)
    problem = problem_of(X, y, loss, 0.1)
    x, p = rng.standard_normal(4), rng.standard_normal(4)
    here, h = problem.at(x), 1e-6
    slope = problem.slope(p)
    numeric = (problem.at(x + h * p).value - problem.at(x - h * p).value) / (2.0 * h)
    assert here.gradient @ p == pytest.approx(numeric, rel=1e-6)
    value, first, second = line_jet(problem, here, p, slope)(0.0)
    assert (value, first) == (pytest.approx(here.value), pytest.approx(numeric, rel=1e-6))
    curve = problem.hessian_product(problem.curvature(here.margins), p, slope)
    assert second == pytest.approx(curve @ p)
    jump = problem.place(x + p, here.margins + problem.slope(p))
    np.testing.assert_allclose(jump.gradient, problem.at(x + p).gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("other", ["intercept", "length"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_plane_is_the_second_order_expansion(rng, loss, weighted, other):
    X, y = draw(rng, n=40, d=3, loss=loss)
    weight = rng.dirichlet(np.ones(40)) if weighted else None
    problem = problem_of(X, y, loss, 0.1, weight=weight)
    x, p, h = rng.standard_normal(4), rng.standard_normal(4), 1e-5
    here = problem.at(x)
    second = intercept_ray(problem) if other == "intercept" else length_ray(problem, here)
    np.testing.assert_allclose(second[1], problem.slope(second[0]), rtol=1e-12)
    at = plane_jet(problem, here, (p, problem.slope(p)), second)

    value, gradient, (tt, tc, cc) = at(0.3, -0.2)
    moved = problem.at(x + 0.3 * p - 0.2 * second[0])
    assert value == pytest.approx(moved.value)
    assert problem.value(moved.x, moved.margins) == pytest.approx(moved.value)
    np.testing.assert_allclose(gradient, [moved.gradient @ p, moved.gradient @ second[0]], rtol=1e-9)
    along_t = np.subtract(at(0.3 + h, -0.2)[1], at(0.3 - h, -0.2)[1]) / (2.0 * h)
    along_c = np.subtract(at(0.3, -0.2 + h)[1], at(0.3, -0.2 - h)[1]) / (2.0 * h)
    np.testing.assert_allclose([[tt, tc], [tc, cc]], [along_t, along_c], rtol=1e-6, atol=1e-8)


def test_start_has_the_best_length_and_intercept(rng):
    X, y = draw(rng)
    y[:250] = -1.0
    problem = problem_of(X, y, LogLoss(), 1e-3)
    place, _ = decoupled_start(problem, Metrics(problem))
    constant, _ = problem.constant()
    direction = np.append(place.x[:-1], 0.0)
    ray = direction, problem.slope(direction)
    _, gradient, _ = plane_jet(problem, place, ray, intercept_ray(problem))(0.0, 0.0)
    assert np.abs(gradient).max() < 1e-6
    assert place.x[-1] != constant[-1]


@pytest.mark.parametrize("loss", [LogLoss(), Sigmoid()], ids=lambda loss: loss.name)
def test_a_place_starts_like_its_coordinates(rng, loss):
    X, y = draw(rng)
    problem = problem_of(X, y, loss, 1e-3)
    place = problem.with_loss(LogLoss()).at(0.1 * rng.standard_normal(9))
    a, b = solve(problem, start=place), solve(problem, start=place.x)
    np.testing.assert_allclose(a.place.x, b.place.x, rtol=1e-6, atol=1e-8)
    assert a.history[0].objective == pytest.approx(b.history[0].objective)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_moments_are_the_diagonal_metric_of_the_constant(rng, fit_intercept):
    X = rng.standard_normal((30, 50)) * np.logspace(-2, 2, 50) + 1.0
    problem = problem_of(X, np.sign(rng.standard_normal(30)), LogLoss(), 1e-3, fit_intercept)
    _, margins = problem.constant()
    metrics, g = Metrics(problem), rng.standard_normal(51)
    passes = problem.cost.passes
    quick = metrics.at_constant(margins).solve(g)
    assert problem.cost.passes == passes
    np.testing.assert_allclose(quick, metrics.at(margins).solve(g), rtol=1e-9, atol=1e-12)


def test_a_damped_metric_gives_shorter_steps(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    place = problem.at(np.zeros(9))
    metrics = Metrics(problem)
    lengths = [np.linalg.norm(metrics.at(place.margins).solve(place.gradient)[:-1])]
    while metrics.damp():
        lengths.append(np.linalg.norm(metrics.at(place.margins).solve(place.gradient)[:-1]))
    assert len(lengths) == 4
    assert np.all(np.diff(lengths) < 0.0)
    assert lengths[-1] < 0.5 * lengths[0]


def test_the_path_of_lengths_runs_on_a_sample(rng):
    X, y = draw(rng, n=40_000, d=5)
    model = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    small = GDNPClassifier("sigmoid", alpha=1e-4).fit(X[:4000], y[:4000])
    assert model.certificate_.status is Status.CONVERGED
    assert 1.5 * model.history_["passes"][0] < small.history_["passes"][0]


def test_a_sample_stands_for_all_rows(rng):
    X, y = draw(rng, n=60_000, d=4)
    weight = rng.dirichlet(np.ones(len(y)))
    problem = problem_of(X, y, LogLoss(), 1e-4, weight=weight)
    part = sample(problem, sample_size(problem))
    assert part.n < len(y) / 4
    x = np.append(0.3 * rng.standard_normal(4), 0.2)
    assert part.at(x).value == pytest.approx(problem.at(x).value, rel=0.05)
    np.testing.assert_allclose(part.at(x).gradient, problem.at(x).gradient, atol=0.05)


def test_a_sample_is_held_back_by_a_ridge(rng):
    X, y = draw(rng, n=5000)
    y = np.where(np.arange(5000) < 50, 1.0, -1.0)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    plain, held = sample(problem, 400), sample(problem, 400, shrink=2.0)
    np.testing.assert_allclose(held.ridge - plain.ridge, 2.0 * 0.01 * 0.99 * 8 / 400)


def test_minima_are_as_low_by_way_of_a_sample_as_by_way_of_all_rows(monkeypatch):
    """Rows that are few are fitted too well, and led to minima that were a tenth higher here."""
    excess = []
    for seed in range(6):
        r = np.random.default_rng(seed)
        X = r.standard_normal((5000, 60))
        y = np.sign(X @ r.standard_normal(60) / 4.0 + r.logistic(size=5000))
        y[r.random(5000) < 0.15] *= -1.0
        by_sample = GDNPClassifier("sigmoid", alpha=1e-8).fit(X, y)
        with monkeypatch.context() as without:
            without.setattr("gdnp.newton.nonconvex.sample_size", lambda problem: None)
            by_all = GDNPClassifier("sigmoid", alpha=1e-8).fit(X, y)
        excess.append(by_sample.certificate_.objective / by_all.certificate_.objective - 1.0)
    assert np.mean(excess) < 0.01


def test_few_rows_make_a_rough_metric(rng):
    problem = problem_of(*draw(rng, n=5000, d=60), LogLoss(), 1e-3)
    assert Metrics(problem, rough=True).cost < Metrics(problem).cost


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_nearly_constant_columns_are_looked_at_again(rng, form):
    X = rng.standard_normal((500, 20))
    X[:, 3] = 0.1
    X[:, 11] = 3.0 + 1e-9 * X[:, 11]
    design = as_design(form(X))
    _, quick = standardise(design, None, LogLoss(), 1e-3, True)
    _, exact = standardise(design, np.full(500, 1.0 / 500), LogLoss(), 1e-3, True)
    np.testing.assert_allclose(quick.centre, exact.centre, atol=1e-14)
    np.testing.assert_array_equal(quick.scale, exact.scale)
    np.testing.assert_allclose(quick.ridge, exact.ridge)
    np.testing.assert_allclose(quick.variance, exact.variance)
    assert quick.scale[3] == 0.0 < quick.scale[11]


def test_raw_coordinates_and_back(rng):
    X = raw(rng)
    problem = problem_of(X, np.sign(rng.standard_normal(400)), LogLoss(), 1e-3)
    x = rng.standard_normal(10)
    coef, intercept = problem.raw(x)
    np.testing.assert_allclose(problem.from_raw(coef, intercept), x, rtol=1e-6, atol=1e-9)


def test_line_search_finds_flat_descent():
    def quartic(t):
        return (t - 50.0) ** 4, 4.0 * (t - 50.0) ** 3, 12.0 * (t - 50.0) ** 2

    value, slope, _ = quartic(0.0)
    t = search(quartic, value, slope)
    assert abs(quartic(t)[1]) <= 0.1 * abs(slope)
    assert search(lambda t: (1.0 + t, 1.0, 0.0), 1.0, -1.0) == 0.0


def test_memory_satisfies_the_secant_equation(rng):
    memory = Memory(3)
    for _ in range(5):
        s = rng.standard_normal(4)
        y = np.diag([1.0, 2.0, 3.0, 4.0]) @ s
        memory.add(s, y)
    memory.add(s, -y)  # refused: not convex along it
    np.testing.assert_allclose(memory.solve(y, lambda g: g.copy()), s)


def test_memory_finds_the_size_of_a_metric_whose_shape_is_right(rng):
    A = np.diag([1.0, 2.0, 3.0, 4.0])
    memory, g = Memory(1), rng.standard_normal(4)
    s = rng.standard_normal(4)
    memory.add(s, A @ s)
    np.testing.assert_allclose(
        memory.solve(g, lambda g: 100.0 * np.linalg.solve(A, g)), np.linalg.solve(A, g)
    )


@pytest.mark.parametrize(("density", "remembered"), [(1e-3, 3), (0.1, 5), (1.0, 10)])
def test_steps_are_remembered_as_far_as_that_costs_no_more_than_x(rng, density, remembered):
    """Steps along the axes of a quadratic: B⁻¹ undoes the last ones exactly, all others like the metric."""
    X = sp.random_array((100, 40), density=density, rng=rng, format="csr")
    model = Model(problem_of(X, np.sign(rng.standard_normal(100)), LogLoss(), 1e-3))
    model.metric = DiagonalCurvature(Gram(1.0, np.zeros(40), np.ones(40)), np.zeros(40))
    x, curvatures = np.zeros(41), 1.0 + np.arange(12.0)
    for k, a in enumerate(curvatures):
        old, x = x, x + np.eye(41)[k]
        model.add(*(Place(at, np.zeros(100), 0.0, a * at) for at in (old, x)))
    exact = [model.solve(a * np.eye(41)[k])[k] == pytest.approx(1.0) for k, a in enumerate(curvatures)]
    assert exact == [False] * (12 - remembered) + [True] * remembered


def test_a_kernel_serves_while_the_curvature_stays_in_a_decade(rng, monkeypatch):
    """The floor of the ridge hangs on the curvature, and K on the floor."""
    made = []
    monkeypatch.setattr(metric_kinds, "kernel_matrix", lambda *a: made.append(1) or kernel_matrix(*a))
    X = rng.standard_normal((30, 80)) * np.logspace(-6, 6, 80)
    problem = problem_of(X, np.sign(rng.standard_normal(30)), LogLoss(), 1e-12)
    kind, g = metric_kinds.Kernel(problem), rng.standard_normal(81)
    for size in 0.9 ** np.arange(44.0):  # 1 to 0.01
        metric = kind.make(np.full(30, size), problem.ridge)
        assert np.isfinite(metric.solve(g)).all()
    assert 2 <= len(made) <= 4


def test_certify_never_believes_a_status(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    far = certify(problem, problem.at(np.zeros(9)), Status.CONVERGED, 1e-8)
    assert far.status is Status.MAX_ITER
    best = reference(LogLoss(), X, y, 1e-3)[2]
    assert far.gap == pytest.approx(far.objective / best - 1.0, rel=1e-7)


@pytest.mark.parametrize("form", ["csr", "csc"])
def test_entries_in_two_parts_are_one_number(form):
    a = np.linspace(0.5, 1.5, 200)
    X = sp.csr_array((np.repeat(a / 2.0, 2), np.zeros(400, int), np.arange(0, 401, 2)), shape=(200, 1))
    X = X if form == "csr" else X.tocsc()
    whole = GDNPClassifier().fit(a[:, None], a > 1.0)
    parts = GDNPClassifier().fit(X, a > 1.0)
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_proof_is_of_the_coefficients_whatever_the_margins_have_gathered(rng):
    X = rng.standard_normal((64, 40)) + 1e7 * rng.choice([-1.0, 1.0], 40)
    y = rng.standard_normal(64)
    model = GDNPRegressor(alpha=1e-4, fit_intercept=False).fit(X, y)
    certificate = model.certificate_
    value = 0.5 * np.mean((y - X @ model.coef_) ** 2) + 0.5e-4 * model.coef_ @ model.coef_
    assert certificate.objective == pytest.approx(value, rel=1e-7)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    best = Vt.T @ (s / (s**2 + 64 * 1e-4) * (U.T @ y))
    least = 0.5 * np.mean((y - X @ best) ** 2) + 0.5e-4 * best @ best
    assert certificate.objective <= (1.0 + certificate.gap) * least * (1.0 + 1e-7)


@pytest.mark.parametrize("value", [0.0, 2.0])
@pytest.mark.parametrize("loss", ["squared_error", "pseudo_huber"])
def test_a_constant_target_of_many_rows(rng, loss, value):
    model = GDNPRegressor(loss).fit(rng.standard_normal((20_000, 3)), np.full(20_000, value))
    assert model.intercept_ == pytest.approx(value)
    assert model.certificate_.status is Status.CONVERGED


@pytest.mark.parametrize("factor", [1e3, 1e6, 1e200])
def test_a_warm_start_far_out_is_left(rng, factor):
    X, y = draw(rng)
    model = GDNPClassifier(warm_start=True).fit(X, y)
    best = model.certificate_.objective
    model.coef_ = factor * model.coef_
    model.fit(X, y)
    assert model.certificate_.objective == pytest.approx(best, rel=1e-7)


def test_a_hessian_of_zero_has_no_negative_curvature(rng):
    X, y = rng.standard_normal((4, 20)), np.array([1.0, 1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 0.0, fit_intercept=False)
    place = problem.at(np.append(1e6 * np.linalg.lstsq(X, y, rcond=None)[0] / problem.scale, 0.0))
    assert smallest_curvature(problem, place)[0] == 0.0
    assert smallest_curvature(problem, place, np.copy)[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(30, 100), (200, 20)])
def test_a_search_finds_the_smallest_curvature_of_the_matrix(rng, n, d, fit_intercept):
    X = rng.standard_normal((n, d)) * np.logspace(-3, 3, d)
    problem = problem_of(X, np.sign(rng.standard_normal(n)), Sigmoid(), 1e-3, fit_intercept)
    for size in 0.1, 0.5:
        place = problem.at(size * np.append(rng.standard_normal(d), float(fit_intercept)))
        metric = Metrics(problem).at(place.margins)
        known, _ = smallest_curvature(problem, place)
        found, direction = smallest_curvature(problem, place, metric.solve)
        if fit_intercept:
            product = problem.hessian_product(problem.curvature(place.margins), direction, np.empty(n))
            assert direction @ product / (direction @ direction) == pytest.approx(found, abs=1e-9)
        assert known - 1e-9 < found < known + 0.05 * abs(known)


def test_a_search_that_breaks_down_gives_the_quotient_it_has(rng):
    X, y = draw(rng, n=50)
    problem = problem_of(X, y, Sigmoid(), 1e-3)
    place = problem.at(0.1 * rng.standard_normal(9))
    found, direction = smallest_curvature(problem, place, lambda g: np.full_like(g, np.nan))
    product = problem.hessian_product(problem.curvature(place.margins), direction, np.empty(50))
    assert direction @ product / (direction @ direction) == pytest.approx(found)


def test_classifiers_with_fewer_rows_than_columns_in_any_units(rng):
    for _ in range(200):
        d = int(rng.integers(20, 100))
        n = int(rng.integers(d // 2, d))
        X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-8.0, 8.0, d)
        y = np.arange(n) % 2
        assert GDNPClassifier().fit(X, y).certificate_.status is Status.CONVERGED


@pytest.mark.parametrize(("groups", "alpha", "kernels"), [(1200, 1.0, 0), (3, 1e-4, 1)])
def test_a_kernel_is_made_once_and_only_where_the_diagonal_is_slow(rng, monkeypatch, groups, alpha, kernels):
    """One for all classes, where columns are nearly the same as others; none where they are not."""
    made = []
    monkeypatch.setattr(
        "gdnp.newton.preconditioners.stages.kernel_matrix", lambda *a: made.append(1) or kernel_matrix(*a)
    )
    common = rng.standard_normal((150, groups))
    X = np.repeat(common, 1200 // groups, axis=1) + 0.1 * rng.standard_normal((150, 1200))
    model = GDNPClassifier(alpha=alpha).fit(X, rng.integers(0, 3, 150))
    assert all(certificate.proved for certificate in model.certificate_)
    assert len(made) == kernels


def test_the_curvature_at_the_end_is_that_of_a_matrix_where_one_fits(rng):
    """A search in an ill-conditioned Hessian takes many passes."""
    X = rng.standard_normal((60, 80)) * 10.0 ** rng.uniform(-2.0, 2.0, 80)
    y = np.sign(X @ rng.standard_normal(80) + rng.standard_normal(60))
    model = GDNPClassifier("probit", alpha=1e-4).fit(X, y)
    assert model.certificate_.smallest_curvature > -1e-9
    assert model.history_["passes"][-1] < 1000


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
@pytest.mark.parametrize("alpha", [1e-4, 1e-2])
def test_fewer_rows_than_columns_of_any_size(rng, size, alpha):
    """Margins grow until φ'' is as small as the ridge in units of the columns, 1e-20 here."""
    X = size * rng.standard_normal((40, 400))
    y = rng.integers(0, 2, 40)
    model = GDNPClassifier(alpha=alpha).fit(X, y)  # warns, an error here, if tol is not met
    assert model.certificate_.proved
    assert model.n_iter_ < 80


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


def test_regression_with_very_many_columns_in_any_units():
    """More than a matrix of columns is held for, and too many for the products of rows to be exact."""
    r = np.random.default_rng(0)
    X = r.standard_normal((120, 40_000)) * 10.0 ** r.uniform(-8.0, 8.0, 40_000)
    model = GDNPRegressor(alpha=1e-6).fit(X, r.standard_normal(120))  # a warning is an error
    assert model.certificate_.proved


@pytest.mark.parametrize(("n", "expected"), [(500, True), (2100, False)])
def test_a_basis_of_the_rows_is_not_made_of_many(rng, n, expected):
    """It is dense whatever X is, and takes n²d multiplications."""
    X = sp.random_array((n, 4000), density=1e-3, rng=rng, format="csr")
    X = X * (10.0 ** rng.uniform(-8.0, 8.0, 4000))
    problem = problem_of(sp.csr_array(X), rng.standard_normal(n), SquaredError(), 1e-6)
    assert metric_kinds.hides_ridge(problem, 1.0 / n) is expected


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("offset", [1e12, 1e15, 4e15])
def test_a_column_that_varies_in_its_last_digits(rng, offset, form):
    """Its spread is below the rounding of a sum of its entries, and yet exact."""
    steps = rng.integers(0, 3, 300).astype(float)
    y = (steps + rng.standard_normal(300) > 1.0).astype(int)
    constant = np.full(300, 0.1)
    plain = GDNPClassifier(alpha=1e-4).fit(steps[:, None], y)
    model = GDNPClassifier(alpha=1e-4).fit(form(np.column_stack([steps + offset, constant])), y)
    np.testing.assert_allclose(model.coef_, [[plain.coef_[0, 0], 0.0]], rtol=1e-6)


@pytest.mark.parametrize("loss", [LogLoss(), Sigmoid()], ids=lambda loss: loss.name)
def test_a_place_is_reached_before_the_metric_is_paid_for(rng, loss):
    X, y = draw(rng, n=2500)
    near = solve(problem_of(X, y, loss, 1e-3), tol=0.1, prove=False).place.x
    problem = problem_of(X, y, loss, 1e-3)
    first, second = solve(problem, start=0.9 * near).history[:2]
    assert first.passes == 1.0
    assert second.passes > 2.2


def test_a_last_step_that_gained_is_not_a_stall():
    """Its metric could not be made anew, φ'' being 0 to rounding, when less than that was left to do."""
    r = np.random.default_rng(282)
    n, d = int(r.integers(100, 1000)), int(r.integers(2, 10))
    X = r.standard_normal((n, d)) * (r.random((n, d)) < 0.02)
    labels = r.integers(0, 3, n)
    X[:, 0] += labels * max(X[:, 0].std(), 0.1)
    model = GDNPClassifier("sigmoid", alpha=0.0).fit(X, labels == 0)
    assert model.certificate_.status is Status.CONVERGED
