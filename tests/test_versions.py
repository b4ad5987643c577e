"""What an installation says of itself."""

import numpy as np

import gdnp
from gdnp.design import compiled


def test_versions_and_kernels_are_shown(capsys):
    gdnp.show_versions()
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["gdnp"] == gdnp.__version__
    assert lines["numpy"] == np.__version__
    assert lines["kernels"] == compiled.status()


def test_what_is_not_installed_is_said(capsys, monkeypatch):
    monkeypatch.setattr("gdnp.versions.PACKAGES", ("no_such_package",))
    gdnp.show_versions()
    assert "no_such_package not installed" in capsys.readouterr().out
