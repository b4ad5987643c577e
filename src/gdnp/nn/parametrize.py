"""Weights split into length and direction in the metric of the layer's inputs (Eqs. 6-9), and back."""

import gc
import json
import math
import sys
import warnings
import weakref
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from gdnp.nn.batch import BatchMetric, attach, fold_batch
from gdnp.nn.copying import make_copyable
from gdnp.nn.factors import DEFAULT_DAMPING, FACTORS, Factor
from gdnp.nn.moments import Convolution, InputMoments, input_shape
from gdnp.nn.wrappers import check_plain, unwrapped

MetricName = Literal["identity", "diagonal", "low_rank", "kronecker", "full", "batch"]
Mode = Literal["normalize", "whiten"]

LAYERS = (nn.Linear, *Convolution)
"""What ``s_norm`` is for."""
SIZE = 192
"""Bytes of a description at least, filled up with spaces."""
MIXED = 5e-4
"""A share of another layer's count of metrics above which the layer's own parameters are mixed with its."""


class SNorm(nn.Module):
    """(g, V) -> W, with W = g V/‖V‖_Ŝ (normalize) or W = g (V/‖V‖) F, Fᵀ F = Ŝ⁻¹ (whiten), row by row.

    `factor` is Ŝ, `mean` is E[x] and `damping` the λ of the next metric. `whitens` says which mode this is;
    Weight Normalization is a case of the second. `centres` says whether the bias takes up E[x], which Weight
    Normalization does not do.
    """

    mean: Tensor

    def __init__(self, factor: Factor, like: Tensor, damping: float) -> None:
        super().__init__()
        self.factor, self.damping = factor, damping
        # On the module itself, where reading them is fast: each step does.
        self.whitens, self.centres, self._shape = factor.whitens, factor.second != "none", factor.shape
        # Weight Normalization has no mean: without it, its state dict is that of PyTorch's weight_norm.
        self.register_buffer("mean", like.new_zeros(factor.shape), persistent=self.centres)
        self._made: tuple[Any, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}

    def rows(self, weight: Tensor) -> Tensor:
        """The weight as one row a unit: (out, d) or (groups, out/groups, d)."""
        if len(self._shape) == 1:
            return weight.flatten(1)
        return weight.reshape(self._shape[0], -1, self._shape[1])

    def length(self, rows: Tensor) -> Tensor:
        """The norm by which V is divided, in a last axis of one."""
        if self.whitens:
            norms: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
            return norms
        return self.factor.norm(rows)

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        """W; a RuntimeError where the metric is another than the one V was made for."""
        # torch.compile and torch.func see no version of a tensor.
        eager = not (torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active())
        if eager:
            self.check()
        with _full_precision(v):
            if self.whitens:
                weight = v * (g / _norms(v))
                rows = self.rows(weight)
                whitened = self.factor.whiten(rows)
                weight = whitened if rows is weight else whitened.view(v.shape)
            else:
                weight = v * (g / self.length(self.rows(v)).view(g.shape))
        self._made = (*map(weakref.ref, (weight, g, v)), _stamp(g, v)) if eager else None
        return weight

    def check(self) -> None:
        """Refuse a metric that V was not made for."""

    def shift(self, g: Tensor, v: Tensor) -> Tensor:
        """W E[x] of shape (out,); by the W that the layer has just made of the same parts and still holds."""
        made, self._made = self._made, None
        weight = None
        if made is not None and made[1]() is g and made[2]() is v and made[3] == _stamp(g, v) is not None:
            weight = made[0]()
        rows = self.rows(self(g, v) if weight is None else weight)
        with _full_precision(v):
            return rows @ self.mean if rows.ndim == 2 else (rows @ self.mean.unsqueeze(-1)).flatten()

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(g, V) with g = ‖V‖, for V = W (normalize) or W F⁻¹ (whiten); a unit W = 0 is a ValueError."""
        rows = self.rows(weight)
        with _full_precision(weight):
            rows = self.factor.colour(rows) if self.whitens else rows
            g = self.length(rows)
        if not bool((g > 0.0).all()):
            raise ValueError(
                "every unit needs a weight that is not zero, to have a direction. Got "
                f"{int((g <= 0.0).sum())} of {g.numel()} without; initialise the layer first."
            )
        return g.reshape(-1, *(1,) * (weight.ndim - 1)), rows.reshape(weight.shape).clone()

    @torch.no_grad()
    def update(self, moments: InputMoments) -> None:
        """Take the metric from new moments; the caller moves g, V and the bias."""
        self.factor.update(moments, self.damping)
        self._made = None
        if self.centres:
            self.mean.copy_(moments.mean)


class FittedSNorm(SNorm):
    """An ``SNorm`` whose metric comes from data: its state says which, and how often it was fitted.

    What it says is JSON in a tensor of bytes, so that formats of tensors alone hold it too.
    The count is held twice, on the host and in a buffer. An average of models copies or averages buffers
    while V stays one of directions in several metrics: the two counts differ then, and the layer refuses.
    """

    fits: Tensor

    def __init__(self, factor: Factor, like: Tensor, damping: float) -> None:
        super().__init__(factor, like, damping)
        self.register_buffer("fits", like.new_zeros(()))
        self.count, self._version = 0.0, 0

    def _kind(self) -> dict[str, Any]:
        """What has to agree when a state is loaded, as JSON reads it again."""
        kind = next(name for name, cls in FACTORS.items() if isinstance(self.factor, cls))
        own = {name: getattr(self.factor, name) for name in ("rank", "axes") if hasattr(self.factor, name)}
        mode = "whiten" if self.whitens else "normalize"
        found: dict[str, Any] = json.loads(json.dumps({"metric": kind, "mode": mode, **own}))
        return found

    def get_extra_state(self) -> Tensor:
        """That, the damping and the count, for ``state_dict``."""
        text = json.dumps({**self._kind(), "damping": self.damping, "count": self.count}).encode()
        # Of one size, since averages of models are taken entry by entry of their states.
        return torch.tensor(list(text.ljust(SIZE)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over damping and count; another kind is an error whether strict or not."""
        there, here = json.loads(bytes(state.tolist())), self._kind()
        if wrong := [name for name in here if there.get(name) != here[name]]:
            got, own = (", ".join(f"{name}={each.get(name)!r}" for name in wrong) for each in (there, here))
            raise RuntimeError(
                f"a layer must be loaded from the state of one like it. Got a state with {got} for a layer "
                f"with {own}; call s_norm with those of the state."
            )
        self.damping, self.count = there["damping"], there["count"]

    def update(self, moments: InputMoments) -> None:  # noqa: D102
        super().update(moments)
        self.count += 1.0
        self.fits.fill_(self.count)

    def check(self) -> None:  # noqa: D102
        fits = self.fits
        if fits.is_inference() or fits._version == self._version:
            return
        if not fits.is_meta and abs(float(fits) - self.count) > MIXED:
            raise RuntimeError(
                "the weights of a layer must belong to its metric. Got a metric that was fitted after this "
                "copy of the layer was made, as in an average of models (AveragedModel, EMA): make the copy "
                "after the last fit_metric, or average folded copies."
            )
        self._version = fits._version


