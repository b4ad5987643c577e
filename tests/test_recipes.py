"""The recipes of CONTRIBUTING.md are run as they stand there, each from outside of the package."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import check_grad, minimize

import gdnp
from gdnp import methods
from gdnp.datasets import gaussian_parameters
from gdnp.design import DenseDesign
from gdnp.losses import LOSSES
from gdnp.metric import METRICS, Covariance
from gdnp.paper import EXPERIMENTS, Options, redraw, reproduce
from gdnp.paper.claims import CLAIMS, run_claims
from gdnp.paper.claims.registry import STATEMENTS
from gdnp.population import Halfspace
from gdnp.problem.gram import hessian
from gdnp.solvers import Status

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = ("loss", "method", "preconditioner", "metric", "claim", "figure", "data backend")


def section(name):
    """What stands under the heading of a recipe."""
    found = re.findall(rf"^## Add a {name}\n(.+?)(?=^## )", GUIDE, flags=re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"CONTRIBUTING.md needs one section '## Add a {name}'"
    return found[0]


def run(name):
    """The names that a recipe's code defines; a registry that it enters stays as it was without it."""
    code = "\n".join(re.findall(r"^```python\n(.+?)^```$", section(name), re.MULTILINE | re.DOTALL))
    assert code, f"the recipe for a {name} needs a block of Python"
    names = {"__name__": "recipe"}
    exec(compile(code, f"CONTRIBUTING.md, Add a {name}", "exec"), names)
    return names


@pytest.fixture(autouse=True)
def _registries():
    """Leave every registry as it was."""
    registries = LOSSES, METRICS, CLAIMS, STATEMENTS, EXPERIMENTS, methods.METHODS
    before = [dict(registry) for registry in registries]
    yield
    for registry, entries in zip(registries, before, strict=True):
        registry.clear()
        registry.update(entries)


@pytest.mark.parametrize("name", RECIPES)
def test_files_that_a_recipe_touches_are_there(name):
    files = re.findall(r"`((?:src|tests|docs|benchmarks)/[^`]*|[A-Z]+\.md)`", section(name))
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_its_files(name):
    assert "| file | what |" in section(name)


def test_a_loss(rng):
    loss = run("loss")["LogCosh"]()
    t = np.linspace(-30.0, 30.0, 13)
    assert check_grad(lambda t: loss.value(t).sum(), loss.gradient, t) < 1e-5
    assert check_grad(lambda t: loss.gradient(t).sum(), loss.curvature, t) < 1e-5
    assert np.isfinite(loss.value(np.array([-1e4, 1e4]))).all()
    X = rng.standard_normal((80, 3)) * [1.0, 10.0, 0.1]
    y = X @ [1.0, -0.2, 3.0] + rng.standard_t(2, 80)
    model = gdnp.GDNPRegressor(loss="log_cosh", alpha=0.01).fit(X, y)

    def objective(theta):
        return loss.value(y - X @ theta[:3] - theta[3]).mean() + 0.005 * theta[:3] @ theta[:3]

    best = minimize(objective, np.zeros(4), method="BFGS", options={"gtol": 1e-6}).fun
    assert model.certificate_.objective == pytest.approx(best, rel=1e-7)


def labelled(rng, n=400, d=6):
    """Rows of unlike columns, and labels that a logistic model gives them."""
    X = rng.standard_normal((n, d)) * np.logspace(0.0, 1.0, d) + 3.0
    return X, np.sign((X - 3.0) @ np.logspace(0.0, -1.0, d) + rng.logistic(size=n))


def test_a_method(rng):
    run("method")
    objective = gdnp.Objective(*labelled(rng), "log_loss", alpha=0.01, fit_intercept=True)
    found, expected = (gdnp.minimize(objective, name, tol=1e-9) for name in ("barzilai_borwein", "newton"))
    assert found.status is Status.CONVERGED
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-4)
    assert found.history["passes"][-1] == pytest.approx(found.n_iter)
    population = Halfspace(*gaussian_parameters(5, kappa=10.0, r=0.6, seed=0), "log_loss")
    found, expected = (gdnp.minimize(population, name, tol=1e-8) for name in ("barzilai_borwein", "gdnp"))
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-5)


