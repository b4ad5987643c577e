"""Sections 2 and 3: the data, Batch Normalization as a change of coordinates (Eqs. 6-9), least squares."""

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
from sklearn.datasets import load_breast_cancer, load_wine

from gdnp import methods, theory
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.metric import Covariance, Identity, OperatorCovariance
from gdnp.paper.claims.problems import largest, least, listed, only, populations, relative, solved, states
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import a9a
from gdnp.population import Halfspace, LeastSquares
from gdnp.population.examples import EVERY_LOSS, slow_population
from gdnp.problem import Objective
from gdnp.reference import newton_minimum
from gdnp.solvers import minimize


@check("assumption-1-a9a")
def assumption_1_on_a9a() -> Seen:
    """Rank, extreme eigenvalues, r and the softplus minimum of a9a."""
    data = a9a()
    f = Objective(data.X, data.y, "log_loss", n_jobs=1)
    S = f.covariance
    d, r = f.n_features, S.dual_norm(f.u) ** 2
    minimum = newton_minimum(f).objective
    return seen(
        S.rank,
        bound=d,
        holds=S.rank == d,
        instead=S.smallest > 1e-6 * S.largest and 0.0 < r < 1.0,
        S=S,
        d=d,
        r=r,
        minimum=minimum,
    )


@check("footnote-1")
def footnote_1() -> Seen:
    """Excess kurtosis of z and of x along Σ⁻¹m, against 0 and the mixture's own."""
    n, rng = 100_000, np.random.default_rng(0)
    u, S = gaussian_parameters(5, kappa=10.0, r=0.6, seed=0)
    sigma = S - np.outer(u, u)
    y = rng.choice([-1.0, 1.0], size=n)
    x = -y[:, None] * u + rng.standard_normal((n, 5)) @ np.linalg.cholesky(sigma).T
    v = np.linalg.solve(sigma, u)
    # Along v the classes are N(±m, 1) in units of their own deviation: fourth cumulant -2m⁴, variance 1 + m².
    m = math.sqrt(u @ v)
    mixture = -2.0 * m**4 / (1.0 + m**2) ** 2
    error = math.sqrt(24.0 / n)
    of_z, of_x = _excess_kurtosis(-y * (x @ v)), _excess_kurtosis(x @ v)
    worst = largest(abs(of_z), abs(of_x - mixture)) / error
    return seen(worst, holds=abs(of_x) > 20.0 * error, of_z=of_z, of_x=of_x, mixture=mixture, worst=worst)


def _excess_kurtosis(sample: FloatArray) -> float:
    centred = sample - sample.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2 - 3.0)


@check("eq-7")
def eq_7() -> Seen:
    """Three ways to ‖w‖_S on data; without centring they differ."""
    rng, X = np.random.default_rng(0), load_breast_cancer().data
    y = np.where(load_breast_cancer().target == 1, 1.0, -1.0)
    S, centred = Objective(X, y, n_jobs=1).covariance, X - X.mean(axis=0)
    free = OperatorCovariance(lambda w: centred.T @ (centred @ w) / len(X), np.mean(centred**2, axis=0))
    worst, raw = 0.0, 0.0
    for _ in range(50):
        w = rng.standard_normal(X.shape[1]) / X.std(axis=0)
        variance = float(np.mean((centred @ w) ** 2))
        worst = largest(worst, *(abs(metric.norm(w) ** 2 / variance - 1.0) for metric in (S, free)))
        raw = largest(raw, float(np.mean((X @ w) ** 2)) / variance)
    return seen(worst, holds=raw > 2.0, raw=raw)


@check("eq-8")
def eq_8() -> Seen:
    """Normalised outputs against the reparametrised ones, and both under scaling of w."""
    rng, data = np.random.default_rng(0), gaussian_design(2000, 8, seed=0)
    X = np.asarray(data.X) + 3.0
    f = Objective(X, data.y, "log_loss", n_jobs=1)
    worst, flipped = 0.0, 0.0
    for w in rng.standard_normal((20, 8)):
        g = float(rng.uniform(0.5, 5.0))
        eta = X @ w
        normalised = f.loss.value(-data.signs() * g * (eta - eta.mean()) / eta.std())
        margins = f.design.rows.gather(f.at(f.covariance.join(w, g)).margins)
        value = f.at(f.covariance.join(w, g)).value
        scaled = largest(abs(f.at(f.covariance.join(c * w, g)).value - value) for c in (1e-6, 0.3, 1e6))
        worst = largest(worst, relative(f.loss.value(margins), normalised), scaled / value)
        flipped = largest(
            flipped, abs(f.at(f.covariance.join(-w, g)).value - f.at(f.covariance.join(w, -g)).value)
        )
    return seen(largest(worst, flipped))


