"""Problems that tests of several modules draw."""

import numpy as np
import scipy.optimize
from sklearn.datasets import load_breast_cancer

from gdnp import GDNPClassifier, GDNPRegressor, Objective
from gdnp.design import as_design
from gdnp.losses import LOSSES, LogLoss, get_loss
from gdnp.newton import solve
from reference import objective as raw_objective

CONVEX = [loss for loss in LOSSES.values() if loss.convex]


def estimator(loss, **options):
    kind = GDNPClassifier if loss.task == "classification" else GDNPRegressor
    return kind(loss, **options)


def value_of(model, X, y, alpha, weight=None):
    """f of a fitted model in raw coordinates."""
    coef, intercept = np.ravel(model.coef_), np.ravel(model.intercept_)[0]
    return raw_objective(get_loss(model.loss), X, y, coef, intercept, alpha, weight)


def draw(rng, n=300, d=8, loss=None):
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    eta = X @ rng.standard_normal(d)
    if loss is not None and loss.task == "regression":
        return X, eta + rng.standard_t(3, n)
    return X, np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-eta)), 1.0, -1.0)


def problem_of(X, y, loss, alpha, fit_intercept=True, weight=None):
    """The objective in standardised coordinates; `weight` sums to one."""
    target = np.array(y, dtype=float)
    design = as_design(X)
    return Objective.unchecked(design, target, weight, loss, alpha, fit_intercept=fit_intercept).standardised


def correlated(rng, n, d, factors, noise=0.1):
    """Rows that a few factors explain but for some noise, in columns that have offsets."""
    X = rng.standard_normal((n, factors)) @ rng.standard_normal((factors, d))
    X += noise * rng.standard_normal((n, d)) + rng.standard_normal(d)
    eta = X @ rng.standard_normal(d)
    return X, np.where(eta - eta.mean() + 0.5 * eta.std() * rng.logistic(size=n) > 0.0, 1.0, -1.0)


def noisy_rows():
    """Rows that are neither Gaussian nor separable, with a known minimum."""
    rng = np.random.default_rng(5)
    X = rng.exponential(size=(400, 4)) * [1.0, 0.7, 1.5, 0.5]
    y = np.where(X @ [1.0, -1.0, 0.5, 0.0] + rng.standard_normal(400) > 0.8, 1.0, -1.0)
    return X, y


def minimum(objective):
    """The minimiser over w̃, by another library."""

    def value_and_gradient(w):
        point = objective.at(w)
        return point.value, point.gradient

    start = np.zeros(objective.n_features)
    return scipy.optimize.minimize(
        value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-10}
    ).x


def cancer(tol=1e-8):
    """A run of the production solver on the raw columns of breast cancer, C = 1."""
    X, y = load_breast_cancer(return_X_y=True)
    return solve(problem_of(X, 2.0 * y - 1.0, LogLoss(), 1.0 / len(y)), tol=tol)
