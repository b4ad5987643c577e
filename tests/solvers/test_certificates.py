"""A certificate never claims more than is true, however early or late it is asked for."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdnp import GDNPClassifier
from gdnp.design.block import EPS
from gdnp.losses import LogLoss, Loss, PseudoHuber, SquaredError
from gdnp.newton import solve
from gdnp.problem.gram import hessian
from gdnp.solvers import Status
from gdnp.solvers.certificates import (
    certified,
    duality_gap,
    estimated_gap,
    gap_of_step,
    margin_error,
    provable,
    risen,
    value_above,
)
from gdnp.solvers.conjugate import newton_step, still
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
    point = problem.point(x)
    newton = newton_step(
        problem, point, problem.curvature(point.margins), lambda g: g.copy(), lambda made: False, products
    )
    moved, gap = duality_gap(problem, point, newton)
    careful = duality_gap(problem, point, newton, allowed=gap * (1.0 - 1e-12))[1]
    assert careful <= gap
    best = reference(loss, X, y, alpha, weight, fit_intercept)[2]
    assert moved.value - gap <= best * (1.0 + 1e-9)
    step, there, in_one = gap_of_step(problem, point, replace(newton, slope=None))  # whatever its balance
    assert there.value - in_one <= best * (1.0 + 1e-9)
    np.testing.assert_allclose(step.slope, newton.slope, rtol=1e-9, atol=1e-9 * np.abs(newton.slope).max())
    assert moved.value == pytest.approx(problem.point(moved.x).value)


def test_no_gap_is_above_f(rng):
    """a = 0 is a dual point, whatever rounding makes of one that a tiny ridge would divide by."""
    X, y = draw(rng, n=40, d=4, loss=LogLoss())
    problem = problem_of(X * np.logspace(-100, 100, 4), y, LogLoss(), 1e-10)
    point = problem.point(0.1 * rng.standard_normal(5))
    newton = still(point, np.positive)
    moved, gap = duality_gap(problem, point, newton)
    assert moved.value <= gap <= moved.value * (1.0 + 1e-6)


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
def test_the_gap_holds_where_the_intercept_is_far_off(rng, loss):
    """a = φ'(t) is out of balance there, and would be no dual point as it is."""
    X, y = draw(rng, loss=loss)
    y = np.where(np.arange(len(y)) < 30, -1.0, 1.0) if loss.task == "classification" else y + 2.0
    problem = problem_of(X, y, loss, 1e3)
    point = problem.point(np.zeros(9))
    moved, gap = duality_gap(problem, point, still(point, lambda g: g.copy()))
    assert moved.value == pytest.approx(point.value)
    assert moved.value - gap <= reference(loss, X, y, 1e3)[2]


@pytest.mark.parametrize("loss", [SquaredError(), PseudoHuber()], ids=lambda loss: loss.name)
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


