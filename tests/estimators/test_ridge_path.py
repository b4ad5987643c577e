"""One path over training sets and ridges: the same minima as fits from nothing, in fewer readings of X."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import Choice
from gdnp.estimators.fitting import Data, Settings, fit_one
from gdnp.estimators.ridge_path import Leader, Path, checked_alphas, grid
from gdnp.losses import LOSSES, get_loss
from gdnp.solvers import Status
from problems import draw

ALPHAS = np.array([1.0, 1e-2, 1e-4])
THIRDS = [np.flatnonzero(np.arange(300) % 3 != k) for k in range(3)]


def settings_of(loss, **changes):
    options = {"alpha": 1.0, "fit_intercept": True, "solver": "auto", "tol": 1e-8, "max_iter": 1000}
    return Settings(get_loss(loss), n_init=1, **{**options, **changes})


def leader_of(X, y, loss="log_loss", alphas=ALPHAS, folds=THIRDS, weight=None, **changes):
    settings = settings_of(loss, **changes)
    objective = Data(X, weight, settings, 1).objective(np.asarray(y, dtype=float))
    return Leader(Path(settings, alphas), objective, [Choice(index, len(index)) for index in folds])


def alone(X, y, loss, alpha, weight=None, **options):
    kind = GDNPClassifier if get_loss(loss).task == "classification" else GDNPRegressor
    return kind(loss, alpha=alpha, tol=1e-12, **options).fit(X, y, sample_weight=weight)


def assert_same(fit, model, tol=1e-8):
    """Values that differ by less than both certificates promise, and predictions that show it."""
    certificate = fit.certificate
    assert certificate.status is Status.CONVERGED
    assert certificate.gap <= tol
    assert certificate.objective == pytest.approx(model.certificate_.objective, rel=3.0 * tol, abs=1e-30)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["log_loss", "squared_error", "huber", "sigmoid"])
def test_each_fit_is_that_of_its_rows_alone(rng, loss, weighted):
    X, y = draw(rng, loss=LOSSES[loss])
    X = X * 10.0 ** np.arange(-4, 4) + 3.0
    weight = rng.random(300) * (rng.random(300) < 0.9) if weighted else None
    mean = None if weight is None else weight / weight.sum()
    leader = leader_of(X, y, loss, weight=mean)
    for fit, alpha in zip(leader.lead(), ALPHAS, strict=True):
        assert_same(fit, alone(X, y, loss, alpha, weight))
    for k, index in enumerate(THIRDS):
        few = None if weight is None else weight[index]
        fits = leader.follow(k, None if few is None else few / few.sum())
        for fit, alpha in zip(fits, ALPHAS, strict=True):
            if loss == "sigmoid":  # of several minima either may be met
                assert fit.certificate.status is Status.CONVERGED
            else:
                assert_same(fit, alone(X[index], y[index], loss, alpha, few))


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("form", ["sparse", "wide", "no intercept"])
def test_other_shapes_of_data(rng, loss, form):
    n, d = (300, 8) if form != "wide" else (60, 90)
    X, y = draw(rng, n, d, loss=LOSSES[loss])
    X = sp.csr_array(np.where(rng.random(X.shape) < 0.5, 0.0, X)) if form == "sparse" else X
    folds = [index[index < n] for index in THIRDS]
    intercept = form != "no intercept"
    leader = leader_of(X, y, loss, folds=folds, fit_intercept=intercept)
    _ = list(leader.lead())
    for k, index in enumerate(folds):
        for fit, alpha in zip(leader.follow(k, None), ALPHAS, strict=True):
            assert_same(fit, alone(X[index], y[index], loss, alpha, fit_intercept=intercept))


def test_without_a_ridge_a_training_set_has_columns_of_its_own(rng):
    """A column that is constant there, and one that others make up there alone: the least coefficients."""
    X, y = draw(rng, loss=LOSSES["squared_error"])
    held_out = np.flatnonzero(np.arange(300) % 3 == 0)
    X[:, 0] = 0.0
    X[:, 1] = X[:, 2]
    X[held_out, :2] += rng.standard_normal((len(held_out), 2))
    leader = leader_of(X, y, "squared_error", alphas=np.array([1e-2, 0.0]))
    _ = list(leader.lead())
    fit = list(leader.follow(0, None))[-1]
    expected = np.linalg.lstsq(np.column_stack((X[THIRDS[0]], np.ones(200))), y[THIRDS[0]], rcond=None)[0]
    np.testing.assert_allclose(fit.coef[1:3], expected[1:3], rtol=1e-6)
    assert fit.coef[0] == 0.0


def test_rare_columns_that_a_training_set_lacks_stay_at_zero(rng):
    X, y = draw(rng)
    X = np.column_stack((X, np.zeros(300)))
    X[0, -1] = 1.0  # the one row is held out of the first
    leader = leader_of(X, y, alphas=np.array([1e-2, 1e-6]))
    _ = list(leader.lead())
    for fit in leader.follow(0, None):
        assert fit.certificate.gap <= 1e-8
        assert abs(fit.coef[-1]) <= 1e-3  # what a gap of 1e-8 leaves open


def test_a_path_reads_x_less_often_than_fits_from_nothing():
    """The starts ahead of the last fits, and H of all rows, are for this."""
    X, y = draw(np.random.default_rng(3), 8000, 20)
    alphas, folds = 10.0 ** -np.arange(6.0), [np.flatnonzero(np.arange(8000) % 5 != k) for k in range(5)]
    leader = leader_of(X, y, alphas=alphas, folds=folds)
    passes = [[fit.history["passes"][-1] for fit in leader.lead()]]
    passes += [[fit.history["passes"][-1] for fit in leader.follow(k, None)] for k in range(5)]
    settings = settings_of("log_loss")
    cold = [
        fit_one(Data(X[folds[0]], None, settings, 1).objective(y[folds[0]]).with_alpha(a), settings)
        for a in alphas
    ]
    spent = sum(fit.history["passes"][-1] for fit in cold)
    assert all(sum(row) <= 0.7 * spent for row in passes[1:])


def test_kernels_of_training_sets_are_parts_of_one(rng, monkeypatch):
    import gdnp.newton.preconditioners.making as making

    made, kernel_matrix = [], making.kernel_matrix
    monkeypatch.setattr(making, "kernel_matrix", lambda *a: made.append(1) or kernel_matrix(*a))
    X, y = draw(rng, 60, 300, loss=LOSSES["squared_error"])
    leader = leader_of(X, y, "squared_error", folds=[index[index < 60] for index in THIRDS])
    _ = list(leader.lead())
    fits = [list(leader.follow(k, None)) for k in range(3)]
    assert made == [1]
    assert all(fit.certificate.gap <= 1e-8 for row in fits for fit in row)


def test_sums_of_grams_do_not_cancel(rng):
    """Rows of 1e9 that one fold holds: taken off the Gram of all rows they would leave no digit."""
    X, y = draw(rng, loss=LOSSES["squared_error"])
    out = np.setdiff1d(np.arange(300), THIRDS[0])
    X[out] *= 1e9 * np.sign(rng.standard_normal((len(out), 1)))
    X[out] -= X[out].mean(axis=0)  # so that the centre is near all rows
    leader = leader_of(X, y, "squared_error")
    unit = leader._problems[0].standardised.coordinates.scale
    Z = (X[THIRDS[0]] - X[THIRDS[0]].mean(axis=0)) * unit
    found = leader._grams[1].scatter
    np.testing.assert_allclose(found, Z.T @ Z / 200, rtol=1e-6, atol=1e-6 * np.diag(found).min())


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("offset", [0.0, 1.0])
def test_a_training_set_that_is_small_beside_the_rest_keeps_its_digits(rng, loss, offset):
    """In coordinates of its own: in those of all rows its Grams would be rounding, and proofs would fail."""
    X, y = draw(rng, loss=LOSSES[loss])
    out = np.setdiff1d(np.arange(300), THIRDS[0])
    X[out] = 1e9 * (X[out] + offset)
    alphas = np.array([1e-2, 1e-6, 1e-10])
    leader = leader_of(X, y, loss, alphas)
    _ = list(leader.lead())
    for fit, alpha in zip(leader.follow(0, None), alphas, strict=True):
        assert_same(fit, alone(X[THIRDS[0]], y[THIRDS[0]], loss, alpha))
        assert fit.history["passes"][-1] <= 30


def test_folds_that_overlap_have_grams_of_their_own(rng):
    X, y = draw(rng, loss=LOSSES["squared_error"])
    folds = [np.arange(100), np.arange(50, 150)]
    leader = leader_of(X, y, "squared_error", folds=folds)
    _ = list(leader.lead())
    for k, index in enumerate(folds):
        for fit, alpha in zip(leader.follow(k, None), ALPHAS, strict=True):
            assert_same(fit, alone(X[index], y[index], "squared_error", alpha))
            assert fit.n_iter == 1


def test_the_next_start_goes_on_along_the_logarithm_of_alpha():
    way = Path(settings_of("log_loss"), np.array([100.0, 10.0, 1.0, 1.0, 0.1, 0.0]))
    points = [(np.array([1.0]), 0.0), (np.array([3.0]), 1.0)]
    assert way.ahead([]) is None
    assert way.ahead(points[:1]) == points[0]
    assert way.ahead(points) == (5.0, 2.0)
    assert way.ahead([*points, points[0]]) == (1.0, 0.0)  # the same ridge again
    assert way.ahead([*points, points[0], points[1]]) == (3.0, 1.0)  # nothing is known of the slope
    assert way.ahead([*points, points[0], points[0], points[1]]) == (5.0, 2.0)  # no farther than last time


# Ridges


@pytest.mark.parametrize(
    "alphas", [[], [[1.0]], [-1.0], [1.0, np.nan], [np.inf], "many", 1.0, True, 0, ["a"], {"a": 1}]
)
def test_alphas_are_refused_in_one_sentence(alphas):
    with pytest.raises(ValueError, match=r"^alphas must be a sequence of finite numbers .* Got .*; np\."):
        checked_alphas(alphas)


def test_alphas_are_numbers_or_how_many():
    assert (checked_alphas(None), checked_alphas(7), checked_alphas(np.int32(3))) == (10, 7, 3)
    np.testing.assert_array_equal(checked_alphas((1, 3, 0)), [1.0, 3.0, 0.0])


def test_a_grid_is_of_the_data_and_not_of_its_units(rng):
    """Weights stand for repeated rows, and a unit for a unit."""
    X, y = draw(rng)
    count = rng.integers(0, 3, 300)

    def of(X, y, weight=None):
        weight = None if weight is None else weight / weight.sum()
        return grid(Data(X, weight, settings_of("log_loss"), 1).objective(y).standardised, 5)

    alphas = of(X, y)
    variance = 0.25 * X.var(axis=0)
    np.testing.assert_allclose(alphas[[0, -1]], [variance.sum(), 1e-6 * variance.min()], rtol=1e-12)
    np.testing.assert_allclose(np.diff(np.log(alphas)), np.log(alphas[1] / alphas[0]))
    np.testing.assert_allclose(of(1e3 * X, y), 1e6 * alphas, rtol=1e-9)
    np.testing.assert_allclose(
        of(X, y, count.astype(float)), of(X.repeat(count, axis=0), y.repeat(count)), rtol=1e-9
    )
    np.testing.assert_allclose(of(np.column_stack((X, np.ones(300))), y), alphas, rtol=1e-12)
    np.testing.assert_allclose(of(np.ones((4, 1)), np.array([1.0, -1.0, 1.0, 1.0]))[[0, -1]], [1.0, 1e-6])
