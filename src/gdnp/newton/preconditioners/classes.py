"""Preconditioners of several classes: one for each class, or a matrix that couples them.

The Hessian of a row is (diag(p) - p pᵀ) ⊗ x xᵀ. Any kind of preconditioner can be made of its blocks
on the diagonal, with the curvature p_k (1 - p_k). Bounds of the whole, as ½ (I - 11ᵀ/K) ⊗ S (Böhning 1992),
cost less to make and many more iterations.
"""

import numpy as np
from scipy.linalg import lapack

from gdnp._typing import FloatArray
from gdnp.design import RowVector
from gdnp.newton.preconditioners.base import Preconditioner
from gdnp.newton.preconditioners.choice import AT_ONCE, ROWS_PER_COLUMN_NOT_CONVEX, Kind, Stage
from gdnp.newton.preconditioners.full import cholesky
from gdnp.newton.preconditioners.low_rank import LowRankPreconditioner
from gdnp.newton.preconditioners.making import NEGLIGIBLE, made
from gdnp.problem.gram import diagonals
from gdnp.problem.multinomial import Multinomial
from gdnp.problem.objective import LARGEST_GRAM
from gdnp.solvers.state import ROUNDING


class ClassPreconditioner:
    """A preconditioner for each class. Rows of a solution sum to zero, as those of a gradient do."""

    def __init__(self, parts: list[Preconditioner]) -> None:
        self.parts = parts

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1, K)."""
        columns = np.ascontiguousarray(g.T)
        z = np.array([part.solve(column) for part, column in zip(self.parts, columns, strict=True)])
        z -= z.mean(axis=0)
        return z.T


class JointPreconditioner:
    """The Hessian as a matrix, for few columns and classes.

    `H`, shape (K, d + 1, K, d + 1), comes without the ridge and is written over. ``of`` are the shares that
    it was made of, where nothing but rounding was added.
    """

    def __init__(
        self, problem: Multinomial, H: FloatArray, damping: float = ROUNDING, of: RowVector | None = None
    ) -> None:
        self.of = of if damping <= ROUNDING else None
        K, width = problem.classes, problem.n_features + 1
        np.einsum("kikj->kij", H)[:] += np.diag(_added(problem, damping))
        np.einsum("kjlj->klj", H)[:] += 1.0 / K  # what classes have in common is not among gradients
        H = H.reshape(K * width, K * width)
        self._factor = cholesky(H, float(np.max(np.diagonal(H))))

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1, K)."""
        z = lapack.dpotrs(self._factor, g.T.ravel(), lower=1)[0].reshape(g.shape[::-1])
        z -= z.mean(axis=0)
        return np.asarray(z.T)


class BlockPreconditioner:
    """The blocks of the Hessian of one class each as matrices, for shares p of rows that are few."""

    def __init__(self, problem: Multinomial, shares: RowVector, damping: float) -> None:
        p, s = problem.of_few_rows(shares)
        U, width, own, used = problem.columns, problem.n_features + 1, _added(problem, damping), 0
        self._root = np.empty((problem.classes, width, width))
        for root, c in zip(self._root, s * np.maximum(p * (1.0 - p), damping), strict=True):
            live = np.flatnonzero(c > NEGLIGIBLE * c.mean())  # others hardly curve f
            live = live if len(live) > width else np.arange(len(c))
            used += len(live)
            T = np.sqrt(c[live])[:, None] * U[live]
            H = T.T @ T
            diagonal = np.einsum("ii->i", H)
            diagonal += own
            root[:] = np.tril(lapack.dtrtri(cholesky(H, float(np.max(diagonal))), lower=1)[0])
        problem.cost.charge(problem.design.gram_passes * used / p.size)

    def solve(self, g: FloatArray) -> FloatArray:
        """H⁻¹ g, shape (d + 1, K)."""
        z = (self._root.transpose(0, 2, 1) @ (self._root @ g.T[:, :, None]))[:, :, 0]
        z -= z.mean(axis=0)
        return np.asarray(z.T)


def _added(problem: Multinomial, damping: float) -> FloatArray:
    """What is added to the diagonal for every class, shape (d + 1,)."""
    return np.append(problem.coordinates.ridge + damping, damping if problem.fit_intercept else 1.0)


def rows_of_sample(problem: Multinomial) -> int:
    """How many rows stand for all of them in a matrix."""
    return max(2 * LARGEST_GRAM, ROWS_PER_COLUMN_NOT_CONVEX * problem.n_features)


def made_for_classes(problem: Multinomial, shares: RowVector, damping: float = 0.0) -> Preconditioner:
    """The preconditioner where the shares are these: of rows drawn for each class, where there are many.

    Raises FloatingPointError where the curvature is not finite, or has underflowed.
    """
    damping = max(damping, ROUNDING)  # φ'' below that is rounding of p
    n, d, K = problem.n_samples, problem.n_features, problem.classes
    size = rows_of_sample(problem)
    if n <= size and (K * (d + 1)) ** 2 <= 2 * size:
        return JointPreconditioner(problem, problem.joint_hessian(shares), damping, shares)
    kind, room = Kind.DIAGONAL, 32 * LARGEST_GRAM**2  # a gigabyte
    # Of a factor for each class, at the speed of a blocked product, and of the kernel once.
    passes = n**3 / (12.0 * problem.design.n_entries + 1.0) + problem.design.kernel_work / K
    if n < d and n * n * K <= room and passes <= AT_ONCE:
        kind = Kind.KERNEL
    elif d <= LARGEST_GRAM and d * d * K <= room:
        if n <= size:
            return BlockPreconditioner(problem, shares, damping)
        kind = Kind.FULL
    if kind is Kind.DIAGONAL:
        ridge = problem.coordinates.ridge + damping
        return ClassPreconditioner(
            [LowRankPreconditioner(about, ridge) for about in diagonals(problem, shares, damping)]
        )
    cost, before = problem.cost, problem.cost.passes
    parts = [
        made(
            problem,
            Stage((kind,), size),
            problem.sigma,
            damping=damping,
            curvature=problem.curvature_of(k, shares, damping),
        )
        for k in range(K)
    ]
    spent, cost.passes = cost.passes - before, before
    cost.charge(spent / K)  # a pass has K columns
    return ClassPreconditioner(parts)
