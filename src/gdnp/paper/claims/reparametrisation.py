"""Section 2: the assumptions on the data, and Batch Normalization as a change of coordinates (Eqs. 6-9)."""

import math
from collections.abc import Iterator

import numpy as np
from sklearn.datasets import load_breast_cancer

from gdnp import methods
from gdnp._typing import FloatArray
from gdnp.datasets import gaussian_design, gaussian_parameters
from gdnp.metric import Covariance, Identity, OperatorCovariance
from gdnp.paper.claims.problems import largest, least, populations, relative, solved, states
from gdnp.paper.claims.registry import Seen, check, seen
from gdnp.paper.runner.problems import a9a
from gdnp.population import Halfspace
from gdnp.population.examples import EVERY_LOSS
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
