"""``python -m gdnp``."""

import runpy
import sys

import pytest

import gdnp


def test_the_package_is_a_command(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gdnp", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("gdnp", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"gdnp {gdnp.__version__}\n"
