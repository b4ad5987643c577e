"""What a fit does with any solver: its certificate, history, start, and tolerances that cannot be met."""

import warnings
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.estimators.fitting import SOLVERS, Data, Settings
from gdnp.losses import LOSSES
from gdnp.solvers.state import Status
from problems import draw, estimator
from rational import dot


@pytest.fixture(scope="module")
def unit_data():
    X, y = draw(np.random.default_rng(0), n=200, d=3)
    return X / X.std(0), y


@pytest.fixture(scope="module")
def best(unit_data):
    return GDNPClassifier(alpha=1e-2, tol=1e-12).fit(*unit_data).certificate_.objective


@pytest.mark.parametrize("solver", [solver for solver in SOLVERS if solver != "auto"])
def test_every_solver_tells_the_truth(unit_data, best, solver):
    X, y = unit_data
    model = GDNPClassifier(alpha=1e-2, solver=solver, max_iter=200)
    try:
        certificate = model.fit(X, y).certificate_
    except ConvergenceWarning:
        certificate = _without_warning(model, X, y).certificate_
        assert certificate.gap > 1e-8
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap + 1e-13
    assert {"passes", "seconds", "objective", "gradient_norm"} <= set(model.history_)


def _without_warning(model, X, y):
    with pytest.warns(ConvergenceWarning, match="was not met"):
        return model.fit(X, y)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid"])