def test_a_status_is_never_believed(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    known = solve(problem).certificate
    far = certified(problem.point(np.zeros(9)), known, Status.CONVERGED, 1e-8, 0.0, (0.0, 0.0))
    assert far.status is Status.STALLED
    assert (
        certified(problem.point(np.zeros(9)), known, Status.MAX_ITER, 1e-8, 0.0, (0.0, 0.0)).status
        is Status.MAX_ITER
    )
    best = reference(LogLoss(), X, y, 1e-3)[2]
    assert far.gap == pytest.approx(far.objective / best - 1.0, rel=1e-7)


def test_a_point_far_off_does_not_lift_the_bound(rng):
    """f there has so few digits that a difference to it is worth nothing."""
    X, y = draw(rng, loss=SquaredError())
    problem = problem_of(X, y, SquaredError(), 1e-3)
    known = solve(problem).certificate
    far = problem.point(1e10 * np.ones(9))
    claimed = certified(far, known, Status.MAX_ITER, 1e-8, 0.0, (1e-12, 1e-12))
    assert claimed.gap >= far.value / reference(SquaredError(), X, y, 1e-3)[2] * (1.0 - 1e-9)


def test_long_doubles_prove_what_doubles_cannot(rng):
    """A ridge that is small beside rounding of the gradient."""
    X, y = draw(rng, n=400)
    problem = problem_of(X, y, LogLoss(), 1e-17)
    point = solve(problem_of(X, y, LogLoss(), 0.0), tol=1e-13).state.point
    point = problem.point(point.x)
    H = hessian(problem, problem.curvature(point.margins))
    newton = newton_step(
        problem,
        point,
        problem.curvature(point.margins),
        lambda g: np.linalg.solve(H, g),
        lambda made: False,
        3,
    )
    rough, careful = (duality_gap(problem, point, newton, allowed)[1] for allowed in (0.0, np.inf))
    best = reference(LogLoss(), X, y, 0.0)[2]
    assert careful <= rough
    assert problem.point(point.x + newton.step).value - best * (1.0 + 1e-13) <= careful


def test_an_estimate_allows_for_curvature_that_is_not_in_the_preconditioner(rng):
    X, y = draw(rng, n=400)
    problem = problem_of(X, y, LogLoss(), 0.0)
    best = reference(LogLoss(), X, y, 0.0)[2]
    point = problem.point(solve(problem, tol=1e-4).state.point.x + 0.01 * rng.standard_normal(9))
    for scale in 1.0, 100.0:  # H is too large
        newton = newton_step(
            problem,
            point,
            problem.curvature(point.margins),
            lambda g, scale=scale: g / scale,
            lambda made: False,
            6,
        )
        moved = problem.point(point.x + newton.step)
        gap = estimated_gap(problem, moved, newton, lambda g, scale=scale: g / scale)
        assert moved.value - best <= gap


# What is said of rounding bounds it, by exact arithmetic


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e12])
def test_the_error_of_margins_is_a_bound(rng, offset):
    """Against exact arithmetic on the coefficients that are returned."""
    X = rng.standard_normal((50, 4)) * [1.0, 1e-6, 1e6, 1.0]
    X[:, 0] += offset
    problem = problem_of(X, rng.standard_normal(50), SquaredError(), 1e-3)
    for size in 1.0, 1e8:
        x = size * rng.standard_normal(5)
        coef, b = problem.raw(x)
        w = [Fraction(c) for c in coef]
        eta = [sum(Fraction(v) * c for v, c in zip(row, w, strict=True)) + Fraction(b) for row in X]
        exact = np.array([float(Fraction(y) - e) for y, e in zip(problem.base, eta, strict=True)])
        off = np.sqrt(np.mean((problem.point(x).margins - exact) ** 2))
        bound = margin_error(problem, x, coef, b) + EPS * np.sqrt(np.mean(exact**2))
        assert off <= bound < 1e3 * off + 1e-13 * size
        back = problem.returned(x)
        off = np.sqrt(np.mean((problem.point(back).margins - exact) ** 2))
        assert off <= margin_error(problem, back, coef, b) + EPS * np.sqrt(np.mean(exact**2))


@pytest.mark.parametrize("loss", [LogLoss(), SquaredError()], ids=lambda loss: loss.name)
def test_a_value_with_wrong_margins_is_below_its_bound(rng, loss):
    X, y = draw(rng, loss=loss)
    problem = problem_of(X, y, loss, 1e-3)
    point = problem.point(rng.standard_normal(9))
    for wrong in 1e-6, 1e-2, 1.0:
        off = wrong * rng.choice([-1.0, 1.0], len(y))
        assert problem.known(point.x, point.margins + off).value <= risen(point, wrong)
    assert risen(point, 0.0) == point.value
    assert value_above(point) == pytest.approx(point.value, rel=1e-12)
    assert value_above(point) >= point.value
    assert value_above(point, 0.25) == value_above(point) - 0.25
