"""Points and lines: what follows from margins that are known."""

import numpy as np
import pytest

from definition import FORMS, any_scale, target_of
from gdnp import Objective
from gdnp.losses import LOSSES
from gdnp.problem.points import DataLine, Direction, intercept_direction, length_direction


def problem_of(rng, loss="log_loss", form="dense", **options):
    X, labels, targets, weight = any_scale(rng)
    loss = LOSSES[loss]
    options = {"alpha": 0.01, "fit_intercept": True, "sample_weight": weight, **options}
    return Objective(FORMS[form](X), target_of(loss, labels, targets), loss, **options), X


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
@pytest.mark.parametrize("weighted", [True, False])
def test_length_is_the_norm_in_S(rng, form, loss, weighted):
    """In either coordinates, whatever the intercept: the deviation of predictions."""
    options = {} if weighted else {"sample_weight": None}
    raw, X = problem_of(rng, loss, form, **options)
    x = np.append(rng.standard_normal(6), 5.0)
    standard = raw.standardised
    coef, b = standard.raw(x)
    s = np.full(len(X), 1.0 / len(X)) if raw.weight is None else raw.weight
    eta = X @ coef + b
    deviation = np.sqrt(s @ np.square(eta - s @ eta))
    for point in (standard.point(x), raw.point(raw.from_raw(coef, b))):
        assert point.length == pytest.approx(raw.covariance.norm(coef), rel=1e-12)
        assert point.length == pytest.approx(deviation, rel=1e-12)


def test_length_keeps_its_digits_far_from_zero(rng):
    """An intercept of 1e8 leaves predictions eight digits, and the length as many."""
    raw, _ = problem_of(rng)
    x = np.append(rng.standard_normal(6), 0.0)
    near = raw.standardised.point(x).length
    x[-1] = 1e8
    assert raw.standardised.point(x).length == pytest.approx(near, rel=1e-7)
    assert raw.standardised.origin.length == 0.0


def test_separation(rng):
    X = rng.standard_normal((60, 2))
    y = np.where(X[:, 0] > 0, 1.0, -1.0)
    objective = Objective(X, y, center=False)
    assert objective.at(np.array([1.0, 0.0])).separates
    assert not objective.at(np.array([-1.0, 0.0])).separates
    assert not objective.origin.separates
    flipped = y.copy()
    flipped[0] *= -1.0
    s = np.ones(60)
    s[0] = 0.0
    assert not Objective(X, flipped, center=False).at(np.array([1.0, 0.0])).separates
    assert Objective(X, flipped, center=False, sample_weight=s).at(np.array([1.0, 0.0])).separates


def test_error_is_the_weighted_share_of_wrong_rows(rng):
    raw, X = problem_of(rng)
    point = raw.standardised.point(rng.standard_normal(7))
    coef, b = raw.standardised.raw(point.x)
    wrong = np.sign(X @ coef + b) != -np.asarray(raw.sigma)
    assert point.error == pytest.approx(raw.weight @ wrong, rel=1e-13)
    assert raw.origin.error == pytest.approx(1.0)  # a tie is wrong


def test_means_of_derivatives(rng):
    for options in ({}, {"sample_weight": None}):
        raw, X = problem_of(rng, **options)
        point = raw.standardised.point(rng.standard_normal(7))
        s = np.full(len(X), 1.0 / len(X)) if raw.weight is None else raw.weight
        assert point.mean_gradient == pytest.approx(s @ raw.loss.gradient(point.margins), rel=1e-13)
        assert point.mean_curvature == pytest.approx(s @ raw.loss.curvature(point.margins), rel=1e-13)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "pseudo_huber"])
