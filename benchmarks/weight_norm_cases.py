"""PyTorch's cases of ``weight_norm``, with ``gdnp.nn.s_norm(metric="identity")`` in its place.

``other_tests.py`` runs this. The cases are PyTorch's own, read from the installed package: the examples in
the docstrings of both weight_norms, and the sample layers and inputs by which PyTorch tests its modules. On
each of these the two must agree.
"""

from __future__ import annotations

import copy
import doctest
import io
import sys
import types
import unittest
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from adapters import not_offered
from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from gdnp.nn import fold, s_norm

if find_spec("expecttest") is None:  # PyTorch's own tests inherit from it; its sample inputs do not use it
    sys.modules["expecttest"] = types.ModuleType("expecttest")
    sys.modules["expecttest"].TestCase = unittest.TestCase  # type: ignore[attr-defined]
from torch.testing._internal.common_modules import module_db


def normed(module: nn.Module, name: str = "weight", dim: int | None = 0) -> nn.Module:
    """weight_norm by gdnp, as far as gdnp has it."""
    if name != "weight":
        not_offered("s_norm of another parameter than the weight")
    if dim != 0:
        not_offered("one length of a whole weight, or of another axis")
    try:
        return s_norm(module, name, metric="identity")
    except TypeError:
        not_offered(f"s_norm of {type(module).__name__}")


# What the docstrings show


def examples() -> list[Any]:
    """The examples of both docstrings, each with those before it."""
    found = []
    for function in (weight_norm, nn.utils.weight_norm):
        parsed = doctest.DocTestParser().get_examples(function.__doc__)
        label = function.__module__.rpartition(".")[2]
        found += [
            pytest.param(parsed[: k + 1], id=f"{label}-{example.source.strip()}")
            for k, example in enumerate(parsed)
        ]
    return found


@pytest.mark.parametrize("shown", examples())
def test_example(shown: list[Any]) -> None:
    """The last example prints what its docstring says."""
    names = {"weight_norm": normed, "nn": nn, "torch": torch}
    for example in shown[:-1]:
        exec(example.source, names)  # as doctest does
    last = doctest.DocTest([shown[-1]], names, "example", None, None, None)
    out = io.StringIO()
    failed, _ = doctest.DocTestRunner(verbose=False).run(last, out=out.write)
    assert failed == 0, out.getvalue()


# The layers by which PyTorch tests its modules


def samples() -> list[Any]:
    """(constructor, forward input) of each layer that has a weight for weight_norm."""
    found = []
    for info in module_db:
        if info.is_lazy:
            continue
        inputs = info.module_inputs_func(info, "cpu", torch.float64, False, training=True)
        for k, sample in enumerate(inputs):
            given = sample.constructor_input
            try:
                module = info.module_cls(*given.args, **given.kwargs)
            except (TypeError, ValueError):
                continue
            weight = getattr(module, "weight", None)
            if isinstance(weight, nn.Parameter) and weight.ndim > 1:
                found.append(pytest.param((info.module_cls, sample), id=f"{info.module_cls.__name__}-{k}"))
    return found


@pytest.fixture(params=samples())
def case(request: Any) -> tuple[nn.Module, nn.Module, nn.Module, tuple[Any, ...]]:
    """A plain layer, the same by PyTorch, the same by gdnp, and its inputs."""
    cls, sample = request.param
    torch.manual_seed(0)
    given = sample.constructor_input
    plain = cls(*given.args, **given.kwargs).to(torch.float64)
    ours = normed(copy.deepcopy(plain))
    inputs = (*sample.forward_input.args, *sample.forward_input.kwargs.values())
    return plain, weight_norm(copy.deepcopy(plain)), ours, inputs


def remove_parametrizations(layer: nn.Module) -> None:
    """PyTorch's way back to a plain layer."""
    parametrize.remove_parametrizations(layer, "weight")


