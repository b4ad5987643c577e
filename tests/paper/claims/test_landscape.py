"""The claims of section 4.1, measured afresh."""

import numpy as np
import pytest

from gdnp.metric import Covariance
from gdnp.paper.claims.landscape import _sin_squared
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("landscape"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


@pytest.mark.parametrize("angle", [1e-9, 0.3, 2.0])
def test_angle_between_vectors_is_that_in_the_metric(angle):
    """Also where it is so small that one less the squared cosine is 0."""
    S = np.array([[4.0, 1.0], [1.0, 2.0]])
    root = np.linalg.cholesky(S).T
    v, w = (np.linalg.solve(root, [np.cos(a), np.sin(a)]) for a in (0.0, angle))
    assert _sin_squared(Covariance(S), 3.0 * v, 0.1 * w) == pytest.approx(np.sin(angle) ** 2, rel=1e-6)
