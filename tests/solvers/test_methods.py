"""The presets: each reaches the minimum, sees what it claims to see of the data, refuses bad parameters."""

import numpy as np
import pytest
import scipy.sparse as sp

import gdnp
from gdnp import Objective, Status, methods
from gdnp.datasets import gaussian_design
from gdnp.methods import METHODS
from problems import minimum, noisy_rows

ON_HALFSPACES = sorted(set(METHODS) - {"rayleigh_gd"})


@pytest.fixture(scope="module")
def noisy():
    return noisy_rows()


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
def test_sparse_and_dense_agree(noisy, method):
    X, y = noisy
    runs = [
        gdnp.minimize(Objective(form(X), y), method, max_iter=15, tol=1e-14)
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


def test_methods_on_a_gaussian_sample_reach_one_minimum():
    data = gaussian_design(n=3000, d=6, kappa=10.0, r=0.5, seed=0)
    objective = Objective(data.X, data.y)
    ends = [
        gdnp.minimize(objective, m, max_iter=3000).objective
        for m in ("gdnp", "gdnp_inner", "gdnp_metric", "gd")
    ]
    np.testing.assert_allclose(ends, ends[0], rtol=1e-12)


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
