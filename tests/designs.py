"""Every way to store X that tests run over: a backend adds a line to BACKENDS, and its sizes to SMALL."""

import numpy as np
import scipy.sparse as sp

import gdnp.design.dense as dense
import gdnp.design.rows as rows
import gdnp.design.sparse as sparse
import gdnp.design.threads as threads
from gdnp.design import as_design


def int64_csr(X):
    X = sp.csr_array(X)
    return sp.csr_array((X.data, X.indices.astype(np.int64), X.indptr.astype(np.int64)), X.shape)


def stored(form):
    """A backend that ``as_design`` finds for what `form` makes of a dense array."""
    return lambda X, n_jobs=None: as_design(form(X), n_jobs)


BACKENDS = {
    "c_order": stored(np.ascontiguousarray),
    "fortran": stored(np.asfortranarray),
    "strided": stored(lambda X: np.repeat(X, 2, axis=1)[:, ::2]),
    "read_only": stored(lambda X: np.lib.stride_tricks.as_strided(X, writeable=False)),
    "float32": stored(lambda X: X.astype(np.float32)),
    "int8": stored(lambda X: X.astype(np.int8)),
    "csr": stored(sp.csr_array),
    "csc": stored(sp.csc_array),
    "coo": stored(sp.coo_array),
    "csr_matrix": stored(sp.csr_matrix),
    "int64_indices": stored(int64_csr),
}
"""Each makes a design of whole numbers from -128 to 127, in an array of float64, on so many threads."""

SMALL = {
    (dense, "BLOCK_FLOATS"): 400,
    (dense, "COPIED_FLOATS"): 100,
    (dense, "COPIED_ROWS"): 24,
    (sparse, "BLOCK_ENTRIES"): 300,
    (sparse, "DENSE_ROWS_FLOATS"): 100,
    (threads, "SERIAL_WORK"): 1.0,
    (rows, "ROWS"): 50,
}
"""Sizes that cut a few hundred rows into many blocks, and let threads share them."""


def shrink_blocks(monkeypatch):
    for (module, name), size in SMALL.items():
        monkeypatch.setattr(module, name, size)


def whole_numbers(rng, n=700, d=6):
    """Numbers that every backend holds exactly: sparse, a column without zeros and one of nothing else."""
    X = rng.integers(-9, 10, (n, d)) * (rng.random((n, d)) < 0.4)
    X[:, 2] = rng.integers(15, 30, n)
    X[:, 5] = 0
    return X.astype(float)