def _stamp(g: Tensor, v: Tensor) -> tuple[int | bool, ...] | None:
    """How often what W is made of was written to; None where that is not to be seen."""
    if g.is_inference() or v.is_inference():
        return None
    return g._version, v._version, torch.is_grad_enabled()


def _norms(v: Tensor) -> Tensor:
    """‖V‖ of each unit; torch's fused ``_weight_norm`` has a wrong second derivative, and no forward mode."""
    norms: Tensor = torch.linalg.vector_norm(v, dim=tuple(range(1, v.ndim)), keepdim=True)
    return norms


def _full_precision(like: Tensor) -> AbstractContextManager[Any]:
    """F can be far from well conditioned: W is made in the precision of V, and rounded by what uses it."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()


class CentredBias(nn.Module):
    """c -> c - W E[x]: the bias of a layer whose inputs are centred in the weight instead of the data.

    It reads g and V of the weight beside it, which it holds in a tuple so that they are registered once.
    """

    def __init__(self, weight: Any) -> None:
        super().__init__()
        self._weight = (weight,)

    def forward(self, c: Tensor) -> Tensor:
        """c - W E[x]."""
        weight = self._weight[0]
        split: SNorm = weight[0]
        return c - split.shift(weight.original0, weight.original1) if split.centres else c

    def right_inverse(self, bias: Tensor) -> Tensor:
        """The c that gives this bias with the present weight."""
        return bias - self.forward(torch.zeros_like(bias))


@torch.inference_mode(False)
def s_norm(
    module: nn.Module,
    name: Literal["weight"] = "weight",
    *,
    metric: MetricName = "full",
    mode: Mode = "normalize",
    damping: float = DEFAULT_DAMPING,
    rank: int | None = None,
    axes: Sequence[int] | None = None,
) -> nn.Module:
    """Split the weight of a layer into length g and direction V in the metric of the layer's inputs.

    With S the centred covariance of the inputs, d of them to a unit, and Ŝ = S + `damping` (tr S/d) I:

    - ``mode="normalize"``: W = g V/‖V‖_Ŝ, Eq. 9;
    - ``mode="whiten"``: W = g (V/‖V‖) F with Fᵀ F = Ŝ⁻¹, so that any optimizer's step on V is one in the
      metric Ŝ.

    The state dict of ``metric="identity"`` is that of torch's ``weight_norm``, and an old one's is read too.

    g and the norm are per output unit; a convolution has S over its unfolded patches, one for each group.
    The bias becomes c - W E[x]. A layer without a bias has nothing to take up E[x] and keeps none; S stays
    centred.

    The layer computes the same function after the call as before. S is I and E[x] is 0 until
    `gdnp.nn.fit_metric` takes them from data. The new parameters are
    ``module.parametrizations.weight.original0`` (g) and ``original1`` (V), as in torch's ``weight_norm``:
    initialise before this call, since ``module.weight`` is made anew each time, and make the optimizer after
    it. Assigning to ``module.weight`` moves g and V but leaves c, so assign ``module.bias`` after it.

    ``metric="batch"`` is Batch Normalization: W x is standardised by the statistics of the batch, with the
    gradient through them, and by running statistics in evaluation. ``module.s_norm`` is PyTorch's own
    BatchNorm, with g and c for its weight and bias and with running statistics, and is converted as any. At
    first g² = ‖V‖² + ε; `fit_metric` sets g and c so that evaluation goes on computing what the layer did.
    Momentum may be set there; another ε makes evaluation compute another function.

    Parameters
    ----------
    module : Linear, Conv1d, Conv2d or Conv3d
        Changed in place, and returned.
    name : {"weight"}
        Of the parameter, as in torch's ``weight_norm``.
    metric : {"identity", "diagonal", "low_rank", "kronecker", "full", "batch"}
        "identity" is Ŝ = I, Weight Normalization. "diagonal" keeps the variances, "full" a d x d matrix.
        Between them, neither of which forms one, "low_rank" keeps `rank` leading directions and a diagonal,
        and "kronecker" a covariance along each of the `axes` of an image or another array.
    mode : {"normalize", "whiten"}
    damping : float
        λ >= 0; see `gdnp.nn.DEFAULT_DAMPING`.
    rank : int, optional
        For "low_rank"; `gdnp.nn.DEFAULT_RANK`, or half of the inputs where that is fewer, unless given.
    axes : sequence of int, optional
        For "kronecker": the shape of an input of a Linear layer before it was flattened. A convolution has
        those of its kernel, such as (in_channels/groups, height, width).

    Raises
    ------
    TypeError
        When the module is neither Linear nor a convolution, or its weight is sharded or else no plain
        Parameter.
    ValueError
        When the module has no such weight, shares it with another or is parametrised already, and when a
        unit's weight is zero. For an unknown metric or mode, a negative damping or an option of another
        metric.

    Notes
    -----
    The metric is held in buffers, d x d numbers for "full", which DistributedDataParallel sends to all
    processes in each forward pass unless ``broadcast_buffers=False``; `fit_metric` gives all the same metric.

    References
    ----------
    Kohler et al. (2019), Eqs. 6-9. Salimans and Kingma (2016), Weight Normalization. Ioffe and Szegedy
    (2015), Batch Normalization.

    Examples
    --------
    >>> import torch
    >>> from gdnp.nn import fit_metric, s_norm
    >>> _ = torch.manual_seed(0)
    >>> x = torch.randn(100, 3) * torch.tensor([1.0, 10.0, 100.0]) + 5.0
    >>> layer = torch.nn.Linear(3, 2)
    >>> before = layer(x)
    >>> layer = fit_metric(s_norm(layer, mode="whiten"), [x])
    >>> torch.allclose(layer(x), before, atol=1e-3)
    True
    """
    if name != "weight":
        raise ValueError(f"name must be 'weight', the parameter that is split. Got {name!r}.")
    weight = _weight(module)
    _check_options(module, metric, mode, damping=damping, rank=rank, axes=axes)
    if metric == "batch":
        attach(module)
        return module.train(module.training)
    shape = input_shape(module)
    whitens = mode == "whiten" or metric == "identity"
    factor = FACTORS[metric](shape, weight, whitens=whitens, **_own_options(weight, metric, rank, axes))
    kind = SNorm if metric == "identity" else FittedSNorm
    split = kind(factor, weight.detach(), damping).to(weight.device)
    parametrize.register_parametrization(module, "weight", split)
    if module.bias is not None and metric != "identity":
        lists = module.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        parametrize.register_parametrization(module, "bias", CentredBias(lists["weight"]))
    if metric == "identity":
        module.register_load_state_dict_pre_hook(_translate_state)  # type: ignore[no-untyped-call]
    make_copyable(module)
    return module.train(module.training)  # what is new is in the mode of the rest


def _translate_state(module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take what PyTorch's first weight_norm saved, as its second one does."""
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        if prefix + old in state:
            state[f"{prefix}parametrizations.weight.{new}"] = state.pop(prefix + old)


