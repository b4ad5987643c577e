"""What an installation consists of: for bug reports."""

import platform
import sys

from gdnp.design.compiled import status
from gdnp.store import versions

PACKAGES = ("gdnp", "numpy", "scipy", "scikit-learn", "threadpoolctl", "torch")


def show_versions() -> None:
    """Print the versions that matter, and whether passes run compiled and on which instruction set."""
    lines = {"python": sys.version.split()[0], "platform": platform.platform()}
    lines |= {name: found or "not installed" for name, found in versions(*PACKAGES).items()}
    lines["kernels"] = status()
    for name, value in lines.items():
        print(f"{name:14} {value}")
