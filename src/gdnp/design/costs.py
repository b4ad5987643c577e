"""Times of operations in units of a pass, as measured by ``benchmarks/costs.py``.

A pass is one product with X and one with Xᵀ. Entries are those stored: the non-zeros of
sparse X. A wrong time costs speed, never an answer.
"""

ENTRIES_A_PASS = 1.6
"""Time of a pass over dense X for each of its entries, in units of reading one."""
SPARSE_ENTRY = 4.8
"""Reading a stored entry of sparse X, in units of one of dense X."""
ROW_OF_A_PASS = 12.0
"""What a pass does for each row beside reading it, in units of reading an entry: the loss."""
ROW_WORK = 8.0
"""A sum over rows that does not look at X, for each row, in the same units."""
SERIAL_WORK = float(1 << 21)
"""Work, in the same units, below which a thread costs more than it saves: waking it takes 0.1 to 0.2 ms."""
OVERHEAD = 2.5e5
"""Entries that could be read while a step does what is no pass."""
DRAWING, DRAWING_A_ROW = 2e5, 25.0
"""Entries that could be read while rows are drawn and copied, and for each row that they are drawn from."""
SPARSE_PRODUCT = 270.0
"""One multiplication of a sparse-sparse product, in multiplications of a dense one."""
PAIR = 15.0
"""A product of two entries of a sparse row, among all its pairs, in multiplications of a dense Gram."""
DENSE_COLUMNS, SPARSE_COLUMNS = 0.3, 0.25
"""XᵀX V for each column of V, where they are many, in passes."""
ORTHOGONAL = 0.55
"""Making d x k directions orthonormal, in units of d k² entries of a pass."""
CHOLESKY = 0.035
"""A Cholesky factor of side k, in units of k³ times reading an entry."""


def dense_gram(columns: int) -> float:
    """A Gram of dense X, in passes: blocked products run near the peak of a core."""
    return 2.0 * ENTRIES_A_PASS + columns / 9.0


def dense_kernel(rows: int) -> float:
    """X Xᵀ of dense X, in passes."""
    return 2.0 * ENTRIES_A_PASS + rows / 9.0


def sparse_gram(n: int, d: int, entries: float, squares: float) -> float:
    """A Gram of sparse X, in passes; `squares` is the sum of the squared number of entries of a row."""
    dense = n * d * dense_gram(d)
    sparse = PAIR / 16.0 * squares + 6.0 * d * d
    return max(1.0, min(dense, sparse) / max(1.0, SPARSE_ENTRY * entries))


def sparse_kernel(n: int, d: int, entries: float) -> float:
    """X Xᵀ of sparse X, in passes."""
    return n * (1.0 + d / max(1.0, entries)) / 1.6


def passes(n: int, entries: float, work: float, *, side: int = 0, drawn: bool = False) -> float:
    """`work` in units of reading X, and a Cholesky factor of that `side`, in passes with their overhead."""
    reading, begin = ENTRIES_A_PASS * entries, OVERHEAD + (DRAWING + DRAWING_A_ROW * n) * drawn
    return (begin + reading * work + CHOLESKY * float(side) ** 3) / (OVERHEAD + reading + ROW_OF_A_PASS * n)
