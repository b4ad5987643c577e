"""What the Hessian is to the rows, where these are fewer: the same system, solved through n x n."""

import numpy as np
import pytest

from gdnp import GDNPClassifier
from gdnp.losses import LogLoss, PseudoHuber, SquaredError
from gdnp.newton.preconditioners.choice import Kind, Stage
from gdnp.newton.preconditioners.making import made
from gdnp.newton.preconditioners.rows import BasisPreconditioner, KernelPreconditioner
from gdnp.problem.gram import dense_rows, kernel_matrix
from problems import draw, problem_of

LOSSES = [LogLoss(), PseudoHuber(), SquaredError()]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("kind", ["kernel", "basis"])
def test_solve_their_own_system(rng, loss, fit_intercept, kind):
    X, y = draw(rng, n=25, d=6, loss=loss)
    problem = problem_of(X, y, loss, 0.3, fit_intercept)
    point = problem.point(np.append(0.1 * rng.standard_normal(6), 0.2 if fit_intercept else 0.0))
    c, ridge = problem.curvature(point.margins), problem.coordinates.ridge
    if kind == "kernel":
        found = KernelPreconditioner(problem, kernel_matrix(problem, 1.0 / ridge), ridge, c)
    else:
        found = BasisPreconditioner(dense_rows(problem), ridge, c, fit_intercept=fit_intercept)
    g = np.append(rng.standard_normal(6), 1.0 if fit_intercept else 0.0)
    product = problem.hessian_product(c, found.solve(g), np.empty(25))
    np.testing.assert_allclose(product, g, rtol=1e-8, atol=1e-10)


def counted(monkeypatch):
    calls = []
    monkeypatch.setattr(
        "gdnp.newton.preconditioners.making.kernel_matrix", lambda *a: calls.append(1) or kernel_matrix(*a)
    )
    return calls


def test_a_kernel_serves_while_the_curvature_stays_in_a_decade(rng, monkeypatch):
    """The floor of the ridge hangs on the curvature, and K on the floor."""
    calls = counted(monkeypatch)
    X = rng.standard_normal((30, 80)) * np.logspace(-6, 6, 80)
    problem = problem_of(X, np.sign(rng.standard_normal(30)), LogLoss(), 1e-12)
    g = rng.standard_normal(81)
    for margin in np.arange(0.0, 7.0, 0.1):  # φ'' falls from 1/4 to 1e-3
        found = made(problem, Stage((Kind.KERNEL,)), np.full(30, -margin))
        assert np.isfinite(found.solve(g)).all()
    assert 2 <= len(calls) <= 4


@pytest.mark.parametrize(("groups", "alpha", "kernels"), [(1200, 1.0, 0), (3, 1e-4, 1)])
def test_a_kernel_is_made_once_and_only_where_the_diagonal_is_slow(rng, monkeypatch, groups, alpha, kernels):
    """Where columns are nearly the same as others; nowhere else."""
    calls = counted(monkeypatch)
    common = rng.standard_normal((150, groups))
    X = np.repeat(common, 1200 // groups, axis=1) + 0.1 * rng.standard_normal((150, 1200))
    model = GDNPClassifier(alpha=alpha).fit(X, rng.integers(0, 2, 150))
    assert model.certificate_.proved
    assert len(calls) == kernels


def test_a_kernel_is_made_once_for_all_classes(rng, monkeypatch):
    calls = counted(monkeypatch)
    model = GDNPClassifier(alpha=1e-4).fit(rng.standard_normal((150, 400)), rng.integers(0, 3, 150))
    assert model.certificate_.proved
    assert len(calls) == 1
