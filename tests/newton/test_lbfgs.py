"""Limited memory: the secant equations of the last steps, about a preconditioner."""

import numpy as np
import pytest

from gdnp.newton.lbfgs import Memory

A = np.diag([1.0, 2.0, 3.0, 4.0])


def test_memory_satisfies_the_secant_equation(rng):
    memory = Memory(np.copy, 3)
    for _ in range(5):
        s = rng.standard_normal(4)
        y = A @ s
        memory = memory.with_pair(s, y)
    assert len(memory.pairs) == 3
    np.testing.assert_allclose(memory.solve(y), s)


@pytest.mark.parametrize("share", [-1.0, 0.0, 1e-11])
def test_a_pair_along_which_f_is_not_convex_is_refused(rng, share):
    """Of a curvature that is rounding beside |s||y| an update makes steps of any length."""
    s, across = np.eye(4)[:2]
    memory = Memory(np.copy, 3).with_pair(s, 2.0 * s)
    assert memory.with_pair(s, share * s + across) is memory
    assert len(memory.with_pair(s, 1e-8 * s + across).pairs) == 2
    g = rng.standard_normal(4)
    assert np.linalg.norm(memory.with_pair(s, share * s + across).solve(g)) < 10.0 * np.linalg.norm(g)


def test_memory_finds_the_size_of_a_preconditioner_whose_shape_is_right(rng):
    s, g = rng.standard_normal(4), rng.standard_normal(4)
    memory = Memory(lambda g: 100.0 * np.linalg.solve(A, g), 1).with_pair(s, A @ s)
    np.testing.assert_allclose(memory.solve(g), np.linalg.solve(A, g))


@pytest.mark.parametrize(("entries", "remembered"), [(40, 2), (400, 5), (4000, 10)])
def test_steps_are_remembered_as_far_as_that_costs_no_more_than_x(entries, remembered):
    """Steps along the axes of a quadratic: B⁻¹ undoes the last ones exactly, all others like H."""
    memory, curvatures = Memory.sized(np.copy, 40, entries), 1.0 + np.arange(12.0)
    for k, a in enumerate(curvatures):
        memory = memory.with_pair(np.eye(41)[k], a * np.eye(41)[k])
    exact = [memory.solve(a * np.eye(41)[k])[k] == pytest.approx(1.0) for k, a in enumerate(curvatures)]
    assert exact == [False] * (12 - remembered) + [True] * remembered


def test_another_preconditioner_starts_afresh(rng):
    s, g = rng.standard_normal(4), rng.standard_normal(4)
    old = Memory(np.copy, 5).with_pair(s, A @ s)
    new = old.about(lambda g: 0.5 * g)
    np.testing.assert_array_equal(new.solve(g), 0.5 * g)
    assert new.size == old.size
    assert len(old.pairs) == 1  # what was handed out does not change
