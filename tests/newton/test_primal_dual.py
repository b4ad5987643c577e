"""Losses whose curvature vanishes: the minimum and a gap that holds, whatever the units of the targets."""

import mpmath as mp
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gdnp import GDNPRegressor
from gdnp.losses import Huber, Loss, PseudoHuber
from gdnp.newton import solve
from gdnp.newton.method import BENT
from gdnp.newton.preconditioners.choice import Facts, first_stage
from gdnp.newton.preconditioners.making import made
from gdnp.newton.primal_dual import begun, bent, is_bounded_in_slope, left_after, softened, stepped, width_of
from gdnp.solvers import Status
from gdnp.solvers.certificates import scaled_gap
from gdnp.solvers.conjugate import newton_step
from problems import CONVEX, problem_of

TAILS = {
    "normal": lambda rng, n: rng.standard_normal(n),
    "cauchy": lambda rng, n: rng.standard_cauchy(n),
    "skewed": lambda rng, n: np.exp(1.5 * rng.standard_normal(n)),
    "outliers": lambda rng, n: rng.standard_normal(n) * np.where(rng.random(n) < 0.05, 1e4, 1.0),
}
ROUNDING = 1e-14


def drawn(seed, n, d, ratio, tail):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, ratio * (X @ rng.uniform(-2.0, 2.0, d) + TAILS[tail](rng, n))


def value(loss, X, y, coef, intercept, alpha=0.0, s=None):
    """f in extended precision."""
    r = y.astype(np.longdouble) - X.astype(np.longdouble) @ coef - intercept
    delta = np.longdouble(loss.delta)
    if isinstance(loss, Huber):
        slope = np.clip(r, -delta, delta)
        phi = slope * (r - slope / 2)
    else:
        phi = r * r / (1 + np.sqrt(1 + np.square(r / delta)))
    return float(np.average(phi, weights=s)) + 0.5 * alpha * float(coef @ coef)


def least(loss, X, y, alpha=0.0, s=None):
    """min f, by damped Newton steps on a path of widths, in units where the largest target is 1."""
    n, d = X.shape
    s = np.full(n, 1.0 / n) if s is None else s / s.sum()
    unit, A, R = np.abs(y).max(), np.c_[X, np.ones(n)], np.append(np.full(d, alpha), 0.0)
    y, delta = y / unit, loss.delta / unit

    def smooth(w, k):
        r = y - A @ w
        h = np.hypot(1.0, r / k)
        return delta / k * (s @ (r * r / (1.0 + h))) + 0.5 * (R @ w**2), r, h

    w = np.linalg.lstsq(np.sqrt(s)[:, None] * A, np.sqrt(s) * y, rcond=None)[0]
    k = max(delta, float(s @ np.abs(y - A @ w)))
    while True:
        for _ in range(100):
            f, r, h = smooth(w, k)
            g = R * w - delta / k * (A.T @ (s * r / h))
            rows = np.vstack([np.sqrt(s * delta / k / h**3)[:, None] * A, np.diag(np.sqrt(R))])
            triangle = np.linalg.qr(rows, mode="r")
            p = -np.linalg.solve(triangle, np.linalg.solve(triangle.T, g))
            t = 1.0
            while t > 1e-12 and not smooth(w + t * p, k)[0] <= f + 1e-4 * t * (g @ p):
                t *= 0.5
            w = w + t * p
            if t <= 1e-12 or f - smooth(w, k)[0] <= 1e-16 * f:
                break
        if k == delta:
            return value(loss, X, unit * y, unit * w[:-1], unit * w[-1], alpha, s)
        k = max(delta, k / 3.0)


def fitted(loss, X, y, **options):
    weight = options.pop("sample_weight", None)
    return GDNPRegressor(loss, **{"alpha": 0.0, **options}).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("ratio", [1e-6, 1.0, 1e3, 1e5, 1e7, 1e9, 1e12])
@pytest.mark.parametrize(("n", "d"), [(60, 2), (300, 10), (2000, 20)])
def test_the_gap_holds_for_any_ratio_of_residuals_to_delta(n, d, ratio, tail):
    X, y = drawn(3, n, d, ratio, tail)
    model = fitted(PseudoHuber(), X, y)
    certificate = model.certificate_
    assert certificate.status is Status.CONVERGED
    assert certificate.proved or ratio < BENT
    assert certificate.gap <= 1e-8
    excess = value(PseudoHuber(), X, y, model.coef_, model.intercept_) / least(PseudoHuber(), X, y) - 1.0
    assert excess <= certificate.gap + ROUNDING
    assert model.history_["passes"][-1] <= 100


