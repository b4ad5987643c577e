"""A gap of the multinomial loss is a proof: above what many digits find, and not far above it."""

import numpy as np
import pytest

from gdnp import GDNPClassifier
from gdnp.design import as_design
from gdnp.losses import Softmax
from gdnp.problem.multinomial import Multinomial
from gdnp.solvers import Status
from gdnp.solvers.multinomial_gap import balance, dual_point, multinomial_gap
from softmax import Exact, problem

MANY = 70


def posed(rng, n=80, d=3, K=4, alpha=1e-3):
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + 5.0
    y = np.append(
        np.arange(K), (X @ rng.standard_normal((d, K)) + rng.gumbel(size=(n, K))).argmax(axis=1)[K:]
    )
    return Multinomial.unchecked(as_design(X), y, None, Softmax(K), alpha, fit_intercept=True).standardised


def newton_dual(posed, x):
    """The Newton step by its matrix, and A of its dual point."""
    point = posed.point(x)
    shares, size = posed.curvature(point.margins), x.size
    H = np.array([posed.hessian_product(shares, e.reshape(x.shape), None).ravel() for e in np.eye(size)])
    step = -(np.linalg.pinv(H) @ point.x_gradient.ravel()).reshape(x.shape)
    slope = posed.slope(step)
    dual_point(posed, shares, slope)
    return point, step, slope


def near(posed, distance=1e-3):
    x = posed.constant.x
    for _ in range(12):
        x = x + newton_dual(posed, x)[1]
    return x + distance * np.cos(np.arange(x.size)).reshape(x.shape)


def test_newton_dual_is_feasible_and_its_gap_of_fourth_order(rng):
    """An exact step leaves no residual: the gap is then what Σ s KL has of the step, to the fourth order."""
    world = posed(rng)
    gaps = []
    for distance in (2e-2, 1e-2):
        point, step, a = newton_dual(world, near(world, distance))
        pulled = world.pulled_back(world.design.block(0).tdot(a) / 80, a.mean(axis=0))
        np.testing.assert_allclose(pulled[-1], 0.0, atol=1e-15)
        np.testing.assert_allclose(world.with_ridge(pulled, point.x + step)[:-1], 0.0, atol=1e-13)
        gaps.append(multinomial_gap(world, point.x + step, a)[1])
    assert gaps[0] / gaps[1] == pytest.approx(16.0, rel=0.3)


def test_the_customary_dual_point_is_looser(rng):
    world = posed(rng, alpha=1e-8)
    point, step, a = newton_dual(world, near(world))
    _, gap = multinomial_gap(world, point.x + step, a)
    customary = world.design.rows.combine((0.0, point.margins))
    dual_point(world, world.curvature(point.margins), customary)
    balance(world, customary)
    assert multinomial_gap(world, point.x, customary)[1] > 1e3 * gap


def test_balance_is_exact_and_the_best_intercept(rng):
    world = posed(rng)
    x = rng.standard_normal((4, 4))
    point = world.point(x)
    a = world.design.rows.combine((0.0, point.margins))
    dual_point(world, world.curvature(point.margins), a)
    assert np.abs(a.mean(axis=0)).max() > 1e-2
    before = distribution(world, a)
    balance(world, a)
    x[-1] += np.log(distribution(world, a) / before)[0]
    np.testing.assert_allclose(a.mean(axis=0), 0.0, atol=1e-16)
    np.testing.assert_allclose(world.point(x).x_gradient[-1], 0.0, atol=1e-12)


def distribution(world, a):
    """N of A = N - Y."""
    n = a.copy()
    n[np.arange(len(n)), world.sigma] += 1.0
    return n


def lower_bound(world, a):
    """D(N) = Σ s H(n) - ½ ‖X̃ᵀ s (N - Y)‖²_{R⁻¹}, and what makes up its two parts."""
    n = distribution(world, a)
    entropy = -np.sum(np.where(n > 0.0, n * np.log(np.maximum(n, 1e-300)), 0.0)) / len(n)
    pulled = world.pulled_back(world.design.block(0).tdot(a) / len(n), a.mean(axis=0))[:-1]
    return entropy - 0.5 * np.sum(pulled**2 / world.coordinates.ridge[:, None])


@pytest.mark.parametrize("alpha", [1e-3, 1.0])
@pytest.mark.parametrize("part", [0.3, 0.9, 1.0])
def test_the_gap_is_the_difference_of_f_and_its_dual(rng, alpha, part):
    """As the two differ in the first digits where the step is cut short, so that nothing cancels."""
    world = posed(rng, alpha=alpha)
    point, step, _ = newton_dual(world, near(world, 0.3))
    a = world.slope(part * step)
    dual_point(world, world.curvature(point.margins), a)
    balance(world, a)
    known = lower_bound(world, a)
    new, gap = multinomial_gap(world, point.x + step, a)
    assert gap == pytest.approx(new.value - known, rel=1e-9)
    assert new.value == pytest.approx(world.point(point.x + step).value, rel=1e-14)


