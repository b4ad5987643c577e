"""What the layers of a network do in training, seen from outside: steps by angle and length, dependencies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gdnp._files import require
from gdnp.nn.dependency import DependencyMatrix, effective_weight, matrix_layers
from gdnp.nn.wrappers import unwrapped, unwrapped_optimizers


class StepMonitor:
    """The effective step of every layer: the angle by which W turned, and by how much it grew.

    For a scale-invariant W the angle is the whole step. A pair of hooks on ``optimizer.step``, which changes
    nothing; ``remove()``, or leaving a ``with`` block, takes it off. One copy of the weights is kept.

    Parameters
    ----------
    model : Module
        Its layers are those of `gdnp.nn.matrix_layers`; W is what a parametrised layer computes with.
    optimizer : Optimizer or sequence of Optimizer
        A step of several begins with the first one's and ends with the last one's.

    Attributes
    ----------
    history : dict of str to list of (float, float)
        For each layer and step: the mean over units of the angle in radians, and log(‖W⁺‖/‖W‖), which is
        infinite for a W that begins at 0.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(3, 2, bias=False))
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> with StepMonitor(model, optimizer) as monitor:
    ...     model[0].weight.grad = -10.0 * model[0].weight.detach()
    ...     optimizer.step()
    >>> [(round(angle, 3), round(growth, 3)) for angle, growth in monitor.history["0"]]
    [(0.0, 0.693)]
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer | Sequence[Optimizer]) -> None:
        self._model = unwrapped(model)[0]
        self.history: dict[str, list[tuple[float, float]]] = {name: [] for name in matrix_layers(model)}
        self._before: dict[str, Tensor] = {}
        optimizers = unwrapped_optimizers(optimizer)
        known = {id(p) for one in optimizers for group in one.param_groups for p in group["params"]}
        if not any(id(p) in known for p in self._model.parameters()):
            raise ValueError(
                "optimizer must hold parameters of the model. Got none of them; make it of this model."
            )
        self._handles = [
            optimizers[0].register_step_pre_hook(self._look),
            optimizers[-1].register_step_post_hook(self._compare),
        ]

    @torch.no_grad()
    def _weights(self) -> dict[str, Tensor]:
        return {name: effective_weight(self._model, name).detach().flatten(1) for name in self.history}

    def _look(self, *_: object) -> None:
        self._before = {name: weight.clone() for name, weight in self._weights().items()}

    def _compare(self, *_: object) -> None:
        for name, weight in self._weights().items():
            old = self._before[name]
            a, b = (nn.functional.normalize(rows.float(), dim=1) for rows in (old, weight))
            angle = 2.0 * torch.atan2((a - b).norm(dim=1), (a + b).norm(dim=1))  # exact for small ones
            self.history[name].append((float(angle.mean()), float((weight.norm() / old.norm()).log())))
        self._before = {}

    def remove(self) -> None:
        """Take the hooks off the optimizer."""
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> StepMonitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class DependencyDisplay:
    """Which layers depend on which, as a heat map, and how that changes in training.

    Parameters
    ----------
    matrices : DependencyMatrix, or mapping of step to DependencyMatrix
        The heat map is of the last.

    Attributes
    ----------
    ax_, figure_
        Set by ``plot`` and ``plot_history``.
    """

    def __init__(self, matrices: DependencyMatrix | Mapping[float, DependencyMatrix]) -> None:
        self.matrices = dict(matrices) if isinstance(matrices, Mapping) else {0.0: matrices}
        if not self.matrices:
            raise ValueError("matrices must hold at least one DependencyMatrix. Got none.")

    def plot(self, *, scaled: bool = True, ax: Any = None) -> DependencyDisplay:
        """The heat map: log₁₀ of the norms, times those of the weights unless ``scaled=False``."""
        matrix = list(self.matrices.values())[-1]
        axes, ticks = self._begin(ax), range(len(matrix.names))
        norms = (matrix.scaled if scaled else matrix).norms
        image = axes.imshow(norms.clamp_min(torch.finfo(norms.dtype).tiny).log10().numpy())
        axes.set_xticks(ticks, matrix.names, rotation=90)
        axes.set_yticks(ticks, matrix.names)
        self.figure_.colorbar(image, ax=axes, label="log₁₀ of the block's norm" + scaled * ", scaled")
        return self

    def plot_history(self, *, ax: Any = None) -> DependencyDisplay:
        """For each layer and step, the norm of its blocks with the others over that of its own."""
        axes, steps = self._begin(ax), list(self.matrices)
        shares = torch.stack([matrix.coupling for matrix in self.matrices.values()]).T
        for name, share in zip(self.matrices[steps[0]].names, shares.numpy(), strict=True):
            axes.plot(steps, share, label=name)
        axes.set(xlabel="step", ylabel="blocks with other layers over the layer's own", yscale="log")
        axes.legend(title="layer")
        return self

    def _begin(self, ax: Any) -> Any:
        if ax is None:
            require("matplotlib", "a DependencyDisplay")
            from matplotlib import pyplot

            _, ax = pyplot.subplots(layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax
