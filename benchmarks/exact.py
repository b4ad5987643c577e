"""The least value of a linear model's objective in many digits: a reference that shares no code with gdnp.

Numbers are mpmath's, with 50 digits, or NumPy's long doubles. The columns are centred and scaled in that
arithmetic, and Newton's method goes down from a point that is given. What it finds is an upper bound of the
least value, so a claim that it refutes is false whatever else went wrong here.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import mpmath
import numpy as np
from scipy.optimize import linprog

DIGITS = 50
ENOUGH = 1e-25
"""Relative decrease that ends mpmath's iterations."""
UNIT = 2.0**-52

mpmath.mp.dps = DIGITS


def _each(function: Any) -> Any:
    """A function of one mpmath number, for arrays of them."""
    made = np.frompyfunc(function, 1, 1)
    return lambda t: made(t)


def _exactly(v: Any) -> Any:
    """A long double, or a number of mpmath itself, as one of mpmath."""
    return v if isinstance(v, mpmath.mpf) else mpmath.mpf(float(v)) + mpmath.mpf(float(v - float(v)))


class Exact:
    """f(w, b) = Σ s_i φ(t_i)/Σ s_i + α/2 ‖w‖² in the arithmetic asked for.

    Parameters
    ----------
    X : ndarray of shape (n, d)
    y : ndarray of shape (n,)
        -1 and +1 for a classification loss.
    weight : ndarray of shape (n,) or None
    loss : {"log_loss", "sigmoid", "probit", "squared_error", "pseudo_huber"}
        The last with δ = 1.
    alpha : float
    fit_intercept : bool
    many : bool
        Whether numbers are mpmath's; else long doubles.
    """

    def __init__(self, X, y, weight, loss, alpha, fit_intercept, many):
        self.many, self.loss, self.fit_intercept = many, loss, fit_intercept
        self.about, self.barrier = None, 0
        self.given = (X, y, weight, loss, alpha, fit_intercept)
        self.unit = 10.0 ** (5 - DIGITS) if many else float(np.finfo(np.longdouble).eps)
        X, y = self._array(X), self._array(y)
        s = self._array(np.ones(len(y)) if weight is None else weight)
        self.s, self.alive = s / s.sum(), s > 0
        self.centre = self.s @ X if fit_intercept else 0.0 * X[0]
        self.Z = X - self.centre
        size = np.array([float(abs(column).max()) for column in self.Z.T])
        size[size == 0.0] = 1.0
        self.per = self._array(np.ldexp(1.0, -np.frexp(size)[1]))
        self.Z = self.Z * self.per
        spread = np.sqrt(np.array([float(v) for v in self.s @ self.Z**2]))
        grown = self._array(np.ldexp(1.0, -np.frexp(np.where(spread > 0.0, spread, 1.0))[1]))
        self.Z, self.per = self.Z * grown, self.per * grown
        self.ridge = np.append(self._array([alpha])[0] * self.per**2, self._array([0.0]))
        one = self._array(np.full((len(y), 1), float(fit_intercept)))
        self.Z = np.hstack((self.Z, one))
        self.classify = loss in ("log_loss", "sigmoid", "probit")
        self.base, self.sigma = (0.0 * y, -y) if self.classify else (y, -self._array(np.ones(len(y))))
        if many:
            self.exp, self.sqrt, self.log = _each(mpmath.exp), _each(mpmath.sqrt), _each(mpmath.log)
        else:
            self.exp, self.sqrt, self.log = np.exp, np.sqrt, np.log

    def _array(self, values):
        values = np.asarray(values, dtype=np.float64)
        if not self.many:
            return values.astype(np.longdouble)
        return np.frompyfunc(lambda v: mpmath.mpf(float(v)), 1, 1)(values)

    # Points

    def inside(self, coef, intercept):
        """x of (w, b) in the coordinates of this class."""
        coef = self._array(coef)
        return np.append(coef / self.per, self.shifted(self._array([intercept])[0], coef))

    def shifted(self, b, coef):
        """b + centreᵀw, which cancels where columns are far from zero, in many digits."""
        if not self.fit_intercept:
            return b
        b = _exactly(b) + sum(_exactly(c) * _exactly(w) for c, w in zip(self.centre, coef, strict=True))
        return b if self.many else np.longdouble(float(b)) + np.longdouble(float(b - float(b)))

    def constant(self):
        """x of the constant prediction: log-odds or mean, 0 without an intercept."""
        x = 0 * np.append(self.per, self.per[:1])
        if self.fit_intercept:
            mean = self.s @ (-self.sigma if self.classify else self.base)
            x[-1] = mean
            if self.classify:
                x[-1] = self._array([2.0 * math.atanh(float(mean)) if abs(float(mean)) < 1.0 else 0.0])[0]
        return x

    def margins(self, x):
        """t."""
        return self.base + self.sigma * (self.Z @ x)

    def value(self, x):
        """f, and the barrier of ``nearby`` where one is up."""
        t = self.margins(x)
        f = self.s @ self.phi(t) + (self.ridge @ x**2) / 2
        if self.about is None:
            return f
        room = 1 - (t - self.about) ** 2
        return f - self.barrier * sum(self.log(room)) if (room > 0).all() else np.inf

    def phi(self, t):
        """φ(t)."""
        if self.loss == "squared_error":
            return t * t / 2
        if self.loss == "pseudo_huber":
            return t * t / (1 + self.sqrt(1 + t * t))
        if self.loss == "sigmoid":
            return 1 / (1 + self.exp(-t))
        if self.loss == "probit":
            return _each(mpmath.ncdf)(t)
        if self.many:
            return _each(lambda z: max(z, 0) + mpmath.log1p(mpmath.exp(-abs(z))))(t)
        return np.maximum(t, 0) + np.log1p(np.exp(-np.abs(t)))

    def slopes(self, t):
        """φ' and φ''."""
        if self.loss == "squared_error":
            return t, 0 * t + 1
        if self.loss == "pseudo_huber":
            root = self.sqrt(1 + t * t)
            return t / root, 1 / root**3
        if self.loss == "probit":
            density = self.exp(-t * t / 2) / mpmath.sqrt(2 * mpmath.pi)
            return density, -t * density
        e = self.exp(-abs(t))
        up, down = 1 / (1 + e), e / (1 + e)
        p = np.where(t >= 0, up, down)
        if self.loss == "log_loss":
            return p, up * down
        return up * down, up * down * (down - up) * np.where(t >= 0, 1, -1)

    def parts(self, x, majorised=False):
        """∇f and ∇²f; `majorised` has φ'(t)/t in the place of φ''."""
        t = self.margins(x)
        r, c = self.slopes(t)
        if majorised:
            c = 1 / self.sqrt(1 + t * t)
        r, c = self.s * r, self.s * c
        if self.about is not None:
            q = t - self.about
            r = r + self.barrier * 2 * q / (1 - q * q)
            c = c + self.barrier * 2 * (1 + q * q) / (1 - q * q) ** 2
        H = (self.Z * c[:, None]).T @ self.Z
        for j in range(len(x)):
            H[j, j] = H[j, j] + self.ridge[j]
            if H[j, j] == 0:
                H[j, j] = 1 + 0 * H[j, j]
        return self.Z.T @ (r * self.sigma) + self.ridge * x, H

    # Minimum

    def least(self, x, most):
        """(x, f) after at most so many steps down from x."""
        f = self.value(x)
        for _ in range(most):
            found = self._down(x, f)
            if found is None:
                break
            gained, (x, f) = f - found[1], found
            if not gained > (ENOUGH if self.many else self.unit) * f:
                break
        return x, f

    def _down(self, x, f):
        """A lower point: the Newton step or a part of it, or that of reweighted least squares."""
        kinds = (False, True) if self.loss == "pseudo_huber" else (False,)
        for majorised in kinds:
            g, H = self.parts(x, majorised)
            step, power = self._solved(H, g), -30
            while step is None and self.about is not None and power < 0:  # where f bends down
                shift = 10.0**power * max(abs(np.diagonal(H)))
                step, power = self._solved(H + shift * np.eye(len(g)), g), power + 3
            if step is None:
                continue
            length, lowest = 1, None
            for _ in range(40):
                new = x - length * step
                value = self.value(new)
                if lowest is not None and value > lowest[1]:
                    break
                if value < f:
                    lowest = new, value
                    if f - value > length * (g @ step) / 8:
                        break
                length = length / 2 if self.many else np.longdouble(length) / 2
            if lowest is not None:
                return lowest
        return None

    def nearby(self, x):
        """(x, f) where f is least while no margin moves by more than 1, by a barrier that comes down."""
        near = copy.copy(self)
        near.about, near.barrier = self.margins(x), self.value(x)
        lowest = x, self.value(x)
        for _ in range(4):
            near.barrier = near.barrier / 10000
            x, _ = near.least(x, 12)
            lowest = min(lowest, (x, self.value(x)), key=lambda found: found[1])
        return lowest

    def _solved(self, H, g):
        """(H + a rounding error of the columns)⁻¹ g by Cholesky; None where H is not positive definite."""
        d = len(g)
        L, z = H.copy(), g.copy()
        # Directions along which X is 0 within the rounding of its columns count as such.
        small = (len(self.s) * UNIT) ** 2 if self.many else 64 * self.unit
        for j in range(d):
            L[j, j] = L[j, j] * (1 + small)
        for j in range(d):
            if not L[j, j] > 0:
                return None
            L[j + 1 :, j] = L[j + 1 :, j] / L[j, j]
            if j + 1 < d:
                L[j + 1 :, j + 1 :] = L[j + 1 :, j + 1 :] - np.outer(L[j + 1 :, j], L[j + 1 :, j]) * L[j, j]
                z[j + 1 :] = z[j + 1 :] - L[j + 1 :, j] * z[j]
        z = z / np.diagonal(L)
        for j in range(d - 1, 0, -1):
            z[:j] = z[:j] - L[j, :j] * z[j]
        return z

    # Without a ridge

    def without_combinations(self, rounding):
        """The problem without the columns that others make up but for rounding, and x -> x in it.

        Standardised, they leave of such a column at most 64 `rounding` times the entries that cancel, as is
        documented; twice that here, for another arithmetic may round otherwise.
        """
        Z = np.array(self.Z[:, :-1], dtype=np.longdouble)
        W = np.sqrt(np.array(self.s, dtype=np.longdouble))[:, None] * Z
        noise = 128 * rounding * (1.0 + np.abs(np.array(self.centre * self.per, dtype=float)))
        left, kept, Q, R = W.copy(), [], [], np.zeros((0, Z.shape[1]), dtype=np.longdouble)
        while len(kept) < min(W.shape):
            sizes = np.sqrt((left**2).sum(axis=0))
            sizes[kept] = 0.0
            j = int(np.argmax(sizes))
            share = np.zeros(0)
            if kept:
                share = np.linalg.solve(R[:, kept].astype(float), R[:, j].astype(float))
            enough = np.hypot(noise[j], np.linalg.norm(share * noise[kept]))
            if not sizes[j] > min(enough, UNIT**0.25):
                break
            q = left[:, j] / sizes[j]
            row = q @ left
            left = left - np.outer(q, row)
            again = q @ left  # a second time, for orthogonality to the last digit
            left = left - np.outer(q, again)
            Q, R, kept = [*Q, q], np.vstack((R, row + again)), [*kept, j]
        rest = [j for j in range(Z.shape[1]) if j not in kept]
        if not rest:
            return self, lambda x: x
        few = copy.copy(self)
        few.Z = self.Z.copy()
        few.Z[:, rest] = 0 * few.Z[:, rest]
        mixture = np.zeros((len(kept), len(rest)))
        if kept:
            mixture = np.linalg.solve(R[:, kept].astype(float), R[:, rest].astype(float))

        def moved(x):
            x = x.copy()
            x[kept] = x[kept] + self._array(mixture) @ x[rest]
            x[rest] = 0 * x[rest]
            return x

        return few, moved

    # What is asked

    def error(self, x):
        """A bound of the rounding of f at x."""
        t = self.margins(x)
        moved = 8 * self.unit * (abs(self.Z) @ abs(x) + abs(t))
        r, _ = self.slopes(t)
        return float(self.s @ (abs(r) * moved)) + 16 * self.unit * float(self.value(x))

    def rounding_of_targets(self):
        """What a relative gap is relative to at least, as ``Certificate`` says."""
        constant = self.constant()
        bend = {"log_loss": 0.25, "sigmoid": 0.0962, "probit": 0.242}.get(self.loss, 1.0)
        return max(
            1e-15 * float(self.value(constant)), 0.5 * bend * (UNIT ** (2 / 3) * float(constant[-1])) ** 2
        )

    def condition(self, x):
        """λ_max/λ_min of ∇²f with a unit diagonal, in double precision."""
        _, H = self.parts(x)
        H = H[: len(x) - (not self.fit_intercept), : len(x) - (not self.fit_intercept)]
        root = self.sqrt(abs(np.diagonal(H)))
        values = np.linalg.eigvalsh(np.array(H / np.outer(root, root), dtype=float))
        return float(values[-1] / values[0]) if values[0] > 0.0 else math.inf

    def apart(self, x):
        """Whether every row that counts is on its side."""
        return bool((self.margins(x)[self.alive] < 0).all())

    def separated(self, x):
        """Whether some direction lowers no margin and raises one; None where neither is seen.

        Both answers are checked in this arithmetic: a direction (that of x, or of a linear program) by its
        margins, that there is none by numbers a > 0 with Σ a_i σ_i z_i = 0 (Stiemke's lemma).
        """
        if self.apart(x):
            return True
        signed = (self.Z * -self.sigma[:, None])[self.alive]
        sizes = abs(signed).max(axis=1)
        signed = signed / np.where(sizes == 0, 1, sizes)[:, None]
        rows = signed.astype(float)
        n, d = rows.shape
        options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
        found = linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(n), bounds=(-1.0, 1.0), options=options)
        for power in range(-9, -3) if found.status == 0 else ():
            still = rows @ found.x <= 10.0**power
            moved = signed @ self._across(found.x, signed[still])
            rounding = self.unit ** (2.0 / 3.0)
            if not still.all() and (moved[~still] > 0).all() and (abs(moved[still]) <= rounding).all():
                return True
        balance = np.hstack([rows.T, np.zeros((d, 1))])
        least = np.hstack([-np.eye(n), np.ones((n, 1))])
        bounds = [(0.0, 1.0)] * n + [(None, None)]
        last = np.append(np.zeros(n), -1.0)
        found = linprog(last, least, np.zeros(n), balance, np.zeros(d), bounds=bounds, options=options)
        if found.status == 0 and (self._across(found.x[:-1], signed.T) > 0).all():
            return False
        return None

    def _across(self, v, rows):
        """v without what it has of these rows, by Gram and Schmidt, twice."""
        v, basis = self._array(v), []
        for row in rows:
            left = row
            for q in 2 * basis:
                left = left - (q @ left) * q
            size = self.sqrt(left @ left)
            if size > self.unit ** (2.0 / 3.0) * self.sqrt(row @ row):
                basis.append(left / size)
        for q in 2 * basis:
            v = v - (q @ v) * q
        return v


