"""Least squares of dyadic numbers in rational arithmetic, the least solution where there are many."""

from fractions import Fraction

import numpy as np


def rows_of(X):
    return [[Fraction(v) for v in row] for row in np.asarray(X).tolist()]


def reduced(rows):
    """A basis of the space that some rows span, in reduced echelon form."""
    rows, rank = [list(row) for row in rows], 0
    for column in range(len(rows[0])):
        pivot = next((i for i in range(rank, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[rank], rows[pivot] = rows[pivot], rows[rank]
        rows[rank] = [v / rows[rank][column] for v in rows[rank]]
        for i, row in enumerate(rows):
            if i != rank and row[column]:
                rows[i] = [a - row[column] * b for a, b in zip(row, rows[rank], strict=True)]
        rank += 1
    return rows[:rank]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def least_squares(X, y, weight=None, fit_intercept=True):
    """(coef, intercept) of least norm of the coefficients, rounded once at the end."""
    rows, target = rows_of(X), [Fraction(v) for v in np.asarray(y).tolist()]
    s = [Fraction(1)] * len(rows) if weight is None else [Fraction(v) for v in weight.tolist()]
    d, mean, mean_y = len(rows[0]), [Fraction(0)] * len(rows[0]), Fraction(0)
    if fit_intercept:
        mean = [dot(s, column) / sum(s) for column in zip(*rows, strict=True)]
        mean_y = dot(s, target) / sum(s)
    rows = [[v - m for v, m in zip(row, mean, strict=True)] for row in rows]
    basis = reduced([row for row, w in zip(rows, s, strict=True) if w])
    if not basis:
        return np.zeros(d), float(mean_y)
    seen = [[dot(row, b) for b in basis] for row in rows]  # X Bᵀ
    weighted = [[w * v for v in row] for row, w in zip(seen, s, strict=True)]
    left = [t - mean_y for t in target]
    system = [
        [dot(a, b) for b in zip(*seen, strict=True)] + [dot(a, left)] for a in zip(*weighted, strict=True)
    ]
    shares = [row[-1] for row in reduced(system)]
    coef = [dot(shares, column) for column in zip(*basis, strict=True)]
    return np.array([float(v) for v in coef]), float(mean_y - dot(mean, coef))
