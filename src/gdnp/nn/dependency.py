"""How much the direction of one layer depends on the other layers (section 5.3, Figure 3)."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["cross_dependency", "matrix_layers"]

PARAMETRIZED = ".parametrizations."


def cross_dependency(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    inputs: Any,
    targets: Any,
    layer: str,
    *,
    probes: int = 32,
    exact: bool = False,
    directional: bool = True,
    generator: torch.Generator | None = None,
) -> dict[str, tuple[float, float]]:
    """Frobenius norm of the Hessian block ∂²f/∂W_k∂W_i of one layer k with every other layer i.

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
        that dropout draws from are left as they are.
    loss_fn : callable
        (outputs, targets) -> tensor of one number, twice differentiable by autograd.
    inputs : tensor or tuple
        A tuple is passed on as several arguments.
    targets : object
        For `loss_fn` alone.
    layer : str
        The name of layer k, one of ``matrix_layers(model)``.
    probes : int
        Number of random v. The cost is one Hessian-vector product each.
    exact : bool
        Use every unit vector instead: as many products as W_k has entries; for tests and small layers.
    directional : bool
        False keeps the whole block, radial part included.
    generator : torch.Generator, optional
        Draws the probes; by default one with seed 0 on the device of W_k, so that calls repeat.

    Returns
    -------
    dict
        layer -> (norm, standard error), in the order of the model, `layer` left out. The error is 0 in exact
        mode and NaN for a single probe.

    Raises
    ------
    ValueError
        For an unknown layer, a model without matrices, ``probes < 1`` and a loss that is not one number or
        does not depend on the weights.

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
    layers = _layers(model)
    _check(layer, layers)
    with torch.enable_grad(), _dropout_state_kept(layers):
        gradient, weights = _gradient(model, loss_fn, inputs, targets, layer, layers)
    if not directional:
        layers = {name: replace(entry, dims=()) for name, entry in layers.items()}
    vectors = _unit_vectors(gradient) if exact else _signs(gradient, probes, generator)
    squares = torch.stack([_squares(gradient, weights, layers, layer, vector) for vector in vectors])
    names = [name for name in layers if name != layer]
    columns = dict(zip(names, squares.T, strict=True))
    if exact:
        return {name: (math.sqrt(float(column.sum())), 0.0) for name, column in columns.items()}
    return {name: _estimate(column.tolist()) for name, column in columns.items()}


def matrix_layers(model: nn.Module) -> dict[str, Tensor]:
    """The layers of a model that have a weight of two or more dimensions, by the names used here.

    The name is that of the module (``"encoder.0"`` for ``encoder.0.weight``), and that of the parameter where
    it is not called weight (``"lstm.weight_hh_l0"``). Weights that are shared are listed once, biases and the
    weights of normalisations, which are vectors, not at all.
    """
    return {name: entry.weight for name, entry in _layers(model).items()}


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
        owner, name = _owner(parameter)
        if name in found and found[name].weight.numel() > weight.numel():
            continue
        found[name] = _Layer(parameter, weight, *_units(model.get_submodule(owner), weight))
    return found


def _owner(parameter: str) -> tuple[str, str]:
    """The module a parameter belongs to, and the name of the layer."""
    before, parametrized, rest = f".{parameter}".rpartition(PARAMETRIZED)
    name, _, original = rest.partition(".")
    if parametrized and original.startswith("original"):
        parameter = f"{before}.{name}".lstrip(".")
    owner, _, last = parameter.rpartition(".")
    return owner, (owner if last == "weight" and owner else parameter)


def _units(module: nn.Module, weight: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and dimensions for `_Layer`: units come first, in transposed convolutions second, by group."""
    transposed = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if isinstance(module, transposed):
        groups = module.groups
        return (groups, weight.shape[0] // groups, weight.shape[1], -1), (1, 3)
    return (weight.shape[0], -1), (1,)


def _check(layer: str, layers: Mapping[str, _Layer]) -> None:
    if not layers:
        raise ValueError(
            "model should have layers with a weight of two or more dimensions. Got none: nothing to measure."
        )
    if layer not in layers:
        raise ValueError(
            f"layer must be one with a weight of two or more dimensions: {', '.join(layers)}. Got {layer!r}."
        )


# --- derivatives


def _gradient(
    model: nn.Module,
    loss_fn: Callable[[Any, Any], Tensor],
    inputs: Any,
    targets: Any,
    layer: str,
    layers: Mapping[str, _Layer],
) -> tuple[Tensor, list[Tensor]]:
    """∂f/∂W_k, differentiable, and all W_i as leaves of their own, which carry no gradient to the model's."""
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
    chosen = weights[layers[layer].parameter]
    (gradient,) = torch.autograd.grad(
        loss.squeeze(), [chosen], create_graph=True, allow_unused=True, materialize_grads=True
    )
    return gradient, list(weights.values())


def _squares(
    gradient: Tensor, weights: list[Tensor], layers: Mapping[str, _Layer], layer: str, vector: Tensor
) -> Tensor:
    """‖P_i H_ik P_k v‖² for all i but k."""
    others = {name: entry for name, entry in layers.items() if name != layer}
    if not gradient.requires_grad:  # f is linear in W_k alone
        return gradient.new_zeros(len(others))
    products = torch.autograd.grad(
        gradient,
        weights,
        grad_outputs=layers[layer].project(vector),
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    by_name = dict(zip(layers, products, strict=True))
    norms = [torch.linalg.vector_norm(entry.project(by_name[name])) for name, entry in others.items()]
    return torch.stack(norms).square() if norms else gradient.new_zeros(0)


def _signs(like: Tensor, probes: int, generator: torch.Generator | None) -> Iterator[Tensor]:
    """Vectors of independent signs."""
    if generator is None:
        generator = torch.Generator(like.device).manual_seed(0)
    for _ in range(probes):
        bits = torch.randint(2, like.shape, generator=generator, device=generator.device)
        yield (2 * bits - 1).to(like)


def _unit_vectors(like: Tensor) -> Iterator[Tensor]:
    for k in range(like.numel()):
        vector = like.new_zeros(like.numel())
        vector[k] = 1.0
        yield vector.reshape(like.shape)


def _estimate(squares: list[float]) -> tuple[float, float]:
    """The root of the mean, and its standard error by the delta method."""
    n = len(squares)
    mean = math.fsum(squares) / n
    norm = math.sqrt(mean)
    if n == 1:
        return norm, math.nan
    variance = math.fsum((square - mean) ** 2 for square in squares) / (n - 1)
    return norm, (0.5 * math.sqrt(variance / n) / norm if norm > 0.0 else 0.0)


def _dropout_state_kept(layers: Mapping[str, _Layer]) -> AbstractContextManager[None]:
    """Restore the random state of every device in use."""
    devices = {entry.weight.device for entry in layers.values()} - {torch.device("cpu")}
    kind = next(iter(devices)).type if devices else "cuda"
    state: AbstractContextManager[None] = torch.random.fork_rng(
        [device for device in devices if device.type == kind], device_type=kind
    )
    return state
