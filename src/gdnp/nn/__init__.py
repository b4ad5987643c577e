"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'."
    ) from error

from gdnp.nn.metrics import DEFAULT_DAMPING, DEFAULT_RANK
from gdnp.nn.parametrize import fold, s_norm

__all__ = ["DEFAULT_DAMPING", "DEFAULT_RANK", "fold", "s_norm"]
