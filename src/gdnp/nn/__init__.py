"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'.", name="torch"
    ) from error

from gdnp.nn.dependency import cross_dependency, matrix_layers
from gdnp.nn.mlp import SampleMLP
from gdnp.nn.training import MLPResult, train_mlp

__all__ = ["MLPResult", "SampleMLP", "cross_dependency", "matrix_layers", "train_mlp"]
