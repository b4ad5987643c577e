"""Preconditioners of several classes against the matrix written down."""

import numpy as np
import pytest

from gdnp.design import as_design
from gdnp.losses import Softmax
from gdnp.newton.preconditioners import classes
from gdnp.newton.preconditioners.choice import Stage
from gdnp.newton.preconditioners.classes import (
    BlockPreconditioner,
    ClassPreconditioner,
    JointPreconditioner,
    made_for_classes,
)
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.newton.preconditioners.rows import KernelPreconditioner
from gdnp.problem.multinomial import Multinomial


def posed(rng, n=90, d=4, K=3, size=0.5, fit_intercept=True, weighted=True):
    X, y = rng.standard_normal((n, d)), np.append(np.arange(K), rng.integers(0, K, n - K))
    weight = rng.dirichlet(np.ones(n)) if weighted else None
    world = Multinomial.unchecked(as_design(X), y, weight, Softmax(K), 1e-2, fit_intercept=fit_intercept)
    x = size * rng.standard_normal((d + 1, K))
    return world.standardised, world.standardised.curvature(world.standardised.point(x).margins)


def balanced(rng, shape, fit_intercept=True):
    g = rng.standard_normal(shape)
    if not fit_intercept:
        g[-1] = 0.0
    return g - g.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_the_joint_one_is_the_inverse(rng, fit_intercept):
    world, shares = posed(rng, fit_intercept=fit_intercept)
    found = made_for_classes(world, shares)
    assert isinstance(found, JointPreconditioner)
    g = balanced(rng, (5, 3), fit_intercept)
    np.testing.assert_allclose(world.hessian_product(shares, found.solve(g), None), g, atol=1e-9)


@pytest.mark.parametrize("few", [True, False])
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_blocks_are_the_diagonal_of_the_matrix(rng, few, fit_intercept, monkeypatch):
    """No row of next to no curvature is left out here."""
    world, shares = posed(rng, d=40, K=4, size=0.02, weighted=False, fit_intercept=fit_intercept)
    if not few:
        monkeypatch.setattr(classes, "rows_of_sample", lambda problem: 89)
        monkeypatch.setattr(classes, "Stage", lambda kinds, size: Stage(kinds, 90))
    found = made_for_classes(world, shares)
    assert isinstance(found, BlockPreconditioner if few else ClassPreconditioner)
    for k in range(4):
        p = np.zeros((41, 4))
        p[:, k] = rng.standard_normal(41) * np.append(np.ones(40), fit_intercept)
        g = np.zeros((41, 4))
        g[:, k] = world.hessian_product(shares, p, None)[:, k]
        z = found.solve(g)
        np.testing.assert_allclose(z[:, k] - z[:, k - 1], p[:, k], atol=1e-9)  # less the mean of all
    np.testing.assert_allclose(found.solve(balanced(rng, (41, 4))).sum(axis=1), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"n": 40, "d": 90}, KernelPreconditioner), ({"d": 40}, LowRankPreconditioner)],
    ids=["fewer rows than columns", "no room for matrices"],
)
def test_kinds_of_parts(rng, monkeypatch, options, kind):
    world, shares = posed(rng, K=5, **options)
    if kind is LowRankPreconditioner:
        monkeypatch.setattr("gdnp.newton.preconditioners.classes.LARGEST_GRAM", 8)
    assert all(isinstance(part, kind) for part in made_for_classes(world, shares).parts)


@pytest.mark.parametrize("d", [4, 40])
def test_shares_that_are_all_rounding_leave_the_ridge_and_a_floor(rng, d):
    world, _ = posed(rng, d=d)
    shares = np.zeros((90, 3))
    shares[:, 0] = 1.0
    g = balanced(rng, (d + 1, 3))
    z = made_for_classes(world, shares).solve(g)
    assert np.isfinite(z).all()
    damped = made_for_classes(world, shares, 1.0).solve(g)
    assert np.abs(damped[:-1]).max() < np.abs(z[:-1]).max()
    assert np.abs(damped[-1]).max() < 1e-6 * np.abs(z[-1]).max()
