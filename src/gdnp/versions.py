"""What an installation consists of: for bug reports."""

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from gdnp.design.compiled import status

PACKAGES = ("gdnp", "numpy", "scipy", "scikit-learn", "threadpoolctl", "torch")


def show_versions() -> None:
    """Print the versions that matter, and whether passes run compiled and on which instruction set."""
    lines = {"python": sys.version.split()[0], "platform": platform.platform()}
    lines |= {name: _version(name) for name in PACKAGES}
    lines["kernels"] = status()
    for name, value in lines.items():
        print(f"{name:14} {value}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
