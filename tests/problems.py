"""Problems that tests of several modules draw."""

import numpy as np

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.design import as_design
from gdnp.losses import LOSSES
from gdnp.problem.interface import Cost
from gdnp.standardized import Standardized, standardise

CONVEX = [loss for loss in LOSSES.values() if loss.convex]


def estimator(loss, **options):
    kind = GDNPClassifier if loss.task == "classification" else GDNPRegressor
    return kind(loss, **options)


def draw(rng, n=300, d=8, loss=None):
    X = rng.standard_normal((n, d)) @ rng.standard_normal((d, d))
    eta = X @ rng.standard_normal(d)
    if loss is not None and loss.task == "regression":
        return X, eta + rng.standard_t(3, n)
    return X, np.where(rng.random(n) < 1.0 / (1.0 + np.exp(-eta)), 1.0, -1.0)


def problem_of(X, y, loss, alpha, fit_intercept=True, weight=None):
    design, coordinates = standardise(as_design(X), weight, loss, alpha, fit_intercept)
    classification = loss.task == "classification"
    return Standardized(
        design,
        -y if classification else -np.ones(len(y)),
        None if classification else y,
        weight,
        loss,
        coordinates,
        fit_intercept=fit_intercept,
        cost=Cost(),
    )


def correlated(rng, n, d, factors, noise=0.1):
    """Rows that a few factors explain but for some noise, in columns that have offsets."""
    X = rng.standard_normal((n, factors)) @ rng.standard_normal((factors, d))
    X += noise * rng.standard_normal((n, d)) + rng.standard_normal(d)
    eta = X @ rng.standard_normal(d)
    return X, np.where(eta - eta.mean() + 0.5 * eta.std() * rng.logistic(size=n) > 0.0, 1.0, -1.0)
