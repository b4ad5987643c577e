"""Losses and methods of one's own, named ``MODULE:OBJECT`` as an entry point is."""

import hashlib
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gdnp.losses import Loss, check_loss, get_loss
from gdnp.paper.runner.experiment import OptionError


def named(name: str) -> Any:
    """The object of that name; an ``OptionError`` where there is none."""
    try:
        if ":" not in name:
            raise ValueError("there is no colon")
        return pkgutil.resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(
            "A loss or method of your own should be MODULE:OBJECT that can be imported from here. "
            f"Got {name!r}: {error}."
        ) from error


def loss_of(name: str) -> Loss:
    """The loss of that name, of this library or one's own."""
    found = named(name) if ":" in name else name
    return get_loss(found() if isinstance(found, type) else found)


def called(name: str, labels: Mapping[str, str]) -> str:
    """What figures call it: one's own by the name of the object."""
    return labels.get(name, name.rpartition(":")[2])


def measured_as(loss: str) -> str:
    """The loss of the paper whose measure it has: log_loss the suboptimality, sigmoid the gradient norm."""
    return "log_loss" if loss == "log_loss" else "sigmoid"


def hashes(losses: tuple[str, ...], methods: tuple[str, ...]) -> dict[str, str]:
    """{module: SHA-256 of its file} of what is one's own: other code is another result.

    A name that leads nowhere, a loss whose derivatives disagree and a method that cannot be called are
    refused.
    """
    for name in losses:
        try:
            loss = loss_of(name)
            if loss.task != "classification":
                raise ValueError("the loss should be one of classification.")
            check_loss(loss)
        except (TypeError, ValueError) as error:
            raise OptionError(f"{name}: {error}") from error
    for name in methods:
        if not callable(named(name)) or isinstance(named(name), type):
            raise OptionError(
                f"--method should name a function (field, starts, multiples) of states. Got {name!r}."
            )
    found = {}
    for module in sorted({name.partition(":")[0] for name in (*losses, *methods) if ":" in name}):
        path = Path(getattr(sys.modules[module], "__file__", None) or "")
        if path.is_file():
            found[module] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found
