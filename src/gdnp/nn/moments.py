"""Moments of the inputs of a layer: mean and centred S, streamed over batches and merged over processes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

Second = Literal["none", "diagonal", "sketch", "axes", "full"]
"""How much of S is kept: nothing, its diagonal, S Ω for a thin Ω, what is along each axis, or all of it."""

Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose inputs are patches."""
BLOCK_ELEMENTS = 1 << 23
"""Patches of a convolution are unfolded for a few images at a time, so many numbers at most."""


def widest(device: torch.device) -> torch.dtype:
    """The widest floating type of a device, in which moments are summed: float64 unless it has none."""
    return torch.float32 if device.type == "mps" else torch.float64


def input_shape(layer: nn.Module) -> tuple[int, ...]:
    """(d,) for one metric, (groups, d) for a grouped convolution; d counts the inputs of one unit."""
    weight = layer.weight
    assert isinstance(weight, Tensor)  # only Linear and convolutions come here
    d = weight[0].numel()
    groups = layer.groups if isinstance(layer, Convolution) else 1
    return (d,) if groups == 1 else (groups, d)


def input_rows(layer: nn.Module, inputs: Tensor, mask: Tensor | None = None) -> Iterator[Tensor]:
    """The inputs of a layer as rows of shape (n, d) or (groups, n, d), in blocks.

    A row of a convolution is an unfolded patch, padding included. Of a Linear layer's inputs of shape
    (..., d), those are left out where the mask of shape (...) is False.
    """
    if not isinstance(layer, Convolution):
        yield inputs.reshape(-1, inputs.shape[-1]) if mask is None else inputs[mask]
        return
    arrays = inputs if inputs.ndim == layer.weight.ndim else inputs.unsqueeze(0)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    sides = layer._reversed_padding_repeated_twice
    arrays = F.pad(arrays, sides, mode=mode) if any(sides) else arrays
    patch = arrays[0].numel() * math.prod(layer.kernel_size)
    for block in torch.split(arrays, max(1, BLOCK_ELEMENTS // patch)):
        yield _patches(layer, block)


def _patches(layer: nn.Conv1d | nn.Conv2d | nn.Conv3d, arrays: Tensor) -> Tensor:
    """Rows of the inputs that one unit sees at one place, channels first."""
    axes = arrays.ndim - 2
    for k, size in enumerate(layer.kernel_size):
        step = layer.dilation[k]
        windows = arrays.unfold(k + 2, step * (size - 1) + 1, layer.stride[k])
        arrays = windows[..., ::step]
    n, channels, *places = arrays.shape[: axes + 2]
    split = arrays.reshape(n, layer.groups, channels // layer.groups, *arrays.shape[2:])
    order = (1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
    rows = split.permute(order).reshape(layer.groups, n * math.prod(places), -1)
    return rows[0] if layer.groups == 1 else rows


class InputMoments:
    """n, E[x], the diagonal of S and more of S of rows x, merged blockwise (Chan, Golub and LeVeque 1983).

    Each block is centred by its own mean before anything is squared, so a column with an offset of 1e3 and a
    scale of 1e-3 keeps its variance. S Ω and partial traces of S are additive in the same way, so that they
    need one pass and no d x d matrix.

    `mean` and `variance` have the `shape` (d,), or (groups, d) for one S a group. `products` is S Ω alone,
    with the `probe` Ω of so many `columns` for a sketch and Ω = I for "full"; or the covariance of the
    entries along each of the `axes`, averaged over the others. The rows of all processes of a `group` count,
    which make the same calls. `eps` is the rounding of the rows: smaller eigenvalues are not told from zero.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        second: Second,
        *,
        columns: int = 0,
        axes: tuple[int, ...] = (),
        group: dist.ProcessGroup | None = None,
    ) -> None:
        self.shape, self.second, self.columns, self.axes, self.group = shape, second, columns, axes, group
        self.count = 0
        self.eps = 0.0
        self.mean = self.variance = torch.zeros(())
        self.products: list[Tensor] = []
        self.probe: Tensor | None = None

    def update(self, rows: Tensor) -> None:
        """Merge a block of rows of shape (n, d) or (groups, n, d), in full precision."""
        if rows.shape[-2] == 0:
            return
        with torch.autocast(rows.device.type, enabled=False):
            self._update(rows, rows.shape[-2])

    def _update(self, rows: Tensor, n: int) -> None:
        rows = rows if rows.dtype in (torch.float32, torch.float64) else rows.float()
        wide = widest(rows.device)
        mean = rows.mean(-2, keepdim=True)
        centred = rows - mean
        rest = centred.mean(-2, keepdim=True)  # what rounding left in the mean of the block
        centred = centred - rest
        mean = (mean.to(wide) + rest.to(wide)).squeeze(-2)
        variance = centred.square().mean(-2).to(wide)
        if self.second == "sketch" and self.probe is None:
            self.probe = self._draw(variance)
        self.eps = torch.finfo(rows.dtype).eps
        self._merge(n, mean, variance, [product.to(wide) for product in self._products(centred)])

    def _merge(self, n: int, mean: Tensor, variance: Tensor, products: list[Tensor]) -> None:
        if self.count == 0:
            self.count, self.mean, self.variance, self.products = n, mean, variance, products
            return
        total = self.count + n
        p, q = self.count / total, n / total
        shift = mean - self.mean
        self.mean = self.mean + q * shift
        self.variance = p * self.variance + q * variance + p * q * shift.square()
        between = self._products(shift.unsqueeze(-2))
        for own, within, term in zip(self.products, products, between, strict=True):
            own.mul_(p).add_(within, alpha=q).add_(term, alpha=p * q)
        self.count = total

    def _products(self, rows: Tensor) -> list[Tensor]:
        """What centred rows alone give for `products`."""
        n = rows.shape[-2]
        if self.second in ("sketch", "full"):
            return [(rows.mT / n) @ (rows if self.probe is None else rows @ self.probe.to(rows.dtype))]
        fibres = [_along(rows, self.axes, k) for k in range(len(self.axes))]
        return [(part.mT / part.shape[-2]) @ part for part in fibres]

    def _draw(self, variance: Tensor) -> Tensor:
        """Random orthonormal columns, in units of the rows' deviations; seeded, so that they repeat."""
        if self.group is not None:  # the mean over processes: each must draw the same
            variance = variance.clone()
            dist.all_reduce(variance, group=self.group)
            variance /= dist.get_world_size(self.group)
        generator = torch.Generator(variance.device).manual_seed(0)
        size = (*self.shape, min(self.columns, self.shape[-1]))
        normal = torch.randn(size, generator=generator, device=variance.device, dtype=variance.dtype)
        basis: Tensor = torch.linalg.qr(normal)[0]
        typical = variance.mean(-1, keepdim=True)
        typical = torch.where(typical > 0.0, typical, torch.ones_like(typical))
        unit = torch.where(variance > 1e-12 * typical, variance, typical).rsqrt()
        return basis * unit.unsqueeze(-1)

    def gather(self) -> None:
        """Merge the moments of all processes of the group, each of which has seen rows of its own."""
        if self.group is None:
            return
        count = torch.tensor(float(self.count), device=self.mean.device, dtype=self.mean.dtype)
        dist.all_reduce(count, group=self.group)
        share = self.count / count
        own, self.mean = self.mean, share * self.mean
        dist.all_reduce(self.mean, group=self.group)
        shift = own - self.mean  # from here on every term is centred at the mean of all
        self.variance = share * (self.variance + shift.square())
        dist.all_reduce(self.variance, group=self.group)
        between = self._products(shift.unsqueeze(-2))
        self.products = [share * (own + term) for own, term in zip(self.products, between, strict=True)]
        for product in self.products:
            dist.all_reduce(product, group=self.group)
        self.count = int(count)

    def is_finite(self) -> bool:
        """Whether no entry is NaN or infinite."""
        return all(bool(part.isfinite().all()) for part in [self.mean, self.variance, *self.products])


def _along(rows: Tensor, axes: tuple[int, ...], k: int) -> Tensor:
    """Rows of d entries as fibres along axis k, (..., n d/a, a) for an axis of a entries."""
    arrays = rows.view(*rows.shape[:-1], *axes).movedim(k - len(axes), -1)
    return arrays.flatten(-len(axes) - 1, -2)
