"""The curvature a bounded loss has on average: the share that wrong labels leave, and an H near ∇²f."""

import numpy as np
import pytest
from scipy.linalg import eigh
from scipy.special import expit

from gdnp import Objective
from gdnp.design import as_design
from gdnp.losses import Probit, Sigmoid
from gdnp.newton.preconditioners.expectation import BINS, LEAST_SHARE, expected_curvature


def uncentred(X, y, loss, weight=None):
    """In raw coordinates, so that margins are those of the test."""
    return Objective.unchecked(as_design(X), y.copy(), weight, loss, 0.0, fit_intercept=False)


@pytest.mark.parametrize("loss", [Sigmoid(), Probit()], ids=lambda loss: loss.name)
def test_wrong_labels_leave_their_share(loss):
    # Four of five labels agree with the prediction, at 40 different ones of ten rows each for either sign.
    eta = np.repeat(np.linspace(0.2, 3.0, 400), 10)
    right = np.tile([1.0] * 8 + [-1.0] * 2, 400)
    problem = uncentred(eta[:, None], right, loss)
    curvature = expected_curvature(problem, -right * eta)
    np.testing.assert_allclose(curvature, 0.6 * np.abs(loss.curvature(eta)) / len(eta), rtol=0.02)


@pytest.mark.parametrize("weighted", [False, True])
def test_quantiles_keep_their_sums(rng, weighted):
    n, loss = 20000, Sigmoid()
    eta = rng.standard_t(3, n)
    y = np.where(rng.random(n) < expit(2.0 * eta), 1.0, -1.0)
    s = rng.random(n) if weighted else np.ones(n)
    s /= s.sum()
    curvature = expected_curvature(uncentred(eta[:, None], y, loss, s if weighted else None), -y * eta)
    assert np.all(curvature >= 0.0)
    true, order = s * loss.curvature(-y * eta), np.argsort(eta)
    half = order[: n // 2], order[n // 2 :]
    for rows in half:  # in no quantile but those about 0 do labels leave less than the least share
        assert curvature[rows].sum() == pytest.approx(true[rows].sum(), rel=0.05)


def test_a_share_that_cancels_counts_a_little(rng):
    eta = rng.standard_normal(5000)
    y = np.where(np.arange(5000) % 2 == 0, 1.0, -1.0)
    curvature = expected_curvature(uncentred(eta[:, None], y, Sigmoid()), -y * eta)
    gross = np.abs(Sigmoid().curvature(eta)) / 5000
    assert np.median(curvature / gross) == pytest.approx(LEAST_SHARE, rel=1e-9)


def test_few_rows_stand_for_themselves(rng):
    eta = rng.standard_normal(BINS)
    curvature = expected_curvature(uncentred(eta[:, None], np.ones(BINS), Sigmoid()), -eta)
    upwards = Sigmoid().curvature(-eta) > 0.0
    np.testing.assert_allclose(curvature[upwards], Sigmoid().curvature(-eta)[upwards] / BINS)
    assert np.all(curvature >= 0.0)


def test_a_preconditioner_of_it_is_near_the_hessian(rng):
    # With 30 % of the labels wrong, the rows that bend upwards alone curve up to twice as much as f does.
    n, d = 60000, 10
    X = rng.standard_normal((n, d))
    eta = X @ np.full(d, 1.0 / np.sqrt(d))
    y = np.where(rng.random(n) < 0.7, np.sign(eta), -np.sign(eta))
    problem = uncentred(X, y, Sigmoid())
    true = problem.curvature(-y * eta)
    hessian = X.T @ (true[:, None] * X)

    def against(c):
        return eigh(hessian, X.T @ (c[:, None] * X), eigvals_only=True)

    found = against(expected_curvature(problem, -y * eta))
    assert 0.8 < found[0] <= found[-1] < 1.25
    assert against(np.maximum(true, 0.0))[0] < 0.65
