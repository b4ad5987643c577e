"""The data sets of the comparison: real ones, and synthetic ones that are hard in one way each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import normalize

from gdnp.datasets import fetch_a9a, fetch_mushrooms


def _labels(rng, margin):
    return np.where(rng.random(len(margin)) < 1.0 / (1.0 + np.exp(-margin)), 1.0, -1.0)


def _offset_for(margin, share):
    """The intercept at which `share` of the rows is expected positive."""
    low, high = -60.0, 60.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if np.mean(1.0 / (1.0 + np.exp(-margin - middle))) < share else (low, middle)
        )
    return low


def tall(n=500_000, d=54):
    """Dense, condition 1e4, heavy tails."""
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = rng.standard_t(3, size=(n, d)) * np.logspace(0, -2, d) @ basis
    return X, _labels(rng, X @ (basis.T @ (rng.standard_normal(d) * np.logspace(0, 1.0, d))))


def power_law(n=100_000, d=20_000, per_row=40):
    """Sparse, columns used as a power law."""
    rng = np.random.default_rng(1)
    popularity = 1.0 / np.arange(1, d + 1) ** 1.1
    columns = rng.choice(d, size=n * per_row, p=popularity / popularity.sum())
    X = sp.csr_matrix(
        (rng.lognormal(0.0, 0.5, n * per_row), columns, np.arange(0, n * per_row + 1, per_row)), (n, d)
    )
    X.sum_duplicates()
    margin = X @ (rng.standard_normal(d) * 0.7)
    return X, _labels(rng, margin - margin.mean())


def phishing_like(n=11_055, d=68, per_row=30):
    """Sparse binary, nearly half full."""
    rng = np.random.default_rng(2)
    X = sp.csr_matrix((rng.random((n, d)) < np.linspace(0.05, 0.9, d)) * 1.0)
    margin = X @ rng.standard_normal(d)
    return X, _labels(rng, 1.5 * (margin - margin.mean()))


def ijcnn_like(n=49_990, d=22):
    """Dense, a tenth of the rows positive."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.3 * rng.standard_normal((d, d)))
    margin = X @ rng.standard_normal(d) * 0.7
    return X, _labels(rng, margin + _offset_for(margin, 0.1))


def w8a_like(n=49_749, d=300, per_row=12):
    """Sparse binary, few entries a row, 3 % positive."""
    rng = np.random.default_rng(4)
    popularity = 1.0 / np.arange(1, d + 1) ** 0.8
    columns = rng.choice(d, size=n * per_row, p=popularity / popularity.sum())
    X = sp.csr_matrix((np.ones(n * per_row), columns, np.arange(0, n * per_row + 1, per_row)), (n, d))
    X.sum_duplicates()
    X.data[:] = 1.0
    margin = 1.5 * (X @ rng.standard_normal(d))
    return X, _labels(rng, margin + _offset_for(margin, 0.03))


def text_like(n=11_314, d=100_000, per_row=120):
    """Sparse, tf-idf of words used as a power law, rows of length one, eight columns to a row."""
    rng = np.random.default_rng(5)
    return _tf_idf(rng, _counts(rng, n, d, per_row))


def vocabulary(n=5000, d=2000, per_row=60):
    """The same of shorter texts, with the commonest words alone as columns: what `max_features` makes."""
    rng = np.random.default_rng(8)
    counts = _counts(rng, n, 20 * d, per_row)
    return _tf_idf(rng, counts[:, np.sort(np.argsort(-counts.sum(axis=0).A1, kind="stable")[:d])])


def _counts(rng, n, d, per_row):
    """How often each word is in each text."""
    popularity = 1.0 / np.arange(1, d + 1) ** 1.05
    lengths = rng.lognormal(np.log(per_row), 0.6, n).astype(int) + 5
    words = rng.choice(d, size=lengths.sum(), p=popularity / popularity.sum())
    X = sp.csr_matrix((np.ones(len(words)), words, np.concatenate(([0], np.cumsum(lengths)))), (n, d))
    X.sum_duplicates()
    return X


def _tf_idf(rng, X):
    """Rows of length one, and labels that every word has a say in."""
    n = X.shape[0]
    X = X[:, np.flatnonzero(np.bincount(X.indices, minlength=X.shape[1]))]
    rarity = np.log((1.0 + n) / (1.0 + np.bincount(X.indices, minlength=X.shape[1]))) + 1.0
    X.data = (1.0 + np.log(X.data)) * rarity[X.indices]
    X = sp.csr_matrix(normalize(X))
    margin = X @ (rng.standard_normal(X.shape[1]) * rng.exponential(1.0, X.shape[1]))
    return X, _labels(rng, 3.0 * margin / margin.std())