def metric_of(module: nn.Module) -> SNorm | BatchMetric | None:
    """What ``s_norm`` has put on a module, if it has."""
    attached = getattr(module, "s_norm", None)
    if isinstance(attached, BatchMetric):
        return attached
    if parametrize.is_parametrized(module, "weight"):
        first = module.parametrizations["weight"][0]  # type: ignore[index]
        return first if isinstance(first, SNorm) else None
    return None


def fold(module: nn.Module) -> nn.Module:
    """Turn every layer with ``s_norm`` in a module, or the module itself, back into a plain layer, in place.

    The function stays the same; for ``metric="batch"`` that is the function of evaluation, and the layer gets
    a bias if it had none. Returns the module, whose weights are new parameters: make a new optimizer.

    Examples
    --------
    >>> import torch
    >>> from gdnp.nn import fold, s_norm
    >>> fold(s_norm(torch.nn.Linear(3, 2)))
    Linear(in_features=3, out_features=2, bias=True)
    """
    for layer in list(unwrapped(module)[0].modules()):
        found = metric_of(layer)
        if isinstance(found, BatchMetric):
            fold_batch(layer)
        elif found is not None:
            if parametrize.is_parametrized(layer, "bias"):  # first, since it is made from the weight
                parametrize.remove_parametrizations(layer, "bias")
            parametrize.remove_parametrizations(layer, "weight")
            layer.register_parameter("bias", layer._parameters.pop("bias"))  # after the weight, as before
    return module


