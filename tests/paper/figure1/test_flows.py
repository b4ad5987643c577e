"""Gradient flows against curves that are known, and how far two curves are apart."""

import numpy as np
import pytest

from gdnp.datasets import gaussian_parameters
from gdnp.paper.figure1.flows import direction_flow, gradient_flow, hausdorff, length_flow
from gdnp.population import Halfspace, LeastSquares


def everywhere(w):
    return 1.0


def population(d=2):
    return gaussian_parameters(d, kappa=6.0, r=0.5, seed=3)


def test_gradient_flow_of_least_squares_is_the_matrix_exponential():
    """w̃' = -2(u + S w̃) goes to -S⁻¹u on a curve that is known in the eigenbasis of S."""
    S, u = np.diag([1.0, 0.25]), np.array([0.3, 0.1])
    start, optimum = np.array([2.0, 1.0]), -u / np.diagonal(S)
    path = gradient_flow(LeastSquares(u, S), start, everywhere)
    assert path.stationary
    np.testing.assert_allclose(path.points[-1], optimum, atol=1e-7)
    gap = (path.points - optimum) / (start - optimum)
    inner = path.points[1:-10]
    # gap_k = exp(-2 λ_k t): the first is the fourth power of the second.
    np.testing.assert_allclose(gap[1 : len(inner) + 1, 0], gap[1 : len(inner) + 1, 1] ** 4, atol=1e-8)


def test_flow_stops_where_it_leaves():
    S, u = np.diag([1.0, 0.25]), np.array([0.3, 0.1])
    path = gradient_flow(LeastSquares(u, S), np.array([2.0, 1.0]), lambda w: w[0] - 1.0)
    assert not path.stationary
    assert path.points[-1][0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("d", [2, 4])
def test_direction_flow_is_the_same_for_every_loss_on_the_population(d):
    u, S = population(d)
    start = np.random.default_rng(1).standard_normal(d)
    arcs = [
        direction_flow(f, start, points=201)
        for f in (LeastSquares(u, S), Halfspace(u, S, "log_loss"), Halfspace(u, S, "sigmoid"))
    ]
    length = np.sqrt(start @ S @ start)
    optimal = -np.linalg.solve(S, u)
    for arc in arcs:
        assert hausdorff(arc.points, arcs[0].points) < 1e-6
        np.testing.assert_allclose(np.einsum("ij,jk,ik->i", arc.points, S, arc.points), length**2)
        np.testing.assert_allclose(
            arc.points[-1], optimal * length / np.sqrt(optimal @ S @ optimal), atol=1e-6
        )


def test_length_flow_ends_at_the_minimum_along_the_ray():
    """The log loss has its minimum at length 2√r/(1 - r)."""
    u, S = population()
    f = Halfspace(u, S, "log_loss")
    ray = length_flow(f, -0.3 * f.optimal_direction, everywhere)
    assert ray.stationary
    np.testing.assert_allclose(ray.points[-1], -2.0 * f.optimal_direction / (1.0 - f.r), rtol=1e-6)


def test_hausdorff_of_shifted_and_of_refined_curves():
    t = np.linspace(0.0, 1.0, 11)
    line = np.column_stack([t, 0.0 * t])
    assert hausdorff(line, line + np.array([0.0, 0.3])) == pytest.approx(0.3)
    assert hausdorff(line, line[::10]) == pytest.approx(0.0, abs=1e-15)
    assert hausdorff(line, line[:6]) == pytest.approx(0.5)
