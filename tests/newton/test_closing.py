"""The end of a run: it comes early, is proved where that can be, and never claims more than is true."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from sklearn.datasets import make_low_rank_matrix

from gdnp import GDNPClassifier, GDNPRegressor, Objective, minimize
from gdnp.losses import LOSSES, LogLoss, PseudoHuber, SquaredError
from gdnp.newton import Begin, closing, solve
from gdnp.solvers import Status
from problems import CONVEX, cancer, draw, estimator, problem_of
from reference import objective, reference

EPS = np.finfo(float).eps


def test_the_last_step_is_tried_early(monkeypatch):
    """It gains more than another step of the search would, and proves it at once."""
    early = cancer().history["passes"][-1]
    monkeypatch.setattr("gdnp.newton.method.BASIN", 0.0)
    assert early < 0.95 * cancer().history["passes"][-1]


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber()], ids=lambda loss: loss.name)
def test_a_ridge_that_is_rounding_is_proved_in_vain_only_a_few_times(rng, loss):
    """A proof divides by the ridge; beside rounding of the gradient 1e-30 allows none."""
    X, y = draw(rng, loss=loss)
    result = solve(problem_of(X, y, loss, 1e-30))
    assert result.status is Status.CONVERGED
    assert not result.certificate.proved
    assert result.n_iter < 15
    assert result.objective == pytest.approx(reference(loss, X, y, 0.0)[2], rel=1e-12)


@pytest.mark.parametrize("alpha", [1e-3, 0.0])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_tolerance_of_nothing_ends_where_values_tell_nothing(rng, loss, alpha):
    X, y = draw(rng, loss=loss)
    result = solve(problem_of(X, y, loss, alpha), tol=0.0, max_iter=100)
    assert result.n_iter < 80
    assert result.status is Status.STALLED
    # A bounded loss without a ridge comes as near to its 0-1 limit as rounding lets it.
    assert 4.0 * EPS <= result.certificate.gap < (1e-14 if loss.convex or alpha else 1e-10)


@pytest.mark.parametrize("loss", [SquaredError(), PseudoHuber()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("alpha", [0.0, 1e-30])
def test_targets_that_are_met_exactly_end_a_run(rng, loss, alpha):
    """f is rounding there: no relative accuracy of it can be had."""
    X = rng.standard_normal((400, 3))
    result = solve(problem_of(X, X @ [1.0, -2.0, 3.0] + 0.5, loss, alpha))
    assert result.status is Status.CONVERGED
    assert result.n_iter <= 8
    np.testing.assert_allclose(result.coef, [1.0, -2.0, 3.0], rtol=1e-10)


@pytest.mark.parametrize("loss", [LogLoss(), PseudoHuber()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("wrong", [0.9, 1.0])
def test_margins_that_have_gathered_rounding_are_computed_afresh(rng, loss, wrong):
    """Those of a better point make f look lower than any step could lead to."""
    X, y = draw(rng, loss=loss)
    problem = problem_of(X, y, loss, 1e-3)
    best = solve(problem).state.point
    worse = problem.point(0.5 * best.x)
    believed = problem.design.rows.combine((1.0 - wrong, worse.margins), (wrong, best.margins))
    result = solve(problem, begin=Begin(worse.x, believed))
    assert result.status is Status.CONVERGED
    assert result.certificate.proved
    assert result.objective == pytest.approx(best.value, rel=1e-8)
    assert objective(loss, X, y, result.coef, result.intercept, 1e-3) == pytest.approx(best.value, rel=1e-8)


@pytest.mark.parametrize("solved", [True, False])
def test_a_step_that_was_cut_short_is_no_estimate(rng, monkeypatch, solved):
    """Its decrement is what it gained, not what is left."""
    last_step = closing._last

    def unproved(state, tol, newton=None):
        newton = last_step(state, tol, newton).newton
        newton = replace(newton, step=0.0 * newton.step, decrement=0.0, ended=solved)
        return closing.Last(newton, state.point, np.inf, "duality_gap")

    X, y = draw(rng, loss=SquaredError())
    problem = problem_of(X, y, SquaredError(), 1e-3)
    best = solve(problem).state.point
    monkeypatch.setattr(closing, "_last", unproved)
    certificate = solve(problem, begin=Begin(best.x)).certificate
    assert certificate.status is (Status.CONVERGED if solved else Status.STALLED)
    assert certificate.gap == (pytest.approx(4.0 * EPS) if solved else np.inf)
    assert certificate.proved is not solved


def test_a_tiny_problem_is_solved_to_the_last_digit(rng):
    X, y = draw(rng)
    assert cancer().certificate.gap > 1e-12
    assert solve(problem_of(X, y, LogLoss(), 1e-3)).certificate.gap < 1e-14


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_proof_is_of_the_coefficients_whatever_the_margins_have_gathered(rng):
    X = rng.standard_normal((64, 40)) + 1e7 * rng.choice([-1.0, 1.0], 40)
    y = rng.standard_normal(64)
    model = GDNPRegressor(alpha=1e-4, fit_intercept=False).fit(X, y)
    certificate = model.certificate_
    value = 0.5 * np.mean((y - X @ model.coef_) ** 2) + 0.5e-4 * model.coef_ @ model.coef_
    assert certificate.objective == pytest.approx(value, rel=1e-7)
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    best = Vt.T @ (s / (s**2 + 64 * 1e-4) * (U.T @ y))
    least = 0.5 * np.mean((y - X @ best) ** 2) + 0.5e-4 * best @ best
    assert certificate.objective <= (1.0 + certificate.gap) * least * (1.0 + 1e-7)


def test_a_fit_cut_short_says_so(rng):
    X, y = draw(rng, n=500)
    y = np.where(X @ np.arange(8.0) > 0.0, 1.0, -1.0)
    y[0] *= -1.0  # all but separable: far to go
    with pytest.warns(UserWarning, match=r"tol=1e-08 was not met .* the iterations ran out; raise max_iter"):
        model = GDNPClassifier(alpha=1e-6, max_iter=2).fit(X, y)
    certificate = model.certificate_
    assert certificate.status is Status.MAX_ITER
    assert certificate.gap > 1e-8
    best = reference(LogLoss(), X, y, 1e-6)[2]
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap


@pytest.mark.parametrize("loss", CONVEX, ids=lambda loss: loss.name)
@pytest.mark.parametrize("tol", [1e-1, 1e-4, 1e-10])
def test_tol_is_met_and_the_gap_is_true(rng, loss, tol):
    X, y = draw(rng, loss=loss)
    certificate = estimator(loss, alpha=1e-3, tol=tol).fit(X, y).certificate_
    best = reference(loss, X, y, 1e-3)[2]
    assert certificate.status is Status.CONVERGED
    assert certificate.proved
    assert certificate.objective / best - 1.0 <= certificate.gap + 1e-14 <= tol + 1e-14


@pytest.mark.parametrize("loss", ["sigmoid", "probit"])
@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_a_model_without_a_minimum_predicts_no_gap(loss, max_iter):
    """Conjugate gradients that meet negative curvature at once have a decrement of 0, far from a minimum."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((300, 8))
        y = X @ rng.standard_normal(8) / 8**0.5 + 0.7 * rng.standard_normal(300) + 0.3 > 0.0
        objective = Objective(X, np.where(y, 1.0, -1.0), loss, alpha=1e-4, fit_intercept=True)
        result = minimize(objective, "newton", max_iter=max_iter)
        if result.status is Status.MAX_ITER:
            assert result.certificate.gap > 1e-8


