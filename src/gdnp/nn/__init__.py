"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'."
    ) from error

from gdnp.nn.fit import fit_metric
from gdnp.nn.groups import param_groups
from gdnp.nn.metrics import DEFAULT_DAMPING, DEFAULT_RANK
from gdnp.nn.parametrize import fold, s_norm
from gdnp.nn.whitener import Whitener, whiten_inputs

__all__ = [
    "DEFAULT_DAMPING",
    "DEFAULT_RANK",
    "Whitener",
    "fit_metric",
    "fold",
    "param_groups",
    "s_norm",
    "whiten_inputs",
]
