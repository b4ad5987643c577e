"""Length and direction in PyTorch networks; needs ``gdnp[torch]``."""

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "gdnp.nn needs PyTorch, which is not installed; run: pip install 'gdnp[torch]'."
    ) from error

__all__: list[str] = []
