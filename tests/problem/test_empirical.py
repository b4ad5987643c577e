"""f by numbers: what each reading of X gives and costs, for one column of coefficients or several."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from definition import FORMS, Definition, any_scale, numeric_gradient, target_of
from gdnp import Objective
from gdnp.design import as_design
from gdnp.losses import LOSSES, Loss
from gdnp.problem.gram import dense_rows
from gdnp.problem.points import DataLine, Direction

K = 3


def problem_of(rng, form="dense", loss="log_loss", weighted=True, fit_intercept=True, standard=True):
    X, labels, targets, weight = any_scale(rng)
    loss = LOSSES[loss]
    problem = Objective(
        FORMS[form](X),
        target_of(loss, labels, targets),
        loss,
        alpha=0.01,
        fit_intercept=fit_intercept,
        sample_weight=weight if weighted else None,
    )
    return problem.standardised if standard else problem


@pytest.fixture(params=[True, False], ids=["weighted", "equal"])
def weighted(request):
    return request.param


# Costs


@pytest.mark.parametrize("standard", [False, True])
def test_passes_are_charged_where_X_is_read(rng, standard):
    problem = problem_of(rng, standard=standard)
    cost, v = problem.cost, np.ones(6)
    assert cost.passes == (1.0 if standard else 0.0)  # coordinates take a reading
    cost.passes = 0.0
    point = problem.at(v)
    _ = point.value, point.gradient, point.length, point.mean_curvature, point.separates, point.error
    assert cost.passes == 1.0
    line = point.line(v)
    assert cost.passes == 1.5
    line.expansion(0.5)
    line.expand(np.ones((5, 2)))
    moved = line.point(0.5)
    assert moved.value > 0.0
    assert cost.passes == 1.5
    assert moved.gradient.shape == (6,)
    assert cost.passes == 2.0
    known = problem.known(moved.x, moved.margins)
    assert known.value == pytest.approx(moved.value)
    assert cost.passes == 2.0
    assert known.intercept_gradient == pytest.approx(moved.intercept_gradient)
    assert known.x_gradient.shape == (7,)
    assert cost.passes == 2.5
    curvature = problem.curvature(moved.margins)
    assert cost.passes == 2.5
    problem.hessian_product(curvature, moved.x, problem.design.rows.empty())
    assert cost.passes == 3.5
    problem.features(v)
    assert cost.passes == 4.0
    problem.backward(curvature)
    assert cost.passes == 4.5
    _ = problem.origin.value, problem.constant.value
    assert cost.passes == 4.5
    _ = problem.origin.gradient
    assert cost.passes == 5.0
    with cost.free():
        problem.at(v)
    assert cost.passes == 5.0
    assert problem.gram_passes == problem.design.gram_passes == 6 / 2


# One column


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_products_with_the_hessian(rng, form, fit_intercept, weighted):
    problem = problem_of(rng, form, weighted=weighted, fit_intercept=fit_intercept)
    x, p = rng.standard_normal((2, 7))
    x[-1] *= fit_intercept
    point, slope = problem.point(x), problem.design.rows.empty()
    product = problem.hessian_product(problem.curvature(point.margins), p, slope)
    np.testing.assert_allclose(slope, problem.slope(p), rtol=1e-14, atol=1e-14)
    if not fit_intercept:
        assert product[-1] == 0.0
        p[-1] = 0.0
        product = problem.hessian_product(problem.curvature(point.margins), p, slope)
    h = 1e-5
    ahead, behind = problem.point(x + h * p), problem.point(x - h * p)
    np.testing.assert_allclose(product, (ahead.x_gradient - behind.x_gradient) / (2 * h), atol=1e-8)
    np.testing.assert_allclose(slope, (ahead.margins - behind.margins) / (2 * h), atol=1e-8)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
@pytest.mark.parametrize("standard", [False, True])
def test_features_and_back_are_dense_products(rng, form, loss, standard):
    problem = problem_of(rng, form, loss, standard=standard)
    Z, v, r = dense_rows(problem), rng.standard_normal(6), rng.standard_normal(problem.n_samples)
    v *= 1.0 if standard else 1.0 / np.abs(Z).max(axis=0)
    size = np.abs(Z) @ np.abs(v)
    assert (np.abs(problem.features(v) - Z @ v) <= 1e-13 * (1.0 + size)).all()
    assert (np.abs(problem.backward(r) - Z.T @ r) <= 1e-12 * (np.abs(Z.T) @ np.abs(r))).all()


def test_sums_of_known_margins_are_those_of_a_pass(rng, weighted):
    problem = problem_of(rng, weighted=weighted)
    margins, sums = problem.evaluated(rng.standard_normal(7))
    for found, expected in zip(problem.sums(margins), sums, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
    share = problem.share
    assert share == (1.0 if weighted else 1.0 / problem.n_samples)
    s = problem.weight if weighted else np.full(problem.n_samples, share)
    assert share * sums[0] == pytest.approx(s @ problem.loss.value(margins), rel=1e-13)
    np.testing.assert_allclose(problem.curvature(margins), s * problem.loss.curvature(margins), rtol=1e-15)


def test_where_nothing_is_centred_nor_fitted_the_coordinates_are_those_of_X(rng):
    X, y, _, _ = any_scale(rng)
    problem = Objective(X, y, center=False)
    x = np.append(rng.standard_normal(6), 0.0)
    w, b = problem.outward(x)
    np.testing.assert_array_equal(w, x[:-1])
    assert b == 0.0
    assert problem.pulled_back(x[:-1], 2.0)[-1] == 0.0
    assert problem.penalty(x) == 0.0


# Several columns


@pytest.fixture(params=[("log_loss", True), ("log_loss", False), ("pseudo_huber", True)], ids=str)
def columns(request, rng, weighted):
    """A problem, coefficients in K columns, directions of them, and the form of X varied along."""
    loss, fit_intercept = request.param
    form = {"log_loss": "csr" if fit_intercept else "dense", "pseudo_huber": "dense"}[loss]
    problem = problem_of(rng, form, loss, weighted, fit_intercept)
    x, p, u = rng.standard_normal((3, 7, K))
    if not fit_intercept:
        x[-1] = p[-1] = u[-1] = 0.0
    return problem, x, p, u


def test_a_point_of_columns_is_the_sum_of_its_columns(columns):
    problem, x, _, _ = columns
    whole, single = problem.point(x), [problem.point(x[:, k]) for k in range(K)]
    np.testing.assert_allclose(whole.margins, np.stack([p.margins for p in single], axis=1), atol=1e-13)
    assert whole.value == pytest.approx(sum(p.value for p in single), rel=1e-13)
    expected = np.stack([p.x_gradient for p in single], axis=1)
    np.testing.assert_allclose(whole.x_gradient, expected, rtol=1e-12, atol=1e-14)
    known = problem.known(x, whole.margins)
    assert known.value == pytest.approx(whole.value, rel=1e-13)
    np.testing.assert_allclose(known.x_gradient, expected, rtol=1e-12, atol=1e-14)
    for name in ("mean_gradient", "mean_curvature"):
        total = sum(getattr(p, name) for p in single)
        assert getattr(whole, name) == pytest.approx(total, rel=1e-12, abs=1e-14)


def test_products_with_columns_are_those_of_each(columns):
    problem, x, p, _ = columns
    curvature = problem.curvature(problem.point(x).margins)
    slope = problem.design.rows.empty(K)
    product = problem.hessian_product(curvature, p, slope)
    np.testing.assert_allclose(slope, problem.slope(p), rtol=1e-13, atol=1e-13)
    for k in range(K):
        one = problem.curvature(problem.point(x[:, k]).margins)
        np.testing.assert_allclose(curvature[:, k], one, rtol=1e-12)
        alone = problem.design.rows.empty()
        expected = problem.hessian_product(one, p[:, k], alone)
        np.testing.assert_allclose(product[:, k], expected, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(slope[:, k], alone, rtol=1e-13, atol=1e-13)


def test_planes_of_columns_add_up(columns):
    problem, x, p, u = columns
    steps = np.array([[0.0, 0.0], [0.5, 0.0], [-0.3, 0.8]])

    def plane(x, p, u):
        along = (Direction(d, problem.slope(d)) for d in (p, u))
        return DataLine(problem.point(x), *along)

    whole, single = plane(x, p, u), [plane(x[:, k], p[:, k], u[:, k]) for k in range(K)]
    expected = sum(line.expand(steps) for line in single)
    np.testing.assert_allclose(whole.expand(steps), expected, rtol=1e-12, atol=1e-13)
    moved = whole.point(-0.3, 0.8)
    np.testing.assert_array_equal(moved.x, x - 0.3 * p + 0.8 * u)
    assert moved.value == pytest.approx(expected[2, 0], rel=1e-13)
    np.testing.assert_allclose(moved.x_gradient, problem.point(moved.x).x_gradient, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
def test_each_column_may_have_a_target_of_its_own(rng, loss, weighted):
    """One class against the rest, or several outputs, all in one reading of X."""
    X, labels, targets, weight = any_scale(rng)
    weight = weight / weight.sum() if weighted else None
    one = target_of(LOSSES[loss], labels, targets)
    Y = np.stack([one, np.roll(one, 7), -one], axis=1)
    options = {"alpha": 0.01, "fit_intercept": True}

    def problem(Y):
        return Objective.unchecked(as_design(X), Y.copy(), weight, LOSSES[loss], **options).standardised

    x = rng.standard_normal((7, K))
    whole, single = problem(Y).point(x), [problem(Y[:, k]).point(x[:, k]) for k in range(K)]
    assert whole.value == pytest.approx(sum(p.value for p in single), rel=1e-13)
    expected = np.stack([p.x_gradient for p in single], axis=1)
    np.testing.assert_allclose(whole.x_gradient, expected, rtol=1e-12, atol=1e-14)


# A loss of whole rows


@dataclass(frozen=True)
class LogSumExp(Loss):
    """φ(t) = log Σ_k e^(t_k) of a row of margins: one value a row, a gradient of its shape."""

    name = "log_sum_exp"
    task = "classification"
    convex = True
    increasing = True
    max_gradient: ClassVar[float] = 1.0
    max_curvature: ClassVar[float] = 0.25

    def value(self, t):
        top = t.max(axis=1)
        return top + np.log(np.exp(t - top[:, None]).sum(axis=1))

    def gradient(self, t):
        return np.exp(t - self.value(t)[:, None])

    def curvature(self, t):
        p = self.gradient(t)
        return p * (1.0 - p)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("standard", [False, True])
def test_a_loss_of_rows_of_margins(rng, form, standard, weighted):
    X, y, _, weight = any_scale(rng)
    weight = weight if weighted else None
    shares = None if weight is None else weight / weight.sum()
    problem = Objective.unchecked(
        as_design(FORMS[form](X)), y, shares, LogSumExp(), alpha=0.01, fit_intercept=True
    )
    problem = problem.standardised if standard else problem
    f = Definition(X, y, LogSumExp(), weight=weight)
    x = rng.standard_normal((7, K))
    x[:-1] *= 1.0 if standard else problem.standardised.coordinates.scale[:, None]
    point = problem.point(x)
    s = f.s.astype(float)
    expected = (
        s @ problem.loss.value(point.margins) + 0.5 * (problem.coordinates.ridge @ np.square(x[:-1])).sum()
    )
    assert point.value == pytest.approx(expected, rel=1e-13)
    assert problem.known(x, point.margins).value == pytest.approx(expected, rel=1e-13)
    unit = np.append(problem.standardised.coordinates.scale, 1.0) if not standard else np.ones(7)

    def at(z):
        return problem.point(unit[:, None] * z.reshape(7, K)).value

    numeric = numeric_gradient(at, (x / unit[:, None]).ravel()).reshape(7, K)
    np.testing.assert_allclose(unit[:, None] * point.x_gradient, numeric, atol=2e-8)
    np.testing.assert_allclose(
        problem.known(x, point.margins).x_gradient, point.x_gradient, rtol=1e-10, atol=1e-12
    )
