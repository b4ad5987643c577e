"""Gaussian designs that meet Assumptions 1 and 2 of the paper exactly, with everything about them known."""

import math

import numpy as np

from gdnp._typing import FloatArray
from gdnp.datasets.dataset import Dataset


def gaussian_parameters(
    d: int = 20, *, kappa: float = 100.0, r: float = 0.5, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Draw a population: u = E[z] and S = E[zzᵀ] with uᵀS⁻¹u = r and λ_max(S) = 1.

    S = FFᵀ with F = Q Λ^½, Q a uniformly random orthogonal basis, and u = √r F v with v uniform on the
    unit sphere: u has a part in every eigenvector of S.

    Parameters
    ----------
    d : int
        Dimension, at least 2.
    kappa : float
        Condition number L/μ of S, at least 1. The eigenvalues run evenly on a logarithm from 1/kappa to 1.
    r : float
        uᵀS⁻¹u, the share of S along u, in (0, 1): 0 is no signal, 1 is no noise.
    seed : int
        The same seed (and d) gives the same basis and the same v.

    Returns
    -------
    u : ndarray of shape (d,)
    S : ndarray of shape (d, d)

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """
    factor, v = _population(np.random.default_rng(seed), d, kappa, r)
    return math.sqrt(r) * (factor @ v), factor @ factor.T


def gaussian_design(
    n: int = 20_000, d: int = 20, *, kappa: float = 100.0, r: float = 0.5, seed: int = 0
) -> Dataset:
    """Sample from the population of `gaussian_parameters`: z ~ N(u, S - uuᵀ), y = ±1, x = -y z.

    Then E[x] = 0 and E[xxᵀ] = S (Assumption 1), and z = -y x is Gaussian (Assumption 2).
    The covariance needs no factorisation: S - uuᵀ = F(I - r vvᵀ)Fᵀ, and I - r vvᵀ = (I - c vvᵀ)² with
    c = 1 - √(1 - r). Hence z = u + F(I - c vvᵀ)ε with ε ~ N(0, I).

    Parameters
    ----------
    n : int
        Rows, at least 2.
    d, kappa, r, seed
        As in `gaussian_parameters`, which returns the (u, S) of this sample.

    Returns
    -------
    Dataset
        X dense of shape (n, d), y in {-1, +1}.

    Raises
    ------
    ValueError
        For a parameter outside its range.
    """
    if n < 2:
        raise ValueError(f"n must be at least 2 rows. Got {n!r}.")
    rng = np.random.default_rng(seed)
    factor, v = _population(rng, d, kappa, r)
    noise = rng.standard_normal((n, d))
    noise -= np.outer((1.0 - math.sqrt(1.0 - r)) * (noise @ v), v)
    y = rng.choice([-1.0, 1.0], size=n)
    z = (noise + math.sqrt(r) * v) @ factor.T
    return Dataset("gaussian", -y[:, None] * z, y)


def _population(rng: np.random.Generator, d: int, kappa: float, r: float) -> tuple[FloatArray, FloatArray]:
    """F with S = FFᵀ, and the unit vector v with u = √r F v."""
    if d < 2:
        raise ValueError(f"d must be at least 2 (every vector is an eigenvector for d = 1). Got {d!r}.")
    if not 0.0 < r < 1.0:
        raise ValueError(f"r = uᵀS⁻¹u must lie strictly between 0 and 1. Got {r!r}.")
    if not (math.isfinite(kappa) and kappa >= 1.0):
        raise ValueError(f"kappa must be a finite condition number of at least 1. Got {kappa!r}.")
    basis, _ = np.linalg.qr(rng.standard_normal((d, d)))  # uniform up to signs, which neither S nor v sees
    v = rng.standard_normal(d)
    return basis * np.sqrt(np.geomspace(1.0 / kappa, 1.0, d)), v / np.linalg.norm(v)
