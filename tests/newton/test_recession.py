"""Where there is no minimiser: the part that is determined, and the gap to an infimum that is known."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings

import gdnp
from gdnp import GDNPClassifier, Objective
from gdnp.design import DenseDesign
from gdnp.estimators.fitting import SOLVERS
from gdnp.losses import LogLoss, get_loss
from gdnp.newton import solve
from gdnp.newton.recession import columns_of
from gdnp.solvers import Status
from newton.test_sealed_rows import SealedDesign
from separations import FastTail, SlowTail, cases

TOUCHING = np.array([[-1.0], [0.0], [0.0], [1.0]]), np.array([-1.0, -1.0, 1.0, 1.0])
LEAST = 0.5 * math.log(2.0)
"""What the two rows at 0 cost at least, half of all."""


def rare_code(rng, n=400, d=4, positive=3):
    """Overlapping classes, and a last column that is 1 in a few rows, all of them positive."""
    X = rng.standard_normal((n, d))
    X[:, -1] = np.arange(n) < positive
    y = np.where(X[:, 0] - X[:, 1] + rng.standard_normal(n) > 0.2, 1.0, -1.0)
    y[:positive] = 1.0
    return X, y


def run(X, y, **options):
    return gdnp.minimize(Objective(X, y, fit_intercept=True, **options), "newton")


@pytest.mark.parametrize("loss", [LogLoss(), SlowTail(), FastTail()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_array])
def test_two_rows_on_the_hyperplane(form, loss):
    X, y = TOUCHING
    result = run(form(X), y, loss=loss)
    certificate = result.certificate
    assert result.status is certificate.status is Status.LENGTH_DIVERGES
    assert (certificate.separation, certificate.diverging) == ("partial", (0,))
    least = 0.5 * float(loss.value(np.zeros(1))[0])
    assert 0.0 <= result.objective - least <= 1.001 * certificate.gap * least
    rounding = np.finfo(float).eps * abs(result.coef[0])  # of margins as long as a slow tail makes them
    assert certificate.gap <= 1.01e-8 + 10.0 * rounding
    assert result.coef[0] > 1.0
    assert result.intercept == 0.0


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cases())
def test_generated_rows_against_exact_arithmetic(case):
    """The kind, the margins of the rest, the sides of the others, and a gap that holds."""
    options = {"fit_intercept": case.fit_intercept, "center": case.fit_intercept, "sample_weight": case.s}
    result = gdnp.minimize(Objective(case.X, case.y, **options), "newton")
    certificate = result.certificate
    kind = certificate.separation or "none"
    assert kind == case.kind
    t = case.margins(result.coef, result.intercept)
    assert (t[case.apart] < 0.0).all()
    if kind == "complete":
        assert certificate.gap == math.inf
        return
    value = float(case.weight @ np.logaddexp(0.0, t))
    assert value - case.infimum <= (1.01 * certificate.gap + 1e-14) * case.infimum
    np.testing.assert_allclose(t[~case.apart], case.rest, atol=1e-3)
    assert certificate.status is (Status.LENGTH_DIVERGES if kind == "partial" else Status.CONVERGED)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_rare_code_leaves_the_other_coefficients_as_without_its_rows(rng, form):
    X, y = rare_code(rng)
    model = GDNPClassifier(alpha=0.0)
    with pytest.warns(UserWarning, match="those of column 3: the data is separable in part"):
        model.fit(form(X), y)
    rest = GDNPClassifier(alpha=0.0).fit(X[3:], y[3:])
    np.testing.assert_allclose(model.coef_[0, :3], rest.coef_[0, :3], rtol=1e-4)
    np.testing.assert_allclose(model.intercept_, rest.intercept_, rtol=1e-4)
    assert 5.0 < model.coef_[0, 3] < 100.0
    assert (model.predict(X)[:3] == 1.0).all()
    infimum = rest.certificate_.objective * 397 / 400
    claimed = model.certificate_.gap
    assert model.certificate_.objective - infimum <= (claimed + 2e-8) * infimum


def test_units_and_offsets_of_the_columns_do_not_matter(rng):
    X, y = rare_code(rng)
    scale = np.array([1e-6, 1e5, 1.0, 1e-3])
    plain, moved = run(X, y), run(X * scale + [0.0, 1e3, 5.0, 0.0], y)
    assert moved.certificate.diverging == plain.certificate.diverging == (3,)
    np.testing.assert_allclose((moved.coef * scale)[:3], plain.coef[:3], rtol=1e-5)


def test_rows_of_weight_0_count_for_nothing(rng):
    """Neither do they separate anything, nor keep others from it, nor let a constant column vary."""
    X, y = rare_code(rng)
    s = np.ones(400)
    s[:3] = 0.0
    result = run(X, y, sample_weight=s)
    assert result.status is Status.CONVERGED
    assert result.coef[3] == 0.0
    contrary = np.vstack([X, X[:3]]), np.append(y, -y[:3])
    assert run(*contrary).status is Status.CONVERGED
    found = run(*contrary, sample_weight=np.append(np.ones(400), np.zeros(3)))
    np.testing.assert_allclose(found.coef[:3], run(X, y).coef[:3], rtol=1e-6)
    assert found.certificate.diverging == (3,)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_codes_that_add_up_to_one_hide_no_column(rng, form):
    """Every code of a group can be written by the others; the one that diverges is named, and no other."""
    group = rng.integers(0, 5, 600)
    X = np.column_stack([rng.standard_normal(600), np.eye(5)[group]])
    y = np.where(X[:, 0] + rng.logistic(size=600) > 0.0, 1.0, -1.0)
    X[:6, 1:], y[:6] = np.eye(5)[4], 1.0
    X[6:, 1:5], X[6:, 5] = np.eye(4)[group[6:] % 4], 0.0
    assert run(form(X), y).certificate.diverging == (5,)


def test_several_directions_of_very_unlike_strength(rng):
    """Rows that one direction leaves on the plane may have another; each column is named."""
    X, y = rare_code(rng, d=6)
    X[:, 4] = 1e-3 * (np.arange(400) % 100 == 7)
    y[X[:, 4] > 0.0] = -1.0
    result = run(X, y)
    assert set(result.certificate.diverging) == {4, 5}
    t = -y * (X @ result.coef + result.intercept)
    assert (t[(X[:, 4] > 0.0) | (X[:, 5] > 0.0)] < 0.0).all()


@pytest.mark.parametrize("n_and_d", [(12, 30), (40, 60)])
def test_fewer_rows_than_columns(rng, n_and_d):
    X = rng.standard_normal(n_and_d)
    y = np.where(rng.random(len(X)) < 0.5, 1.0, -1.0)
    certificate = run(X, y).certificate
    assert (certificate.separation, certificate.gap) == ("complete", math.inf)
    twice = run(np.vstack([X, X[:1], X[:1]]), np.append(y, [1.0, -1.0])).certificate
    assert twice.separation == "partial"  # one row is in both classes: it stays
    assert twice.objective >= math.log(2.0) * 2.0 / (len(X) + 2) * (1.0 - 1e-12)


def test_directions_that_separate_all_rows_one_after_the_other(rng, monkeypatch):
    """Programs alone, each of which leaves some rows on the plane: inf f is 0 in the end."""
    monkeypatch.setattr("gdnp.newton.method.all_apart", lambda *_: False)
    monkeypatch.setattr("gdnp.solvers.separation._proposed", lambda *_: None)
    X = rng.standard_normal((40, 4))
    y = np.where(X @ [1.0, -2.0, 0.5, 1.0] > 0.0, 1.0, -1.0)
    result = run(X, y)
    assert (result.certificate.separation, result.certificate.gap) == ("complete", math.inf)
    assert (-y * (X @ result.coef + result.intercept) < 0.0).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_solver(rng, solver):
    X, y = rare_code(rng)
    model = GDNPClassifier(alpha=0.0, solver=solver, max_iter=20)
    with pytest.warns(UserWarning, match="those of column 3"):
        model.fit(X, y)
    exact = run(X, y)
    infimum = exact.objective / (1.0 + exact.certificate.gap)
    certificate = model.certificate_
    assert certificate.status is Status.LENGTH_DIVERGES
    assert certificate.diverging == (3,)
    assert certificate.gap == pytest.approx(certificate.objective / infimum - 1.0, abs=1e-9)


def test_bounded_losses_name_the_length_as_before(rng):
    X = rng.standard_normal((60, 2))
    result = gdnp.minimize(Objective(X, np.sign(X[:, 0]), "sigmoid", fit_intercept=True), "newton")
    assert result.status is Status.LENGTH_DIVERGES
    assert result.certificate.separation is None


def test_nothing_that_is_read_is_a_row_vector(rng):
    X, y = rare_code(rng)
    found, sealed = (
        solve(Objective.unchecked(kind(X, 2), y, None, LogLoss(), 0.0, fit_intercept=True))
        for kind in (DenseDesign, SealedDesign)
    )
    assert sealed.certificate == found.certificate
    np.testing.assert_array_equal(sealed.coef, found.coef)


def test_what_could_not_be_decided_is_said(rng, monkeypatch):
    monkeypatch.setattr("gdnp.solvers.separation._verified", lambda *_: None)
    monkeypatch.setattr("gdnp.solvers.separation._program", lambda *_: None)
    model = GDNPClassifier(alpha=0.0)
    with pytest.warns(UserWarning, match="was not decided"):
        model.fit(*TOUCHING)
    assert model.certificate_.separation == "not decided"


def test_columns_are_those_that_move_most_first():
    X = np.vstack([np.diag([1.0, 2.0, 3.0]), np.zeros(3)])
    problem = Objective(X, [1.0, -1.0, 1.0, -1.0], fit_intercept=True).standardised
    assert columns_of(problem, np.array([0.5, -2.0, 1e-9, 7.0])) == (1, 0)
    assert columns_of(problem, np.array([0.0, 0.0, 0.0, 1.0])) == ()
    assert get_loss("log_loss").increasing


def test_where_the_intercept_alone_diverges_no_column_is_named(rng):
    """As where all rows that count have one label."""
    design, labels = DenseDesign(np.full((80, 2), rng.standard_normal()), 1), -np.ones(80)
    found = solve(Objective.unchecked(design, labels, None, LogLoss(), 0.0, fit_intercept=True))
    assert found.status is Status.LENGTH_DIVERGES
    assert found.certificate.diverging == ()
