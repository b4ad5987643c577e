"""The loop: what it records, when it stops and with which status, and that a run repeats bit for bit."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import gdnp
from gdnp import Objective, Status, methods
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.methods import METHODS
from gdnp.population import Halfspace, LeastSquares
from gdnp.solvers.decoupled import DecoupledDescent
from gdnp.solvers.lengths import NewtonLength
from gdnp.solvers.step_sizes import AdaptiveStep

ITERATIVE = sorted(set(METHODS) - {"rayleigh_gd", "two_step"})
ON_HALFSPACES = sorted(set(METHODS) - {"rayleigh_gd"})


@pytest.fixture(scope="module")
def noisy():
    """Rows that are neither Gaussian nor separable, with a known minimum."""
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(400, 4)) * [1.0, 0.7, 1.5, 0.5]
    y = np.where(X @ [1.0, -1.0, 0.5, 0.0] + rng.standard_normal(400) > 0.8, 1.0, -1.0)
    return X, y


def minimum(objective):
    def value_and_gradient(w):
        point = objective.at(w)
        return point.value, point.gradient

    start = np.zeros(objective.n_features)
    return scipy.optimize.minimize(
        value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-10}
    ).x


@pytest.mark.parametrize("alpha", [0.0, 0.05])
@pytest.mark.parametrize("method", ["gdnp", "gdnp_inner", "gdnp_metric", "gd", "agd", "batch_norm_gd"])
def test_converges_to_the_minimum(noisy, method, alpha):
    objective = Objective(*noisy, alpha=alpha)
    result = gdnp.minimize(objective, method, max_iter=3000, tol=1e-7)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.coef, minimum(objective), atol=2e-6)
    np.testing.assert_allclose(result.coef, result.length * result.direction, rtol=1e-10)
    assert objective.covariance.norm(result.direction) == pytest.approx(1.0)
    assert result.gradient_norm <= 1e-7 * objective.covariance.dual_norm(objective.u)


@pytest.mark.parametrize("method", ["gdnp", "gdnp_inner", "gdnp_metric", "agd"])
def test_intercept_is_found_with_the_length(noisy, method):
    objective = Objective(*noisy, fit_intercept=True, alpha=0.02)
    result = gdnp.minimize(objective, method, max_iter=3000, tol=1e-7)
    assert result.status is Status.CONVERGED
    X, y = noisy
    t = -y * (X @ result.coef + result.intercept)
    slope = -y / (1.0 + np.exp(-t))
    np.testing.assert_allclose(X.T @ slope / len(y) + 0.02 * result.coef, 0.0, atol=1e-6)
    assert np.mean(slope) == pytest.approx(0.0, abs=1e-7)


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


@pytest.mark.parametrize("method", ["gd", "agd", "batch_norm_gd", "weight_norm_gd", "gdnp"])
def test_one_iteration_is_one_pass(noisy, method):
    """Nothing is charged for measuring, and the theorem's first try costs what a gradient step costs."""
    result = gdnp.minimize(Objective(*noisy), method, max_iter=10, tol=0.0)
    assert np.diff(result.history["passes"]) == pytest.approx(1.0)


def test_a_gram_is_charged_to_whoever_forms_it(noisy):
    gram = Objective(*noisy).gram_passes
    for method, first in [
        (methods.gd(step=1.0), 1.0),
        (methods.gd(), gram + 1.0),
        (methods.gdnp(), gram + 1.0),
    ]:
        result = gdnp.minimize(Objective(*noisy), method, np.ones(4), max_iter=1, tol=0.0)
        assert result.history["passes"][0] == first


@pytest.mark.parametrize("method", ON_HALFSPACES)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_the_same_run_twice_is_the_same_bit_for_bit(noisy, method, form):
    X, y = noisy

    def run(n_jobs):
        result = gdnp.minimize(Objective(form(X), y, n_jobs=n_jobs), method, max_iter=15)
        return result.coef.tobytes() + result.history["objective"].tobytes()

    assert run(1) == run(1) == run(2)


@pytest.mark.parametrize("method", ON_HALFSPACES)
def test_sparse_and_dense_agree(noisy, method):
    X, y = noisy
    runs = [
        gdnp.minimize(Objective(form(X), y), method, max_iter=15)
        for form in (np.asarray, sp.csr_array, sp.csc_array)
    ]
    for other in runs[1:]:
        np.testing.assert_allclose(other.coef, runs[0].coef, rtol=1e-6, atol=1e-8)
        assert other.status is runs[0].status


