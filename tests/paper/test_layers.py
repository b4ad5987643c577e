"""The folders of ``gdnp.paper`` build on each other in one direction, and every module has its tests."""

import ast
from pathlib import Path

import pytest

import gdnp.paper

ROOT = Path(gdnp.paper.__file__).parent
MODULES = {
    path: ".".join(("gdnp.paper", *path.relative_to(ROOT).with_suffix("").parts))
    for path in ROOT.rglob("*.py")
}
NAMES = {path: name.removesuffix(".__init__") for path, name in MODULES.items()}
LAYERS = {"runner": 0, "claims": 2, "figure1": 1, "figure2": 1, "figure3": 1, "table1": 1, "report": 3}
UNTESTED = ("__init__.py",)


def imports(path):
    """The modules of the package that a module imports anywhere, be it in a function or for types alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & set(NAMES.values()) - {NAMES[path]}


def folder(name):
    """The folder of a module; none for the package itself, which knows them all."""
    return ([*name.split("."), ""])[2]


@pytest.mark.parametrize("path", NAMES, ids=NAMES.get)
def test_no_module_imports_one_of_a_higher_layer_or_of_another_figure(path):
    own = folder(NAMES[path])
    for other in imports(path):
        assert own == "" or folder(other) == own or LAYERS[folder(other)] < LAYERS[own], other


def test_there_is_no_import_circle():
    left = {name: imports(path) for path, name in NAMES.items()}
    while left:
        free = [name for name, needed in left.items() if not needed & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for name in free:
            del left[name]


@pytest.mark.parametrize("path", NAMES, ids=NAMES.get)
def test_every_module_has_tests_of_its_name(path):
    if path.name not in UNTESTED:
        assert (Path(__file__).parent / path.relative_to(ROOT)).with_name(f"test_{path.name}").is_file()
