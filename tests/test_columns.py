"""The twin that runs many starts as columns, against the methods from each start by itself."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from gdnp import Objective, methods, minimize
from gdnp.columns import GDNP, RUNNERS, PopulationField, SampleField, run, safe_step
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.population import Halfspace
from gdnp.population.examples import Target

STEPS, MULTIPLES = 6, (0.7, 1.5)
ONE_BY_ONE = {
    "gd": lambda step, multiple: methods.gd(step=multiple * step),
    "agd": lambda step, multiple: methods.agd(step=multiple * step),
    "weight_norm_gd": lambda step, multiple: methods.weight_norm_gd(step=multiple * step),
    "batch_norm_gd": lambda step, multiple: methods.batch_norm_gd(step=multiple * step),
    "gdnp_inner": lambda step, multiple: methods.gdnp_inner(multiple=multiple),
    "gdnp": lambda step, multiple: methods.gdnp(multiple=multiple),
    "gdnp_metric": lambda step, multiple: methods.gdnp_metric(),
    "two_step": lambda step, multiple: methods.two_step(),
}


UNBOUNDED = ("gdnp", "gdnp_metric", "two_step")
"""What searches the length to its end."""


def problems(loss):
    u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=1)
    yield PopulationField(u, S, loss), Halfspace(u, S, loss)
    data = gaussian_design(300, 4, kappa=10.0, r=0.5, seed=1)
    X = np.asarray(data.X) + 2.0
    yield SampleField(X, data.signs(), loss), Objective(X, data.y, loss, n_jobs=1)


def test_every_method_has_a_twin():
    assert set(RUNNERS) == set(ONE_BY_ONE) <= set(methods.METHODS)


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", Target()], ids=str)
@pytest.mark.parametrize("name", ONE_BY_ONE)
def test_columns_take_the_steps_of_the_methods(name, loss, rng):
    starts = rng.standard_normal((4, 2))
    for field, f in problems(loss):
        multiples = np.ones(2) if name == "gdnp_metric" else np.array(MULTIPLES)
        found = run(field, name, starts, multiples, STEPS)
        for k, multiple in enumerate(MULTIPLES):
            method = ONE_BY_ONE[name](safe_step(field), multiple)
            history = minimize(f, method, starts[:, k], max_iter=STEPS, tol=0.0).history
            if loss == "sigmoid" and name in UNBOUNDED:
                continue  # the length runs to infinity, which the two cap at different places
            np.testing.assert_allclose(found.objective[-1, k], history["objective"][-1], rtol=1e-6)


def test_sparse_rows_are_centred_as_dense_ones_are(rng):
    X = rng.standard_normal((50, 3)) * (rng.random((50, 3)) < 0.4)
    y, starts = np.where(rng.random(50) < 0.5, 1.0, -1.0), rng.standard_normal((3, 2))
    dense, sparse = (
        run(SampleField(A, y, "log_loss"), "gdnp_inner", starts, 1.0, 5) for A in (X, csr_array(X))
    )
    for a, b in zip(dense, sparse, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


def test_columns_do_not_see_each_other(rng):
    u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=1)
    f, starts = PopulationField(u, S, "log_loss"), rng.standard_normal((4, 3))
    together, alone = (run(f, "gdnp_inner", W, 1.9, 10) for W in (starts, starts[:, :1]))
    np.testing.assert_allclose(together.objective[:, 0], alone.objective[:, 0], rtol=1e-12)


def test_h_as_printed_is_a_method_of_its_own(rng):
    u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=1)
    f, starts = PopulationField(u, S, "log_loss"), rng.standard_normal((4, 2))
    printed, stein = (run(f, GDNP(h=h), starts, 1.0, 10).objective[-1] for h in ("printed", "stein"))
    assert (np.abs(printed / stein - 1.0) > 1e-6).all()
    twin = [
        minimize(Halfspace(u, S, "log_loss"), methods.gdnp_inner(h="printed"), w, max_iter=10, tol=0.0)
        for w in starts.T
    ]
    np.testing.assert_allclose(printed, [result.objective for result in twin], rtol=1e-8)


def test_what_leaves_for_infinity_is_infinite(rng):
    u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=1)
    found = run(
        PopulationField(u, S, Target()),
        "batch_norm_gd",
        rng.standard_normal((4, 2)),
        np.array([1.0, 1e300]),
        5,
    )
    assert np.isfinite(found.objective[:, 0]).all()
    assert found.objective[-1, 1] == np.inf
