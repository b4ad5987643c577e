"""The metric dial: how Ŝ = S + λ (tr S/d) I is held, from Weight Normalization to all of S."""

import math
from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gdnp.nn.moments import InputMoments, Second

DEFAULT_DAMPING = 1.0
"""λ where none is given: that of hidden layers, chosen by test accuracy alone (docs/networks.md).

At an input layer small ones cost accuracy: there 0.01 is for tasks where the training loss itself is the
goal, and larger is nearer to Weight Normalization. On columns of very different scales, a λ in units of the
mean variance hides small ones; ``metric="diagonal"`` with damping 0 does not."""
DEFAULT_RANK = 50
"""Leading directions of S kept by ``metric="low_rank"``, or half of the inputs where that is fewer."""


class Factor(nn.Module):
    """Ŝ in one representation, until data come Ŝ = I; acts on rows v in R^d.

    F is a root of the inverse, Fᵀ F = Ŝ⁻¹, so that F (x - E[x]) is white and a gradient step on v for w = v F
    is a step preconditioned by Ŝ⁻¹ on w. (For a symmetric F that is F Fᵀ = Ŝ⁻¹ too.)

    `shape` is (d,), or (groups, d) for one metric a group, where rows have shape (groups, n, d). Only
    ``norm`` is used in each step unless it `whitens`.
    """

    second: ClassVar[Second]

    def __init__(self, shape: tuple[int, ...], like: Tensor, *, whitens: bool) -> None:
        super().__init__()
        self.shape, self.whitens = shape, whitens

    def moments(self, group: dist.ProcessGroup | None = None) -> InputMoments:
        """Where the moments that ``update`` takes are gathered."""
        return InputMoments(self.shape, self.second, group=group)

    def whiten(self, rows: Tensor) -> Tensor:
        """V F."""
        raise NotImplementedError

    def inputs(self, x: Tensor) -> Tensor:
        """F x for each row x, what V is multiplied with instead of x; here for a symmetric F."""
        return self.whiten(x)

    def colour(self, rows: Tensor) -> Tensor:
        """V F⁻¹, up to a rotation where only ``norm`` is used."""
        raise NotImplementedError

    def norm(self, rows: Tensor) -> Tensor:
        """‖v‖_Ŝ of each row, in a last axis of one."""
        norms: Tensor = torch.linalg.vector_norm(self.colour(rows), dim=-1, keepdim=True)
        return norms

    def update(self, moments: InputMoments, damping: float) -> None:
        """Take Ŝ from new moments, in place; a ValueError when it is singular leaves the factor as it was."""
        raise NotImplementedError


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


