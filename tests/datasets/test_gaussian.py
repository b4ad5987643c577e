"""Gaussian designs: the moments that were asked for, in the population exactly and in a sample nearly."""

import numpy as np
import pytest
from scipy.stats import kstest

from gdnp import datasets

POPULATIONS = [
    {"d": 2, "kappa": 3.0, "r": 0.9, "seed": 3},
    {"d": 6, "kappa": 100.0, "r": 0.5, "seed": 0},
    {"d": 5, "kappa": 1.0, "r": 0.05, "seed": 1},
    {"d": 4, "kappa": 8.0, "r": 0.3, "seed": 2},
]


@pytest.mark.parametrize("options", POPULATIONS)
def test_population(options):
    u, S = datasets.gaussian_parameters(**options)
    assert u @ np.linalg.solve(S, u) == pytest.approx(options["r"], rel=1e-12)
    np.testing.assert_array_equal(S, S.T)
    eigenvalues, basis = np.linalg.eigh(S)
    assert eigenvalues[-1] == pytest.approx(1.0, rel=1e-12)
    assert eigenvalues[-1] / eigenvalues[0] == pytest.approx(options["kappa"], rel=1e-12)
    parts = np.abs(basis.T @ u) / np.linalg.norm(u)
    if options["kappa"] != 1.0:  # there every vector is an eigenvector
        assert np.count_nonzero(parts > 1e-3) >= 2
        assert np.linalg.norm(S @ u - u * (u @ S @ u) / (u @ u)) > 1e-3 * np.linalg.norm(S @ u)


def test_eigenvalues_are_even_on_a_logarithm():
    _, S = datasets.gaussian_parameters(3)
    np.testing.assert_allclose(np.linalg.eigvalsh(S), [0.01, 0.1, 1.0], rtol=1e-12)


@pytest.mark.parametrize("options", POPULATIONS)
def test_sample_moments_within_five_sigma(options):
    n = 40_000
    u, S = datasets.gaussian_parameters(**options)
    data = datasets.gaussian_design(n, **options)
    z = -data.y[:, None] * data.X
    sigma, scale = S - np.outer(u, u), np.sqrt(n) / 5.0
    second = z.T @ z / n
    # Var(z_i z_j) of a Gaussian with mean u and covariance Σ (Isserlis)
    spread = np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2 + 2.0 * np.outer(u, u) * sigma
    spread += np.outer(u**2, np.diag(sigma)) + np.outer(np.diag(sigma), u**2)
    assert np.all(np.abs(z.mean(axis=0) - u) * scale < np.sqrt(np.diag(sigma)))
    assert np.all(np.abs(second - S) * scale < np.sqrt(spread))
    assert np.all(np.abs(data.X.mean(axis=0)) * scale < np.sqrt(np.diag(S)))  # Assumption 1: E[x] = 0
    assert abs(data.y.mean()) * scale < 1.0
    assert np.all(np.abs(data.y @ (z - u)) / n * scale < np.sqrt(np.diag(sigma)))  # y says nothing of z


@pytest.mark.parametrize("options", POPULATIONS)
def test_sample_is_gaussian_along_the_optimal_and_a_random_direction(options):
    u, S = datasets.gaussian_parameters(**options)
    data = datasets.gaussian_design(40_000, **options)
    for w in (np.linalg.solve(S, u), np.random.default_rng(0).standard_normal(len(u))):
        norm = np.sqrt(w @ S @ w)
        m = u @ w / norm
        xi = -data.y * (data.X @ w) / norm  # Assumption 2: N(m, 1 - m²)
        assert kstest((xi - m) / np.sqrt(1.0 - m * m), "norm").pvalue > 1e-4


def test_seed():
    first, again = (datasets.gaussian_design(50, 4, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.X, again.X)
    np.testing.assert_array_equal(first.y, again.y)
    other = datasets.gaussian_design(50, 4, seed=8)
    assert np.abs(first.X - other.X).min() > 0.0
    for a, b in zip(
        datasets.gaussian_parameters(4, seed=7), datasets.gaussian_parameters(4, seed=7), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((1, 3), {}, "n must be at least 2 rows. Got 1"),
        ((10, 1), {}, "d must be at least 2 .* Got 1"),
        ((10, 3), {"r": 0.0}, "strictly between 0 and 1. Got 0.0"),
        ((10, 3), {"r": 1.0}, "strictly between 0 and 1. Got 1.0"),
        ((10, 3), {"r": float("nan")}, "strictly between 0 and 1. Got nan"),
        ((10, 3), {"kappa": 0.5}, "condition number of at least 1. Got 0.5"),
        ((10, 3), {"kappa": float("inf")}, "condition number of at least 1. Got inf"),
    ],
)
def test_gaussian_refuses(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        datasets.gaussian_design(*arguments, **options)