def _weight(module: nn.Module) -> Tensor:
    """The weight to split, refused where it cannot be."""
    kind, weight = type(module).__name__, module._parameters.get("weight")
    if not isinstance(module, LAYERS):
        raise TypeError(
            f"s_norm works on the weight of Linear, Conv1d, Conv2d and Conv3d. Got {kind}; leave it as it "
            "is, use torch's weight_norm, or s_norm_model on a whole network."
        )
    got = None
    if metric_of(module) is not None:
        got = "one that has it already; move the metric with fit_metric, or fold the layer first"
    elif parametrize.is_parametrized(module):
        got = "one with another; remove it first with torch.nn.utils.parametrize.remove_parametrizations"
    elif weight is None:
        got = "one whose weight is no Parameter; remove the older weight_norm or pruning first"
    elif isinstance(weight, nn.UninitializedParameter):
        got = "a lazy one; run a batch through it first"
    elif weight.is_complex() or not weight.numel():
        what = "complex numbers" if weight.is_complex() else f"shape {tuple(weight.shape)}"
        got = f"a weight of {what}; leave it as it is"
    if got:
        raise ValueError(f"s_norm takes a {kind} of real numbers without a parametrisation. Got {got}.")
    own = [each for each in ("weight", "bias") if module._parameters[each] is not None]
    check_plain((getattr(module, each) for each in own), f"the weight of {kind}")
    del weight  # which would be a reference of its own
    alone = _references({"weight": nn.Parameter(torch.empty(0))}, "weight")
    for each in own:
        if _references(module._parameters, each) > alone:  # maybe another's: a search
            _check_untied(module, each)
    found = module._parameters["weight"]
    assert found is not None
    return found


