"""Steps searched on known margins: exact on quadratics, never uphill, and flat enough to go on from."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from gdnp.losses import LogLoss, Sigmoid
from gdnp.newton.search import downhill, line_search, plane_search, step_along, step_in_plane, will_do
from gdnp.problem.interface import Expansion
from gdnp.problem.points import Direction, length_direction
from problems import draw, problem_of


def along(f, first, second):
    """A function of one step, as the expansion that a line search reads."""
    return lambda t: Expansion(f(t), first(t), 0.0, second(t), 0.0, 0.0)


def quadratic(best, hessian):
    (a, b), (_, d) = hessian

    def plane(t, c):
        x, y = t - best[0], c - best[1]
        f = 0.5 * (a * x * x + 2.0 * b * x * y + d * y * y)
        return Expansion(f, a * x + b * y, b * x + d * y, a, b, d)

    return plane


def counting(function):
    asked = []

    def counted(*step):
        asked.append(step)
        return function(*step)

    return counted, asked


# Along one direction


def test_a_cliff_far_below_the_first_step_is_not_climbed_down_step_by_step():
    """At its foot f bends a little less than at its top: Newton's steps there are short."""

    def cliff(t):
        risk = 1.0 / (1.0 + np.exp(-1000.0 * (t - 0.4)))
        bend = risk * (1.0 - risk)
        return 1e-20 * (0.5 * t * t - t) + risk, 1e-20 * (t - 1.0) + 1000.0 * bend, 1e-20 + 1e6 * bend

    line, asked = counting(along(lambda t: cliff(t)[0], lambda t: cliff(t)[1], lambda t: cliff(t)[2]))
    start = cliff(0.0)
    t = line_search(line, start[0], -1e-20)
    assert t > 0.0
    assert cliff(t)[0] <= start[0]
    assert len(asked) < 20


def test_line_search_finds_flat_descent():
    quartic = along(
        lambda t: (t - 50.0) ** 4, lambda t: 4.0 * (t - 50.0) ** 3, lambda t: 12.0 * (t - 50.0) ** 2
    )
    start = quartic(0.0)
    t = line_search(quartic, start.value, start.f_t)
    assert abs(quartic(t).f_t) <= 0.1 * abs(start.f_t)


def test_a_step_whose_slope_is_flat_ends_the_search():
    """A tenth of the first slope will do: a further trial costs what it brings."""
    parabola, asked = counting(along(lambda t: 0.5 * (t - 1.05) ** 2, lambda t: t - 1.05, lambda t: 1.0))
    assert line_search(parabola, 0.5 * 1.05**2, -1.05) == 1.0
    assert asked == [(1.0,)]
    parabola, asked = counting(along(lambda t: 0.5 * (t - 1.5) ** 2, lambda t: t - 1.5, lambda t: 1.0))
    assert line_search(parabola, 0.5 * 1.5**2, -1.5) == 1.5
    assert len(asked) == 2


def test_a_step_that_hardly_goes_down_is_not_taken():
    """f falls as promised at 0 and then less and less: without the share of Armijo 1 would be a step."""
    promised = -1.0

    def plateau(t):
        return Expansion(-1e-5 * t, -1e-5, 0.0, 0.0, 0.0, 0.0)

    assert line_search(plateau, 0.0, promised) == 0.0


def test_no_step_leads_down():
    assert line_search(along(lambda t: 1.0 + t, lambda t: 1.0, lambda t: 0.0), 1.0, -1.0) == 0.0


# In a plane


@pytest.mark.parametrize("best", [(1.0, 0.0), (2.5, -1.0), (0.2, 3.0)])
def test_a_quadratic_takes_one_step(best):
    plane, asked = counting(quadratic(best, [[2.0, 0.5], [0.5, 1.0]]))
    found = plane_search(plane, plane(0.0, 0.0).value)
    np.testing.assert_allclose(found, best, atol=1e-14)
    assert asked[1] == (1.0, 0.0)
    assert len(asked) <= 6