def test_a_plane_is_the_function_along_two_directions(rng, loss):
    """Value, gradient and curvature by products of full derivatives with the directions."""
    problem = problem_of(rng, loss)[0].standardised
    x, p, u = rng.standard_normal((3, 7))
    first, second = (Direction(d, problem.slope(d)) for d in (p, u))
    plane, across = problem.point(x).along(first, second), np.stack([p, u])
    steps = np.array([[0.0, 0.0], [0.5, 0.0], [-0.3, 0.8]])
    expanded = plane.expand(steps)
    assert expanded.shape == (3, 6)
    for (t, c), row in zip(steps, expanded, strict=True):
        found, there = plane.expansion(t, c), problem.point(x + t * p + c * u)
        np.testing.assert_array_equal(row, found)
        assert found.value == pytest.approx(there.value, rel=1e-13)
        np.testing.assert_allclose(found.gradient, across @ there.x_gradient, atol=1e-13)
        curvature, room = problem.curvature(there.margins), problem.design.rows.empty()
        products = np.stack([problem.hessian_product(curvature, d, room) for d in across])
        np.testing.assert_allclose(found.hessian, across @ products.T, atol=1e-12)
        moved = plane.point(t, c)
        np.testing.assert_allclose(moved.margins, there.margins, atol=1e-13)
        assert moved.value == pytest.approx(there.value, rel=1e-13)
        np.testing.assert_allclose(moved.x_gradient, there.x_gradient, atol=1e-13)


def test_a_line_without_a_second_direction_has_no_second_derivatives(rng):
    problem = problem_of(rng, fit_intercept=False)[0]
    line = problem.at(np.zeros(6)).line(1e-9 * np.ones(6))
    assert line.second is None
    found = line.expansion(0.5, 3.0)  # c has nothing to move
    assert found == line.expansion(0.5)
    assert (found.f_c, found.f_tc, found.f_cc) == (0.0, 0.0, 0.0)
    np.testing.assert_array_equal(line.point(0.5, 3.0).x, line.point(0.5).x)


@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
def test_the_direction_of_the_length_is_the_point_itself(rng, loss):
    """Its slope is known without a pass: margins less their base."""
    problem = problem_of(rng, loss)[0].standardised
    point = problem.point(rng.standard_normal(7))
    passes = problem.cost.passes
    direction = length_direction(point)
    assert problem.cost.passes == passes
    np.testing.assert_array_equal(direction.x, point.x)
    np.testing.assert_allclose(direction.slope, problem.slope(point.x), atol=1e-13)
    twice = DataLine(point, direction, None).point(1.0)
    np.testing.assert_allclose(twice.margins, problem.point(2.0 * point.x).margins, atol=1e-13)


@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
def test_the_direction_of_the_intercept_needs_no_pass(rng, loss):
    problem = problem_of(rng, loss)[0].standardised
    direction = intercept_direction(problem)
    np.testing.assert_array_equal(direction.x, np.eye(7)[6])
    np.testing.assert_array_equal(direction.slope, problem.slope(direction.x))


def test_a_point_knows_its_coefficients(rng):
    problem = problem_of(rng)[0]
    x = rng.standard_normal(7)
    for point in (problem.point(x), problem.at(x[:-1], x[-1])):
        np.testing.assert_array_equal(point.coef, x[:-1])
        assert point.intercept == x[-1]
        np.testing.assert_array_equal(point.x_gradient, np.append(point.gradient, point.intercept_gradient))
    assert problem_of(rng, fit_intercept=False)[0].point(x).intercept_gradient == 0.0


@pytest.mark.parametrize("loss", ["log_loss", "pseudo_huber"])
def test_the_last_point_of_a_line_takes_the_place_of_its_slopes(rng, loss):
    problem, _ = problem_of(rng, loss)
    line = problem.at(rng.standard_normal(6)).line(rng.standard_normal(6))
    kept, slope = line.point(0.3, -0.2), line.first.slope
    last = line.point(0.3, -0.2, last=True)
    np.testing.assert_array_equal(last.margins, kept.margins)
    np.testing.assert_array_equal(last.x, kept.x)
    assert np.shares_memory(last.margins, slope)
    assert not np.shares_memory(kept.margins, slope)
