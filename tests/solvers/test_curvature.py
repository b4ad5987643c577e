"""The smallest eigenvalue of the Hessian: that of the matrix, whichever way it is sought."""

import numpy as np
import pytest

from gdnp import GDNPClassifier
from gdnp.losses import Sigmoid
from gdnp.newton.preconditioners.choice import Facts, first_stage
from gdnp.newton.preconditioners.making import made
from gdnp.problem.gram import hessian
from gdnp.solvers.curvature import smallest_curvature
from problems import draw, problem_of


def test_a_hessian_of_zero_has_no_negative_curvature(rng):
    X, y = rng.standard_normal((4, 20)), np.array([1.0, 1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 0.0, fit_intercept=False)
    point = problem.point(problem.from_raw(1e6 * np.linalg.lstsq(X, y, rcond=None)[0], 0.0))
    assert smallest_curvature(problem, point)[0] == 0.0
    assert smallest_curvature(problem, point, np.copy)[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "d"), [(30, 100), (200, 20)])
def test_a_search_finds_the_smallest_curvature_of_the_matrix(rng, n, d, fit_intercept):
    X = rng.standard_normal((n, d)) * np.logspace(-3, 3, d)
    problem = problem_of(X, np.sign(rng.standard_normal(n)), Sigmoid(), 1e-3, fit_intercept)
    for size in 0.1, 0.5:
        point = problem.point(size * np.append(rng.standard_normal(d), float(fit_intercept)))
        preconditioner = made(problem, first_stage(Facts.of(problem)), point.margins)
        known, _ = smallest_curvature(problem, point)
        found, direction = smallest_curvature(problem, point, preconditioner.solve)
        if fit_intercept:
            product = problem.hessian_product(problem.curvature(point.margins), direction, np.empty(n))
            assert direction @ product / (direction @ direction) == pytest.approx(found, abs=1e-9)
        assert known - 1e-9 < found < known + 0.05 * abs(known)


def test_a_search_that_breaks_down_gives_the_quotient_it_has(rng):
    X, y = draw(rng, n=50)
    problem = problem_of(X, y, Sigmoid(), 1e-3)
    point = problem.point(0.1 * rng.standard_normal(9))
    found, direction = smallest_curvature(problem, point, lambda g: np.full_like(g, np.nan))
    product = problem.hessian_product(problem.curvature(point.margins), direction, np.empty(50))
    assert direction @ product / (direction @ direction) == pytest.approx(found)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("length", [0.1, 3.0])
def test_the_smallest_curvature_of_many_columns_is_that_of_the_matrix(rng, length, fit_intercept):
    """With a Cholesky factor, and without one."""
    X, y = draw(rng, n=400, d=80)
    problem = problem_of(X, y, Sigmoid(), 0.04 if length < 1.0 else 1e-4, fit_intercept=fit_intercept)
    point = problem.point(length * np.append(rng.standard_normal(80), 0.0))
    found, vector = smallest_curvature(problem, point)
    matrix = hessian(problem, problem.curvature(point.margins))
    smallest = np.linalg.eigvalsh(matrix)[0]
    assert found == pytest.approx(smallest, rel=1e-6)
    assert vector @ matrix @ vector / (vector @ vector) == pytest.approx(found, rel=1e-9)


def test_a_positive_definite_matrix_is_not_decomposed(rng, monkeypatch):
    """A factor and a few solutions say as much in a fraction of the time."""

    def refused(*args, **options):
        raise AssertionError

    monkeypatch.setattr("gdnp.solvers.curvature.eigh", refused)
    X, y = draw(rng, n=600, d=80)
    model = GDNPClassifier("sigmoid", alpha=1e-2).fit(X, y)
    assert model.certificate_.smallest_curvature > 0.0