@pytest.mark.parametrize("method", ["gdnp", "gdnp_metric", "gd"])
def test_float32_within_its_precision(noisy, method):
    X, y = noisy
    single, double = (gdnp.minimize(Objective(A, y), method, max_iter=200) for A in (X.astype(np.float32), X))
    np.testing.assert_allclose(single.coef, double.coef, atol=1e-5)


@pytest.mark.parametrize("method", ["gdnp", "gdnp_metric", "two_step", "gdnp_inner", "batch_norm_gd"])
def test_metric_S_does_not_see_an_invertible_map(noisy, rng, method):
    """x → Ax: the metric methods preconditioned by S, or measuring in it, give the same predictions."""
    X, y = noisy
    A = rng.standard_normal((4, 4)) + 3.0 * np.eye(4)
    one, other = Objective(X, y), Objective(X @ A, y)
    method = methods.gdnp_metric() if method in ("gdnp", "gdnp_inner", "batch_norm_gd") else METHODS[method]()
    w0 = rng.standard_normal(4)
    a = gdnp.minimize(one, method, w0, max_iter=6, tol=0.0)
    b = gdnp.minimize(other, method, np.linalg.solve(A, w0), max_iter=6, tol=0.0)
    np.testing.assert_allclose(A @ b.coef, a.coef, rtol=1e-6)


@pytest.mark.parametrize("method", ["gdnp", "weight_norm_gd", "gd"])
def test_an_invertible_map_changes_methods_that_see_L(noisy, rng, method):
    X, y = noisy
    A = np.diag([1.0, 30.0, 1.0, 0.1])
    w0 = rng.standard_normal(4)
    a = gdnp.minimize(Objective(X, y), method, w0, max_iter=6, tol=0.0)
    b = gdnp.minimize(Objective(X @ A, y), method, np.linalg.solve(A, w0), max_iter=6, tol=0.0)
    assert not np.allclose(A @ b.coef, a.coef, rtol=1e-3)


@pytest.mark.parametrize("method", ON_HALFSPACES)
def test_rotations_change_nothing(noisy, rng, method):
    X, y = noisy
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    w0 = rng.standard_normal(4)
    a = gdnp.minimize(Objective(X, y), method, w0, max_iter=6, tol=0.0)
    b = gdnp.minimize(Objective(X @ Q, y), method, Q.T @ w0, max_iter=6, tol=0.0)
    np.testing.assert_allclose(Q @ b.coef, a.coef, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ON_HALFSPACES)
@pytest.mark.parametrize("alpha", [0.0, 0.1])
@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "probit"])
@pytest.mark.parametrize(
    "case", ["separable", "constant_column", "rank_deficient", "n_below_d", "zero", "scales"]
)
def test_every_method_is_safe_on_awkward_data(case, loss, alpha, method):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((10, 30)) if case == "n_below_d" else rng.standard_normal((120, 4))
    y = np.where(
        X[:, 0] + (0.0 if case == "separable" else 1.0) * rng.standard_normal(len(X)) > 0.0, 1.0, -1.0
    )
    if case == "constant_column":
        X = np.column_stack([X, np.full(len(X), 0.1)])
    elif case == "rank_deficient":
        X = np.column_stack([X, X[:, 0] - X[:, 2]])
    elif case == "zero":
        X = 0.0 * X
    elif case == "scales":
        X = X * [1e8, 1.0, 1e-8, 1e3] + 1e3
    objective = Objective(X, y, loss, alpha=alpha, center=case != "separable")
    result = gdnp.minimize(objective, method, max_iter=60)
    assert np.isfinite(result.coef).all()
    assert np.isfinite([result.objective, result.gradient_norm, result.length]).all()
    if alpha == 0.0 and case in ("separable", "n_below_d") and method not in ("gdnp_seq", "two_step"):
        assert result.status in (Status.LENGTH_DIVERGES, Status.MAX_ITER)
        assert result.status is not Status.CONVERGED
    if case == "separable" and alpha == 0.0 and method == "gdnp_metric":
        assert result.status is Status.LENGTH_DIVERGES
        assert loss != "log_loss" or objective.at(result.direction).separates
    if case == "zero":
        assert result.status is Status.CONVERGED
        assert result.length == 0.0
    if method in ("gdnp", "gdnp_inner", "gdnp_metric"):
        assert (np.diff(result.history["objective"]) <= 1e-12).all()


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


