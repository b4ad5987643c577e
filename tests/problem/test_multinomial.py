"""The multinomial objective: its derivatives, its symmetries, and the binary one inside it."""

import pickle
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp

from gdnp.design import as_design
from gdnp.losses import LogLoss, Softmax
from gdnp.problem.multinomial import Multinomial, _curvature_of
from gdnp.problem.objective import Objective
from gdnp.problem.points import Direction
from softmax import Exact


def multinomial(X, y, *, alpha=1e-2, weight=None, fit_intercept=True):
    loss = Softmax(int(np.max(y)) + 1)
    return Multinomial.unchecked(
        as_design(X), np.asarray(y), weight, loss, alpha, fit_intercept=fit_intercept
    )


def drawn(rng, n=60, d=4, K=3, **options):
    X = rng.standard_normal((n, d)) * np.logspace(-2, 2, d) + np.linspace(0.0, 50.0, d)
    y = np.append(np.arange(K), rng.integers(0, K, n - K))
    return X, y, multinomial(X, y, **options).standardised


def centred(x):
    return x - x.mean(axis=1, keepdims=True)


def between(value, step=1e-5):
    return (value(step) - value(-step)) / (2.0 * step)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_derivatives_are_those_of_f(rng, weighted, fit_intercept):
    weight = rng.dirichlet(np.ones(60)) if weighted else None
    _, _, problem = drawn(rng, weight=weight, fit_intercept=fit_intercept)
    x, p = rng.standard_normal((2, 5, 3))
    if not fit_intercept:
        x[-1] = p[-1] = 0.0
    point = problem.point(x)
    slope = between(lambda t: problem.point(x + t * p).value)
    assert np.vdot(point.x_gradient, p) == pytest.approx(slope, rel=1e-7)
    product = problem.hessian_product(problem.curvature(point.margins), p, None)
    expected = between(lambda t: problem.point(x + t * p).x_gradient)
    np.testing.assert_allclose(product, expected, rtol=1e-6, atol=1e-8)
    same, H = problem.curved(x)
    assert (same.value, same.renewed) == (point.value, True)
    np.testing.assert_array_equal(same.x_gradient, point.x_gradient)
    bent = problem.with_ridge(np.einsum("kalb,bl->ak", H, p), p)
    np.testing.assert_allclose(bent, product, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(problem.joint_hessian(point.shares), H, rtol=1e-12, atol=1e-15)
    at = point.along(Direction(p, problem.slope(p))).expansion(0.3)
    new = problem.point(x + 0.3 * p)
    product = problem.hessian_product(problem.curvature(new.margins), p, None)
    found = at.value, at.f_t, at.f_tt
    np.testing.assert_allclose(
        found, [new.value, np.vdot(new.x_gradient, p), np.vdot(product, p)], rtol=1e-12
    )


def test_value_is_that_of_raw_columns_in_many_digits(rng):
    X, y, problem = drawn(rng)
    x = rng.standard_normal((5, 3))
    exact = Exact(X, y, None, 1e-2, 3)
    assert problem.point(x).value == pytest.approx(float(exact.value_of(*problem.raw(x))), rel=1e-13)
    known = problem.known(x, problem.point(x).margins)
    assert known.value == pytest.approx(problem.point(x).value, rel=1e-14)
    np.testing.assert_allclose(known.x_gradient, problem.point(x).x_gradient, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(problem.from_raw(*problem.raw(x)), x, rtol=1e-9, atol=1e-9)


def test_two_classes_are_the_binary_loss_with_half_of_the_ridge(rng):
    """η = (-t, t)/2, and α (w/2)² for both rows is α/2 w²."""
    X, y, problem = drawn(rng, K=2, alpha=2e-2)
    binary = Objective.unchecked(as_design(X), 2.0 * y - 1.0, None, LogLoss(), 1e-2, fit_intercept=True)
    w, b = rng.standard_normal(4), 0.3
    x = problem.from_raw(np.array([-w, w]) / 2.0, np.array([-b, b]) / 2.0)
    standard = binary.standardised
    assert problem.point(x).value == pytest.approx(standard.point(standard.from_raw(w, b)).value, rel=1e-13)


def test_probabilities_next_to_one_keep_the_digits_of_what_is_left(rng):
    problem = multinomial(np.eye(3), [0, 1, 2], fit_intercept=False).standardised
    x = problem.from_raw(60.0 * np.eye(3), np.zeros(3))
    point = problem.point(x)
    left = 2.0 * np.exp(-60.0)
    assert point.value - problem.penalty(x) == pytest.approx(left, rel=1e-6)
    _, pull, _ = problem.sums(point.margins)
    np.testing.assert_allclose(np.diagonal(pull), -left, rtol=1e-10)
    assert point.separates


def test_lengths_errors_and_leads(rng):
    X, y, problem = drawn(rng)
    x = rng.standard_normal((5, 3))
    scores = np.add(X @ problem.raw(x)[0].T, problem.raw(x)[1])
    point = problem.point(x)
    np.testing.assert_allclose(point.length, scores.std(axis=0), rtol=1e-9)
    assert point.error == pytest.approx(np.mean(scores.argmax(axis=1) != y))
    assert not point.separates
    level = problem.point(np.zeros((5, 3)))
    assert level.error == 0.0
    assert not level.separates  # all scores are the same


def test_weights_count_rows(rng):
    X, y, _ = drawn(rng)
    counts = np.append(np.ones(3, dtype=int), rng.integers(0, 3, 57))
    some = multinomial(X, y, weight=counts / counts.sum()).standardised
    many = multinomial(np.repeat(X, counts, axis=0), np.repeat(y, counts)).standardised
    W, b = rng.standard_normal((3, 4)), rng.standard_normal(3)
    assert some.point(some.from_raw(W, b)).value == pytest.approx(
        many.point(many.from_raw(W, b)).value, rel=1e-12
    )
    np.testing.assert_allclose(some.shares, np.bincount(np.repeat(y, counts)) / counts.sum(), rtol=1e-14)


def test_sparse_rows_and_the_constant_prediction(rng):
    X, y, problem = drawn(rng)
    thin = multinomial(sp.csr_array(X), y).standardised
    x = rng.standard_normal((5, 3))
    np.testing.assert_allclose(thin.point(x).x_gradient, problem.point(x).x_gradient, rtol=1e-9, atol=1e-9)
    constant = problem.constant
    np.testing.assert_allclose(constant.x_gradient[-1], 0.0, atol=1e-16)
    assert constant.value == pytest.approx(-problem.shares @ np.log(problem.shares))


def test_curvature_of_a_class_and_its_floor(rng):
    _, _, problem = drawn(rng)
    p = problem.curvature(problem.point(10.0 * rng.standard_normal((5, 3))).margins)
    expected = p[:, 1] * (1.0 - p[:, 1])
    assert expected.min() < 1e-3
    np.testing.assert_allclose(problem.curvature_of(1, p, 1e-3), np.maximum(expected, 1e-3) / 60, rtol=1e-13)
    assert pickle.loads(pickle.dumps(partial(_curvature_of, 1, 1e-3, 1.0))).args == (1, 1e-3, 1.0)
