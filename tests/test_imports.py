"""What imports what, imports for types and inside functions included: no circles; records know no words."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import gdnp

ROOT = Path(gdnp.__file__).parent
MODULES = {
    ".".join(("gdnp", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}
LAYERS = ("cli", "datasets", "diagnose", "nn", "population")
LAYERS += ("_files", "display", "metric", "models", "moments", "plotting", "theory", "validation")


def imports(module):
    """Modules of the package that one names in an import, wherever that stands."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() if names <= MODULES.keys() else {node.module, *names}
    return found & MODULES.keys() - {module}


GRAPH = {module: imports(module) for module in MODULES}


def circle(graph):
    """Some circle of a graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_circle_of_imports():
    inside = {module for module in GRAPH if module.split(".")[1:2] and module.split(".")[1] in LAYERS}
    assert circle({module: GRAPH[module] & inside for module in inside}) == []


def test_a_circle_is_seen():
    assert circle({"gdnp.theory": GRAPH["gdnp.theory"], "gdnp.metric": {"gdnp.theory"}})


def test_words_of_an_audit_come_after_what_they_say():
    """Separability and records, then words, then the audit that measures."""
    order = ["separability", "records", "words", "audit"]
    for k, name in enumerate(order):
        later = {f"gdnp.diagnose.{other}" for other in ("", *order[k:])}
        assert later.isdisjoint(GRAPH[f"gdnp.diagnose.{name}"])


def test_the_command_line_is_imported_by_nobody():
    users = {module for module, found in GRAPH.items() if any(name.startswith("gdnp.cli") for name in found)}
    assert {user for user in users if not user.startswith("gdnp.cli")} <= {"gdnp.__main__"}


FIRST = """
import os, sys
import matplotlib.figure, numpy, scipy.stats, sklearn.base  # once for all of the processes below
for module in sys.argv[1:]:
    if os.fork() == 0:
        __import__(module)
        os._exit(0)
    if os.wait()[1] != 0:
        sys.exit(f"{module} cannot be imported first")
"""


def test_modules_can_be_imported_first():
    command = [sys.executable, "-c", FIRST, "gdnp.plotting", "gdnp.paper", "gdnp.cli"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
