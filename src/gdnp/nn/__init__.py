"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'."
    ) from error

from gdnp.nn.dependency import cross_dependency, matrix_layers

__all__ = ["cross_dependency", "matrix_layers"]
