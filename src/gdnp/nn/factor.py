"""What every metric of a layer is: a norm and a whitening of rows of weights, from moments of the inputs."""

from typing import ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from gdnp.nn.moments import InputMoments, Second


class Factor(nn.Module):
    """Ŝ in one representation, until data come Ŝ = I; acts on rows v in R^d.

    F is a root of the inverse, Fᵀ F = Ŝ⁻¹, so that F (x - E[x]) is white and a gradient step on v for w = v F
    is a step preconditioned by Ŝ⁻¹ on w. (For a symmetric F that is F Fᵀ = Ŝ⁻¹ too.)

    Parameters
    ----------
    shape : tuple of int
        (d,), or (groups, d) for one metric a group; rows then have shape (groups, n, d).
    like : Tensor
        Of the wanted dtype and device.
    whitens : bool
        Whether ``whiten`` will be used in each step, or only ``norm``.
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
