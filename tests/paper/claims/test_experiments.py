"""The claims of section 4.4, measured afresh."""

import math

import numpy as np
import pytest

from gdnp import methods
from gdnp.datasets import gaussian_design
from gdnp.paper.claims.experiments import _run, _start, _tuned
from gdnp.paper.runner.reference import newton_minimum
from gdnp.problem import Objective
from paper_problems import claims_of, is_the_recorded_one


@pytest.mark.parametrize("name", claims_of("experiments"))
def test_verdict_is_the_recorded_one(name):
    assert is_the_recorded_one(name)


def test_the_tuned_run_is_the_best_of_the_grid_and_never_one_that_fails():
    data = gaussian_design(200, 4, kappa=10.0, seed=0)
    f = Objective(data.X, data.y, "log_loss", n_jobs=1)
    best, start = newton_minimum(f).objective, _start(f, 0)
    safe = 1.0 / (f.covariance.largest * f.loss.max_curvature)
    gaps = [_run(f, methods.gd(step=m * safe), start, best).at_100 for m in (0.01, 1.0)]
    found = _tuned(f, methods.gd, start, best, (0.01, 1.0))
    assert (found.at_100, found.multiple) == (min(gaps), (0.01, 1.0)[int(np.argmin(gaps))])
    assert 0.0 <= found.at_100 < found.at_10
    failed = _run(f, methods.gd(step=1e300), start, best)
    assert (failed.at_10, failed.at_100) == (math.inf, math.inf)
