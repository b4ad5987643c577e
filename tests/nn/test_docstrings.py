"""The examples in the docstrings of gdnp.nn run."""

import doctest
import importlib
import pkgutil

import pytest

torch = pytest.importorskip("torch")

import gdnp.nn  # noqa: E402

PUBLIC = {"fit", "groups", "parametrize", "whitener"}


@pytest.mark.parametrize("name", sorted({module.name for module in pkgutil.iter_modules(gdnp.nn.__path__)}))
def test_examples(name):
    failed, attempted = doctest.testmod(importlib.import_module(f"gdnp.nn.{name}"))
    assert failed == 0
    assert attempted or name not in PUBLIC


def test_public_names_are_there_and_documented():
    for name in gdnp.nn.__all__:
        found = getattr(gdnp.nn, name)
        assert found.__doc__, name