def separated(exact, coef, intercept, rounding=UNIT):
    """Whether classes are separated, by columns that others do not make up or by all of them as they stand.

    The solver does without such columns, so that a direction along these alone is none to be found.
    """
    at = exact.inside(coef, intercept)
    few, moved = exact.without_combinations(rounding)
    return True if few is not exact and exact.apart(at) else few.separated(moved(at))


def attainable(exact, x, kind=np.float64):
    """f at x once its coefficients are of that type."""
    coef = x[:-1] * exact.per
    b = exact.shifted(x[-1], -coef)
    return exact.value(exact.inside([float(kind(float(v))) for v in coef], float(kind(float(b)))))


def least_value(exact, coef, intercept, rounding=UNIT):
    """(f at the coefficients, least f found, x there, rounding of the difference, least f farther off).

    Of a bounded loss x is found where no margin moves by more than 1 from those of the coefficients.
    """
    at = exact.inside(coef, intercept)
    value, error = exact.value(at), exact.error(at)
    start, given = at, exact
    if exact.given[4] == 0.0:
        exact, moved = exact.without_combinations(rounding)
        start = moved(at)
    if exact.loss in ("sigmoid", "probit"):
        x, far = exact.least(start, 12)
        moved = abs(exact.margins(x) - exact.margins(start)) > 1
        x, best = exact.nearby(start) if moved.any() else (x, far)
        return value, best, x, error, far
    constant = exact.constant()
    if exact.value(constant) < exact.value(start):
        start = constant
    if exact.many:  # most of the way in long doubles
        rough = Exact(*exact.given, many=False)
        if exact is not given:
            rough, _ = rough.without_combinations(rounding)
        x, _ = rough.least(np.array([np.longdouble(mpmath.nstr(v, 22)) for v in start]), 100)
        near = np.array([mpmath.mpf(np.format_float_scientific(v, 25)) for v in x])
        if exact.value(near) < exact.value(start):
            start = near
    x, best = exact.least(start, 30 if exact.many else 200)
    return value, best, x, error + exact.error(x), best
