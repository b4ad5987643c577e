"""The multinomial log loss in many digits, sharing no code with gdnp, and nasty small problems for it."""

from dataclasses import dataclass

import mpmath
import numpy as np

DIGITS = 60
NUMBER = np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)
EXP, LOG1P = (np.frompyfunc(f, 1, 1) for f in (mpmath.exp, mpmath.log1p))


class Exact:
    """f(W, b) = Σ s_i [log Σ_k e^(η_ik) - η_iy]/Σ s_i + α/2 ‖W‖² of raw columns, with 60 digits.

    In its own coordinates, x of shape (d + 1, K - 1), columns are centred and of size 1, and scores are less
    that of the last class: W is the one of those with the same differences whose rows sum to zero.
    """

    def __init__(self, X, y, weight, alpha, classes, fit_intercept=True):
        mpmath.mp.dps = DIGITS
        n = len(X)
        s = NUMBER(np.ones(n) if weight is None else weight)
        self.s, self.y, self.K = s / s.sum(), np.asarray(y), classes
        X = NUMBER(X)
        self.centre = self.s @ X if fit_intercept else 0 * X[0]
        Z = X - self.centre
        size = np.array([float(max(abs(v) for v in column)) or 1.0 for column in Z.T])
        self.unit = NUMBER(np.ldexp(1.0, np.frexp(size)[1]))
        self.Z = np.hstack([Z / self.unit, NUMBER(np.full((n, 1), float(fit_intercept)))])
        self.ridge = np.append(mpmath.mpf(alpha) / self.unit**2, mpmath.mpf(0))
        self.fit_intercept = fit_intercept
        # ½ Σ ridge ‖(v, 0) - mean‖² = ½ Σ ridge vᵀ C v
        self.C = NUMBER(np.eye(classes - 1)) - mpmath.mpf(1) / classes

    def inside(self, coef, intercept):
        """x of (W, b)."""
        W, b = NUMBER(coef), NUMBER(intercept)
        b = b + W @ self.centre if self.fit_intercept else 0 * b
        whole = np.vstack([W.T * self.unit[:, None], b])
        return whole[:, :-1] - whole[:, -1:]

    def value_of(self, coef, intercept):
        """f at raw coefficients, whose rows may sum to anything."""
        W = NUMBER(coef)
        risk = self.value(self.inside(coef, intercept), ridge=False)
        return risk + (self.ridge[:-1] * self.unit**2 * (W**2).sum(axis=0)).sum() / 2

    def _shares(self, x):
        """φ of each row, and p of all classes."""
        eta = np.hstack([self.Z @ x, NUMBER(np.zeros((len(self.y), 1)))])
        apart = eta - eta[np.arange(len(self.y)), self.y][:, None]
        top = np.array([max(row) for row in apart])
        e = EXP(apart - top[:, None])
        own = e[np.arange(len(e)), self.y].copy()
        e[np.arange(len(e)), self.y] = 0
        rest = e.sum(axis=1)
        value = top + LOG1P(rest + own - 1)
        e[np.arange(len(e)), self.y] = own
        return value, e / (rest + own)[:, None]

    def value(self, x, ridge=True):
        """f."""
        pulled = (self.ridge[:, None] * x * (x @ self.C)).sum() / 2 if ridge else 0
        return self.s @ self._shares(x)[0] + pulled

    def least(self, x, steps=40):
        """f after Newton's method from x, damped: at most what it is there, and nothing less than min f."""
        f = self.value(x)
        for _ in range(steps):
            g, H = self._derivatives(x)
            step = _solved(H, g.ravel())
            if step is None:
                break
            step, length, new = step.reshape(x.shape), mpmath.mpf(1), None
            while new is None and length > 1e-9:
                at = x - length * step
                value = self.value(at)
                new = (at, value) if value < f else None
                length /= 2
            if new is None:
                break
            gained, (x, f) = f - new[1], new
            if gained <= mpmath.mpf(10) ** -28 * f:
                break
        return f

    def _derivatives(self, x):
        _, p = self._shares(x)
        r = p.copy()
        r[np.arange(len(r)), self.y] -= 1
        r, p = r[:, :-1] * self.s[:, None], p[:, :-1]
        g = self.Z.T @ r + self.ridge[:, None] * (x @ self.C)
        width, k = x.shape
        H = np.empty((width, k, width, k), dtype=object)
        for a in range(k):
            for b in range(k):
                c = self.s * (p[:, a] * ((a == b) - p[:, b]))
                H[:, a, :, b] = (self.Z * c[:, None]).T @ self.Z
                for j in range(width):
                    H[j, a, j, b] += self.ridge[j] * self.C[a, b]
        return g, H.reshape(width * k, width * k)


def _solved(H, g):
    """H⁻¹ g by Cholesky, with as much of the identity as rounding of X is worth; None where it fails."""
    n, L, z = len(g), H.copy(), g.copy()
    for j in range(n):
        L[j, j] = L[j, j] * (1 + mpmath.mpf(10) ** -40) + mpmath.mpf(10) ** -45
    for j in range(n):
        if not L[j, j] > 0:
            return None
        L[j + 1 :, j] = L[j + 1 :, j] / L[j, j]
        for i in range(j + 1, n):
            L[i:, i] = L[i:, i] - L[i:, j] * (L[i, j] * L[j, j])
    for j in range(n):
        z[j + 1 :] = z[j + 1 :] - L[j + 1 :, j] * z[j]
    z = z / np.diagonal(L)
    for j in range(n - 1, -1, -1):
        z[:j] = z[:j] - L[j, :j] * z[j]
    return z


@dataclass
class Problem:
    """What an estimator is given."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    alpha: float
    fit_intercept: bool
    kinds: list


def problem(number):
    """The problem of that number: several classes, and most of them nasty in one way or more."""
    rng = np.random.default_rng([7, number])
    K, d = int(rng.integers(3, 5)), int(rng.integers(1, 4))
    n = int(rng.integers(4, 20))
    kinds = [kind for kind in KINDS if rng.random() < 0.22]
    X = rng.standard_normal((n, d))
    y = (
        X @ rng.standard_normal((d, K)) + (0.0 if "apart" in kinds else 1.0) * rng.gumbel(size=(n, K))
    ).argmax(axis=1)
    if "rare" in kinds:
        y[y == K - 1] = 0
        y[0] = K - 1
    y[rng.permutation(n)[:K]] = np.arange(K)
    if "dependent" in kinds and d > 1:
        X[:, -1] = -4.0 * X[:, 0]  # without rounding, also after a change of units
    if "constant" in kinds:
        X[:, 0] = 0.7
    if "scales" in kinds:
        X = X * (2.0 if "dependent" in kinds else 10.0) ** rng.integers(-8, 8, d)
    if "offsets" in kinds and "dependent" not in kinds:
        X = X + 10.0 ** rng.uniform(0.0, 9.0, d) * np.abs(X).max(axis=0)
    weight = None
    if "weights" in kinds:
        weight = 10.0 ** rng.uniform(-6.0, 6.0, n)
    elif "zeros" in kinds:
        weight = rng.integers(0, 3, n).astype(float)
        weight[np.unique(y, return_index=True)[1]] = 1.0
    alpha = float(rng.choice([0.0, 1e-10, 1e-4, 1.0], p=[0.25, 0.25, 0.3, 0.2]))
    return Problem(X, y, weight, alpha, bool(rng.random() < 0.8), kinds)


KINDS = ("scales", "offsets", "dependent", "constant", "apart", "rare", "weights", "zeros")
