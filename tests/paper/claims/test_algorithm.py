"""The claims of sections 4.2 and 4.3 on the steps of GDNP, measured afresh."""

import numpy as np
import pytest

from gdnp.datasets import gaussian_parameters
from gdnp.paper.claims.algorithm import bracket_width
from gdnp.population import Halfspace
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("algorithm"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


@pytest.mark.parametrize("r", [0.05, 0.5, 0.9])
def test_bracket_is_the_smallest_doubling_around_the_best_length(r):
    """The log loss has its best length at 2√r/(1 - r) along -S⁻¹u."""
    u, S = gaussian_parameters(4, kappa=5.0, r=r, seed=0)
    f = Halfspace(u, S, "log_loss")
    best = 2.0 * np.sqrt(r) / (1.0 - r)
    width = bracket_width(f, f.optimal_direction)
    assert width / 2.0 > best
    assert width == 2.0 or width / 4.0 <= best