@check("eq-6-gamma")
def eq_6_gamma() -> Iterator[float]:
    """Eq. 6 against Xw̃ + b on columns that are not centred, and the objective at that point."""
    rng, data = np.random.default_rng(0), gaussian_design(500, 6, seed=0)
    X = np.asarray(data.X) + rng.standard_normal(6)
    f = Objective(X, data.y, "log_loss", fit_intercept=True, n_jobs=1)
    for w in rng.standard_normal((20, 6)):
        g, gamma = float(rng.uniform(0.5, 5.0)), float(rng.normal())
        eta = X @ w
        normalised = g * (eta - eta.mean()) / eta.std() + gamma
        coef, b = f.covariance.join(w, g), gamma - g * eta.mean() / eta.std()
        value = float(f.loss.value(-data.signs() * normalised).mean())
        # The intercept of a point is γ, that of the centred columns.
        yield from (relative(X @ coef + b, normalised), abs(f.at(coef, gamma).value / value - 1.0))


@check("footnote-5")
def footnote_5() -> Iterator[float]:
    """A step of batch_norm_gd against differences of the normalised output's loss in (w, g)."""
    rng, data = np.random.default_rng(0), gaussian_design(300, 4, kappa=10.0, seed=0)
    X, signs = np.asarray(data.X) - np.asarray(data.X).mean(axis=0), data.signs()
    f = Objective(X, data.y, "log_loss", n_jobs=1)

    def normalised(both: FloatArray) -> float:
        eta = X @ both[:-1]
        return float(f.loss.value(-signs * both[-1] * (eta - eta.mean()) / eta.std()).mean())

    for w in rng.standard_normal((5, 4)):
        both, h = np.append(w, f.covariance.norm(w)), 1e-5
        gradient = [(normalised(both + e) - normalised(both - e)) / (2.0 * h) for e in h * np.eye(5)]
        before, after = states(methods.batch_norm_gd(step=0.3), f, w, 1)
        taken = [*(before.direction - after.direction), before.length.g - after.length.g]
        yield relative(np.array(taken), 0.3 * np.array(gradient))


@check("eq-9")
def eq_9() -> Iterator[float]:
    """Join, split and join again, in both metrics."""
    rng = np.random.default_rng(0)
    for u, S in populations(50):
        w, g = rng.standard_normal(len(u)), float(rng.normal(0.0, 3.0))
        for metric in (Covariance(S), Identity(len(u))):
            coef = metric.join(w, g)
            direction, length = metric.split(coef)
            yield abs(metric.norm(coef) / abs(g) - 1.0)
            yield relative(metric.join(direction, length), coef)
            yield relative(direction * metric.norm(w) * np.sign(g), w)


@check("x-to-ax")
def x_to_ax() -> Seen:
    """f(w, g) of x at w against that of Ax at A⁻ᵀw in the metrics S and I, and five steps on skewed data."""
    rng, worst, weight_norm = np.random.default_rng(0), 0.0, math.inf
    for u, S in populations(20, kappa=10.0):
        A = rng.standard_normal((len(u), len(u)))
        w = rng.standard_normal(len(u))
        moved = solved(A.T, w)
        for loss in EVERY_LOSS:
            before, after = Halfspace(u, S, loss), Halfspace(A @ u, A @ S @ A.T, loss)
            value = before.at(before.covariance.join(w, 1.5)).value
            worst = largest(worst, abs(after.at(after.covariance.join(moved, 1.5)).value / value - 1.0))
        spreads = [f.covariance.norm(Identity(len(u)).join(v, 1.5)) for f, v in ((before, w), (after, moved))]
        weight_norm = least(weight_norm, abs(math.log(spreads[1] / spreads[0])))
    X, A = rng.exponential(size=(500, 4)) ** 1.5, rng.standard_normal((4, 4)) + 2.0 * np.eye(4)
    y, w = np.where(rng.random(500) < 0.4, 1.0, -1.0), rng.standard_normal(4)
    steps = {}
    for method in (methods.gdnp_metric(), methods.weight_norm_gd(step=1.0)):
        ends = [
            minimize(Objective(Z, y, n_jobs=1), method, v, max_iter=5, tol=0.0).coef
            for Z, v in ((X, w), (X @ A.T, solved(A.T, w)))
        ]
        steps[method.name] = relative(A.T @ ends[1], ends[0])
    return seen(
        largest(worst, steps["gdnp_metric"]),
        holds=weight_norm > 1e-3 and steps["weight_norm_gd"] > 1e-2,
        spread=math.exp(weight_norm),
        steps=steps,
    )


# --- Section 3: least squares, Theorem 1


@check("eq-11-12")
def eq_11_12() -> Iterator[float]:
    """Eq. 10 at the joined vector against Eqs. 11 and 12."""
    rng = np.random.default_rng(0)
    for u, S in populations(100):
        f, metric = LeastSquares(u, S), Covariance(S)
        w, g = rng.standard_normal(len(u)), float(rng.normal(0.0, 3.0))
        m = float(u @ w) / metric.norm(w)
        best = theory.best_least_squares_length(u, metric, w)
        profile = f.at(metric.join(w, best)).value if best else 0.0
        yield abs(f.at(metric.join(w, g)).value - (2.0 * g * m + g * g)) / (g * g)
        yield abs(profile - theory.rayleigh_quotient(u, metric, w))


