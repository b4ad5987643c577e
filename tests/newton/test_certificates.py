"""A certificate never claims more than is true, however early or late it is asked for."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdnp import GDNPClassifier
from gdnp.losses import LOSSES, LogLoss, Loss
from gdnp.solvers.certificates import duality_gap, provable
from gdnp.solvers.conjugate import NewtonStep, newton_step
from gdnp.solvers.state import Status
from problems import CONVEX, draw, estimator, problem_of
from reference import reference


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**16),
    loss=st.sampled_from(CONVEX),
    alpha=st.sampled_from([1e-8, 1e-4, 1e-1, 10.0]),
    spread=st.floats(0.0, 6.0),
    length=st.floats(0.0, 3.0),
    products=st.integers(1, 4),
    fit_intercept=st.booleans(),
    weighted=st.booleans(),
)
def test_the_gap_bounds_the_suboptimality_anywhere(
    seed, loss, alpha, spread, length, products, fit_intercept, weighted
):
    rng = np.random.default_rng(seed)
    X, y = draw(rng, n=40, d=4, loss=loss)
    X = X * np.logspace(-spread, spread, 4)
    weight = rng.random(40) if weighted else None
    share = None if weight is None else weight / weight.sum()
    problem = problem_of(X, y, loss, alpha, fit_intercept, share)
    x = length * rng.standard_normal(5)
    x[-1] *= fit_intercept
    place = problem.at(x)
    newton = newton_step(
        problem,
        place,
        problem.curvature(place.margins),
        lambda g: g.copy(),
        lambda residual, decrement: False,
        products,
    )
    moved, gap = duality_gap(problem, place, newton)
    best = reference(loss, X, y, alpha, weight, fit_intercept)[2]
    assert moved.value - gap <= best * (1.0 + 1e-9)
    assert moved.value == pytest.approx(problem.at(moved.x).value)


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_the_gap_holds_where_the_intercept_is_far_off(rng, loss):
    """a = φ'(t) is out of balance there, and would be no dual point as it is."""
    X, y = draw(rng, loss=loss)
    y = np.where(np.arange(len(y)) < 30, -1.0, 1.0) if loss.task == "classification" else y + 2.0
    problem = problem_of(X, y, loss, 1e3)
    place, still = problem.at(np.zeros(problem.d + 1)), np.zeros(problem.n)
    moved, gap = duality_gap(problem, place, NewtonStep(np.zeros(9), still, place.gradient, 0.0, True))
    assert moved.value == pytest.approx(place.value)
    assert moved.value - gap <= reference(loss, X, y, 1e3)[2]


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
@pytest.mark.parametrize("tol", [1e-1, 1e-4, 1e-10])
def test_tol_is_met_and_the_gap_is_true(rng, loss, tol):
    X, y = draw(rng, loss=loss)
    certificate = estimator(loss, alpha=1e-3, tol=tol).fit(X, y).certificate_
    best = reference(loss, X, y, 1e-3)[2]
    assert certificate.status is Status.CONVERGED
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap + 1e-14 <= tol + 1e-14


@pytest.mark.parametrize("loss", [loss for loss in CONVEX if loss.name != "log_loss"], ids=lambda x: x.name)
def test_without_a_ridge_the_gap_is_an_estimate(rng, loss):
    X, y = draw(rng, loss=loss)
    certificate = estimator(loss, alpha=0.0).fit(X, y).certificate_
    assert certificate.kind == "newton_decrement"
    assert not certificate.proved
    assert certificate.objective <= reference(loss, X, y, 0.0)[2] * (1.0 + 1e-8)


def test_a_loss_without_a_conjugate_is_estimated(rng):
    class Softplus(Loss):
        name, task, convex, increasing = "softplus", "classification", True, True
        max_gradient, max_curvature = 1.0, 0.25
        value, gradient, curvature = (
            lambda self, t: LogLoss().value(t),
            lambda self, t: LogLoss().gradient(t),
            lambda self, t: LogLoss().curvature(t),
        )

    X, y = draw(rng)
    model = GDNPClassifier(Softplus(), alpha=1e-2).fit(X, y)
    assert model.certificate_.kind == "newton_decrement"
    np.testing.assert_allclose(model.coef_, GDNPClassifier(alpha=1e-2).fit(X, y).coef_, rtol=1e-4)
    assert not provable(problem_of(X, y, Softplus(), 1e-2))
    with pytest.raises(NotImplementedError, match="softplus has no conjugate"):
        Softplus().conjugate(y)


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_conjugate_is_the_supremum(loss, rng):
    t = 3.0 * rng.standard_normal(200)
    a = loss.gradient(t)
    np.testing.assert_allclose(loss.value(t) + loss.conjugate(a), a * t, rtol=1e-9, atol=1e-12)
    others = loss.dual_clip(a + rng.standard_normal(200))
    assert (loss.value(t) + loss.conjugate(others) - others * t >= -1e-12).all()


def test_a_fit_cut_short_says_so(rng):
    X, y = draw(rng, n=500)
    y = np.where(X @ np.arange(8.0) > 0.0, 1.0, -1.0)
    y[0] *= -1.0  # all but separable: far to go
    with pytest.warns(UserWarning, match=r"tol=1e-08 was not met .* the iterations ran out; raise max_iter"):
        model = GDNPClassifier(alpha=1e-6, max_iter=2).fit(X, y)
    certificate = model.certificate_
    assert certificate.status is Status.MAX_ITER
    assert certificate.gap > 1e-8
    best = reference(LogLoss(), X, y, 1e-6)[2]
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_history_ends_where_the_certificate_was_given(rng, loss):
    X, y = draw(rng, loss=loss)
    model = estimator(loss, alpha=1e-2).fit(X, y)
    assert model.history_["objective"][-1] == model.certificate_.objective
    assert len({len(column) for column in model.history_.values()}) == 1
    for name in ("passes", "seconds"):
        assert (np.diff(model.history_[name]) >= 0.0).all()