def moved(layer: nn.Module) -> nn.Module:
    """Parameters away from where they begin, where g is the norm of V."""
    torch.manual_seed(1)
    with torch.no_grad():
        for _, parameter in sorted(layer.named_parameters()):
            parameter.mul_(1.0 + torch.rand_like(parameter))
    return layer


def test_function_is_kept(case: Any) -> None:
    """Of the layer as it was."""
    plain, _, ours, inputs = case
    torch.testing.assert_close(ours(*inputs), plain(*inputs))


def test_shapes_of_parameters(case: Any) -> None:
    """g and V have the names and shapes that PyTorch gives them."""
    _, theirs, ours, _ = case
    shapes = [{name: tuple(p.shape) for name, p in m.named_parameters()} for m in (theirs, ours)]
    assert shapes[0] == shapes[1]


def test_value_and_gradients(case: Any) -> None:
    """Both layers, with the same g and V that are no norm of each other."""
    _, theirs, ours, inputs = case
    moved(theirs), moved(ours)
    for layer in (theirs, ours):
        layer(*inputs).square().sum().backward()
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad)


def test_gradcheck(case: Any) -> None:
    """First and second derivatives of the weight, by finite differences."""
    weight = moved(case[2]).parametrizations["weight"]
    split = [original.detach().clone().requires_grad_() for original in (weight.original0, weight.original1)]
    assert torch.autograd.gradcheck(weight[0], split)
    assert torch.autograd.gradgradcheck(weight[0], split)


def test_state_is_read_from_torch(case: Any) -> None:
    """A state dict of PyTorch's weight_norm loads strictly, and makes the same layer."""
    _, theirs, ours, inputs = case
    ours.load_state_dict(moved(theirs).state_dict())
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))


def test_state_is_read_by_torch(case: Any) -> None:
    """And the other way round."""
    _, theirs, ours, inputs = case
    theirs.load_state_dict(moved(ours).state_dict())
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_state_is_read_from_old_torch(case: Any) -> None:
    """A state dict of the old weight_norm, with weight_g and weight_v."""
    plain, _, ours, inputs = case
    old = moved(nn.utils.weight_norm(copy.deepcopy(plain)))
    ours.load_state_dict(old.state_dict())
    torch.testing.assert_close(ours(*inputs), old(*inputs))


def test_copies_are_independent(case: Any) -> None:
    """A deep copy computes the same until it is moved."""
    _, _, ours, inputs = case
    before = ours(*inputs)
    other = copy.deepcopy(ours)
    torch.testing.assert_close(other(*inputs), before)
    moved(other)
    torch.testing.assert_close(ours(*inputs), before)
    assert not torch.allclose(other(*inputs), before)


def test_assigned_weight_is_taken(case: Any) -> None:
    """Assigning to the weight splits it anew."""
    plain, theirs, ours, inputs = case
    weight = moved(plain).weight.detach().clone()
    ours.weight, theirs.weight = weight, weight
    torch.testing.assert_close(ours(*inputs), theirs(*inputs))
    torch.testing.assert_close(ours.weight, weight)


@pytest.mark.parametrize("remove", [fold, remove_parametrizations])
def test_removed(case: Any, remove: Any) -> None:
    """A plain layer again, of the same class, names and function."""
    plain, _, ours, inputs = case
    before = moved(ours)(*inputs)
    remove(ours)
    assert type(ours) is type(plain)
    assert set(ours.state_dict()) == set(plain.state_dict())
    torch.testing.assert_close(ours(*inputs), before)


@pytest.mark.parametrize("dim", [None, 1, -1])
def test_other_dim(dim: int | None) -> None:
    """PyTorch's other choices of an axis."""
    torch.manual_seed(0)
    plain = nn.Linear(4, 3)
    torch.testing.assert_close(
        normed(copy.deepcopy(plain), dim=dim).weight, weight_norm(plain, dim=dim).weight
    )
