"""Scaled least squares: exact where its theorem holds, and a status where it does not."""

import numpy as np

import gdnp
from gdnp import Objective, Status
from gdnp.datasets import gaussian_parameters
from gdnp.population import Halfspace
from problems import noisy_rows


def test_two_step_is_exact_on_the_population_and_says_when_it_is_not():
    halfspace = Halfspace(*gaussian_parameters(5, kappa=50.0, r=0.4, seed=1), "log_loss")
    exact = gdnp.minimize(halfspace, "two_step")
    assert (exact.status, exact.n_iter) == (Status.CONVERGED, 1)
    np.testing.assert_allclose(
        exact.coef, -2.0 * halfspace.optimal_direction / (1.0 - halfspace.r), rtol=1e-8
    )
    rough = gdnp.minimize(Objective(*noisy_rows()), "two_step")
    assert rough.status is Status.STALLED
