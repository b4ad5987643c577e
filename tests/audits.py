"""Data of two classes that tests of the audit draw."""

import numpy as np

from gdnp.datasets import Dataset


def overlapping(rng, n=300, d=3):
    """Two classes of Gaussians that overlap."""
    y = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return Dataset("overlapping", rng.standard_normal((n, d)) + 0.5 * y[:, None], y)
