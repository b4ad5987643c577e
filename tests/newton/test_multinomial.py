"""The production solver of several classes: what it comes to, its cost, and where there is no minimiser."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.linear_model import LogisticRegression

from gdnp import GDNPClassifier
from gdnp.design import DenseDesign, as_design
from gdnp.losses import Softmax
from gdnp.newton import Begin, solve
from gdnp.newton.multinomial import MultinomialNewton, _of_sample, _read, _two_steps
from gdnp.newton.preconditioners.classes import BlockPreconditioner, JointPreconditioner
from gdnp.problem.multinomial import Multinomial
from gdnp.solvers import Status
from newton.test_sealed_rows import SealedDesign


def posed(X, y, alpha, *, weight=None, fit_intercept=True, design=as_design):
    loss = Softmax(int(np.max(y)) + 1)
    return Multinomial.unchecked(design(X), y, weight, loss, alpha, fit_intercept=fit_intercept)


def solved(objective, **options):
    return solve(objective, kind=MultinomialNewton, **options)


def gaussian(rng, n=400, d=5, K=4, noise=1.0):
    X = rng.standard_normal((n, d)) * np.logspace(-2, 2, d)
    scores = (X / X.std(axis=0)) @ rng.standard_normal((d, K)) + noise * rng.gumbel(size=(n, K))
    return X, np.append(np.arange(K), scores.argmax(axis=1)[K:])


@pytest.mark.parametrize(
    ("load", "passes"), [(load_iris, 45), (load_wine, 85), (load_digits, 190)], ids=["iris", "wine", "digits"]
)
def test_real_sets_with_a_proof(load, passes):
    X, y = load(return_X_y=True)
    found = solved(posed(X, y, 1.0 / len(y)))
    assert found.certificate.proved
    assert found.certificate.gap <= 1e-8
    assert found.history["passes"][-1] <= passes
    np.testing.assert_allclose(found.coef.sum(axis=0), 0.0, atol=1e-12)
    peer = LogisticRegression(tol=1e-10, solver="newton-cholesky").fit(X, y)
    np.testing.assert_allclose(found.coef, peer.coef_, atol=1e-4)


def test_rows_are_sampled_first_and_rare_classes_with_them(rng):
    X, y = gaussian(rng, n=20_000, d=4, K=3, noise=2.0)
    y = np.where((y == 2) & (np.arange(len(y)) > 200), 0, y)
    problem = posed(X, y, 1e-4).standardised
    part = _of_sample(problem, 4096, lambda drawn: drawn)
    assert np.bincount(part.sigma).min() > 4096 / 8
    np.testing.assert_allclose(part.shares, problem.shares, rtol=0.15)
    found = solved(posed(X, y, 1e-4))
    assert found.certificate.proved
    assert found.history["objective"][0] <= found.objective * 1.02  # the sample's solution is near


def test_two_steps_go_most_of_the_way(rng):
    X, y = gaussian(rng)
    problem = posed(X, y, 1e-6).standardised
    best = solved(problem).objective
    start, constant = problem.point(_two_steps(problem)), problem.constant
    assert start.value - best < 0.1 * (constant.value - best)


def test_it_goes_on_from_where_it_is_told(rng):
    X, y = gaussian(rng)
    first = solved(posed(X, y, 1e-3))
    again = posed(X, y, 1e-3)
    begin = Begin(again.standardised.from_raw(first.coef, first.intercept))
    warm = solved(again, begin=begin)
    assert warm.n_iter <= 2
    assert warm.history["passes"][-1] < 0.7 * first.history["passes"][-1]
    far = solved(posed(X, y, 1e-3), begin=replace(begin, x=1e6 * begin.x))
    assert far.objective == pytest.approx(first.objective, rel=1e-8)


def test_matrices_that_are_given_are_not_made_again(rng):
    X, y = gaussian(rng, n=3000, d=40)
    first = solved(posed(X, y, 1e-3))
    assert isinstance(first.state.preconditioner, BlockPreconditioner)
    found = []
    for H in (None, first.state.preconditioner):
        again = posed(X, y, 1e-3)
        x = again.standardised.from_raw(first.coef, first.intercept)
        found.append(solved(again, begin=Begin(x, None, H)))
        assert found[-1].certificate.proved
        assert found[-1].objective == pytest.approx(first.objective, rel=1e-8)
    made, given = (one.history["passes"][0] for one in found)
    assert given < made - 10.0


def test_where_the_hessian_is_a_small_matrix_steps_take_no_products_but_the_last(rng, monkeypatch):
    X, y = gaussian(rng)
    products, product = [], Multinomial.hessian_product
    monkeypatch.setattr(
        Multinomial, "hessian_product", lambda self, *a: products.append(a) or product(self, *a)
    )
    found = solved(posed(X, y, 1e-3))
    assert isinstance(found.state.preconditioner, JointPreconditioner)
    assert found.certificate.proved
    assert len(products) <= 4 < found.n_iter + 2


def test_a_point_that_a_reading_makes_anew_is_one_to_go_on_from_until_a_proof_fails(rng):
    X, y = gaussian(rng)
    state = solved(posed(X, y, 1e-3)).state
    x = 0.9 * state.point.x
    first, later = _read(replace(state, attempts=0), x), _read(replace(state, attempts=1), x)
    assert (first.point.renewed, later.point.renewed) == (True, False)
    assert first.is_exact
    step = first.preconditioner.solve(first.point.x_gradient)
    product = first.problem.hessian_product(first.problem.curvature(first.point.margins), step, None)
    np.testing.assert_allclose(product, first.point.x_gradient, atol=1e-10)


@pytest.mark.parametrize("max_iter", [1, 2, 3])
def test_iterations_that_run_out_end_with_a_proof(rng, max_iter):
    X, y = gaussian(rng)
    best = solved(posed(X, y, 1e-4)).objective
    found = solved(posed(X, y, 1e-4), max_iter=max_iter)
    known = found.certificate
    assert (known.status is Status.CONVERGED) == (known.gap <= 1e-8)
    assert found.objective - best <= (known.gap + 1e-15) * best


def test_a_callback_ends_it_with_a_certificate(rng):
    X, y = gaussian(rng)
    best = solved(posed(X, y, 1e-4)).objective
    found = solved(posed(X, y, 1e-4), callback=lambda row: row.iteration == 1)
    assert found.status is Status.STOPPED
    assert found.n_iter == 1
    assert 0.0 < found.objective - best <= found.certificate.gap * best


def test_no_tolerance_at_all_goes_as_far_as_rounding_lets(rng):
    X, y = gaussian(rng)
    found = solved(posed(X, y, 1e-4), tol=0.0)
    assert found.status is Status.STALLED
    assert found.certificate.gap < 1e-13
    assert found.n_iter < 20


@pytest.mark.parametrize("alpha", [1e-2, 1e-10])
def test_fewer_rows_than_columns(rng, alpha):
    X, y = rng.standard_normal((40, 200)), np.arange(40) % 4
    found = solved(posed(X, y, alpha))
    assert found.certificate.proved
    assert found.certificate.gap <= 1e-8


def test_classes_that_are_apart_without_a_ridge(rng):
    X, y = load_iris(return_X_y=True)
    found = solved(posed(X, y, 0.0))
    known = found.certificate
    assert known.status is Status.LENGTH_DIVERGES
    assert known.separation == "partial"
    assert set(known.diverging) <= {0, 1, 2, 3}
    pair = LogisticRegression(C=np.inf, tol=1e-12, max_iter=10_000).fit(X[50:], y[50:])
    p = pair.predict_proba(X[50:])[np.arange(100), y[50:] - 1]
    assert found.objective == pytest.approx(-np.log(p).sum() / 150.0, rel=1e-6)  # inf f: setosa costs nothing
    apart = solved(posed(np.arange(9.0)[:, None], np.arange(9) // 3, 0.0)).certificate
    assert apart.separation == "complete"
    assert apart.diverging == (0,)


def test_columns_that_others_make_up_without_a_ridge(rng):
    """The limit of a vanishing ridge: of all minimisers the one of least norm."""
    X, y = gaussian(rng, noise=3.0)
    X = np.column_stack((X, 2.0 * X[:, 1], np.ones(len(X))))
    found, limit = solved(posed(X, y, 0.0)), solved(posed(X, y, 1e-9), tol=1e-13)
    assert found.certificate.gap <= 1e-8
    np.testing.assert_allclose(found.coef, limit.coef, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.coef[:, 5], 2.0 * found.coef[:, 1], rtol=1e-9)
    assert not found.coef[:, 6].any()


def test_flat_rows_far_on_the_wrong_side_do_not_stop_it(rng):
    X, y = gaussian(rng, n=60, d=2, K=3)
    best = solved(posed(X, y, 1e-6))
    objective = posed(X, y, 1e-6)
    wrong = Begin(-0.03 * objective.standardised.from_raw(best.coef, best.intercept))
    found = solved(objective, begin=wrong)
    assert found.objective == pytest.approx(best.objective, rel=1e-7)


@pytest.mark.parametrize("case", ["few", "sampled", "weighted", "separable", "wide"])
def test_no_row_vector_is_read(rng, case):
    n, d = {"sampled": (9000, 3), "wide": (30, 60)}.get(case, (300, 3))
    X, y = gaussian(rng, n=n, d=d, K=3, noise=2.0)
    weight = rng.dirichlet(np.ones(n)) if case == "weighted" else None
    alpha = 1e-3
    if case == "separable":
        y, alpha = (X[:, 0] > np.quantile(X[:, 0], 0.3)) * 1 + (X[:, 0] > np.quantile(X[:, 0], 0.6)), 0.0
    both = [
        solved(posed(X, y, alpha, weight=weight, design=lambda X, kind=kind: kind(X, 2)))
        for kind in (DenseDesign, SealedDesign)
    ]
    np.testing.assert_array_equal(both[0].coef, both[1].coef)
    assert both[0].certificate == both[1].certificate


@pytest.mark.parametrize("seed", [47, 89])
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-6])
def test_a_loose_tolerance_goes_on_where_a_last_step_falls_short(seed, tol):
    """A class to each row, units of eight orders: whole steps overshoot, and searched ones lead down."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(8, 10)) * 10.0 ** rng.uniform(-4.0, 4.0, 10), np.arange(8)
    least = solved(posed(X, y, 1e-3, fit_intercept=False), tol=1e-12)
    found = solved(posed(X, y, 1e-3, fit_intercept=False), tol=tol)
    assert least.status is found.status is Status.CONVERGED
    assert found.certificate.gap <= tol
    assert found.objective - least.objective <= (found.certificate.gap + 1e-12) * least.objective


