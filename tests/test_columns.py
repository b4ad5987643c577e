"""The twin that runs many starts as columns, against the methods from each start by itself."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from gdnp import Objective, methods, minimize
from gdnp.columns import GDNP, RUNNERS, PopulationField, SampleField, best_length, run, safe_step
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
    for a, b in zip(dense[:-1], sparse[:-1], strict=True):  # S of sparse rows takes fewer passes
        np.testing.assert_allclose(a, b, rtol=1e-10)


@pytest.mark.parametrize("name", sorted({*ONE_BY_ONE} - {"two_step"}))  # whose twin begins with its answer
def test_passes_and_errors_are_those_of_the_methods(name, rng):
    data = gaussian_design(300, 4, kappa=10.0, r=0.5, seed=1)
    X, starts = np.asarray(data.X), rng.standard_normal((4, 2))
    field, f = SampleField(X, data.signs(), "log_loss"), Objective(X, data.y, n_jobs=1)
    found = run(field, name, starts, 1.0, STEPS)
    method = ONE_BY_ONE[name](safe_step(field), 1.0)
    result = minimize(f, method, starts[:, 0], max_iter=STEPS, tol=0.0)
    spent = result.history["passes"]
    np.testing.assert_array_equal(found.passes[: len(spent), 0], spent)
    wrong = data.signs() * ((X - X.mean(axis=0)) @ result.coef) < 0.0
    assert found.zero_one[-1, 0] == pytest.approx(wrong.mean(), abs=1e-12)
    np.testing.assert_allclose(found.length[-1, 0], f.covariance.norm(result.coef), rtol=1e-6)


def test_zero_one_error_of_a_population_is_that_of_a_large_sample(rng):
    u, S = gaussian_parameters(4, kappa=10.0, r=0.5, seed=1)
    w = rng.standard_normal((4, 1))
    found = run(PopulationField(u, S, "sigmoid"), "gd", np.hstack([w, -w]), 1.0, 0).zero_one[0]
    z = rng.multivariate_normal(u, S - np.outer(u, u), 40_000)
    np.testing.assert_allclose(found, [np.mean(z @ w > 0.0), np.mean(z @ w < 0.0)], atol=0.02)


@pytest.mark.parametrize("loss", ["log_loss", Target(), "sigmoid"], ids=str)
def test_best_length_is_a_root_as_bisection_would_find_it(loss, rng):
    """Or the end of the bracket, on the side where f still falls, where there is none."""
    u, S = gaussian_parameters(4, kappa=10.0, r=0.2, seed=1)
    rays = PopulationField(u, S, loss).rays(rng.standard_normal((4, 5)))
    g = best_length(rays, np.geomspace(1e-3, 1e3, 5))
    if loss == "sigmoid":
        assert (np.abs(g) == 2.0**20).all()
        assert (np.sign(rays.slope(np.sign(g))) == -np.sign(g)).all()
    else:
        slopes = rays.slope(g - 1e-9), rays.slope(g), rays.slope(g + 1e-9)
        assert (slopes[0] < 0.0).all()
        assert (slopes[2] > 0.0).all()
        assert np.abs(slopes[1]).max() < 1e-13


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


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", Target()], ids=str)
@pytest.mark.parametrize("r", [0.05, 0.5, 0.98])
def test_means_are_those_of_the_population_at_any_length(loss, r):
    u, S = gaussian_parameters(3, kappa=10.0, r=r, seed=0)
    f, g = Halfspace(u, S, loss), np.geomspace(1e-3, 1e6, 40)
    w = f.optimal_direction + 0.1 * np.ones(3)
    V = np.repeat((w / f.covariance.norm(w))[:, None], len(g), axis=1)
    rays = PopulationField(u, S, loss).rays(V)
    points = [f.at(length * V[:, 0]) for length in g]
    np.testing.assert_allclose(rays.moments(g).value, [p.value for p in points], rtol=1e-9)
    np.testing.assert_allclose(rays.moments(g).second, [p.mean_curvature for p in points], rtol=1e-8)
    np.testing.assert_allclose(rays.gradient(g).T, [p.gradient for p in points], rtol=1e-7, atol=1e-13)


def test_where_both_slopes_underflow_the_length_goes_where_f_falls():
    """Rows far from the plane: the sigmoid is flat at every long length, on both sides."""
    data = gaussian_design(60, 3, kappa=2.0, r=0.9, seed=0)
    field = SampleField(data.X, data.signs(), "sigmoid")
    found = run(field, "two_step", np.ones((3, 1)), 1.0, 0)
    assert found.length[0, 0] >= 2.0**19
    assert found.zero_one[0, 0] < 0.5
