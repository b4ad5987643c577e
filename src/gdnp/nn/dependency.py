"""How much the direction of one layer depends on the other layers (section 5.3, Figure 3)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gdnp.nn.wrappers import eager, random_state_kept, twice_differentiable, unwrapped

PARAMETRIZED = ".parametrizations."
NO_SECOND = "the model must have second derivatives. Got {}; replace it by plain operations for this call."
Batch = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class DependencyMatrix:
    """Norms of the Hessian blocks between all layers of a model, as `cross_dependency` estimates them.

    Attributes
    ----------
    names : tuple of str
        The m layers, in the order of the model.
    norms, errors : Tensor of shape (m, m)
        ‖P_i (∂²f/∂W_k∂W_i) P_k‖_F and standard errors, symmetric: an entry has the probes of both layers. On
        the diagonal are the blocks of the layers themselves.
    sizes : Tensor of shape (m,)
        ‖W_i‖_F.
    """

    names: tuple[str, ...]
    norms: Tensor
    errors: Tensor
    sizes: Tensor

    @property
    def scaled(self) -> DependencyMatrix:
        """Times ‖W_k‖ ‖W_i‖, which does not depend on the scale of layers that BatchNorm follows."""
        both = torch.outer(self.sizes, self.sizes)
        sizes = torch.ones_like(self.sizes)
        return DependencyMatrix(self.names, self.norms * both, self.errors * both, sizes)

    @property
    def coupling(self) -> Tensor:
        """(Σ_{i≠k} ‖H_ik‖²)^½/‖H_kk‖ of each layer k: how far it is from a problem of its own; shape (m,)."""
        squares = self.norms.square()
        own = squares.diagonal()
        return ((squares.sum(1) - own).clamp_min(0.0) / own).sqrt()


def cross_dependency(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    inputs: Any,
    targets: Any = None,
    layer: str | None = None,
    *,
    probes: int = 8,
    exact: bool = False,
    directional: bool = True,
    generator: torch.Generator | None = None,
) -> Any:
    """Frobenius norm of the Hessian block ∂²f/∂W_k∂W_i of one layer k with every other layer i, or of all.

    f(W_1, ..., W_m) = loss_fn(model(inputs), targets). What is reported by default is the *directional part*
    P_k (∂²f/∂W_k∂W_i) P_i, where P is I - wwᵀ/‖w‖² for the weights w of each unit (output channel). It is
    the same block with respect to V_k and V_i of W = g V/‖V‖, g fixed, at V = W. For units that a
    BatchNorm in training mode follows, f does not depend on ‖w‖, so that the block has no other part (but
    for BatchNorm's eps). For others the radial part is left out.

    The estimate is Hutchinson's: for v with independent signs, E‖P_i H_ik P_k v‖² = ‖P_i H_ik P_k‖_F², and
    one Hessian-vector product gives H_ik v for all i. The mean of the squares over the probes is unbiased;
    its root is the norm that is returned, with the standard error √(var/probes)/(2 norm).

    Parameters
    ----------
    model : nn.Module
        Used in the mode it is in: in training mode BatchNorm's statistics are those of `inputs` and are
        differentiated. Its buffers (running statistics), parameters, gradients, mode and the random state
        that dropout draws from are left as they are. One in torch.compile or DistributedDataParallel is
        taken out of it, and attention runs in the kernel that has second derivatives.
    loss_fn : callable
        (outputs, targets) -> tensor of one number, twice differentiable by autograd.
    inputs : tensor, tuple or mapping, or iterable of pairs
        A tuple is passed on as several arguments. A loader of pairs (inputs, targets) stands for both: f is
        then the mean over its rows, with each batch's own statistics.
    targets : object
        For `loss_fn` alone.
    layer : str, optional
        The name of layer k, one of ``matrix_layers(model)``; None for all of them.
    probes : int
        Number of random v for each k. The cost is one Hessian-vector product each: about two gradients.
    exact : bool
        Use every unit vector instead: as many products as W_k has entries; for tests and small layers.
    directional : bool
        False keeps the whole block, radial part included.
    generator : torch.Generator, optional
        Draws the probes; by default one with seed 0 on the device of W_k, so that calls repeat.

    Returns
    -------
    dict, or DependencyMatrix without a `layer`
        layer -> (norm, standard error), in the order of the model, `layer` left out. The error is 0 in exact
        mode and NaN for a single probe.

    Raises
    ------
    ValueError
        For an unknown layer, a model without matrices, ``probes < 1``, an empty loader, and a loss that is
        not one number or does not depend on the weights.
    RuntimeError
        When an operation of the model has no second derivative.

    Notes
    -----
    Where units are followed by BatchNorm, scaling W_i by c divides the block by c. To compare layers or
    moments of training, multiply by ‖W_k‖_F ‖W_i‖_F, as the scaled panels of Figure 3 do.

    A weight with ``torch.nn.utils.parametrize`` stands for its parameter of most entries: the direction V for
    weight normalisation. Kinks (ReLU) count as autograd differentiates them: twice, to zero.

    References
    ----------
    Kohler et al. (AISTATS 2019), section 5.3 and Figure 3: f is their f_nn, W_k their W⁽⁴⁾.
    M. F. Hutchinson (1990), A stochastic estimator of the trace of the influence matrix.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from gdnp.nn import cross_dependency
    >>> random = torch.Generator().manual_seed(0)
    >>> X, y = torch.randn(64, 5, generator=random), torch.randint(3, (64,), generator=random)
    >>> model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3))
    >>> found = cross_dependency(model, nn.CrossEntropyLoss(), X, y, "0", probes=8)
    >>> [(name, norm > 0.0) for name, (norm, error) in found.items()]
    [('3', True)]
    """
    if not isinstance(probes, int) or probes < 1:
        raise ValueError(f"probes must be a whole number of at least 1. Got {probes!r}.")
    model = unwrapped(model)[0]
    layers = _layers(model)
    if not layers:
        raise ValueError(
            "model should have layers with a weight of two or more dimensions. Got none: nothing to measure."
        )
    if layer is not None and layer not in layers:
        raise ValueError(
            f"layer must be one with a weight of two or more dimensions: {', '.join(layers)}. Got {layer!r}."
        )
    projected = layers if directional else {k: replace(entry, dims=()) for k, entry in layers.items()}
    names = list(layers) if layer is None else [layer]
    squares = {}
    kept = random_state_kept(model), sdpa_kernel(SDPBackend.MATH)
    with torch.inference_mode(False), torch.enable_grad(), eager(), kept[0], kept[1]:
        batches = _batches(inputs, targets)
        shares = [_rows(batch) / sum(map(_rows, batches)) for batch in batches]
        one = [_gradients(model, loss_fn, batches[0], names, layers)] if len(batches) == 1 else None
        for name in names:  # with several batches a graph is made again rather than kept for each
            weight = layers[name].weight
            vectors = _unit_vectors(weight) if exact else _signs(weight, probes, generator)
            graphs = one or (_gradients(model, loss_fn, batch, [name], layers) for batch in batches)
            squares[name] = _squares(zip(shares, graphs, strict=True), projected, name, vectors)
    found = {name: _norms(columns, exact) for name, columns in squares.items()}
    if layer is not None:
        pairs = zip(layers, *(values.tolist() for values in found[layer]), strict=True)
        return {name: (norm, error) for name, norm, error in pairs if name != layer}
    norms, errors = (torch.stack(rows) for rows in zip(*found.values(), strict=True))
    mean = (0.5 * (norms.square() + norms.T.square())).sqrt()
    both = (norms * errors).square()
    spread = 0.5 * (both + both.T).sqrt() / mean.clamp_min(torch.finfo(mean.dtype).tiny)
    spread.diagonal().copy_(errors.diagonal())  # which has one layer's probes alone
    sizes = torch.stack([layers[name].weight.detach().norm().double().cpu() for name in names])
    return DependencyMatrix(tuple(names), mean, spread, sizes)


def matrix_layers(model: nn.Module) -> dict[str, Tensor]:
    """The layers of a model that have a weight of two or more dimensions, by the names used here.

    The name is that of the module (``"encoder.0"`` for ``encoder.0.weight``), and that of the parameter where
    it is not called weight (``"lstm.weight_hh_l0"``). Weights that are shared are listed once, biases and the
    weights of normalisations, which are vectors, not at all.
    """
    return {name: entry.weight for name, entry in _layers(unwrapped(model)[0]).items()}


def effective_weight(model: nn.Module, layer: str) -> Tensor:
    """W of a layer named as in `matrix_layers`: made from its parts where it is parametrised."""
    owner, name = _owner(_layers(model)[layer].parameter)
    weight: Tensor = getattr(model.get_submodule(owner), name)
    return weight


# --- layers


@dataclass(frozen=True)
class _Layer:
    """A weight, and which of its entries are one unit's.

    `shape` views it so that a unit's entries lie along `dims`; without dims there is no direction.
    """

    parameter: str
    weight: Tensor
    shape: tuple[int, ...]
    dims: tuple[int, ...]

    def project(self, vector: Tensor) -> Tensor:
        """(I - wwᵀ/‖w‖²) v for every unit; v itself where w = 0, which has no direction."""
        if not self.dims:
            return vector
        w, v = self.weight.detach().reshape(self.shape), vector.reshape(self.shape)
        square = (w * w).sum(self.dims, keepdim=True)
        share = (w * v).sum(self.dims, keepdim=True) / torch.where(square > 0.0, square, 1.0)
        return (v - share * w).reshape(vector.shape)


def _layers(model: nn.Module) -> dict[str, _Layer]:
    """Every matrix of the model; of a parametrised weight its largest parameter."""
    found: dict[str, _Layer] = {}
    for parameter, weight in model.named_parameters():
        if nn.parameter.is_lazy(weight):
            raise ValueError(f"{parameter} should have a shape. Got a lazy layer: run the model once first.")
        if weight.ndim < 2 or not weight.is_floating_point():
            continue
        owner, last = _owner(parameter)
        name = owner if last == "weight" and owner else f"{owner}.{last}".lstrip(".")
        if name in found and found[name].weight.numel() > weight.numel():
            continue
        found[name] = _Layer(parameter, weight, *_units(model.get_submodule(owner), weight))
    return found


def _owner(parameter: str) -> tuple[str, str]:
    """The module a parameter belongs to, and its name there, that of the whole weight for parts of one."""
    before, parametrized, rest = f".{parameter}".rpartition(PARAMETRIZED)
    name, _, original = rest.partition(".")
    if parametrized and original.startswith("original"):
        parameter = f"{before}.{name}".lstrip(".")
    owner, _, last = parameter.rpartition(".")
    return owner, last


def _units(module: nn.Module, weight: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and dimensions for `_Layer`: units come first, in transposed convolutions second, by group."""
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if isinstance(module, transposed):
        groups = module.groups
        return (groups, weight.shape[0] // groups, weight.shape[1], -1), (1, 3)
    return (weight.shape[0], -1), (1,)


# --- derivatives


def _batches(inputs: Any, targets: Any) -> list[Batch]:
    """One batch, or those of a loader."""
    if isinstance(inputs, Tensor | tuple | Mapping) or not isinstance(inputs, Iterable):
        return [(inputs, targets)]
    batches = list(inputs)
    if not batches or not all(isinstance(batch, tuple | list) and len(batch) == 2 for batch in batches):
        raise ValueError(
            "a loader must yield pairs (inputs, targets). Got "
            f"{'none' if not batches else type(batches[0]).__name__}; several inputs go in a tuple."
        )
    return [(first, second) for first, second in batches]


def _rows(batch: Batch) -> int:
    """How many rows a batch has, by its targets or else by its first input."""
    parts = (batch[1], *(batch[0] if isinstance(batch[0], tuple) else (batch[0],)))
    return next((len(part) for part in parts if isinstance(part, Tensor) and part.ndim), 1)


Graph = tuple[dict[str, Tensor], list[Tensor]]
"""∂f/∂W_k for some k, differentiable, and all W_i."""


def _gradients(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    batch: Batch,
    names: list[str],
    layers: Mapping[str, _Layer],
) -> Graph:
    """At leaves of their own, which carry no gradient to the model's."""
    inputs, targets = batch
    weights = {entry.parameter: entry.weight.detach().requires_grad_() for entry in layers.values()}
    # A forward pass in training mode writes running statistics: into copies of the buffers.
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    loss = loss_fn(torch.func.functional_call(model, {**weights, **buffers}, arguments), targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(f"loss_fn must return a tensor of one number. Got {got}: reduce it to its mean.")
    if not loss.requires_grad:
        raise ValueError(
            "loss_fn(model(inputs), targets) should depend on the weights. Got one that autograd cannot "
            "follow to them: detach nothing on the way."
        )
    chosen = [weights[layers[name].parameter] for name in names]
    options: dict[str, Any] = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    found = torch.autograd.grad(loss.squeeze(), chosen, **options)
    if not twice_differentiable(found):
        raise RuntimeError(NO_SECOND.format("a function that is differentiable once"))
    return dict(zip(names, found, strict=True)), list(weights.values())


def _squares(
    graphs: Iterable[tuple[float, Graph]], layers: Mapping[str, _Layer], layer: str, vectors: Tensor
) -> Tensor:
    """‖P_i H_ik P_k v‖² for each v, a row, and each i."""
    totals = [[torch.zeros_like(entry.weight) for entry in layers.values()] for _ in vectors]
    for share, (gradients, weights) in graphs:
        gradient = gradients[layer]
        if not gradient.requires_grad:  # f is linear in W_k alone
            continue
        for vector, total in zip(vectors, totals, strict=True):
            products = _product(gradient, weights, layers[layer].project(vector))
            for own, product in zip(total, products, strict=True):
                own.add_(product, alpha=share)
    norms = [
        torch.stack([entry.project(own).norm() for entry, own in zip(layers.values(), total, strict=True)])
        for total in totals
    ]
    return torch.stack(norms).detach().double().cpu().square()


def _product(gradient: Tensor, weights: list[Tensor], vector: Tensor) -> tuple[Tensor, ...]:
    """H v."""
    options: dict[str, Any] = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    try:
        return torch.autograd.grad(gradient, weights, grad_outputs=vector, **options)
    except RuntimeError as error:
        raise RuntimeError(NO_SECOND.format(error)) from error


def _signs(like: Tensor, probes: int, generator: torch.Generator | None) -> Tensor:
    """Vectors of independent signs."""
    if generator is None:
        generator = torch.Generator(like.device).manual_seed(0)
    bits = torch.randint(2, (probes, *like.shape), generator=generator, device=generator.device)
    return (2 * bits - 1).to(like)


def _unit_vectors(like: Tensor) -> Tensor:
    return torch.eye(like.numel()).to(like).view(-1, *like.shape)


def _norms(squares: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    """The roots of the means over the rows (of the sums of exact ones), and errors by the delta method."""
    if exact:
        return squares.sum(0).sqrt(), torch.zeros_like(squares[0])
    norms, n = squares.mean(0).sqrt(), len(squares)
    if n == 1:
        return norms, torch.full_like(norms, math.nan)
    return norms, 0.5 * squares.std(0) / math.sqrt(n) / norms.clamp_min(torch.finfo(norms.dtype).tiny)