def _references(parameters: dict[str, Any], name: str) -> int:
    parameter = parameters[name]
    return sys.getrefcount(parameter)


def _check_untied(module: nn.Module, name: str) -> None:
    """Refuse a parameter that another module holds too: no module knows of a tie, but all can be asked.

    Warn of an optimizer that holds the weight, since it knows nothing of what is made from it.
    """
    parameter = module._parameters[name]
    for holder in gc.get_referrers(parameter):
        if name == "weight" and type(holder) is list:
            groups = [group for group in gc.get_referrers(holder) if type(group) is dict]
            if any(group.get("params") is holder for group in groups):
                warnings.warn(
                    f"an optimizer holds the weight of this {type(module).__name__}, and would not train "
                    "what s_norm makes of it. Make the optimizer after s_norm.",
                    stacklevel=5,
                )
        if type(holder) is not dict or holder is module._parameters:
            continue
        owners = gc.get_referrers(holder)  # of a module's parameters: the module, or its attributes
        for one in owners + [each for its in owners if type(its) is dict for each in gc.get_referrers(its)]:
            if not issubclass(type(one), nn.Module) or one._parameters is not holder:
                continue
            raise ValueError(
                f"s_norm needs a layer that has its {name} for itself. Got a {type(module).__name__} that "
                f"shares it with a {type(one).__name__}, and would not any more; leave it as it is, or untie "
                f"it: layer.{name} = torch.nn.Parameter(layer.{name}.detach().clone())."
            )


OWNERS = {"rank": "low_rank", "axes": "kronecker"}
"""Whose options are whose."""


def _check_options(module: nn.Module, metric: str, mode: str, **given: Any) -> None:
    names = (*FACTORS, "batch")
    if metric not in names:
        raise ValueError(f"metric must be one of {', '.join(names)}. Got {metric!r}.")
    if mode not in ("normalize", "whiten"):
        raise ValueError(f"mode must be 'normalize' or 'whiten'. Got {mode!r}.")
    check_damping(given["damping"])
    if metric == "batch" and mode == "whiten":
        raise ValueError(
            "metric='batch' has only mode='normalize', since a weight never sees activations. Got "
            "mode='whiten'; use metric='full' to whiten."
        )
    if metric == "batch" and given["damping"] != DEFAULT_DAMPING:
        raise ValueError(
            f"damping is for a fitted metric. Got {given['damping']:g} with metric='batch'; leave it out."
        )
    for name, owner in OWNERS.items():
        if metric != owner and given[name] is not None:
            raise ValueError(
                f"{name} belongs to metric={owner!r}. Got {name}={given[name]!r} with metric={metric!r}; "
                "leave it out."
            )
    if metric != "identity" and isinstance(module, NonDynamicallyQuantizableLinear):
        raise ValueError(
            f"metric={metric!r} needs a layer that is called, to see its inputs. Got the out_proj of "
            "MultiheadAttention, which only lends its weight; use metric='identity' or leave it as it is."
        )


def _own_options(weight: Tensor, metric: str, rank: int | None, axes: Sequence[int] | None) -> dict[str, Any]:
    """What one metric alone takes."""
    if metric == "low_rank":
        return {"rank": rank}
    if metric != "kronecker":
        return {}
    if axes is None and weight.ndim == 2:
        raise ValueError(
            "metric='kronecker' needs axes for a Linear layer, the shape of an input before it was "
            "flattened. Got none; give axes=(3, 32, 32) for small colour images."
        )
    return {"axes": tuple(weight.shape[1:] if axes is None else axes)}


def check_damping(damping: float) -> None:
    """Refuse a λ that is negative or not finite."""
    if not isinstance(damping, float | int) or isinstance(damping, bool) or not 0.0 <= damping < math.inf:
        raise ValueError(
            f"damping must be a finite number >= 0, in units of the mean variance. Got {damping!r}."
        )