@check("eq-13")
def eq_13() -> Iterator[float]:
    """Eq. 13, the closed form, and a step of the solver."""
    rng = np.random.default_rng(0)
    for u, S in populations(100):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        L, k = metric.largest, metric.norm(w) ** 2 / float(u @ w)
        closed = w - S @ w / L + (k / L) * u
        solver = states(methods.rayleigh_gd(), LeastSquares(u, S), w, 1)[1].direction
        yield from (relative(theory.rayleigh_step(u, metric, w), closed), relative(solver, closed))


@check("eq-14")
def eq_14() -> Seen:
    """The largest ratio of Δρ_t to its bound, with 1e-20 r allowed for rounding."""
    rng, worst, count = np.random.default_rng(0), 0.0, 0
    for u, S in populations(150):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        gap, r = theory.directional_gap(u, metric, w), theory.squared_signal(u, metric)
        bound = theory.rayleigh_bound(metric, gap, np.arange(1, 41))
        for limit in bound:
            w = theory.rayleigh_step(u, metric, w)
            worst = largest(worst, theory.directional_gap(u, metric, w) / (float(limit) + 1e-20 * r))
            count += 1
    u, S, w = slow_population(10.0, 0.5)
    metric, gap, steps = Covariance(S), theory.directional_gap(u, Covariance(S), w), 40
    for _ in range(steps):
        w = theory.rayleigh_step(u, metric, w)
    nearest = theory.directional_gap(u, metric, w) / float(theory.rayleigh_bound(metric, gap, steps))
    return seen(largest(worst, nearest), holds=nearest > 0.9, count=count, nearest=nearest, steps=steps)


@check("theorem-1")
def theorem_1() -> Seen:
    """The solver on three data sets, none of which has to be Gaussian."""
    wine, cancer, gaussian = load_wine(), load_breast_cancer(), gaussian_design(2000, 10, kappa=30.0, seed=0)
    worst, identity, nearest = 0.0, 0.0, math.inf
    for X, y in (
        (wine.data, np.where(wine.target == 0, 1.0, -1.0)),
        (cancer.data, np.where(cancer.target == 1, 1.0, -1.0)),
        (gaussian.X, gaussian.y),
    ):
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        f = Objective(X, y, "squared_error", n_jobs=1)
        S, u = f.covariance, f.u
        slow = np.linalg.eigh(X.T @ X)[1][:, 0]
        start = S.solve(u) / S.norm(S.solve(u)) + 0.01 * slow / S.norm(slow)
        run = [state.direction for state in states(methods.rayleigh_gd(), f, start, 60)]
        gaps = np.array([theory.directional_gap(u, S, w) for w in run])
        r = theory.squared_signal(u, S)
        bound = theory.rayleigh_bound(S, gaps[0], np.arange(1, 61)) + 1e-20 * r
        worst = largest(worst, float(np.max(gaps[1:] / bound)))
        nearest = least(nearest, math.log(gaps[-1] / gaps[0]) / math.log(bound[-1] / gaps[0]))
        identity = largest(
            identity,
            *(abs(theory.identity_15(u, S, w) - theory.rayleigh_quotient(u, S, w) - r) / r for w in run),
        )
    return seen(
        worst, holds=identity <= 1e-9 and nearest < 1.5, nearest=nearest, identity=only("1e-9", identity)
    )


@check("eq-15")
def eq_15() -> Iterator[float]:
    """Both identities against ρ - ρ* and against the cosine."""
    rng = np.random.default_rng(0)
    for u, S in populations(300):
        metric, w = Covariance(S), rng.standard_normal(len(u))
        best = solved(S, u)
        r = float(u @ best)
        gap = theory.rayleigh_quotient(u, metric, w) + r
        cosine = metric.inner(w, best) / (metric.norm(w) * metric.norm(best))
        yield abs(theory.identity_15(u, metric, w) - gap) / r
        yield abs(theory.sin_squared(u, metric, w) - (1.0 - cosine**2))


@check("theorem-1-order")
def theorem_1_order() -> Seen:
    """Iterations of both to a gap of 1e-8 of the start, five starts."""
    logs, starts = [], 5
    for kappa, seed in product((10.0, 30.0, 100.0), range(starts)):
        u, S = gaussian_parameters(10, kappa=kappa, r=0.5, seed=1)
        metric, f = Covariance(S), LeastSquares(u, S)
        start = np.random.default_rng(seed).standard_normal(10)
        w, plain = start, metric.join(start, theory.best_least_squares_length(u, metric, start))
        gaps = [theory.directional_gap(u, metric, w)]
        values = [f.at(plain).value + f.r]
        while gaps[-1] > 1e-8 * gaps[0]:
            w = theory.rayleigh_step(u, metric, w)
            gaps.append(theory.directional_gap(u, metric, w))
        while values[-1] > 1e-8 * values[0]:
            plain = plain - f.at(plain).gradient / (2.0 * metric.largest)
            values.append(f.at(plain).value + f.r)
        logs.append(math.log((len(gaps) - 1) / (len(values) - 1)))
    means = np.exp(np.reshape(logs, (-1, starts)).mean(axis=1))
    worst = float(np.exp(np.abs(np.log(means)).max()))
    return seen(worst, starts=starts, means=listed(means, ".2f"))