class LowRankFactor(Factor):
    """Ŝ = D^½ (σ² I + Q (M - σ²) Qᵀ) D^½, D the diagonal of S + λ (tr S/d) I and Q of `rank` columns.

    In units of the columns' deviations this is the maximum likelihood fit of probabilistic principal
    components (Tipping and Bishop 1999): the leading eigenvectors Q, their eigenvalues M, and the mean σ² of
    the other eigenvalues. They come from S Ω by the Nyström method, and no d x d matrix is ever formed.
    F = (σ² I + Q (M - σ²) Qᵀ)^(-½) D^(-½).

    References
    ----------
    Tropp, Yurtsever, Udell and Cevher (2017), Fixed-rank approximation of a positive-semidefinite matrix from
    streaming data.
    """

    second = "sketch"
    scale: Tensor
    basis: Tensor
    gain: Tensor

    def __init__(
        self, shape: tuple[int, ...], like: Tensor, *, whitens: bool, rank: int | None = None
    ) -> None:
        super().__init__(shape, like, whitens=whitens)
        d = shape[-1]
        if d == 1:
            raise ValueError(
                "metric='low_rank' needs two inputs to a unit at least. Got 1; use metric='diagonal'."
            )
        self.rank = min(DEFAULT_RANK, d // 2) if rank is None else rank
        if not (isinstance(self.rank, int) and 0 < self.rank < d):
            raise ValueError(
                f"rank must be a whole number from 1 to {d - 1} for a layer with {d} inputs to a unit. Got "
                f"{self.rank}; metric='diagonal' is rank 0, metric='full' all of S."
            )
        broadcast = shape if len(shape) == 1 else (shape[0], 1, shape[1])
        self.register_buffer("scale", like.new_ones(broadcast))
        self.register_buffer("basis", like.new_zeros(*shape, self.rank))
        self.register_buffer("gain", like.new_zeros(*broadcast[:-1], self.rank))

    def moments(self, group: dist.ProcessGroup | None = None) -> InputMoments:  # noqa: D102
        columns = min(2 * self.rank + 10, self.shape[-1])
        return InputMoments(self.shape, self.second, columns=columns, group=group)

    def whiten(self, rows: Tensor) -> Tensor:  # noqa: D102
        return (rows + ((rows @ self.basis) * self.gain) @ self.basis.mT) * self.scale

    def inputs(self, x: Tensor) -> Tensor:  # noqa: D102
        x = x * self.scale
        return x + ((x @ self.basis) * self.gain) @ self.basis.mT

    def colour(self, rows: Tensor) -> Tensor:  # noqa: D102
        rows = rows / self.scale
        return rows + ((rows @ self.basis) * (1.0 / (1.0 + self.gain) - 1.0)) @ self.basis.mT

    def update(self, moments: InputMoments, damping: float) -> None:  # noqa: D102
        d = self.shape[-1]
        diagonal = damped_diagonal(moments, damping)
        check_positive(diagonal.amin(-1), diagonal.amax(-1), 0.0)
        unit = diagonal.rsqrt().unsqueeze(-1)
        basis, values = _nystrom(moments, unit)
        # The damping is diagonal in these units and known exactly, so it enters by a Rayleigh-Ritz step.
        extra = damping * moments.variance.mean(-1, keepdim=True).unsqueeze(-1) * unit.square()
        values, rotation = torch.linalg.eigh(torch.diag_embed(values) + basis.mT @ (extra * basis))
        values, rotation = values[..., -self.rank :], rotation[..., -self.rank :]
        rest = (d - values.sum(-1, keepdim=True)) / (d - self.rank)  # D^(-½) Ŝ D^(-½) has trace d
        check_positive(torch.minimum(values.amin(-1), rest.amin(-1)), values.amax(-1), moments.eps)
        self.basis.copy_(basis @ rotation)
        self.gain.copy_(((rest / values).sqrt() - 1.0).view_as(self.gain))
        self.scale.copy_((diagonal * rest).rsqrt().view_as(self.scale))


class KroneckerFactor(Factor):
    """Ŝ = τ (S₁/τ ⊗ ... ⊗ S_m/τ) + λ τ I with τ = tr S/d, for inputs that are arrays of m axes.

    S_k is the covariance of the entries along axis k, averaged over the other axes: a separable covariance,
    whose factors are partial traces of S. The pixels of an image are near one. With S_k = Q_k M_k Q_kᵀ,
    F = Q (τ ⊗ M_k/τ + λ τ)^(-½) Qᵀ for Q = ⊗ Q_k: a row costs d Σ a_k multiplications for axes of a_k
    entries, and no d x d matrix is ever formed.

    References
    ----------
    Dutilleul (1999), The MLE algorithm for the matrix normal distribution.
    """

    second = "axes"
    gain: Tensor

    def __init__(self, shape: tuple[int, ...], like: Tensor, *, whitens: bool, axes: tuple[int, ...]) -> None:
        super().__init__(shape, like, whitens=whitens)
        whole = all(isinstance(size, int) and size > 0 for size in axes)
        if len(axes) < 2 or not whole or math.prod(axes) != shape[-1]:
            raise ValueError(
                f"axes must be two or more sizes with a product of {shape[-1]}, the inputs of a unit. Got "
                f"{axes}; (3, 32, 32) are those of 3072 inputs from a small colour image."
            )
        self.axes = axes
        for k, size in enumerate(axes):
            eye = torch.eye(size, dtype=like.dtype, device=like.device)
            self.register_buffer(f"basis{k}", eye.expand(*shape[:-1], size, size).clone())
        self.register_buffer("gain", like.new_ones(*shape[:-1], 1, shape[-1]))

    def moments(self, group: dist.ProcessGroup | None = None) -> InputMoments:  # noqa: D102
        return InputMoments(self.shape, self.second, axes=self.axes, group=group)

    def _turned(self, rows: Tensor, *, back: bool = False) -> Tensor:
        """V Q, or V Qᵀ, without moving an axis: that would cost more than the products."""
        shape = rows.shape
        right = self.shape[-1]
        for k, size in enumerate(self.axes):
            right //= size
            basis = self.get_buffer(f"basis{k}")
            if right == 1:
                rows = rows.reshape(*shape[:-2], -1, size) @ (basis.mT if back else basis)
            else:
                fibres = rows.reshape(*shape[:-2], -1, size, right)
                basis = (basis if back else basis.mT).unsqueeze(-3)
                rows = basis.expand(*fibres.shape[:-1], size) @ fibres
        return rows.view(shape)

    def whiten(self, rows: Tensor) -> Tensor:  # noqa: D102
        return self._turned(self._turned(rows) * self.gain, back=True)

    def colour(self, rows: Tensor) -> Tensor:  # noqa: D102
        turned = self._turned(rows) / self.gain
        return self._turned(turned, back=True) if self.whitens else turned

    def update(self, moments: InputMoments, damping: float) -> None:  # noqa: D102
        typical = moments.variance.mean(-1, keepdim=True)
        pairs = [torch.linalg.eigh((product + product.mT) / 2.0) for product in moments.products]
        values = typical
        for own, _ in pairs:
            share = own.clamp_min(0.0) / typical
            values = (values.unsqueeze(-1) * share.unsqueeze(-2)).flatten(-2)
        damped = values + damping * typical
        check_positive(damped.amin(-1), damped.amax(-1), moments.eps)
        for k, (_, basis) in enumerate(pairs):
            self.get_buffer(f"basis{k}").copy_(basis)
        self.gain.copy_(damped.rsqrt().unsqueeze(-2))


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
        if self.whitens:
            values, vectors = torch.linalg.eigh(damped)
            check_positive(values[..., 0], values[..., -1], 2.0 * moments.eps)
            root = (vectors * values.rsqrt().unsqueeze(-2)) @ vectors.mT
        else:
            root, info = torch.linalg.cholesky_ex(damped)
            pivots = root.diagonal(dim1=-2, dim2=-1).square().amin(-1)
            check_positive(
                torch.where(info > 0, 0.0, pivots),
                damped.diagonal(dim1=-2, dim2=-1).amax(-1),
                2.0 * moments.eps,
            )
        self.matrix.copy_(root)


def damped_diagonal(moments: InputMoments, damping: float) -> Tensor:
    """The diagonal of Ŝ."""
    return moments.variance + damping * moments.variance.mean(-1, keepdim=True)


def check_positive(smallest: Tensor, largest: Tensor, eps: float) -> None:
    """Refuse a metric whose smallest eigenvalue is not told from zero."""
    least, most = float(smallest.min()), float(largest.max())
    if not least > eps * abs(most):
        raise ValueError(
            f"S must be positive definite after damping. Got a smallest eigenvalue of {least:.3g} beside a "
            f"largest of {most:.3g}, which is singular to the accuracy of the data; raise damping."
        )


def _nystrom(moments: InputMoments, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvectors and eigenvalues of D^(-½) S D^(-½) from S Ω, as many as Ω has columns.

    `unit` is D^(-½) as a column.
    """
    assert moments.probe is not None  # of a sketch
    probe, triangle = torch.linalg.qr(moments.probe / unit)
    product = torch.linalg.solve_triangular(triangle, unit * moments.products[0], upper=True, left=False)
    # A shift of the size of rounding, of the rows and of what is summed, keeps the small matrix positive; it
    # is taken off again below. What does not stand out from it are directions in which nothing varies.
    eps = max(moments.eps, torch.finfo(product.dtype).eps)
    shift = 10.0 * eps * torch.linalg.matrix_norm(product, keepdim=True)
    product = product + shift * probe
    inner = probe.mT @ product
    theta, vectors = torch.linalg.eigh((inner + inner.mT) / 2.0)
    seen = theta > 2.0 * shift.squeeze(-1)
    root = torch.where(seen, theta, 1.0).rsqrt() * seen
    thin = (product @ vectors) * root.unsqueeze(-2)
    basis, singular, _ = torch.linalg.svd(thin, full_matrices=False)
    return basis, (singular.square() - shift.squeeze(-1)).clamp_min(0.0)


FACTORS: dict[str, type[Factor]] = {
    "identity": IdentityFactor,
    "diagonal": DiagonalFactor,
    "low_rank": LowRankFactor,
    "kronecker": KroneckerFactor,
    "full": FullFactor,
}
"""What ``metric=`` names: the dial from Weight Normalization; ``"batch"``, its end, is `gdnp.nn.batch`."""