def test_any_metric_fits_the_slot(noisy):
    """Between Weight and Batch Normalization lies diag(S)."""
    objective = Objective(*noisy)
    method = DecoupledDescent("between", "diagonal", AdaptiveStep("curvature"), NewtonLength())
    result = gdnp.minimize(objective, method, max_iter=2000)
    assert result.status is Status.CONVERGED
    np.testing.assert_allclose(result.coef, minimum(objective), atol=1e-6)


def test_two_step_is_exact_on_the_population_and_says_when_it_is_not(noisy):
    halfspace = Halfspace(*gaussian_parameters(5, kappa=50.0, r=0.4, seed=1), "log_loss")
    exact = gdnp.minimize(halfspace, "two_step")
    assert (exact.status, exact.n_iter) == (Status.CONVERGED, 1)
    np.testing.assert_allclose(
        exact.coef, -2.0 * halfspace.optimal_direction / (1.0 - halfspace.r), rtol=1e-8
    )
    rough = gdnp.minimize(Objective(*noisy), "two_step")
    assert rough.status is Status.STALLED


def test_methods_on_a_gaussian_sample_reach_one_minimum():
    data = gaussian_design(n=3000, d=6, kappa=10.0, r=0.5, seed=0)
    objective = Objective(data.X, data.y)
    ends = [
        gdnp.minimize(objective, m, max_iter=3000).objective
        for m in ("gdnp", "gdnp_inner", "gdnp_metric", "gd")
    ]
    np.testing.assert_allclose(ends, ends[0], rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"method": "newton-raphson"}, ValueError, "method must be one of .* Got 'newton-raphson'"),
        ({"method": 3}, TypeError, "method must be a name or have init and step. Got int"),
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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: methods.gdnp(h="wrong"), "h must be 'stein', 'printed' or 'curvature'. Got 'wrong'"),
        (
            lambda: methods.gdnp(bisection_steps=0),
            "bisection_steps must be a whole number of at least 1. Got 0",
        ),
        (lambda: methods.gdnp_inner(inner_step=-1.0), "gdnp_inner: inner_step must be"),
        (lambda: methods.gdnp_seq(fraction=np.nan), "gdnp_seq: fraction must be"),
        (lambda: methods.gdnp_seq(fraction=5.0), "gdnp_seq: fraction must be at most 1. Got 5.0"),
        (lambda: methods.gdnp_inner(inner_steps=0.5), "inner_steps must be a whole number of at least 1"),
        (lambda: methods.batch_norm_gd(step=0.0), "batch_norm_gd: step must be"),
        (lambda: methods.weight_norm_gd(step=np.inf), "weight_norm_gd: step must be"),
    ],
)
def test_bad_presets(make, message):
    with pytest.raises(ValueError, match=message):
        make()


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


@pytest.mark.parametrize("loss", ["log_loss", "sigmoid", "probit"])
def test_the_guard_never_cuts_the_path_of_the_theorem(loss):
    """On the population every step of Eq. 17 is taken whole, down to where f only rounds."""
    objective = Halfspace(*gaussian_parameters(6, kappa=20.0, r=0.4, seed=2), loss)
    method, fractions = methods.gdnp(), []
    state = method.init(objective, np.random.default_rng(1).standard_normal(6))
    for _ in range(400):
        state = method.step(objective, state)
        fractions.append(state.fraction)
        assert not state.stalled
    assert set(fractions) == {1.0}


def test_weight_normalisation_is_safe_by_default_on_columns_of_any_size(rng):
    X = 10.0 * rng.standard_normal((2000, 5))
    y = np.where(X[:, 0] + 10.0 * rng.standard_normal(2000) > 0.0, 1.0, -1.0)
    wn, gd = (gdnp.minimize(Objective(X, y), m, max_iter=500).objective for m in ("weight_norm_gd", "gd"))
    assert wn == pytest.approx(gd, rel=1e-3)
