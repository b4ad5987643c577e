"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'.", name="torch"
    ) from error

from gdnp.nn.dependency import DependencyMatrix, cross_dependency, matrix_layers
from gdnp.nn.factors import DEFAULT_DAMPING, DEFAULT_RANK
from gdnp.nn.fit import fit_metric
from gdnp.nn.groups import param_groups
from gdnp.nn.mlp import MLPResult, SampleMLP, train_mlp
from gdnp.nn.monitor import DependencyDisplay, StepMonitor
from gdnp.nn.parametrize import fold, s_norm
from gdnp.nn.whitener import Whitener, whiten_inputs
from gdnp.nn.whole import s_norm_model

__all__ = [
    "DEFAULT_DAMPING",
    "DEFAULT_RANK",
    "DependencyDisplay",
    "DependencyMatrix",
    "MLPResult",
    "SampleMLP",
    "StepMonitor",
    "Whitener",
    "cross_dependency",
    "fit_metric",
    "fold",
    "matrix_layers",
    "param_groups",
    "s_norm",
    "s_norm_model",
    "train_mlp",
    "whiten_inputs",
]