def test_a_preconditioner(rng):
    names = run("preconditioner")
    objective = gdnp.Objective(*labelled(rng), "log_loss", alpha=0.01, fit_intercept=True)
    problem = objective.standardised
    whole = names["Blocks"](problem, problem.constant, [np.arange(6)])
    H = hessian(problem, problem.curvature(problem.constant.margins))
    g = rng.standard_normal(7)
    np.testing.assert_allclose(H @ whole.solve(g), g, atol=1e-12)
    found = names["minimised_in_blocks"](objective, [np.arange(3), np.arange(3, 6)])
    assert found.status is Status.CONVERGED
    assert found.certificate.proved
    expected = gdnp.minimize(objective, "newton", tol=1e-12)
    assert found.objective <= expected.objective * (1.0 + 2e-8)


def test_a_data_backend(rng):
    Chunked = run("data backend")["Chunked"]
    X, y = labelled(rng)
    X[:, 0] += 1e7  # centred as it is read

    def read(low, high):
        return X[low:high].astype(np.float64)

    def objective(design):
        return gdnp.Objective(design, y, "log_loss", alpha=0.01, fit_intercept=True)

    chunked = Chunked(read, X.shape, rows=150)
    index = np.array([0, 3, 3, 399])
    gathered = chunked.transformed(np.arange(6.0), np.full(6, 2.0))._taken(index).block(0).values
    np.testing.assert_array_equal(gathered, (X[index] - np.arange(6.0)) * 2.0)
    found = gdnp.minimize(objective(chunked), "newton")
    expected = gdnp.minimize(objective(DenseDesign(X)), "newton")
    assert found.status is expected.status is Status.CONVERGED
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-6)
    np.testing.assert_array_equal(
        found.coef, gdnp.minimize(objective(Chunked(read, X.shape, 1, rows=150)), "newton").coef
    )


def test_a_metric(rng):
    run("metric")
    S = np.diag([4.0, 1.0, 0.0, 3.0])
    metric = METRICS["shrunk"](Covariance(S))
    v = rng.standard_normal(4)
    np.testing.assert_allclose(metric.apply(v), (0.5 * S + np.eye(4)) @ v)
    np.testing.assert_allclose(metric.solve(metric.apply(v)), v)
    assert (metric.largest, metric.smallest, metric.rank) == (3.0, 1.0, 4)
    X = rng.standard_normal((200, 4)) * [1.0, 1.5, 0.7, 1.0]
    objective = gdnp.Objective(X, np.sign(X @ np.ones(4) + rng.standard_normal(200)), "log_loss")
    method = replace(methods.gdnp(), name="gdnp_shrunk", metric="shrunk")
    found, expected = (gdnp.minimize(objective, m, tol=1e-6) for m in (method, "gdnp"))
    np.testing.assert_allclose(found.coef, expected.coef, rtol=1e-4)


def test_a_claim():
    run("claim")
    (result,) = run_claims(["scale-of-w"])
    assert result.agrees
    assert 0.0 <= result.measurement.measured <= result.measurement.bound


def test_a_figure(tmp_path):
    pytest.importorskip("matplotlib")
    run("figure")
    experiment = EXPERIMENTS["condition"]
    outcome = reproduce(experiment, Options(), tmp_path, workers=1)
    assert sorted(path.suffix for path in outcome.figures) == [".pdf", ".png"]
    iterations = outcome.summary["iterations"]
    assert 0 < iterations[0] < iterations[1] < iterations[2]
    (table,) = experiment.tables(outcome.summary)
    assert [row[0] for row in table.rows] == ["2", "4", "8"]
    drawn = redraw(experiment, outcome.directory, tmp_path / "again")
    assert all(path.stat().st_size > 0 for path in drawn.figures)
