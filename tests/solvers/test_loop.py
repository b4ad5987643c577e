"""The loop: what it records, when it stops and with which status, and that a run repeats bit for bit."""

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp
from gdnp import Objective, Status, methods
from gdnp.methods import METHODS
from gdnp.population import LeastSquares
from problems import draw, noisy_rows

ON_HALFSPACES = sorted(set(METHODS) - {"rayleigh_gd"})


@pytest.fixture(scope="module")
def noisy():
    return noisy_rows()


@pytest.mark.parametrize("method", ON_HALFSPACES)
def test_history_is_rectangular_and_monotone_in_cost(noisy, method):
    seen = []
    result = gdnp.minimize(Objective(*noisy), method, max_iter=20, tol=0.0, callback=seen.append)
    assert {len(column) for column in result.history.values()} == {result.n_iter + 1} == {len(seen)}
    assert list(result.history) == ["passes", "seconds", "objective", "gradient_norm", "length"]
    assert (np.diff(result.history["passes"]) >= 0.0).all()
    assert (np.diff(result.history["seconds"]) >= 0.0).all()
    assert [row.objective for row in seen] == result.history["objective"].tolist()
    assert result.objective == result.history["objective"][-1] == seen[-1].point.value


@pytest.mark.parametrize("method", ON_HALFSPACES)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_the_same_run_twice_is_the_same_bit_for_bit(noisy, method, form):
    X, y = noisy

    def run(n_jobs):
        result = gdnp.minimize(Objective(form(X), y, n_jobs=n_jobs), method, max_iter=15)
        return result.coef.tobytes() + result.history["objective"].tobytes()

    assert run(1) == run(1) == run(2)


def test_a_step_too_long_is_undone_and_named():
    objective = LeastSquares(np.array([0.5, 0.1]), np.diag([1.0, 0.1]))
    result = gdnp.minimize(objective, methods.gd(step=1e200), max_iter=10)
    assert result.status is Status.NON_FINITE
    assert np.isfinite(result.coef).all()
    assert np.isfinite(result.objective)
    assert "undone" in result.status.message


def test_a_run_out_of_iterations_says_so(noisy):
    result = gdnp.minimize(Objective(*noisy), "gd", max_iter=3)
    assert result.status is Status.MAX_ITER
    assert result.n_iter == 3
    assert "raise max_iter or tol" in result.status.message


def test_no_iteration_at_all(noisy):
    result = gdnp.minimize(Objective(*noisy), "gd", max_iter=0)
    assert (result.n_iter, result.length, result.status) == (0, 0.0, Status.MAX_ITER)


def test_a_callback_may_end_the_run(noisy):
    def stop(row):
        if row.iteration == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gdnp.minimize(Objective(*noisy), "gd", callback=stop)


def test_a_start_is_not_converged_because_zero_is_stationary():
    """The least-squares gradient at 0 vanishes here, and is no yardstick for a start at 5."""
    objective = Objective([[1.0], [-1.0]], [1.0, 1.0], "squared_error")
    result = gdnp.minimize(objective, "gd", np.array([5.0]))
    assert result.status is Status.CONVERGED
    assert result.n_iter > 0
    np.testing.assert_allclose(result.coef, 0.0, atol=1e-7)


def test_a_saturated_start_has_not_converged(noisy):
    """Far out every gradient of a bounded loss is 0: that is the 0-1 limit, not a minimum."""
    result = gdnp.minimize(Objective(*noisy, "sigmoid"), "gd", np.full(4, 1e5))
    assert result.gradient_norm < 1e-50
    assert result.status is Status.LENGTH_DIVERGES


@pytest.mark.parametrize("name", sorted(methods.METHODS.keys() - {"rayleigh_gd", "two_step"}))
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_run_goes_on_from_its_own_result(rng, name, alpha):
    """(w̃, b) is a start; w̃ alone begins at the mean row's γ = 0, which is another point."""
    X, y = draw(rng)
    f = Objective(X + 3.0, y, alpha=alpha, fit_intercept=True)
    best = gdnp.minimize(f, "newton", tol=1e-12)
    start = np.append(best.coef, best.intercept)
    again = gdnp.minimize(f, name, start, max_iter=3)
    assert again.history["objective"][0] == pytest.approx(best.objective, rel=1e-12)
    assert again.objective <= best.objective * (1.0 + 1e-12)
    with pytest.raises(ValueError, match=r"shape \(8,\) and one for the intercept"):
        gdnp.minimize(f, name, np.ones(10))


def test_a_gram_is_charged_to_whoever_forms_it(noisy):
    gram = Objective(*noisy).gram_passes
    for method, first in [
        (methods.gd(step=1.0), 1.0),
        (methods.gd(), gram + 1.0),
        (methods.gdnp(), gram + 1.0),
    ]:
        result = gdnp.minimize(Objective(*noisy), method, np.ones(4), max_iter=1, tol=0.0)
        assert result.history["passes"][0] == first


@pytest.mark.parametrize("method", ["gd", "agd", "batch_norm_gd", "weight_norm_gd", "gdnp"])
def test_one_iteration_is_one_pass(noisy, method):
    """Nothing is charged for measuring, and the theorem's first try costs what a gradient step costs."""
    result = gdnp.minimize(Objective(*noisy), method, max_iter=10, tol=0.0)
    assert np.diff(result.history["passes"]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "newton-raphson"}, ValueError, "method must be one of .* Got 'newton-raphson'"),
        ({"method": 3}, TypeError, "method must be a name or a gdnp.solvers.Method. Got int"),
        ({"w0": np.ones(3)}, ValueError, r"shape \(4,\). Got shape \(3,\)"),
        ({"w0": np.array([1.0, np.nan, 0.0, 0.0])}, ValueError, "w0 must be finite"),
        ({"max_iter": -1}, ValueError, "max_iter must be a whole number of at least 0. Got -1"),
        ({"max_iter": 3.0}, ValueError, "max_iter must be a whole number of at least 0. Got 3.0"),
        ({"tol": -1.0}, ValueError, "tol must be finite and non-negative. Got -1.0"),
        ({"tol": "a"}, ValueError, "tol must be finite and non-negative. Got 'a'"),
        ({"method": "rayleigh_gd"}, ValueError, "rayleigh_gd .* needs squared_error. Got log_loss"),
    ],
)
def test_bad_arguments(noisy, arguments, error, message):
    with pytest.raises(error, match=message):
        gdnp.minimize(Objective(*noisy), **arguments)