@pytest.mark.parametrize("alpha", [1e-8, 1e8])
def test_a_gap_without_balance_pays_for_it(rng, alpha):
    """Mixing with one distribution makes any N feasible, at a cost in both terms."""
    world = posed(rng, alpha=alpha)
    point, step, a = newton_dual(world, near(world))
    x = point.x + step
    _, gap = multinomial_gap(world, x, a.copy())
    share = 1e-6
    n = (1.0 - share) * a
    n[:, 0] += share  # every row goes a little to the first class
    n[np.arange(80), world.sigma] -= share
    off = n.mean(axis=0)
    mixed = np.max(off / (world.shares + off))
    assert mixed > 1e-9
    _, worse = multinomial_gap(world, x, n)
    log_p = np.log(world.curvature(world.point(x).margins))
    first, second = (
        mixed * np.max(-log_p.mean(axis=0)),
        (2.0 * mixed) ** 2 / (2.0 * world.coordinates.ridge.max()),
    )
    assert worse - gap >= 0.99 * max(first, second)


@pytest.fixture(scope="module")
def claims():
    found = []
    for number in range(MANY):
        p = problem(number)
        model = GDNPClassifier(alpha=p.alpha, fit_intercept=p.fit_intercept)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("warnings.warn", lambda *_, **__: None)
            model.fit(p.X, p.y, p.weight)
        exact = Exact(p.X, p.y, p.weight, p.alpha, len(model.classes_), p.fit_intercept)
        f = exact.value_of(model.coef_, model.intercept_)
        least = exact.least(exact.inside(model.coef_, model.intercept_))
        found.append((number, p, model.certificate_, float(f - least), float(least)))
    return found


def test_no_proof_is_below_the_truth(claims):
    proved = [(n, c, gone, f) for n, _, c, gone, f in claims if c.proved]
    assert len(proved) > MANY / 2
    assert not [(n, c.gap, gone / f) for n, c, gone, f in proved if not gone <= c.gap * f]


def test_proofs_are_not_far_above_the_truth(claims):
    """Beside rounding: where nothing is left 4 eps of f are claimed."""
    ratios = [c.gap / max(gone / f, 9e-16) for _, _, c, gone, f in claims if c.proved]
    assert np.median(ratios) < 30.0


def test_fits_of_nasty_problems_end_well(claims):
    """Estimates may be wrong where weights or units span many orders; so may not proofs."""
    ended = [c.status for _, _, c, _, _ in claims]
    assert ended.count(Status.CONVERGED) + ended.count(Status.LENGTH_DIVERGES) >= MANY - 2
    wrong = [n for n, _, c, gone, f in claims if not c.proved and np.isfinite(c.gap) and gone > c.gap * f]
    assert len(wrong) <= 2


@pytest.mark.parametrize("tol", [1e-3, 1e-5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_loss_far_below_one_keeps_its_digits(seed, tol):
    """Near interpolation the scores are 1e13 times f: the logarithm of a sum less a score would lose it."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(5, 8)) * 10.0 ** rng.uniform(1.0, 5.0, 8), np.array([0, 1, 2, 0, 1])
    model = GDNPClassifier(alpha=1e-6, tol=tol).fit(X, y)
    exact, known = Exact(X, y, None, 1e-6, 3), model.certificate_
    f = exact.value_of(model.coef_, model.intercept_)
    least = exact.least(exact.inside(model.coef_, model.intercept_))
    assert f < 1e-10
    assert known.objective == pytest.approx(float(f), rel=1e-13, abs=0.0)
    assert known.proved
    assert 0.0 <= (f - least) / least <= known.gap <= tol


def test_classes_far_out_of_balance_are_balanced_in_a_few_sums(rng, monkeypatch):
    world = posed(rng, n=400, K=10)
    shares = 1e-3 ** rng.random((400, 10))
    shares /= shares.sum(axis=1, keepdims=True)
    a, sums = shares.copy(), []
    a[np.arange(400), world.sigma] = 0.0
    a[np.arange(400), world.sigma] = -a.sum(axis=1)
    of_rows = Multinomial.of_rows
    monkeypatch.setattr(
        Multinomial, "of_rows", lambda self, *v, **k: sums.append(v) or of_rows(self, *v, **k)
    )
    balance(world, a)
    np.testing.assert_allclose(a.sum(axis=0), 0.0, atol=1e-12)
    assert np.ptp(np.log(distribution(world, a) / shares)[0]) > 1.0
    assert len(sums) <= 12