def test_units_of_ten_million():
    """f was 1.82e7 here, at coefficients of 0."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    y = 1e7 * (X @ [1.0, 2.0] + rng.standard_normal(60))
    model = fitted(PseudoHuber(), X, y)
    assert model.certificate_.objective == pytest.approx(least(PseudoHuber(), X, y), rel=1e-8)
    squares = GDNPRegressor(alpha=0.0).fit(X, y)
    at_squares = value(PseudoHuber(), X, y, squares.coef_, squares.intercept_)
    assert model.certificate_.objective < at_squares


def test_a_median_is_the_limit():
    """Without columns that matter the minimum of |r| is at the median, known without a solver."""
    y = np.array([-3e9, 1e8, 2e9, 5e9, 1e12])
    X = np.array([[1.0], [-1.0], [0.0], [-1.0], [1.0]])
    model = fitted(PseudoHuber(1e-3), np.vstack([X, -X]), np.concatenate([y, y]))
    assert model.intercept_ == pytest.approx(2e9, rel=1e-6)


def test_agrees_with_fifty_digits():
    rng = np.random.default_rng(8)
    X, ratio = rng.standard_normal((9, 1)), 1e8
    y = ratio * (X[:, 0] + rng.standard_cauchy(9))
    model = fitted(PseudoHuber(), X, y, tol=1e-10)
    with mp.workdps(50):
        rows = [(mp.mpf(float(x)), mp.mpf(float(v))) for x, v in zip(X[:, 0], y, strict=True)]

        def f(w, b):
            return sum(mp.sqrt(1 + (v - w * x - b) ** 2) - 1 for x, v in rows) / len(rows)

        # A line through two of the points is next to the minimum; Newton's method goes on from the best one.
        lines = []
        for i, (x, v) in enumerate(rows):
            for u, z in rows[:i]:
                slope = (v - z) / (x - u)
                lines.append((slope, v - slope * x))
        best = min(lines, key=lambda line: f(*line))
        low = f(*best)  # above the minimum by at most δ in each of two rows
    assert abs(float(model.certificate_.objective / low) - 1.0) < 1.0 / ratio


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_claim_is_below_the_truth(data):
    choose = lambda *options: data.draw(st.sampled_from(options))  # noqa: E731
    n, d = choose((30, 1), (60, 5), (400, 12), (150, 40))
    ratio = 10.0 ** data.draw(st.floats(-6.0, 12.0))
    X, y = drawn(data.draw(st.integers(0, 10_000)), n, d, ratio, choose(*TAILS))
    s = np.random.default_rng(n).integers(0, 4, n).astype(float) if choose(True, False) else None
    loss, alpha = choose(Huber, PseudoHuber)(1.0), choose(0.0, 1e-9, 1e-2)
    stored = choose(np.asarray, sp.csr_array)(np.where(np.abs(X) < 0.3, 0.0, X))
    dense = stored if isinstance(stored, np.ndarray) else stored.toarray()
    model = fitted(loss, stored, y, alpha=alpha, sample_weight=s)
    certificate = model.certificate_
    found = value(loss, dense, y, model.coef_, model.intercept_, alpha, s)
    assert certificate.status is Status.CONVERGED
    assert certificate.objective == pytest.approx(found, rel=1e-9)
    if isinstance(loss, PseudoHuber):
        excess = found / least(loss, dense, y, alpha, s) - 1.0
        assert excess <= certificate.gap + ROUNDING


@pytest.mark.parametrize("ratio", [1.0, 30.0, 1e3, 1e6])
@pytest.mark.parametrize("tail", ["normal", "cauchy"])
def test_huber_is_the_quadratic_programme(ratio, tail):
    """min Σ ½z² + δ(u + v) with r = z + u - v, by another library in the units of the residuals."""
    n, d = 40, 3
    X, y = drawn(5, n, d, 1.0, tail)
    delta = 1.0 / ratio
    model = fitted(Huber(), X, ratio * y)
    A = np.c_[X, np.ones(n)]

    def smooth(w):
        r = y - A @ w
        slope = np.clip(r, -delta, delta)
        return float((slope * (r - 0.5 * slope)).mean()) / delta, -(A.T @ slope) / n / delta

    known = np.append(model.coef_, model.intercept_) / ratio
    lowest = min(
        scipy.optimize.minimize(
            smooth, start, jac=True, method="L-BFGS-B", options={"ftol": 0, "gtol": 1e-12}
        ).fun
        for start in (known, np.linalg.lstsq(A, y, rcond=None)[0])
    )
    assert model.certificate_.proved
    assert smooth(known)[0] <= lowest * (1.0 + 1e-8)
    assert model.certificate_.objective == pytest.approx(ratio**2 * delta * lowest, rel=1e-8)


# Parts


@pytest.mark.parametrize("loss", [Huber(), PseudoHuber()], ids=lambda loss: loss.name)
def test_the_metric_lies_between_reweighting_and_curvature(loss):
    t = np.array([-1e9, -3.0, -0.4, 0.0, 1e-12, 0.7, 20.0])
    slope = loss.gradient(t)
    weight = np.divide(slope, t, out=np.ones_like(t), where=t != 0.0)
    for a, expected in ((slope, loss.curvature(t)), (np.zeros_like(t), weight)):
        c = np.empty_like(t)
        bent(loss, 1.0, t, a, None, c)
        np.testing.assert_allclose(c, expected, rtol=1e-12, atol=1e-16)


def test_a_step_solves_both_conditions_to_first_order(rng):
    """a⁺ h(t) = t, linearised in a and t, and Xᵀ(s σ a⁺) = -R (v + δ)."""
    X, y = drawn(1, 200, 3, 50.0, "cauchy")
    loss = PseudoHuber()
    problem = problem_of(X, y, loss, 0.01)
    point, a = problem.point(np.zeros(4)), 0.5 * loss.gradient(y)
    c, whole, used = np.empty(200), np.empty(200), np.empty(200)
    t = np.asarray(point.margins)
    bent(loss, problem.share, t, a, None, c)
    H = made(problem, first_stage(Facts.of(problem), sure=True), point.margins, curvature=c)
    newton = newton_step(problem, point, c, H.solve, lambda step: np.abs(step.residual).max() < 1e-13, 50)
    stepped(loss, t, np.asarray(newton.slope), a, whole, used)
    h = np.hypot(1.0, t)
    np.testing.assert_allclose(whole * h + a * (t / h) * newton.slope, t + newton.slope, rtol=1e-9)
    pulled = problem.backward(-whole / 200)
    np.testing.assert_allclose(pulled, -problem.coordinates.ridge * newton.step[:-1], atol=1e-10)
    assert used == pytest.approx(np.abs(whole - a) / np.where(whole > a, 1.0 - a, 1.0 + a))


def test_a_wider_loss_is_lower_and_has_the_same_slopes():
    problem = softened(problem_of(*drawn(0, 30, 2, 1.0, "normal"), PseudoHuber(2.0), 0.0), 1e6)
    t = np.array([1e-3, 10.0, 1e5, 1e12])
    assert (problem.loss.value(t) < PseudoHuber(2.0).value(t)).all()
    assert problem.loss.max_gradient == pytest.approx(2.0)
    assert problem.loss.gradient(t)[-1] == pytest.approx(2.0, rel=1e-6)
    assert problem.loss.max_curvature == pytest.approx(1e-6)


def test_the_width_is_the_size_of_the_residuals():
    problem = problem_of(
        np.zeros((4, 1)), [-3.0, 1.0, 100.0, 0.0], PseudoHuber(0.5), 0.0, fit_intercept=False
    )
    assert width_of(problem.origin) == pytest.approx(26.0 / 0.5)
    assert width_of(problem_of(np.zeros((2, 1)), [0.1, 0.1], PseudoHuber(0.5), 0.0).origin) == 1.0


def test_robust_losses_alone_are_solved_so():
    assert {loss.name for loss in CONVEX if is_bounded_in_slope(loss)} == {"huber", "pseudo_huber"}


def test_slopes_begin_with_room_to_move():
    state = solve(problem_of(*drawn(0, 60, 2, 1e7, "cauchy"), PseudoHuber(), 1.0)).state
    assert np.abs(begun(state, 1.0).dual).max() < 1.0


@pytest.mark.parametrize("step", [0.0, 0.3])
@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_a_scaled_dual_point_bounds_f_from_any_point(rng, alpha, step):
    """Slopes of the optimum are feasible, and those off by a share of them once they are scaled."""
    X, y = drawn(2, 80, 3, 3.0, "normal")
    loss = PseudoHuber()
    problem = problem_of(X, y, loss, alpha)
    best = solve(problem, tol=1e-13).state.point
    x = best.x + step * rng.standard_normal(4)
    c = problem.curvature(best.margins)
    H = made(problem, first_stage(Facts.of(problem), sure=True), best.margins)
    least_value = best.value
    for scale in (1.0, 0.9):
        slopes = loss.gradient(np.asarray(best.margins)).copy()
        point, gap = scaled_gap(problem, x, (slopes, scale), scale * best.x, (c, H.solve))
        assert point.value == pytest.approx(problem.point(x).value, rel=1e-12)
        assert point.value - gap <= least_value * (1.0 + 1e-12)
        if step == 0.0 and scale == 1.0:
            assert gap <= 1e-6 * least_value
    slopes = loss.gradient(np.asarray(best.margins)) + 0.01 * rng.standard_normal(80)  # far from feasible
    point, gap = scaled_gap(problem, x, (np.clip(slopes, -1.0, 1.0), 1.0), best.x, (c, H.solve))
    assert point.value - gap <= least_value
    assert gap > 1e-4


def test_below_the_threshold_the_usual_way_is_the_shorter_one(monkeypatch):
    """And far above it takes many times the passes."""
    passes = {}
    for ratio in (10.0, 1e5):
        X, y = drawn(0, 4000, 10, ratio, "normal")
        for most in (0.0, BENT, np.inf):
            monkeypatch.setattr("gdnp.newton.method.BENT", most)
            passes[ratio, most] = fitted(PseudoHuber(), X, y).history_["passes"][-1]
    assert passes[10.0, BENT] == passes[10.0, np.inf] < 0.9 * passes[10.0, 0.0]
    assert passes[1e5, BENT] == passes[1e5, 0.0] < 0.6 * passes[1e5, np.inf]


def test_iterations_that_run_out_leave_a_gap_that_holds():
    X, y = drawn(4, 200, 5, 1e8, "cauchy")
    lowest = least(PseudoHuber(), X, y)
    for max_iter in (1, 3, 6):
        result = solve(problem_of(X, y, PseudoHuber(), 0.0), max_iter=max_iter)
        assert result.status is Status.MAX_ITER
        assert result.certificate.proved
        assert result.objective / lowest - 1.0 <= result.certificate.gap


def test_a_warm_fit_at_the_optimum_stays_there():
    X, y = drawn(6, 200, 5, 1e8, "normal")
    model = fitted(PseudoHuber(), X, y)
    cold, objective = model.n_iter_, model.certificate_.objective
    model.set_params(warm_start=True).fit(X, y)
    assert model.certificate_.objective <= objective * (1.0 + 1e-8)
    assert model.n_iter_ <= cold


def test_a_loss_of_your_own_is_solved_for_any_units():
    class Root(Loss):
        """log cosh, with its conjugate."""

        name, task, convex, has_conjugate = "log_cosh", "regression", True, True
        max_gradient = max_curvature = 1.0

        def value(self, t):
            return np.abs(t) + np.log1p(np.exp(-2.0 * np.abs(t))) - np.log(2.0)

        def gradient(self, t):
            return np.tanh(t)

        def curvature(self, t):
            e = np.exp(-2.0 * np.abs(t))
            return 4.0 * e / np.square(1.0 + e)

        def conjugate(self, a):
            low, high = np.maximum(1.0 - a, 1e-300), np.maximum(1.0 + a, 1e-300)
            return 0.5 * (high * np.log(high) + low * np.log(low))

    X, y = drawn(7, 300, 4, 1e6, "skewed")
    model = fitted(Root(), X, y)
    assert model.certificate_.proved
    # log cosh r is |r| - log 2 but next to 0, as pseudo-Huber's is |r| - 1.
    other = fitted(PseudoHuber(), X, y)
    assert model.certificate_.objective == pytest.approx(other.certificate_.objective, rel=1e-5)


def test_a_decrement_is_a_gap_only_where_phi_is_quadratic():
    """Elsewhere what the slopes of a whole step leave is the gap, however small the decrement."""
    X, y = drawn(4, 200, 5, 30.0, "normal")
    problem = problem_of(X, y, PseudoHuber(), 0.0)
    best = solve(problem, tol=1e-13).state.point
    for size, seen in ((1e-4, False), (3.0, True)):
        point = problem.point(best.x + size)
        newton = newton_step(
            problem,
            point,
            problem.curvature(point.margins),
            np.copy,
            lambda step: np.abs(step.residual).max() < 1e-12,
            100,
        )
        new = problem.point(point.x + newton.step)
        left = left_after(point, newton, new)
        assert (left > 0.0) is seen
        if seen:
            assert left >= 0.99 * (new.value - best.value) > newton.decrement


def test_targets_that_a_wide_problem_fits_end_soon():
    """f is rounding there, of targets in units of ten million."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((100, 300))
    result = solve(problem_of(X, 1e7 * rng.standard_normal(100), PseudoHuber(), 0.0))
    assert result.n_iter < 60
    assert result.objective < 1e-6


@pytest.mark.parametrize("seed", [0, 1, 5, 13])
def test_a_dual_point_that_is_not_feasible_proves_nothing(seed):
    # The outlying row makes p unlike the Hessian. Both designs span the same, so that the least is the same.
    rng = np.random.default_rng(seed)
    b = rng.standard_normal(30)
    y = rng.standard_normal(30) + 0.3 * b
    X = np.c_[np.full(30, 100.0), b]
    X[0] *= 1e4
    same = np.c_[np.arange(30) == 0, np.r_[0.0, b[1:]]].astype(float)
    found, best = (GDNPRegressor("huber", alpha=0.0).fit(rows, y).certificate_ for rows in (X, same))
    assert best.status is Status.CONVERGED
    assert found.gap >= 0.99 * (found.objective / best.objective - 1.0) - 1e-9