def test_warm_start_needs_next_to_nothing(rng, loss):
    X, y = draw(rng, n=400)
    model = GDNPClassifier(loss, alpha=1e-2, warm_start=True).fit(X, y)
    cold, coef = model.n_iter_, model.coef_
    model.fit(X, y)
    assert model.n_iter_ <= min(3, cold)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-4)
    model.fit(X[:, :4], y)  # another number of columns starts afresh
    assert model.coef_.shape == (1, 4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("alpha", [0.0, 1e-2, 1e3])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_warm_fit_at_the_optimum_stays_there(rng, loss, alpha, solver):
    """With means far from 0, rare labels, two targets or three classes, and coefficients that are 0.

    Methods of one direction have the log loss of two classes.
    """
    X, y = draw(rng, n=120, d=3, loss=loss)
    X = X / X.std(0) + [5.0, 0.0, -2.0]
    if loss.task == "regression":
        y = np.column_stack([y, -2.0 * y])
    elif loss.name != "log_loss" or solver in ("auto", "newton"):
        y = np.where(rng.random(120) < 0.2, 2, y)
    best = estimator(loss, alpha=alpha, tol=1e-12).fit(X, y)
    warm = estimator(loss, alpha=alpha, solver=solver, warm_start=True, max_iter=5)
    warm.coef_, warm.intercept_ = best.coef_.copy(), best.intercept_.copy()
    warm.fit(X, y)
    ended = [
        one.certificate_ if isinstance(one.certificate_, tuple) else (one.certificate_,)
        for one in (best, warm)
    ]
    for known, found in zip(*ended, strict=True):
        assert found.objective == pytest.approx(known.objective, rel=1e-9)
    assert warm.history_["objective"][0] == pytest.approx(ended[0][0].objective, rel=1e-9)


@pytest.mark.parametrize("solver", ["gd", "agd"])
def test_a_gradient_that_is_small_enough_is_not_the_end(solver):
    """Columns of unlike spread: f is further off than the gradient says, and iterations are left."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((150, 3)) * [1.0, 0.2, 5.0]
    y = X @ [1.0, 3.0, 0.2] + rng.standard_normal(150)
    for tol in (1e-2, 1e-4, 1e-10):
        model = GDNPRegressor(alpha=1e-3, solver=solver, tol=tol, max_iter=20_000).fit(X, y)
        assert model.certificate_.status is Status.CONVERGED
        assert model.certificate_.gap <= tol
        assert len(model.history_["passes"]) == model.n_iter_ + 2
        assert (np.diff(model.history_["passes"]) > 0.0).all()
        assert (np.diff(model.history_["seconds"]) >= 0.0).all()
    with pytest.warns(ConvergenceWarning, match="raise max_iter"):
        few = GDNPRegressor(alpha=1e-3, solver=solver, tol=1e-10, max_iter=2).fit(X, y)
    assert few.certificate_.status is Status.MAX_ITER


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["gd", "agd", "weight_norm_gd"])
def test_where_rounding_stops_the_certified_solver_others_come_as_far(rng, solver):
    X = rng.standard_normal((200, 4))
    X = np.column_stack((X, X[:, 0]))
    y = X @ [1.0, 2.0, 3.0, -1.0, 0.5] + 1e-7 * rng.standard_normal(200)
    model = GDNPRegressor(alpha=0.0, solver=solver, tol=1e-8, fit_intercept=False).fit(X, y)
    assert model.certificate_.objective < 1e-14  # half of 1e-7 squared, in the mean


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_tolerance_at_all_goes_as_far_as_rounding_lets():
    X, y = load_breast_cancer(return_X_y=True)
    best, good = (GDNPClassifier(tol=tol).fit(X, y) for tol in (0.0, 1e-10))
    assert best.certificate_.objective <= good.certificate_.objective * (1 + 1e-10)
    assert best.n_iter_ < 3 * good.n_iter_  # not hundreds of steps along rounding


@cache
def plain_fit(alpha, n):
    rng = np.random.default_rng(n)
    Z = rng.standard_normal((n, 2))
    y = np.sign(Z @ [1.0, 0.5] + 0.5 * rng.standard_normal(n))
    return Z, y, GDNPClassifier(alpha=alpha, tol=1e-12).fit(Z, y)


@pytest.mark.parametrize("n", [569, 5000, 20000])
@pytest.mark.parametrize("constant", [0.1, 1.0 / 3.0, 1000.1])
@pytest.mark.parametrize("alpha", [0.0, 1e-4])
def test_a_constant_column_changes_nothing(alpha, constant, n):
    Z, y, plain = plain_fit(alpha, n)
    model = GDNPClassifier(alpha=alpha, tol=1e-12).fit(np.column_stack([np.full(n, constant), Z]), y)
    assert model.coef_[0, 0] == 0.0
    np.testing.assert_allclose(model.coef_[0, 1:], plain.coef_[0], rtol=1e-5)
    assert model.certificate_.status is Status.CONVERGED


def test_history_of_a_bounded_loss_counts_the_way_to_its_start():
    """The log loss and the path of lengths come first, and cost passes and seconds."""
    X, y = load_breast_cancer(return_X_y=True)
    history = GDNPClassifier("sigmoid", n_init=3, random_state=0).fit(X, y).history_
    assert history["passes"][0] > 1.0
    assert history["seconds"][0] > 0.0
    assert (np.diff(history["seconds"]) >= 0.0).all()


def test_further_starts_end_no_higher(rng):
    """And are drawn from the seed alone."""
    X, y = draw(rng, n=60)
    y[::3] *= -1.0
    ends = [
        GDNPClassifier("sigmoid", alpha=1e-4, n_init=k, random_state=1).fit(X, y).certificate_.objective
        for k in (1, 4, 4)
    ]
    assert ends[1] <= ends[0] * (1.0 + 1e-12)
    assert ends[1] == ends[2]


def test_targets_share_what_depends_on_X_alone(rng):
    X, y = draw(rng)
    settings = Settings(LOSSES["log_loss"], 0.1, True, "auto", 1e-8, 100, 1)
    data = Data(X, None, settings, None, targets=2)
    one, other = data.objective(y.copy()), data.objective(-y)
    assert one.shared is other.shared
    assert one.shared.problems == 2
    assert one.standardised.coordinates is other.standardised.coordinates


@pytest.mark.parametrize("offset", [1e8, 1e10, 1e12, 1e14])
@pytest.mark.parametrize("n", [6, 60])
def test_the_certificate_is_that_of_coefficients_in_float64(offset, n):
    """Far from zero rounding of the intercept alone may cost more than tol: then the gap has it."""
    rng = np.random.default_rng(1)
    X, y = offset + rng.standard_normal((n, 2)), rng.standard_normal(n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GDNPRegressor(alpha=0.0).fit(X, y)
    known = model.certificate_
    rows = [[Fraction(v) for v in row] for row in X.tolist()]
    coef, b = [Fraction(v) for v in model.coef_.tolist()], Fraction(float(model.intercept_))
    left = [float(Fraction(t) - b - dot(row, coef)) for row, t in zip(rows, y.tolist(), strict=True)]
    value = 0.5 * float(np.mean(np.square(left)))
    assert known.objective == pytest.approx(value, rel=1e-12)
    Z = (X - X[0]) - (X - X[0]).mean(axis=0)
    z = y - y.mean()
    least = 0.5 * float(np.mean(np.square(z - Z @ np.linalg.lstsq(Z, z, rcond=None)[0])))
    assert value / least - 1.0 <= known.gap + 1e-10
    assert (known.status is Status.CONVERGED) == (known.gap <= 1e-8)
    if offset <= 1e10:  # float64 evaluates what was certified
        assert known.status is Status.CONVERGED
        seen = 0.5 * float(np.mean(np.square(y - X @ model.coef_ - model.intercept_)))
        assert seen == pytest.approx(value, rel=1e3 * offset * np.finfo(float).eps)
