"""gdnp: length-direction decoupling, from theory to software (Kohler et al., AISTATS 2019)."""

from importlib import import_module
from importlib.metadata import version
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gdnp.display import AlphaDisplay, ConvergenceDisplay
    from gdnp.estimators import GDNPClassifier, GDNPClassifierCV, GDNPRegressor, GDNPRegressorCV, path
    from gdnp.problem import Objective
    from gdnp.solvers import Progress, Result, Status, minimize
    from gdnp.versions import show_versions

__all__ = [
    "AlphaDisplay",
    "ConvergenceDisplay",
    "GDNPClassifier",
    "GDNPClassifierCV",
    "GDNPRegressor",
    "GDNPRegressorCV",
    "Objective",
    "Progress",
    "Result",
    "Status",
    "minimize",
    "path",
    "show_versions",
]
__version__ = version("gdnp")

_LAZY = {
    "AlphaDisplay": "gdnp.display",
    "ConvergenceDisplay": "gdnp.display",
    "GDNPClassifier": "gdnp.estimators",
    "GDNPClassifierCV": "gdnp.estimators",
    "GDNPRegressor": "gdnp.estimators",
    "GDNPRegressorCV": "gdnp.estimators",
    "Objective": "gdnp.problem",
    **dict.fromkeys(("Progress", "Result", "Status", "minimize"), "gdnp.solvers"),
    "path": "gdnp.estimators",
    "show_versions": "gdnp.versions",
}
"""Names that the package does without: SciPy and scikit-learn are slow to import."""

_MODULES = {found.name for found in iter_modules(__path__) if not found.name.startswith("_")}
"""Modules that are loaded on first use: some need an extra, and most fits need few."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"gdnp.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'gdnp' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY) | _MODULES)
