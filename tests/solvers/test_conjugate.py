"""Conjugate gradients on Newton's equations know when they are done, and when only rounding is left."""

import numpy as np
import pytest

from gdnp.losses import LogLoss, Sigmoid
from gdnp.problem.gram import hessian
from gdnp.solvers.conjugate import advanced, newton_step, still
from gdnp.solvers.state import replace
from problems import draw, problem_of


def never(made):
    return False


@pytest.fixture
def equations(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    point = problem.point(np.zeros(9))
    return problem, point, problem.curvature(point.margins)


def test_conjugate_gradients_say_whether_they_were_done(equations):
    def step(longest):
        return newton_step(*equations, np.copy, lambda made: np.abs(made.residual).max() < 1e-6, longest)

    short, long = step(2), step(50)
    assert not short.ended
    assert long.ended
    assert np.abs(long.residual).max() < 1e-6 <= np.abs(short.residual).max()


def test_the_step_solves_newtons_equations(equations):
    problem, point, c = equations
    newton = newton_step(problem, point, c, np.copy, never, 1000)
    exact = -np.linalg.solve(hessian(problem, c), point.x_gradient)
    np.testing.assert_allclose(newton.step, exact, rtol=1e-9)
    np.testing.assert_allclose(newton.slope, problem.slope(newton.step), rtol=1e-9)
    assert newton.decrement == pytest.approx(-0.5 * exact @ point.x_gradient)


def test_iterations_end_at_rounding(equations):
    """Whatever is asked for: further ones would stir up rounding, a pass over X each."""
    problem, passes = equations[0], equations[0].cost.passes
    newton = newton_step(*equations, np.copy, never, 1000)
    assert newton.ended
    assert newton.iterations < 30
    assert problem.cost.passes - passes == newton.iterations + 0.0
    assert newton.square < 1e-24 * newton.first


def test_an_iteration_is_one_pass_and_pure(equations):
    problem, point, c = equations
    begin = still(point, np.copy)
    assert (begin.iterations, begin.ended, begin.slope) == (0, False, None)
    passes = problem.cost.passes
    first, second = (advanced(problem, c, begin, np.copy, never) for _ in range(2))
    assert problem.cost.passes - passes == 2.0
    np.testing.assert_array_equal(first.step, second.step)
    assert not begin.step.any()
    further = [advanced(problem, c, first, np.copy, never) for _ in range(2)]
    np.testing.assert_array_equal(further[0].slope, further[1].slope)
    np.testing.assert_array_equal(first.slope, second.slope)


def test_the_exact_hessian_needs_one_iteration(equations):
    problem, _, c = equations
    H = hessian(problem, c)
    newton = newton_step(
        *equations, lambda g: np.linalg.solve(H, g), lambda made: np.abs(made.residual).max() < 1e-12, 50
    )
    assert newton.iterations == 1


def test_negative_curvature_is_a_way_out(rng):
    X = np.array([[1.0], [1.0], [-1.0], [-1.0], [4.0], [-4.0], [4.0], [-4.0]])
    y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 1e-6)
    point = problem.point(np.array([0.01, 1.0]))
    c = problem.curvature(point.margins)
    newton = newton_step(problem, point, c, np.copy, never, 10)
    assert newton.ended
    p = newton.escape
    assert p @ problem.hessian_product(c, p, np.empty(8)) < 0.0


def test_a_stationary_point_is_left_alone(rng):
    X, y = draw(rng, n=20)
    problem = problem_of(np.zeros_like(X), y, LogLoss(), 1e-3)
    newton = newton_step(
        problem, problem.constant, problem.curvature(problem.constant.margins), np.copy, never, 5
    )
    assert newton.iterations == 1
    assert newton.ended
    assert newton.escape is None
    np.testing.assert_allclose(newton.step, 0.0, atol=1e-15)


def test_a_gradient_whose_square_is_no_number_ends_it(equations):
    """pᵀH p underflows to 0: how much less ∇²f may be than H cannot be told."""
    problem, point, c = equations
    begin = replace(still(point, np.copy), size=0.0)
    after = advanced(problem, c, begin, np.copy, never)
    assert (after.ended, after.escape, after.iterations) == (True, None, 1)
    assert not after.step.any()
