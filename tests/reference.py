"""An independent reference: damped Newton on dense standardised columns, ridge alpha/sd² per column."""

from fractions import Fraction

import numpy as np


def objective(loss, X, y, coef, intercept, alpha, weight=None):
    """f in raw coordinates."""
    s = np.full(len(y), 1.0 / len(y)) if weight is None else weight / weight.sum()
    eta = X @ coef + intercept
    t = -y * eta if loss.task == "classification" else y - eta
    return s @ loss.value(t) + 0.5 * alpha * coef @ coef


def reference(loss, X, y, alpha, weight=None, fit_intercept=True):
    """(coef, intercept, f) of a convex loss, to the last digits."""
    s = np.full(len(y), 1.0 / len(y)) if weight is None else weight / weight.sum()
    mean = s @ X if fit_intercept else np.zeros(X.shape[1])
    sd = np.sqrt(s @ (X - mean) ** 2)
    sd[sd <= 1e-14 * np.abs(mean)] = 1.0
    sd[sd == 0.0] = 1.0
    Z = np.column_stack(((X - mean) / sd, np.ones(len(y)) if fit_intercept else np.zeros(len(y))))
    ridge = np.append(alpha / sd**2, 0.0)
    sigma = -y if loss.task == "classification" else -np.ones(len(y))
    base = 0.0 if loss.task == "classification" else y

    def f(x):
        return s @ loss.value(base + sigma * (Z @ x)) + 0.5 * ridge @ x**2

    x = np.zeros(Z.shape[1])
    for _ in range(300):
        t = base + sigma * (Z @ x)
        g = Z.T @ (s * sigma * loss.gradient(t)) + ridge * x
        H = Z.T @ (Z * (s * loss.curvature(t))[:, None]) + np.diag(ridge)
        step = -np.linalg.lstsq(H, g, rcond=1e-15)[0]
        scale = 1.0
        while f(x + scale * step) > f(x) and scale > 1e-12:
            scale *= 0.5
        if scale <= 1e-12 or abs(g @ step) < 1e-22 * f(x):
            break
        x = x + scale * step
    coef = x[:-1] / sd
    return coef, x[-1] - mean @ coef, f(x)


def exact_ridge_minimum(X, y, alpha):
    """min over w, b of 1/(2n) |y - Xw - b|² + α/2 |w|² = α/2 rᵀ(K + αn)⁻¹r, centred, in exact arithmetic."""
    n = len(y)
    rows = [[Fraction(float(x)) for x in row] for row in X]
    means = [sum(column) / n for column in zip(*rows, strict=True)]
    rows = [[x - m for x, m in zip(row, means, strict=True)] for row in rows]
    r = [Fraction(float(v)) for v in y]
    r = [v - sum(r) / n for v in r]
    ridge = Fraction(alpha)
    system = [
        [sum(a * b for a, b in zip(p, q, strict=True)) for q in rows] + [r[i]] for i, p in enumerate(rows)
    ]
    for i in range(n):
        system[i][i] += ridge * n
    for i in range(n):  # positive definite: no pivoting needed
        for k in range(i + 1, n):
            factor = system[k][i] / system[i][i]
            system[k] = [b - factor * a for a, b in zip(system[i], system[k], strict=True)]
    return float(ridge / 2 * sum(row[-1] ** 2 / row[i] for i, row in enumerate(system)))
