"""Metrics: norms, splits and systems, the range of a singular S, and independence of units."""

import numpy as np
import pytest
import scipy.linalg

from gdnp.metric import METRICS, Covariance, Diagonal, Identity, OperatorCovariance


@pytest.fixture
def S(rng):
    A = rng.standard_normal((40, 5))
    return A.T @ A / 40


def metrics(S):
    return {
        "identity": (Identity(5), np.eye(5)),
        "diagonal": (Diagonal(np.diagonal(S).copy()), np.diag(np.diagonal(S))),
        "covariance": (Covariance(S), S),
        "operator": (OperatorCovariance(lambda w: S @ w, np.diagonal(S)), S),
    }


def test_registry_makes_each_metric_from_S(S):
    for name, make in METRICS.items():
        np.testing.assert_array_equal(make(Covariance(S)).apply(np.eye(5)[1]), metrics(S)[name][1][1])


@pytest.mark.parametrize("name", ["identity", "diagonal", "covariance", "operator"])
def test_against_the_matrix(S, rng, name):
    metric, M = metrics(S)[name]
    v, w = rng.standard_normal((2, 5))
    np.testing.assert_allclose(metric.apply(w), M @ w)
    np.testing.assert_allclose(metric.inner(v, w), v @ M @ w)
    np.testing.assert_allclose(metric.norm(w) ** 2, w @ M @ w)
    np.testing.assert_allclose(metric.solve(v), np.linalg.solve(M, v), rtol=1e-6)
    np.testing.assert_allclose(metric.dual_norm(v) ** 2, v @ np.linalg.solve(M, v), rtol=1e-6)
    eigenvalues = np.linalg.eigvalsh(M)
    np.testing.assert_allclose([metric.smallest, metric.largest], eigenvalues[[0, -1]], rtol=1e-3)
    np.testing.assert_allclose(metric.condition, eigenvalues[-1] / eigenvalues[0], rtol=1e-3)
    assert metric.rank == 5


@pytest.mark.parametrize("name", ["identity", "diagonal", "covariance"])
def test_join_and_split_are_inverse(S, rng, name):
    """Eq. 9."""
    metric, _ = metrics(S)[name]
    coef = rng.standard_normal(5)
    w, g = metric.split(coef)
    np.testing.assert_allclose(metric.norm(w), 1.0)
    np.testing.assert_allclose(metric.join(w, g), coef)
    np.testing.assert_allclose(metric.join(-3.0 * w, -g), coef)
    np.testing.assert_allclose(metric.norm(metric.join(w, -2.5)), 2.5)
    with pytest.raises(ValueError, match=r"positive length can be split"):
        metric.split(np.zeros(5))
    with pytest.raises(ValueError, match=r"direction must have a positive length"):
        metric.join(np.zeros(5), 1.0)


def test_singular_covariance_is_its_pseudoinverse_on_the_range(rng):
    A = rng.standard_normal((50, 3)) @ rng.standard_normal((3, 6))
    A[:, 4] = 0.0
    S = A.T @ A / 50
    metric = Covariance(S)
    assert metric.rank == 3
    v = S @ rng.standard_normal(6)
    np.testing.assert_allclose(metric.solve(v), np.linalg.pinv(S, rcond=1e-10) @ v, atol=1e-9)
    w = rng.standard_normal(6)
    np.testing.assert_allclose(A @ metric.project(w), A @ w, atol=1e-12)
    np.testing.assert_allclose(scipy.linalg.null_space(S, rcond=1e-10).T @ metric.project(w), 0.0, atol=1e-12)
    np.testing.assert_allclose(metric.smallest, np.linalg.eigvalsh(S)[3], rtol=1e-10)


def test_units_do_not_decide_the_rank(S, rng):
    units = np.array([1e-9, 1.0, 1e9, 1e3, 1e-4])
    scaled = Covariance(S * np.outer(units, units))
    v = rng.standard_normal(5)
    assert scaled.rank == 5
    np.testing.assert_allclose(scaled.dual_norm(units * v), Covariance(S).dual_norm(v), rtol=1e-10)


def test_zero_covariance():
    metric = Covariance(np.zeros((3, 3)))
    assert (metric.rank, metric.largest, metric.smallest, metric.condition) == (0, 0.0, 0.0, np.inf)
    np.testing.assert_array_equal(metric.solve(np.ones(3)), 0.0)
    assert metric.dual_norm(np.ones(3)) == 0.0


def test_shifted(S):
    for metric in (Covariance(S), OperatorCovariance(lambda w: S @ w, np.diagonal(S))):
        np.testing.assert_allclose(metric.shifted(0.5).apply(np.ones(5)), S @ np.ones(5) + 0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Covariance(np.ones((2, 3))), r"square matrix.*Got shape \(2, 3\)"),
        (lambda: Covariance(np.full((2, 2), np.nan)), "must be finite"),
        (lambda: Covariance(np.array([[1.0, 2.0], [2.0, 1.0]])).rank, "positive semidefinite"),
        (lambda: Diagonal(np.array([1.0, -1.0])), "non-negative. Got -1"),
    ],
)
def test_what_is_no_metric_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
