"""Two steps searched together: exact on quadratics, never uphill, and what it saves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gdnp.newton.plane_search import plane_search, step_in_plane


def quadratic(best, hessian):
    (a, b), (_, d) = hessian

    def plane(t, c):
        x, y = t - best[0], c - best[1]
        f = 0.5 * (a * x * x + 2.0 * b * x * y + d * y * y)
        return f, (a * x + b * y, b * x + d * y), (a, b, d)

    return plane


@pytest.mark.parametrize("best", [(1.0, 0.0), (2.5, -1.0), (0.2, 3.0)])
def test_a_quadratic_takes_one_step(best):
    plane, asked = quadratic(best, [[2.0, 0.5], [0.5, 1.0]]), []

    def counting(t, c):
        asked.append((t, c))
        return plane(t, c)

    found = plane_search(counting, plane(0.0, 0.0)[0], 0.1)
    np.testing.assert_allclose(found, best, atol=1e-14)
    assert asked[0] == (1.0, 0.0)
    assert len(asked) <= 5


def test_a_trial_that_leads_up_is_halved():
    plane = quadratic((0.3, 0.0), [[1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(plane_search(plane, plane(0.0, 0.0)[0]), (0.3, 0.0), atol=1e-14)


def test_no_trial_is_lower():
    assert plane_search(lambda t, c: (1.0 + t, (1.0, 0.0), (0.0, 0.0, 0.0)), 1.0) is None
    assert plane_search(lambda t, c: (math.nan, (1.0, 0.0), (1.0, 0.0, 1.0)), 1.0) is None


def test_directions_that_are_the_same_are_searched_as_one():
    def plane(t, c):
        r = t + c - 3.0
        return 0.5 * r * r, (r, r), (1.0, 1.0, 1.0)

    assert plane_search(plane, plane(0.0, 0.0)[0]) == (3.0, 0.0)


def test_f_that_bends_down_is_left_where_it_was_lower():
    def plane(t, c):
        return -t * t - c * c, (-2.0 * t, -2.0 * c), (-2.0, 0.0, -2.0)

    assert plane_search(plane, 0.0) == (1.0, 0.0)


def test_the_last_step_is_not_taken_on_trust(monkeypatch):
    """Newton's last step is not evaluated in the plane: a place that is higher for it is refused."""

    class Place:
        value, x, margins = 1.0, np.zeros(2), np.zeros(3)

    class Higher:
        def place(self, x, margins):
            higher = Place()
            higher.value = 1.5
            return higher

    def lying(problem, place, first, second):
        return lambda t, c: (0.5, (-0.01, 0.0), (1.0, 0.0, 1.0))

    monkeypatch.setattr("gdnp.newton.plane_search.plane_jet", lying)
    ray = np.ones(2), np.ones(3)
    assert step_in_plane(Higher(), Place(), ray, ray) is None
