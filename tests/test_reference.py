"""The minimum that methods are compared with, against another solver and differences of the gradient."""

import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from gdnp import Objective
from gdnp.datasets import fetch_a9a, gaussian_design
from gdnp.reference import hessian, newton_minimum


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_reference_is_the_minimum(rng, alpha):
    data = gaussian_design(400, 6, seed=3)
    s = rng.uniform(0.5, 2.0, 400)
    objective = Objective(data.X + 3.0, data.y, alpha=alpha, sample_weight=s, n_jobs=1)
    found = newton_minimum(objective)
    centred = data.X - np.average(data.X, axis=0, weights=s)

    def f(w):
        return np.average(np.logaddexp(0.0, -data.y * (centred @ w)), weights=s) + alpha / 2 * w @ w

    expected = scipy_minimize(f, np.zeros(6), method="BFGS", options={"gtol": 1e-7})
    assert found.objective == pytest.approx(f(found.coef), rel=1e-13)
    assert found.objective <= expected.fun + 1e-14
    assert found.coef == pytest.approx(expected.x, abs=1e-5)
    assert found.decrement < 1e-15
    assert not found.separable


def test_hessian_is_that_of_the_gradient(rng):
    data = gaussian_design(200, 4, seed=1)
    objective = Objective(data.X + 2.0, data.y, alpha=0.3, n_jobs=1)
    w, h = rng.standard_normal(4), 1e-6
    numeric = [
        (objective.at(w + h * e).gradient - objective.at(w - h * e).gradient) / (2 * h) for e in np.eye(4)
    ]
    assert hessian(objective, objective.at(w).margins) == pytest.approx(np.array(numeric), abs=1e-8)


def test_reference_refuses_what_it_cannot_minimise():
    data = gaussian_design(50, 3)
    for objective in (Objective(data.X, data.y, "sigmoid"), Objective(data.X, data.y, fit_intercept=True)):
        with pytest.raises(ValueError, match="needs a convex loss and no intercept"):
            newton_minimum(objective)


def test_reference_of_a9a():
    folder = os.environ.get("GDNP_DATA")
    if not folder or not (Path(folder) / "a9a" / "a9a").exists():
        pytest.skip("GDNP_DATA does not name a folder with a9a")
    data = fetch_a9a()
    found = newton_minimum(Objective(data.X, data.y))
    assert found.objective == pytest.approx(0.526342, abs=5e-7)
    assert found.decrement < 1e-15
