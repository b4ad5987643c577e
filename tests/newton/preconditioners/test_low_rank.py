"""Directions beside a diagonal: exact where all are taken, enough where few stand out, else safe."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.linalg import eigh

from gdnp.design import Choice
from gdnp.losses import LogLoss
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.problem.gram import gram, gram_product
from problems import correlated
from problems import problem_of as any_problem_of

FORMS = {"dense": np.asarray, "csr": sp.csr_array, "csc": sp.csc_array}


def problem_of(X, y, alpha, fit_intercept=True):
    return any_problem_of(X, y, LogLoss(), alpha, fit_intercept)


def matrix_of(problem, c):
    """H over (v, γ)."""
    found, d = gram(problem, c, central=False), problem.n_features
    H = np.zeros((d + 1, d + 1))
    H[:d, :d] = found.scatter + np.diag(problem.coordinates.ridge)
    H[d, :d] = H[:d, d] = found.first
    H[d, d] = found.total
    return H if problem.fit_intercept else H[:d, :d]


def inverse_of(preconditioner, size):
    return np.array([preconditioner.solve(e) for e in np.eye(size)]).T


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("chosen", [False, True])
def test_products_are_those_of_the_gram(rng, form, fit_intercept, chosen):
    X, y = correlated(rng, 80, 7, 3)
    problem = problem_of(FORMS[form](X), y, 1e-2, fit_intercept)
    index = np.flatnonzero(rng.random(80) < 0.4)
    choice = Choice(index, len(index)) if chosen else None
    c = rng.random(80)
    found = gram(problem, c, choice)
    mean = found.mean if fit_intercept else np.zeros(7)
    V = rng.standard_normal((7, 4))
    before = problem.cost.passes
    product, first = gram_product(problem, c, V, mean @ V, choice)
    product -= np.outer(mean, first)
    np.testing.assert_allclose(product, found.scatter @ V, rtol=1e-9, atol=1e-11)
    assert problem.cost.passes - before == pytest.approx(4.0 * (len(index) / 80 if chosen else 1.0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_all_directions_are_the_matrix(rng, form, fit_intercept):
    X, y = correlated(rng, 60, 9, 4)
    problem = problem_of(FORMS[form](X), y, 0.0, fit_intercept)
    c = rng.random(60)
    found = LowRankPreconditioner.of(problem, c, problem.coordinates.ridge, 9)
    H = matrix_of(problem, c)
    inverse = inverse_of(found, 10)[: len(H), : len(H)]
    np.testing.assert_allclose(inverse @ H, np.eye(len(H)), atol=1e-8)
    assert found.rest == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 10.0])
def test_a_few_directions_make_up_for_the_factors(rng, alpha):
    """H⁻¹∇²f is as well conditioned as the noise beside the factors allows; a diagonal leaves them all."""
    X, y = correlated(rng, 400, 60, 5)
    X *= np.logspace(-3, 3, 60)
    problem = problem_of(X, y, alpha)
    c = problem.curvature(problem.point(np.zeros(61)).margins)
    H = matrix_of(problem, c)
    spread = {}
    for name, rank in {"diagonal": 0, "low rank": 12}.items():
        found = LowRankPreconditioner.of(problem, c, problem.coordinates.ridge, rank)
        inverse = inverse_of(found, 61)
        np.testing.assert_allclose(inverse, inverse.T, rtol=1e-7, atol=1e-9 * np.abs(inverse).max())
        values = eigh(H, np.linalg.inv(0.5 * (inverse + inverse.T)), eigvals_only=True)
        spread[name] = values[-1] / values[0]
    assert spread["low rank"] < 60.0
    assert spread["low rank"] <= 1.1 * spread["diagonal"]
    if alpha < 1e-3:
        assert spread["diagonal"] > 1e3


def test_the_basis_of_the_last_makes_the_next_more_exact(rng):
    X, y = correlated(rng, 500, 80, 30, noise=0.5)
    problem = problem_of(X, y, 1e-4)
    ridge = problem.coordinates.ridge
    c = problem.curvature(np.zeros(500))
    first = LowRankPreconditioner.of(problem, c, ridge, 10)
    second = LowRankPreconditioner.of(problem, c, ridge, 10, previous=first)
    assert np.all(second.values >= first.values - 1e-12)
    assert second.values.sum() > 1.1 * first.values.sum()


def test_rows_fewer_than_directions_leave_a_preconditioner_that_is_safe(rng):
    """Of 5 rows no 16 directions can be had; what is not seen keeps the curvature of the others."""
    X, y = correlated(rng, 200, 40, 40)
    problem = problem_of(X, y, 1e-9)
    c = np.full(200, 1e-4)
    c[:5] = 1.0
    five = Choice(np.arange(5), 5)
    found = LowRankPreconditioner.of(problem, c, problem.coordinates.ridge, 16, five)
    assert len(found.values) <= 5
    exact = np.linalg.solve(matrix_of(problem, c), g := rng.standard_normal(41))
    assert g @ found.solve(g) < 10.0 * (g @ exact)


def test_a_product_that_is_not_finite_is_refused(rng):
    X, y = correlated(rng, 50, 20, 3)
    problem = problem_of(X, y, 1e-3)
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="not finite"):
        LowRankPreconditioner.of(problem, np.full(50, np.inf), problem.coordinates.ridge, 16)
