"""Digits of least squares on the eleven linear regression sets of NIST's Statistical Reference Datasets.

    python benchmarks/nist.py

Digits are -log10 of the relative error of the worst coefficient, at most 15. Powers of x are rounded to
float64, so that even the exact solution of what is stored, the last column, does not always have 15. Data
and certified values: https://www.itl.nist.gov/div898/strd/lls/lls.shtml
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
from sklearn.linear_model import LinearRegression

from gdnp import GDNPRegressor

FILE = Path(__file__).parents[1] / "tests" / "nist.json"
MOST = 15.0


def sets():
    """{name: (X without a constant, y, whether there is an intercept, certified coefficients)}."""
    found = {}
    for name, parts in json.loads(FILE.read_text())["sets"].items():
        x, y, certified = (np.array(parts[key], dtype=float) for key in ("x", "y", "certified"))
        degree = parts["degree"]
        X = np.column_stack([x[:, 0] ** k for k in range(1, degree + 1)]) if degree else x
        found[name] = X, y, parts["intercept"], certified
    return found


def digits(found, certified) -> float:
    """The log relative error of the worst coefficient."""
    error = np.max(np.abs((np.asarray(found) - certified) / certified))
    return float(min(MOST, -np.log10(error))) if error > 0.0 else MOST


def with_constant(X, intercept):
    return np.column_stack((np.ones(len(X)), X)) if intercept else X


def estimated(estimator, X, y, intercept):
    fitted = estimator.set_params(fit_intercept=intercept).fit(X, y)
    return np.append(fitted.intercept_, fitted.coef_) if intercept else fitted.coef_


def by_householder(X, y, intercept):
    """numpy.linalg.qr."""
    Q, R = np.linalg.qr(with_constant(X, intercept))
    return np.linalg.solve(R, Q.T @ y)


def by_svd(X, y, intercept):
    """numpy.linalg.lstsq as it comes."""
    return np.linalg.lstsq(with_constant(X, intercept), y, rcond=None)[0]


def exact(X, y, intercept):
    """The normal equations of the stored numbers in rational arithmetic, rounded once at the end."""
    rows = [[Fraction(v) for v in row] for row in with_constant(X, intercept).tolist()]
    right, d = [Fraction(v) for v in y.tolist()], len(rows[0])
    system = [
        [sum(r[i] * r[j] for r in rows) for j in range(d)]
        + [sum(r[i] * t for r, t in zip(rows, right, strict=True))]
        for i in range(d)
    ]
    for k in range(d):
        system[k] = [v / system[k][k] for v in system[k]]
        for i in range(d):
            if i != k:
                system[i] = [a - system[i][k] * b for a, b in zip(system[i], system[k], strict=True)]
    return [float(row[d]) for row in system]


WAYS = {
    "gdnp": lambda *data: estimated(GDNPRegressor(alpha=0.0), *data),
    "lstsq": by_svd,
    "qr": by_householder,
    "LinearRegression": lambda *data: estimated(LinearRegression(), *data),
    "exact": exact,
}


def table():
    """{set: {way: digits}}."""
    return {
        name: {way: digits(solve(X, y, intercept), certified) for way, solve in WAYS.items()}
        for name, (X, y, intercept, certified) in sets().items()
    }


def main() -> None:
    print(f"{'digits':10}", *(f"{way:>17}" for way in WAYS))
    for name, row in table().items():
        print(f"{name:10}", *(f"{row[way]:17.1f}" for way in WAYS))


if __name__ == "__main__":
    main()
