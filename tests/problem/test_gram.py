"""Grams in the coordinates of a problem against dense products, and the Hessian against differences."""

import numpy as np
import pytest

from definition import FORMS, any_scale, numeric_gradient, target_of
from designs import BACKENDS, shrink_blocks, whole_numbers
from gdnp import Objective
from gdnp.design import Choice, as_design
from gdnp.losses import LOSSES
from gdnp.problem.gram import (
    Gram,
    covariance,
    curved,
    dense_rows,
    diagonal,
    gram,
    gram_product,
    hessian,
    kernel_matrix,
)


def test_a_point_and_its_gram_in_one_reading(rng, form, fit_intercept):
    """The same as one after the other, and of x alone."""
    problem = problem_of(rng, form, fit_intercept=fit_intercept).standardised
    x = rng.standard_normal(problem.n_features + 1) * np.append(np.ones(problem.n_features), fit_intercept)
    point, found = curved(problem, x)
    alone = problem.point(x)
    expected = gram(problem, problem.curvature(alone.margins))
    assert point.value == pytest.approx(alone.value, rel=1e-14)
    np.testing.assert_allclose(point.x_gradient, alone.x_gradient, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.scatter, expected.scatter, rtol=1e-12)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    assert point.renewed
    assert not alone.renewed


@pytest.fixture(params=FORMS)
def form(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["intercept", "none"])
def fit_intercept(request):
    return request.param


def problem_of(rng, form="dense", loss="log_loss", fit_intercept=True, weighted=True, center=None):
    X, labels, targets, weight = any_scale(rng)
    loss = LOSSES[loss]
    options = {
        "alpha": 0.01,
        "fit_intercept": fit_intercept,
        "center": fit_intercept if center is None else center,
    }
    weight = weight if weighted else None
    y = target_of(loss, labels, targets)
    return Objective(FORMS[form](X), y, loss, sample_weight=weight, **options).standardised


def moments_of(Z, c, fit_intercept, central=True):
    first = Z.T @ c if fit_intercept else np.zeros(Z.shape[1])
    mean = first / c.sum() if central else np.zeros(Z.shape[1])
    return Gram(c.sum(), first, (Z - mean).T @ (c[:, None] * (Z - mean)))


def assert_same(found, expected):
    assert found.total == pytest.approx(expected.total, rel=1e-13)
    np.testing.assert_allclose(found.first, expected.first, atol=1e-13)
    np.testing.assert_allclose(found.scatter, expected.scatter, atol=1e-13)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "pseudo_huber"])
@pytest.mark.parametrize(("weighted", "center"), [(True, True), (True, False), (False, True)])
def test_hessian_is_that_of_differences_and_of_products(rng, form, fit_intercept, loss, weighted, center):
    problem = problem_of(rng, form, loss, fit_intercept, weighted, center)
    x = np.append(rng.standard_normal(6), 0.3 if fit_intercept else 0.0)
    curvature, room = problem.curvature(problem.point(x).margins), problem.design.rows.empty()
    found = hessian(problem, curvature)
    np.testing.assert_allclose(found, found.T, atol=1e-15)
    products = np.stack([problem.hessian_product(curvature, e, room) for e in np.eye(7)])
    size = 7 if fit_intercept else 6
    np.testing.assert_allclose(found[:size, :size], products[:size, :size], atol=1e-13)
    h = 1e-5
    numeric = np.stack(
        [
            (problem.point(x + h * e).x_gradient - problem.point(x - h * e).x_gradient) / (2 * h)
            for e in np.eye(7)
        ]
    )
    np.testing.assert_allclose(found[:size, :size], numeric[:size, :size], atol=1e-8)
    if not fit_intercept:
        np.testing.assert_array_equal(found[6], np.eye(7)[6])


def test_numeric_gradient_of_the_value_is_the_gradient(rng, form):
    problem = problem_of(rng, form)
    x = rng.standard_normal(7)
    numeric = numeric_gradient(lambda x: problem.point(x).value, x)
    np.testing.assert_allclose(problem.point(x).x_gradient, numeric, atol=1e-8)


@pytest.mark.parametrize("central", [True, False])
def test_grams_are_dense_products(rng, form, fit_intercept, central):
    problem = problem_of(rng, form, "sigmoid", fit_intercept)
    Z, c = dense_rows(problem), problem.curvature(problem.point(rng.standard_normal(7)).margins)
    assert c.min() < 0.0 < c.max()
    problem.cost.passes = 0.0
    found = gram(problem, c, central=central)
    assert problem.cost.passes == problem.design.gram_passes
    assert_same(found, moments_of(Z, c, fit_intercept, central and fit_intercept))