def test_more_than_the_digits_of_f_is_not_claimed():
    result = cancer(tol=1e-20)
    assert result.status is Status.STALLED
    assert result.certificate.proved
    assert 4.0 * EPS <= result.certificate.gap < 1e-14
    assert cancer(tol=1e-12).status is Status.CONVERGED


def test_conjugate_gradients_that_end_early_do_not_hide_what_is_left(rng):
    """A diagonal sees nothing of the slow directions, in which most of the gap may be."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((3000, 6)) @ rng.standard_normal((6, 40)) + 0.1 * rng.standard_normal(
            (3000, 40)
        )
        y = X @ rng.standard_normal(40) + rng.standard_normal(3000)
        for tol in 1e-2, 1e-4, 1e-6:
            certificate = GDNPRegressor(alpha=0.0, tol=tol).fit(X, y).certificate_
            best = reference(SquaredError(), X, y, 0.0)[2]
            assert certificate.status is Status.CONVERGED
            assert certificate.objective / best - 1.0 <= certificate.gap


def test_where_the_length_diverges_nothing_is_known_but_f(rng):
    """The infimum is 0, and not attained."""
    X = rng.standard_normal((60, 3))
    certificate = solve(problem_of(X, np.sign(X[:, 0]), LogLoss(), 0.0)).certificate
    assert certificate.status is Status.LENGTH_DIVERGES
    assert certificate.gap == np.inf


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("offset", [1e4, 1e8, 1e11, 1e14])
def test_a_certificate_is_that_of_the_rounded_intercept(rng, offset):
    """b of far columns is large, and its last digit counts; f is that of what is returned."""
    X = np.round(8.0 * rng.standard_normal((100, 3)))
    X[:, 0] += offset
    y = X[:, 1] + rng.standard_normal(100) > 0.0
    model = GDNPClassifier(alpha=1e-4, tol=1e-10).fit(X, y)
    w, b = [Fraction(c) for c in model.coef_[0]], Fraction(model.intercept_[0])
    eta = [float(sum(int(x) * c for x, c in zip(row, w, strict=True)) + b) for row in X]
    value = np.mean(LogLoss().value(np.where(y, -1.0, 1.0) * eta)) + 0.5e-4 * np.sum(model.coef_**2)
    best = reference(LogLoss(), X - [offset, 0.0, 0.0], np.where(y, 1.0, -1.0), 1e-4)[2]
    certificate = model.certificate_
    assert certificate.objective == pytest.approx(value, rel=1e-15 * max(10.0, offset * 1e-7))
    assert value / best - 1.0 <= certificate.gap + 1e-14
    assert certificate.gap < 1e-12 * max(1.0, offset / 1e4)
    assert (certificate.status is Status.CONVERGED) == (certificate.gap <= 1e-10)


def test_small_fits_end_at_the_last_digits_of_the_coefficients():
    """Two gaps that rounding alone tells apart are no reason to leave the last step out."""
    rng = np.random.RandomState(42)
    X = make_low_rank_matrix(4, 12, effective_rank=4, tail_strength=0.1, random_state=rng)[:, :-1]
    chance = 1.0 / (1.0 + np.exp(-rng.uniform(-3.0, 3.0, size=4)))
    w = np.zeros(11)
    for _ in range(20):
        p = 1.0 / (1.0 + np.exp(-X @ w))
        w = w - np.linalg.solve((X.T * (p * (1.0 - p))) @ X / 4.0 + np.eye(11), X.T @ (p - chance) / 4.0 + w)
    model = GDNPClassifier(alpha=1.0, fit_intercept=False, tol=1e-14)
    model.fit(np.vstack((X, X)), np.repeat([1, 0], 4), np.append(chance, 1.0 - chance))
    np.testing.assert_allclose(model.coef_[0], w, rtol=1e-12)


@pytest.mark.parametrize("scale", [1.0, 2.0, 4.0])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-8])
def test_estimates_of_many_entries_are_not_below_the_truth(scale, tol):
    """H is that of a constant prediction: along some direction f bends a thousandth of what it says."""
    ratios = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((900, 6)) @ (np.eye(6) + 0.3 * rng.standard_normal((6, 6)))
        assert X.size > closing.TINY  # of fewer a second step follows
        y = (
            X @ rng.standard_normal(6) * scale + rng.logistic(size=900) + scale * rng.standard_normal(900)
            > 0.0
        )
        rough, exact = (
            GDNPClassifier(alpha=0.0, tol=wanted).fit(X, y).certificate_ for wanted in (tol, 1e-13)
        )
        truth = rough.objective / exact.objective - 1.0
        assert rough.kind == "newton_decrement"
        assert rough.gap >= truth - 1e-13
        ratios.append(rough.gap / max(truth, 1e-13))
    assert np.median(ratios) < 10.0
