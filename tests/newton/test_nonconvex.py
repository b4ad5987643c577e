"""Bounded losses: a local minimum that is as low as the path of lengths leads to, and says so."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_blobs

from gdnp import GDNPClassifier
from gdnp.losses import LOSSES, Sigmoid
from gdnp.newton import Begin, solve
from gdnp.newton.nonconvex import Tempered, turned
from gdnp.solvers import Status
from problems import draw, problem_of


@pytest.mark.parametrize("name", ["sigmoid", "probit"])
def test_bounded_losses_end_at_a_local_minimum(rng, name):
    X, y = draw(rng, n=600)
    y[rng.random(600) < 0.2] *= -1.0
    model = GDNPClassifier(name, alpha=1e-3).fit(X, y)
    certificate = model.certificate_
    assert certificate.status is Status.CONVERGED
    assert certificate.kind == "newton_decrement"
    assert certificate.smallest_curvature > 0.0
    errors = np.mean(model.predict(X) != y)
    assert certificate.zero_one_error == pytest.approx(errors)
    risk = LOSSES[name].value(-y * model.decision_function(X)).mean()
    assert certificate.smoothing_gap == pytest.approx(risk - errors, abs=1e-12)


def test_more_starts_are_never_worse(rng):
    X, y = draw(rng, n=150, d=6)
    y[rng.random(150) < 0.3] *= -1.0
    one = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    many = GDNPClassifier("sigmoid", alpha=1e-4, n_init=5, random_state=0).fit(X, y)
    assert many.certificate_.objective <= one.certificate_.objective * (1.0 + 1e-9)


def test_another_start_finds_a_lower_minimum():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(0)) / X.std(0)
    y = np.where(np.random.default_rng(17).random(len(y)) < 0.2, 1 - y, y)
    one = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    many = GDNPClassifier("sigmoid", alpha=1e-4, n_init=4, random_state=0).fit(X, y)
    assert many.certificate_.objective < one.certificate_.objective - 1e-4
    assert many.certificate_.status is Status.CONVERGED


def test_leaves_a_saddle_along_negative_curvature():
    # By symmetry f is stationary at w = 0, whatever the intercept, and with one of 1 it curves down along w.
    X = np.array([[1.0], [1.0], [-1.0], [-1.0], [4.0], [-4.0], [4.0], [-4.0]])
    y = np.array([1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0])
    problem = problem_of(X, y, Sigmoid(), 1e-6)
    outcome = solve(problem, begin=Begin(np.array([0.0, 1.0])))
    assert outcome.certificate.smallest_curvature > -1e-8
    assert outcome.certificate.objective < problem.point(np.array([0.0, 1.0])).value - 0.1


def test_the_path_of_lengths_runs_on_a_sample(rng):
    X, y = draw(rng, n=40_000, d=5)
    model = GDNPClassifier("sigmoid", alpha=1e-4).fit(X, y)
    small = GDNPClassifier("sigmoid", alpha=1e-4).fit(X[:4000], y[:4000])
    assert model.certificate_.status is Status.CONVERGED
    assert 1.5 * model.history_["passes"][0] < small.history_["passes"][0]


def test_minima_are_as_low_by_way_of_a_sample_as_by_way_of_all_rows(monkeypatch):
    """Rows that are few are fitted too well, and led to minima that were a tenth higher here."""
    excess = []
    for seed in range(6):
        r = np.random.default_rng(seed)
        X = r.standard_normal((5000, 60))
        y = np.sign(X @ r.standard_normal(60) / 4.0 + r.logistic(size=5000))
        y[r.random(5000) < 0.15] *= -1.0
        by_sample = GDNPClassifier("sigmoid", alpha=1e-8).fit(X, y)
        with monkeypatch.context() as without:
            without.setattr("gdnp.newton.nonconvex.sample_size", lambda problem: None)
            by_all = GDNPClassifier("sigmoid", alpha=1e-8).fit(X, y)
        excess.append(by_sample.certificate_.objective / by_all.certificate_.objective - 1.0)
    assert np.mean(excess) < 0.01


def test_the_curvature_at_the_end_is_that_of_a_matrix_where_one_fits(rng):
    """A search in an ill-conditioned Hessian takes many passes."""
    X = rng.standard_normal((60, 80)) * 10.0 ** rng.uniform(-2.0, 2.0, 80)
    y = np.sign(X @ rng.standard_normal(80) + rng.standard_normal(60))
    model = GDNPClassifier("probit", alpha=1e-4).fit(X, y)
    assert model.certificate_.smallest_curvature > -1e-9
    assert model.history_["passes"][-1] < 1000


def test_a_last_step_that_gained_is_not_a_stall():
    """Its metric could not be made anew, φ'' being 0 to rounding, when less than that was left to do."""
    r = np.random.default_rng(282)
    n, d = int(r.integers(100, 1000)), int(r.integers(2, 10))
    X = r.standard_normal((n, d)) * (r.random((n, d)) < 0.02)
    labels = r.integers(0, 3, n)
    X[:, 0] += labels * max(X[:, 0].std(), 0.1)
    model = GDNPClassifier("sigmoid", alpha=0.0).fit(X, labels == 0)
    assert model.certificate_.status is Status.CONVERGED


def test_the_path_of_lengths_leads_to_lower_minima(monkeypatch):
    """From the convex loss at once to the whole length ends in minima that are higher on average."""
    X, y = load_breast_cancer(return_X_y=True)

    def end():
        return np.mean(
            [
                solve(problem_of(X, 2.0 * y - 1.0, Sigmoid(), alpha)).objective
                for alpha in (1e-2, 1e-3, 1e-4, 1e-5)
            ]
        )

    by_the_path = end()
    monkeypatch.setattr("gdnp.newton.nonconvex.PATH", ())
    assert by_the_path < 0.99 * end()


def test_a_step_that_does_not_lead_down_is_no_end(rng):
    """Near the 0-1 limit φ'' of most rows is 0, and H is next to nothing beside the steps it would take."""
    X, y = draw(rng)
    problem = problem_of(X, y, Sigmoid(), 0.0)
    assert solve(problem).status is Status.CONVERGED


@pytest.mark.parametrize("factor", [0.3, 3.0])
@pytest.mark.parametrize("name", ["sigmoid", "probit"])
def test_a_tempered_loss_is_the_loss_of_a_shorter_length(rng, name, factor):
    loss, t = Tempered(LOSSES[name], factor), 3.0 * rng.standard_normal(50)
    np.testing.assert_array_equal(loss.value(t), LOSSES[name].value(factor * t))
    assert np.abs(loss.gradient(t)).max() <= loss.max_gradient
    assert np.abs(loss.curvature(t)).max() <= loss.max_curvature
    assert not loss.convex
    assert loss.increasing


def test_a_turned_start_keeps_its_length_and_dead_columns(rng):
    X, y = draw(rng, n=100, d=4)
    X[:, 2] = 0.1
    problem = problem_of(X, y, Sigmoid(), 1e-3)
    x = np.array([1.0, 2.0, 0.0, -2.0, 0.0])
    noise = turned(problem, x, rng) - x
    assert np.linalg.norm(noise) == pytest.approx(3.0)
    assert noise[2] == 0.0
    assert noise[-1] != 0.0


@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
def test_a_start_where_every_row_is_saturated_is_none(loss):
    """The path of lengths led there, to coefficients of 0 and an intercept without a limit."""
    X, y = make_blobs(n_samples=300, random_state=0)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = GDNPClassifier(loss, alpha=0.1).fit(X, y)
    assert np.linalg.norm(model.coef_, axis=1).min() > 0.5
    assert model.score(X, y) > 0.83
    assert all(certificate.smallest_curvature > 1e-3 for certificate in model.certificate_)


@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
@pytest.mark.parametrize("alpha", [1e-2, 1e-3])
def test_the_last_digits_do_not_depend_on_how_rows_are_written(loss, alpha):
    """A weight of 2 and the row twice lead to the same minimum; the last step is solved to rounding."""
    for seed in range(8):
        r = np.random.default_rng(seed)
        X, s = r.random((60, 5)), r.integers(1, 4, 60)
        y = X @ [1.0, -1.0, 1.0, 0.0, 0.5] - 0.7 + 0.3 * r.standard_normal(60) > 0.0
        order = r.permutation(60)
        one = GDNPClassifier(loss, alpha=alpha).fit(X[order], y[order], sample_weight=s[order])
        two = GDNPClassifier(loss, alpha=alpha).fit(np.repeat(X, s, axis=0), np.repeat(y, s))
        np.testing.assert_allclose(one.decision_function(X), two.decision_function(X), rtol=1e-8, atol=1e-8)