def wide(n=1000, d=20_000, density=0.005):
    """Sparse, twenty times as many columns as rows: what is left is overhead."""
    rng = np.random.default_rng(6)
    X = sp.random(n, d, density, "csr", random_state=6)
    margin = X @ rng.standard_normal(d)
    return X, _labels(rng, 5.0 * margin / margin.std())


def factors(n=3000, d=2200, k=50):
    """Dense, thousands of correlated columns: fifty factors of falling size, and noise."""
    rng = np.random.default_rng(7)
    common = rng.standard_normal((n, k)) * np.logspace(0, -1, k) @ rng.standard_normal((k, d))
    X = 2.0 * common + rng.standard_normal((n, d)) + rng.standard_normal(d)
    margin = X @ rng.standard_normal(d)
    return X, _labels(rng, 2.0 * (margin - margin.mean()) / margin.std())


def categories(n=30_000, variables=12, levels=80):
    """Sparse, one column for each value of twelve variables, which come as a power law."""
    rng = np.random.default_rng(9)
    share = 1.0 / np.arange(1, levels + 1) ** 1.2
    codes = rng.choice(levels, size=(n, variables), p=share / share.sum()) + levels * np.arange(variables)
    X = sp.csr_matrix(
        (np.ones(codes.size), codes.ravel(), variables * np.arange(n + 1)), (n, variables * levels)
    )
    margin = X @ rng.standard_normal(variables * levels)
    return X, _labels(rng, margin - margin.mean())


def mixed_units(n=20_000, d=30):
    """Dense, a table as it comes: amounts, counts, shares and flags, each in a unit of its own."""
    rng = np.random.default_rng(10)
    latent = rng.standard_normal((n, 6)) @ rng.standard_normal((6, d)) / 2.0 + rng.standard_normal((n, d))
    kinds = [
        lambda z: 1e4 * np.exp(z),
        lambda z: np.floor(np.exp(0.5 * z) * 3.0),
        lambda z: 1.0 / (1.0 + np.exp(-z)),
    ]
    kinds += [lambda z: (z > 1.0) * 1.0, lambda z: 40.0 + 15.0 * z]
    X = np.column_stack([kinds[j % len(kinds)](latent[:, j]) for j in range(d)])
    return X, _labels(rng, latent @ rng.standard_normal(d) - 1.0)


def polynomial(n=30_000, d=10):
    """Dense, ten variables with their squares and products, which are correlated."""
    rng = np.random.default_rng(11)
    Z = rng.uniform(0.0, 2.0, (n, d))
    first, second = np.triu_indices(d)
    X = np.hstack((Z, Z[:, first] * Z[:, second]))
    margin = X @ rng.standard_normal(X.shape[1])
    return X, _labels(rng, margin - margin.mean())


def gene_like(n=300, d=5000, blocks=50):
    """Dense, few rows and thousands of columns that go together in blocks; a few of them count."""
    rng = np.random.default_rng(12)
    X = np.repeat(rng.standard_normal((n, blocks)), d // blocks, axis=1) + rng.standard_normal((n, d))
    margin = X[:, rng.choice(d, 30, replace=False)] @ rng.standard_normal(30)
    return X, _labels(rng, margin / 3.0)


def small(n=700, d=12):
    """Dense, hundreds of rows: what is left is overhead."""
    rng = np.random.default_rng(13)
    X = rng.standard_normal((n, d)) @ (np.eye(d) + 0.5 * rng.standard_normal((d, d))) + rng.standard_normal(d)
    return X, _labels(rng, (X - X.mean(axis=0)) @ rng.standard_normal(d) * 0.5)


def _fetched(fetch):
    data = fetch()
    return data.X, np.asarray(data.y)


SETS: dict[str, Callable] = {
    "a9a": lambda: _fetched(fetch_a9a),
    "mushrooms": lambda: _fetched(fetch_mushrooms),
    "breast_cancer": lambda: load_breast_cancer(return_X_y=True),
    "digits": lambda: load_digits(return_X_y=True),
    "tall": tall,
    "power_law": power_law,
    "phishing_like": phishing_like,
    "ijcnn_like": ijcnn_like,
    "w8a_like": w8a_like,
    "text_like": text_like,
    "wide": wide,
    "factors": factors,
    "vocabulary": vocabulary,
    "categories": categories,
    "mixed_units": mixed_units,
    "polynomial": polynomial,
    "gene_like": gene_like,
    "small": small,
}