def test_grams_of_chosen_rows(rng, form, fit_intercept):
    problem = problem_of(rng, form, fit_intercept=fit_intercept)
    Z, rows = dense_rows(problem), problem.design.rows
    c = problem.curvature(problem.point(rng.standard_normal(7)).margins)
    level = float(np.median(c))
    above, drawn = rows.above(c, level), rows.sample(c, 80, 3)
    problem.cost.passes = 0.0
    assert_same(gram(problem, c, above), moments_of(Z[c > level], c[c > level], fit_intercept, fit_intercept))
    assert problem.cost.passes == pytest.approx(problem.design.gram_passes * above.count / problem.n_samples)
    # Rows that were drawn stand for equal parts of the mass that they were drawn by.
    expected = moments_of(Z[drawn.index], np.full(80, c.sum() / 80), fit_intercept, fit_intercept)
    for curvature in (None, c):
        assert_same(gram(problem, curvature, drawn), expected)


def test_covariance_is_taken_once_for_all(rng, form):
    problem = problem_of(rng, form)
    Z = dense_rows(problem)
    problem.cost.passes = 0.0
    found = covariance(problem)
    assert_same(found, moments_of(Z, problem.weight, True))
    assert covariance(problem.with_loss(LOSSES["sigmoid"])) is found
    assert problem.cost.passes == problem.design.gram_passes
    equal = problem_of(rng, form, weighted=False)
    Z = dense_rows(equal)
    assert_same(covariance(equal), moments_of(Z, np.full(len(Z), 1.0 / len(Z)), True))


def test_diagonal_is_that_of_the_gram(rng, form, fit_intercept):
    problem = problem_of(rng, form, fit_intercept=fit_intercept)
    c = problem.curvature(problem.point(rng.standard_normal(7)).margins)
    problem.cost.passes = 0.0
    found = diagonal(problem, c)
    assert problem.cost.passes == 1.0
    whole = gram(problem, c)
    assert_same(found, Gram(whole.total, whole.first, np.diagonal(whole.scatter)))


def test_products_with_a_gram(rng, form, fit_intercept):
    problem = problem_of(rng, form, fit_intercept=fit_intercept)
    Z, c = dense_rows(problem), problem.curvature(problem.point(rng.standard_normal(7)).margins)
    V, constant = rng.standard_normal((6, 4)), rng.standard_normal(4)
    problem.cost.passes = 0.0
    t = c[:, None] * (Z @ V - constant)
    product, first = gram_product(problem, c, V, constant)
    np.testing.assert_allclose(product, Z.T @ t, atol=1e-12)
    np.testing.assert_allclose(first, t.sum(axis=0), atol=1e-12)
    assert problem.cost.passes == 4.0
    index = np.arange(0, problem.n_samples, 3)
    product = gram_product(problem, c, V, constant, Choice(index, len(index)))[0]
    np.testing.assert_allclose(product, Z[index].T @ t[index], atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_kernels_are_dense_products_on_any_thread(rng, backend, monkeypatch):
    """In many blocks, columns without zeros far off among them."""
    shrink_blocks(monkeypatch)
    monkeypatch.setattr("gdnp.problem.gram.STRIP", 48)
    X, y = whole_numbers(rng, 300), np.where(rng.random(300) < 0.5, 1.0, -1.0)
    inverse_ridge, seen = rng.random(6), []
    for n_jobs in (1, 2):
        problem = Objective(BACKENDS[backend](X, n_jobs), y, alpha=0.1, fit_intercept=True).standardised
        Z = dense_rows(problem)
        problem.cost.passes = 0.0
        found = kernel_matrix(problem, inverse_ridge)
        assert problem.cost.passes == 150.0
        np.testing.assert_allclose(found, (Z * inverse_ridge) @ Z.T, atol=1e-12)
        np.testing.assert_array_equal(found, found.T)
        seen.append(found.tobytes())
    assert seen[0] == seen[1]


def test_dense_rows_are_those_of_the_coordinates(rng, form):
    X, y, _, weight = any_scale(rng)
    problem = Objective(FORMS[form](X), y, fit_intercept=True, sample_weight=weight).standardised
    s, unit = weight / weight.sum(), problem.coordinates.scale * problem.design.factor
    np.testing.assert_allclose(dense_rows(problem), (X - s @ X) * unit, atol=1e-13)


def test_a_gram_may_be_scaled():
    G = Gram(2.0, np.array([1.0, 3.0]), np.eye(2))
    np.testing.assert_array_equal(G.mean, [0.5, 1.5])
    half = G.times(0.5)
    assert half.total == 1.0
    np.testing.assert_array_equal(half.mean, G.mean)
    np.testing.assert_array_equal(half.scatter, 0.5 * np.eye(2))
    assert not Gram(0.0, np.zeros(2), np.zeros((2, 2))).mean.any()


def test_problems_on_the_same_rows_share_their_covariance(rng):
    X, y, _, _ = any_scale(rng)
    first = Objective(X, y, alpha=0.1, fit_intercept=True)
    other = Objective.unchecked(
        as_design(X), -y, None, first.loss, 0.1, fit_intercept=True, shared=first.shared
    )
    assert covariance(first.standardised) is covariance(other.standardised)
