"""Least squares without a ridge to the last digits of float64: residuals in twice the precision."""

import math

import numpy as np
from scipy.linalg import solve_triangular

from gdnp._typing import FloatArray


def refined(
    X: FloatArray, y: FloatArray, weight: FloatArray | None, *, fit_intercept: bool
) -> tuple[FloatArray, float]:
    """The minimiser (v, b) of Σ s_i (y_i - x_iᵀv - b)², refined together with its residual (Björck 1967).

    With A = (1, X), both r = y - A x and Aᵀ s r = 0 are corrected by the reflections of A, from residuals in
    twice the precision. So the solution has the digits that X determines, whatever its condition below 1/eps
    and however large r is, where reflections alone lose as many as the condition, or its square times r, has.
    X has full column rank, with an intercept when centred; b is 0 without.
    """
    if weight is not None:
        X, y, weight = X[weight > 0.0], y[weight > 0.0], weight[weight > 0.0]
    s = np.ones(len(y)) if weight is None else weight
    root, first = np.sqrt(s), int(fit_intercept)
    A = np.column_stack((np.ones((len(y), first)), X))
    centre = np.concatenate((np.zeros(first), first * (s @ X) / s.sum()))
    Q, R = np.linalg.qr(root[:, None] * (A - centre))
    scale = np.linalg.norm(R, axis=0)
    x, r, size = np.zeros(A.shape[1]), np.zeros(len(y)), np.inf
    whole = np.column_stack((y, A))
    while True:
        high, low = twice(whole, np.append(1.0, -x))
        left = (high - r) + low
        pull = s * r
        gradient, more = twice(A.T, pull)
        gradient = gradient + (more + A.T @ _product_error(s, r, pull))
        gradient -= centre * gradient[0]
        inside = Q.T @ (root * left) + solve_triangular(R, gradient, trans="T", check_finite=False)
        step = solve_triangular(R, inside, check_finite=False)
        # The residual does not tell: x is rounded, which A magnifies by its condition.
        moved = math.hypot(*(scale * step))
        if not 0.0 < 2.0 * moved < size:
            return x[first:], float(x[0]) if first else 0.0
        if first:
            step[0] -= centre @ step
        x, r, size = x + step, r + left - (Q @ inside) / root, moved


def twice(A: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A v as a sum of two numbers each, as if in twice the precision (Ogita, Rump and Oishi 2005)."""
    p = A * v
    low = _product_error(A, v, p).sum(axis=1)
    p = p.T
    while len(p) > 1:
        half = len(p) // 2
        a, b = p[:half], p[half : 2 * half]
        total = a + b
        back = total - a
        low = low + ((a - (total - back)) + (b - back)).sum(axis=0)
        p = np.vstack((total, p[2 * half :]))
    return p[0], low


def inner(start: float, a: FloatArray, b: FloatArray) -> float:
    """`start` + aᵀb, rounded once: of numbers of any size that may nearly cancel."""
    if not abs(start) + float(np.abs(a) @ np.abs(b)) < math.inf:
        return float(start + a @ b)
    (p, m), (q, n) = np.frexp(a), np.frexp(b)
    product = p * q
    terms = np.ldexp(np.concatenate((product, _product_error(p, q, product))), np.tile(m + n, 2))
    return math.fsum((start, *terms))


def _product_error(a: FloatArray, b: FloatArray, product: FloatArray) -> FloatArray:
    """a b - product, exactly (Dekker 1971)."""
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return np.asarray(a1 * b1 - product + a1 * b2 + a2 * b1 + a2 * b2)


def _halves(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two numbers of 26 bits whose sum is a."""
    c = (2.0**27 + 1.0) * a
    high = c - (c - a)
    return high, a - high