@pytest.mark.parametrize("tol", [1e-1, 1e-3])
def test_proofs_that_fail_are_tried_less(tol):
    """Each wants a step solved far; where f is tiny and steps overshoot, it is all that would be done."""
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(12, 60)) * 10.0 ** rng.uniform(-4.0, 4.0, 60), np.arange(12) % 8
    found = solved(posed(X, y, 1e-10), tol=tol)
    assert found.certificate.proved
    assert found.status is Status.CONVERGED
    assert found.n_iter < 120


@pytest.mark.parametrize("alpha", [1.0, 1e-4])
@pytest.mark.parametrize("seed", range(4))
def test_whole_weights_are_rows_left_out_and_repeated(seed, alpha):
    """A gap of 1e-10 leaves 1e-5 of coefficients open; a last step goes to their last digits."""
    rng = np.random.default_rng(seed)
    X, y, s = rng.random((15, 30)), rng.permutation(np.arange(15) % 3), rng.integers(0, 5, 15)
    some, many = GDNPClassifier(alpha=alpha), GDNPClassifier(alpha=alpha)
    some.fit(X, y, s), many.fit(np.repeat(X, s, axis=0), np.repeat(y, s))
    np.testing.assert_allclose(some.decision_function(X), many.decision_function(X), rtol=1e-6, atol=1e-7)
