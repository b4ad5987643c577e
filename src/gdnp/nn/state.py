"""What a state dict must say beside its numbers, and what of it has to agree where it is loaded."""

import json
from typing import Any

import torch
from torch import Tensor

__all__ = ["Described"]

EXTRA = "_extra_state"
"""torch's name for it."""
SIZE = 192
"""Bytes of a description at least, filled up with spaces."""


class Described:
    """A module whose state dict says how its numbers are to be read: a first base of it.

    The description is JSON in a tensor of bytes, so that formats of tensors alone hold it too.
    """

    def own_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What has to agree when a state is loaded, and what is taken over as attributes."""
        raise NotImplementedError

    def get_extra_state(self) -> Tensor:
        """Both, for ``state_dict``."""
        fixed, taken = self.own_state()
        text = json.dumps({**fixed, **taken}).encode()
        # Of one size, since averages of models are taken entry by entry of their states.
        return torch.tensor(list(text.ljust(SIZE)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what may differ."""
        described = _read(state)
        for name in self.own_state()[1]:
            setattr(self, name, described[name])

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """As PyTorch's own, but for a mismatch: an error whether strict or not."""
        if prefix + EXTRA in state:
            described, fixed = _read(state[prefix + EXTRA]), json.loads(json.dumps(self.own_state()[0]))
            wrong = [name for name in fixed if described.get(name) != fixed[name]]
            if wrong:
                there = ", ".join(f"{name}={described.get(name)!r}" for name in wrong)
                here = ", ".join(f"{name}={fixed[name]!r}" for name in wrong)
                rest[-1].append(
                    f"{prefix.removesuffix('.')} must be loaded into what it was saved from. Got a state "
                    f"with {there} for a layer with {here}; call s_norm with those of the state."
                )
                return
        super()._load_from_state_dict(state, prefix, *rest)  # type: ignore[misc]


def _read(state: Tensor) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(state.tolist()))
    return found
