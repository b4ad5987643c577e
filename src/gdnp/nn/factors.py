"""The metric dial: how Ŝ = S + λ (tr S/d) I is held, from Weight Normalization to all of S."""

import torch
from torch import Tensor

from gdnp.nn.factor import Factor, check_positive, damped_diagonal
from gdnp.nn.moments import InputMoments
from gdnp.nn.structured import KroneckerFactor, LowRankFactor

DEFAULT_DAMPING = 1.0
"""λ where none is given: that of hidden layers, chosen by test accuracy alone (docs/networks.md).

At an input layer small ones cost accuracy: there 0.01 is for tasks where the training loss itself is the
goal, and larger is nearer to Weight Normalization. On columns of very different scales, a λ in units of the
mean variance hides small ones; ``metric="diagonal"`` with damping 0 does not."""


class IdentityFactor(Factor):
    """Ŝ = I: Weight Normalization. Needs no data and has no damping."""

    second = "none"

    def whiten(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows

    def colour(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows

    def update(self, moments: InputMoments, damping: float) -> None:  # noqa: D102
        return


class DiagonalFactor(Factor):
    """Ŝ = diag(S) + λ (tr S/d) I: each input in units of its own standard deviation."""

    second = "diagonal"
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], like: Tensor, *, whitens: bool) -> None:
        super().__init__(shape, like, whitens=whitens)
        broadcast = shape if len(shape) == 1 else (shape[0], 1, shape[1])
        self.register_buffer("scale", like.new_ones(broadcast))

    def whiten(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows * self.scale

    def colour(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows / self.scale

    def update(self, moments: InputMoments, damping: float) -> None:  # noqa: D102
        diagonal = damped_diagonal(moments, damping)
        check_positive(diagonal.amin(-1), diagonal.amax(-1), 0.0)
        self.scale.copy_(diagonal.rsqrt().view_as(self.scale))


class FullFactor(Factor):
    """Ŝ = S + λ (tr S/d) I as a d x d matrix; F = Ŝ^(-½) is symmetric.

    One matrix is kept: F where rows are whitened in each step, else the Cholesky root of Ŝ, which is all that
    the norm needs.
    """

    second = "full"
    matrix: Tensor

    def __init__(self, shape: tuple[int, ...], like: Tensor, *, whitens: bool) -> None:
        super().__init__(shape, like, whitens=whitens)
        eye = torch.eye(shape[-1], dtype=like.dtype, device=like.device)
        self.register_buffer("matrix", eye.expand(*shape, shape[-1]).clone())

    def whiten(self, rows: Tensor) -> Tensor:  # noqa: D102
        return rows @ self.matrix

    def colour(self, rows: Tensor) -> Tensor:  # noqa: D102
        if not self.whitens:
            return rows @ self.matrix
        wide = torch.promote_types(rows.dtype, torch.float32)  # there is no solver for half precision
        solved: Tensor = torch.linalg.solve(self.matrix.to(wide), rows.to(wide), left=False)
        return solved.to(rows.dtype)

    def update(self, moments: InputMoments, damping: float) -> None:  # noqa: D102
        ridge = damping * moments.variance.mean(-1, keepdim=True)
        damped = moments.products[0] + torch.diag_embed(ridge.expand(moments.variance.shape))
        damped = (damped + damped.mT) / 2.0
        self.matrix.copy_(_inverse_root(damped, moments.eps) if self.whitens else _root(damped, moments.eps))


def _inverse_root(damped: Tensor, eps: float) -> Tensor:
    """The symmetric Ŝ^(-½)."""
    values, vectors = torch.linalg.eigh(damped)
    check_positive(values[..., 0], values[..., -1], 2.0 * eps)
    root: Tensor = (vectors * values.rsqrt().unsqueeze(-2)) @ vectors.mT
    return root


def _root(damped: Tensor, eps: float) -> Tensor:
    """The lower triangular root of Ŝ."""
    root: Tensor
    root, info = torch.linalg.cholesky_ex(damped)
    pivots = root.diagonal(dim1=-2, dim2=-1).square()
    smallest = torch.where(info > 0, torch.zeros_like(pivots[..., 0]), pivots.amin(-1))
    check_positive(smallest, damped.diagonal(dim1=-2, dim2=-1).amax(-1), 2.0 * eps)
    return root


FACTORS: dict[str, type[Factor]] = {
    "identity": IdentityFactor,
    "diagonal": DiagonalFactor,
    "low_rank": LowRankFactor,
    "kronecker": KroneckerFactor,
    "full": FullFactor,
}
"""What ``metric=`` names: the dial from Weight Normalization; ``"batch"``, its end, is `gdnp.nn.batch`."""
