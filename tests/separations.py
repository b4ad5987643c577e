"""Which rows a hyperplane can have strictly on their sides, exactly, and the least loss of the others."""

from fractions import Fraction
from itertools import combinations

import numpy as np
from hypothesis import strategies as st
from scipy.special import log_ndtr

from gdnp.losses import Loss


def null_space(rows, d):
    """A basis of {p: A p = 0} by Gauss and Jordan's elimination over the rationals."""
    rows, pivots = [list(map(Fraction, row)) for row in rows], []
    for j in range(d):
        k = next((i for i in range(len(pivots), len(rows)) if rows[i][j]), None)
        if k is None:
            continue
        top = len(pivots)
        rows[top], rows[k] = rows[k], rows[top]
        rows[top] = [x / rows[top][j] for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[j]:
                rows[i] = [x - row[j] * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(j)
    basis = []
    for free in sorted(set(range(d)) - set(pivots)):
        p = [Fraction(int(j == free)) for j in range(d)]
        for i, j in enumerate(pivots):
            p[j] = -rows[i][free]
        basis.append(p)
    return basis


def separated(A):
    """Rows i of an integer matrix A, shape (n, d), with A p <= 0 and (A p)_i < 0 for some p.

    The cone is that of its extreme rays and of the directions that change nothing. A ray is the only
    direction, of those across these, that does not change some of the rows.
    """
    A = [[int(x) for x in row] for row in A]
    d = len(A[0])
    idle = null_space(A, d)
    found = np.zeros(len(A), dtype=bool)
    for some in combinations(A, max(d - len(idle) - 1, 0)):
        rays = null_space([*some, *idle], d)
        if len(rays) != 1:
            continue
        for sign in (1, -1):
            change = [sign * sum(x * y for x, y in zip(row, rays[0], strict=True)) for row in A]
            if max(change) <= 0:
                found |= np.array([q < 0 for q in change])
    return found


def least_log_loss(A, s):
    """min Σ s_i log(1 + exp(A_i p)) and A p there, by Newton's method; flat directions are left out."""
    p = np.zeros(A.shape[1])
    value = np.inf
    for _ in range(200):
        t = A @ p
        new = float(s @ np.logaddexp(0.0, t))
        a = 1.0 / (1.0 + np.exp(-t))
        step = np.linalg.lstsq(A.T @ (A * (s * a * (1.0 - a))[:, None]), A.T @ (s * a), rcond=1e-12)[0]
        if new >= value - 1e-16 and np.abs(A @ step).max() < 1e-9:
            break
        value, p = new, p - step / (1.0 + np.abs(A @ step).max())
    return value, A @ p


class Case:
    """Rows of small integers with labels, weights and an answer; as margins, σ (x, 1) is A."""

    def __init__(self, X, y, s, fit_intercept):
        self.X, self.y, self.s, self.fit_intercept = X, y, s, fit_intercept
        counts = s > 0.0
        A = -y[:, None] * (np.column_stack([X, np.ones(len(y))]) if fit_intercept else X)
        self.A, self.weight = A[counts], s[counts] / s.sum()
        self.apart = separated(self.A)
        self.kind = "complete" if self.apart.all() else "partial" if self.apart.any() else "none"
        self.infimum, self.rest = 0.0, np.zeros(0)
        if self.kind != "complete":
            self.infimum, self.rest = least_log_loss(self.A[~self.apart], self.weight[~self.apart])

    def margins(self, coef, intercept):
        return self.A @ (np.append(coef, intercept) if self.fit_intercept else coef)


@st.composite
def cases(draw):
    """Both labels in rows of positive weight."""
    n, d = draw(st.integers(3, 9)), draw(st.integers(1, 3))
    whole = st.integers(-2, 2)
    X = np.array(draw(st.lists(st.lists(whole, min_size=d, max_size=d), min_size=n, max_size=n)), dtype=float)
    y = np.array(draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=n, max_size=n)))
    s = np.array(draw(st.lists(st.sampled_from([1.0, 1.0, 2.0, 0.0]), min_size=n, max_size=n)))
    y[:2], s[:2] = [-1.0, 1.0], np.maximum(s[:2], 1.0)
    return Case(X, y, s, draw(st.booleans()))


class SlowTail(Loss):
    """φ(t) = t + √(1 + t²), which falls like 1/(2 |t|)."""

    name = "slow_tail"
    task = "classification"
    convex = True
    increasing = True
    max_gradient = 2.0
    max_curvature = 1.0

    def value(self, t):
        root = np.hypot(1.0, t)
        return np.where(t > 0.0, t + root, 1.0 / (root - np.minimum(t, 0.0)))

    def gradient(self, t):
        return self.value(t) / np.hypot(1.0, t)

    def curvature(self, t):
        return np.hypot(1.0, t) ** -3.0


class FastTail(Loss):
    """φ(t) = -log Φ(-t) of probit regression, which falls faster than any exponential."""

    name = "fast_tail"
    task = "classification"
    convex = True
    increasing = True
    max_gradient = np.inf
    max_curvature = 1.0

    def value(self, t):
        return -log_ndtr(-t)

    def gradient(self, t):
        return np.exp(-0.5 * t * t - log_ndtr(-t)) / np.sqrt(2.0 * np.pi)

    def curvature(self, t):
        slope = self.gradient(t)
        return slope * (slope - t)