def test_a_trial_that_leads_up_is_halved():
    plane = quadratic((0.3, 0.0), [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(plane_search(plane, plane(0.0, 0.0).value), (0.3, 0.0), atol=1e-14)


def test_a_step_that_leads_up_is_halved_along_both_directions():
    """Newton's step from (1, 0) goes eight times too far, along t and along c."""
    tried = []

    def plane(t, c):
        tried.append((t, c))
        far = max(abs(t - 1.0), abs(c)) > 1.5
        f = 10.0 if far else -t - 0.01 * (t - 1.0) ** 2 - abs(c)
        return Expansion(f, -0.8, -0.8, 0.1, 0.0, 0.1)

    t, c = plane_search(plane, 0.0, enough=1e3)
    assert (t, c) == (9.0, 8.0)  # what is in sight is enough, and is added unseen
    tried.clear()
    found = plane_search(plane, 0.0, enough=0.5)
    assert tried[:5] == [(1.0, 0.0), (9.0, 8.0), (5.0, 4.0), (3.0, 2.0), (2.0, 1.0)]
    assert found is not None


def test_what_is_in_sight_ends_a_plane_search():
    """Beside what the search has brought a tenth may be left: the step that this takes is added unseen."""
    plane, asked = counting(quadratic((1.2, 0.3), np.eye(2)))
    np.testing.assert_allclose(plane_search(plane, plane(0.0, 0.0).value), (1.2, 0.3), atol=1e-14)
    assert asked == [(0.0, 0.0), (1.0, 0.0)]


def test_no_trial_is_lower():
    assert plane_search(lambda t, c: Expansion(1.0 + t, 1.0, 0.0, 0.0, 0.0, 0.0), 1.0) is None
    assert plane_search(lambda t, c: Expansion(math.nan, 1.0, 0.0, 1.0, 0.0, 1.0), 1.0) is None


@pytest.mark.parametrize("rounding", [0.0, 1e-13])
def test_directions_that_are_the_same_are_searched_as_one(rounding):
    """The inverse of their Hessian would be rounding."""

    def plane(t, c):
        r = t + c - 3.0
        return Expansion(0.5 * r * r, r, r * (1.0 - 1e-3 * (rounding > 0.0)), 1.0, 1.0, 1.0 + rounding)

    assert plane_search(plane, plane(0.0, 0.0).value) == (3.0, 0.0)


def test_f_that_bends_down_is_left_where_it_was_lower():
    def plane(t, c):
        return Expansion(-t * t - c * c, -2.0 * t, -2.0 * c, -2.0, 0.0, -2.0)

    assert plane_search(plane, 0.0) == (1.0, 0.0)


def test_the_last_step_is_not_taken_on_trust(monkeypatch, rng):
    """Newton's last step is not evaluated in the plane: a point that is higher for it is refused."""
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    point = problem.point(0.1 * rng.standard_normal(9))
    p = -point.x_gradient
    first = Direction(p, problem.slope(p))
    assert step_in_plane(point, first, length_direction(point)).value < point.value
    monkeypatch.setattr("gdnp.newton.search.plane_search", lambda *_: (-5.0, 0.0))
    assert step_in_plane(point, first, length_direction(point)) is None


def test_a_searched_step_is_a_point_of_the_problem(rng):
    X, y = draw(rng)
    problem = problem_of(X, y, LogLoss(), 1e-3)
    point = problem.point(0.1 * rng.standard_normal(9))
    p = -point.x_gradient
    found = step_along(point, Direction(p, problem.slope(p)), float(p @ point.x_gradient))
    assert found.value < point.value
    assert found.value == pytest.approx(problem.point(found.x).value, rel=1e-12)
    assert abs(found.x_gradient @ p) <= 0.1 * abs(point.x_gradient @ p)
    assert step_along(point, Direction(-p, problem.slope(-p)), -float(p @ point.x_gradient)) is None


# Along negative curvature


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_either_way_down_is_found(rng, sign):
    """f is even along the direction but for a slope, and lower on one side."""
    X = np.array([[1.0], [1.0], [-1.0], [-1.0], [4.0], [-4.0], [4.0], [-4.0]])
    y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 1e-6)
    saddle = problem.point(np.array([0.0, 1.0]))
    lower = downhill(problem, saddle, np.array([sign, 0.0]))
    assert lower.value < saddle.value - 0.05
    minimum = problem.point(np.zeros(2))
    assert downhill(problem, minimum, np.array([0.0, 1e-9])) is None or minimum.value > lower.value


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_direction_that_leads_up_is_turned_round(rng, sign):
    X, y = draw(rng)
    problem = problem_of(X, y, Sigmoid(), 0.0)
    point = problem.point(0.1 * rng.standard_normal(9))
    lower = downhill(problem, point, sign * point.x_gradient)
    assert lower.value < point.value
    assert (lower.x - point.x) @ point.x_gradient < 0.0


def test_a_step_that_changes_nothing_is_not_down(rng):
    """A curvature that is rounding is no way down: f is the same along it."""
    X, y = draw(rng)
    problem = problem_of(X, y, Sigmoid(), 0.0)
    for _ in range(20):
        point = problem.point(rng.standard_normal(9))
        assert downhill(problem, point, np.zeros(9)) is None


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_whole_step_will_do_by_the_wolfe_conditions(scale):
    """f falls by 1e-4 of what its slope promised, and a tenth of the slope is gone; in any units of f."""
    p, old = np.ones(1), SimpleNamespace(value=scale)

    def judged(fall, left):
        new = SimpleNamespace(value=scale - fall * scale, x_gradient=np.array([left * scale]))
        return will_do(new, old, p, -scale)

    assert judged(2e-4, -0.85)
    assert judged(2e-4, 0.85)
    assert not judged(0.5e-4, 0.0)
    assert not judged(0.5, -0.95)
    assert not judged(0.5, 0.95)
