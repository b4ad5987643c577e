"""Deep copies and pickles of parametrised layers, which torch leaves out or shares between copies."""

from copy import deepcopy
from typing import Any

from torch import nn
from torch.nn.utils import parametrize


def make_copyable(module: nn.Module) -> None:
    """Let a parametrised module be pickled, and copied so that the copy can be changed on its own.

    torch gives each parametrised module a class of its own that it refuses to pickle, and that a deep copy
    shares: removing the parametrisation from one copy breaks the other. Here a copy is a new module of the
    plain class, parametrised anew with copies of the same parts. ``reset_parameters`` would draw into a
    weight that is made anew each time, and change nothing: it is refused.
    """
    cls: Any = type(module)
    cls.__deepcopy__ = _deepcopy
    cls.__reduce_ex__ = _reduce
    cls.reset_parameters = _reset


def _reset(module: nn.Module) -> None:
    raise RuntimeError(
        "reset_parameters needs a plain layer. Got one whose weight is made from length and direction; "
        "fold it first, or initialise before s_norm."
    )


def _parts(module: nn.Module) -> tuple[type[nn.Module], dict[str, Any], dict[str, nn.Module]]:
    state = dict(module.__dict__)
    modules = dict(state["_modules"])
    lists = dict(modules.pop("parametrizations").items())
    state["_modules"] = modules
    cls: type[nn.Module] = parametrize.type_before_parametrizations(module)
    return cls, state, lists


def _deepcopy(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    cls, state, lists = _parts(module)
    replica = cls.__new__(cls)
    memo[id(module)] = replica  # before the parts, which may refer to the module
    return _fill(replica, *deepcopy((state, lists), memo))


def _reduce(module: nn.Module, protocol: int) -> tuple[Any, ...]:
    return _rebuild, _parts(module)


def _rebuild(cls: type[nn.Module], state: dict[str, Any], lists: dict[str, nn.Module]) -> nn.Module:
    return _fill(cls.__new__(cls), state, lists)


def _fill(module: Any, state: dict[str, Any], lists: dict[str, nn.Module]) -> nn.Module:
    module.__setstate__(state)
    for name, parts in lists.items():
        # torch makes the class and its property; the parts it makes with them are put aside.
        module.register_buffer(name, parts())
        parametrize.register_parametrization(module, name, nn.Identity(), unsafe=True)
        module.parametrizations[name] = parts
    make_copyable(module)
    filled: nn.Module = module
    return filled
