"""f as one writes it down, in extended precision, and data whose columns have any scale."""

import numpy as np
import scipy.sparse as sp

FORMS = {"dense": np.asarray, "csr": sp.csr_array, "csc": sp.csc_array}

SCALES = np.array([1e-8, 1.0, 1e4, 1e8, 1e-3, 3.0])
OFFSETS = np.array([0.0, 3.0, -30.0, 0.0, 1.0, 0.0])
"""In units of the spread of a column; columns without one have zeros."""


def any_scale(rng, n=211):
    """X of shape (n, 6), labels of two classes, numbers, and weights with zeros among them."""
    X = rng.standard_normal((n, 6))
    X[:, [0, 3, 5]] *= rng.random((n, 3)) < 0.5
    X = (X + OFFSETS) * SCALES
    labels, targets = np.where(rng.random(n) < 0.4, 1.0, -1.0), 2.0 * rng.standard_normal(n) + 1.0
    weight = rng.random(n) * (rng.random(n) < 0.9)
    return X, labels, targets, weight


def target_of(loss, labels, targets):
    return labels if loss.task == "classification" else targets


class Definition:
    """Σ s φ(t)/Σ s + α/2 ‖w‖² for t = -y (xᵀw + γ) or y - xᵀw - γ, x less its mean where it is centred."""

    def __init__(self, X, y, loss, alpha=0.0, weight=None, *, center=True):
        X, y = np.asarray(X, dtype=np.longdouble), np.asarray(y, dtype=np.longdouble)
        s = np.ones(len(y), dtype=np.longdouble) if weight is None else weight.astype(np.longdouble)
        self.s = s / s.sum()
        self.mean = self.s @ X if center else np.zeros(X.shape[1], dtype=np.longdouble)
        self.Z = np.column_stack((X - self.mean, np.ones(len(y))))
        classification = loss.task == "classification"
        self.sigma = -y if classification else -np.ones_like(y)
        self.base = np.zeros_like(y) if classification else y
        self.loss, self.ridge = loss, alpha * np.append(np.ones(X.shape[1]), 0.0)

    def margins(self, x):
        return (self.base + self.sigma * (self.Z @ x)).astype(float)

    def value(self, x):
        return float(self.s @ self.loss.value(self.margins(x)) + 0.5 * self.ridge @ np.square(x))

    def gradient(self, x):
        """By w and γ."""
        r = self.s * self.sigma * self.loss.gradient(self.margins(x))
        return (self.Z.T @ r + self.ridge * x).astype(float)

    def hessian(self, x):
        c = self.s * self.loss.curvature(self.margins(x))
        return (self.Z.T @ (c[:, None] * self.Z) + np.diag(self.ridge)).astype(float)


def numeric_gradient(f, x, h=1e-6):
    return np.array([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in np.eye(len(x))])
