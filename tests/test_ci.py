"""What runs beside the tests: the public workflow, the long run, and the table of mutants that survive."""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "mutants.md"

pytestmark = pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="not a checkout: .ci is not here")


@pytest.fixture(scope="module")
def mutants():
    spec = spec_from_file_location("gdnp_ci_mutants", ROOT / ".ci" / "mutants.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


# Scripts


def head(name):
    """The lines that make a copy and an environment, without what says the tests."""
    script = (ROOT / ".ci" / name).read_text(encoding="utf-8")
    lines = script[script.index("set -euo pipefail\n") : script.index("set -x\n")].splitlines()
    return [line for line in lines if not line.startswith("tests=")]


def test_the_long_run_begins_as_the_run_does():
    assert head("long") == head("run")
    assert (ROOT / ".ci" / "long").stat().st_mode & 0o111


@pytest.mark.parametrize("name", ["run", "long", "release"])
def test_scripts_are_bash(name):
    subprocess.run(["bash", "-n", ROOT / ".ci" / name], check=True)


def test_files_that_the_long_run_names_are_there():
    script = (ROOT / ".ci" / "long").read_text(encoding="utf-8")
    files = re.findall(r"^python (\S+)", script, flags=re.MULTILINE)
    assert ".ci/mutants.py" in files
    assert [file for file in files if not (ROOT / file).is_file()] == []


def test_the_workflow_runs_the_script_on_the_oldest_python_and_the_newest():
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.x"]
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]
    (setup,) = (step["with"] for step in job["steps"] if "setup-python" in step.get("uses", ""))
    assert setup["cache"] == "pip"
    assert (ROOT / setup["cache-dependency-path"]).is_file()


# The sample


@dataclass
class Mutation:
    module_path: Path
    operator_name: str
    occurrence: int
    start_pos: tuple[int, int]
    operator_args: dict = field(default_factory=dict)


@dataclass
class Item:
    mutations: tuple[Mutation, ...]


def items():
    """Two mutations that are wanted, and one that is not, at each of twenty places of two modules."""
    operators = (
        "core/ReplaceBinaryOperator_Add_Sub",
        "core/ReplaceBinaryOperator_Add_Mul",
        "core/ReplaceBinaryOperator_Add_RShift",
    )
    return [
        Item((Mutation(Path(f"src/gdnp/{module}.py"), operator, line, (line, 4)),))
        for module in ("a", "b")
        for line in range(10)
        for operator in operators
    ]


def test_a_sample_has_each_place_once_and_is_the_same_in_any_order(mutants):
    chosen = mutants.sample(items(), 8, 0)
    assert chosen == mutants.sample(items()[::-1], 8, 0)
    assert chosen != mutants.sample(items(), 8, 1)
    everything = mutants.sample(items(), 1000, 0)
    places = {(item.mutations[0].module_path, item.mutations[0].start_pos) for item in everything}
    assert len(everything) == len(places) == 20
    assert {item.mutations[0].operator_name.rpartition("_")[2] for item in everything} == {"Sub", "Mul"}


@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("ReplaceComparisonOperator_Lt_LtE", True),
        ("ReplaceComparisonOperator_Lt_Is", False),
        ("ReplaceComparisonOperator_Is_IsNot", True),
        ("ReplaceBinaryOperator_BitOr_Add", False),
        ("ReplaceUnaryOperator_Delete_Not", True),
        ("NumberReplacer", True),
        ("RemoveDecorator", False),
    ],
)
def test_operators_that_are_no_slips_are_left_out(mutants, operator, wanted):
    assert bool(mutants.WANTED.fullmatch(f"core/{operator}")) is wanted


def test_the_module_s_own_tests_come_first_and_slow_ones_never(mutants):
    report = """
1.50s call     tests/newton/test_lbfgs.py::test_pairs[a b]
0.30s setup    tests/newton/test_lbfgs.py::test_pairs[a b]
0.10s call     tests/newton/test_run.py::test_quick
9.00s call     tests/newton/test_lbfgs.py::test_slow
0.20s call     tests/newton/test_lbfgs.py::test_memory
"""
    seconds = mutants.durations(report)
    assert seconds["tests/newton/test_lbfgs.py::test_pairs[a b]"] == pytest.approx(1.8)
    assert mutants.in_order("src/gdnp/newton/lbfgs.py", seconds) == [
        "tests/newton/test_lbfgs.py::test_memory",
        "tests/newton/test_lbfgs.py::test_pairs[a b]",
        "tests/newton/test_run.py::test_quick",
    ]


# The page

DIFF = """--- mutation diff ---
--- a/src/gdnp/newton/steps.py
+++ b/src/gdnp/newton/steps.py
@@ -1,3 +1,3 @@
 def f(x):
-    return x | 1
+    return x & 1
"""


def test_a_survivor_is_read_from_the_difference(mutants):
    found = mutants.survivor("src/gdnp/newton/steps.py", 7, DIFF)
    assert found == mutants.Survivor("src/gdnp/newton/steps.py", 7, "return x | 1", "return x & 1")
    gone = mutants.survivor("src/gdnp/newton/steps.py", 7, DIFF.replace("+    return x & 1\n", ""))
    assert gone.new == ""


def test_words_stay_beside_their_survivors_when_lines_move(mutants):
    page = PAGE.read_text(encoding="utf-8")
    old = [
        mutants.Survivor("src/gdnp/a.py", 3, "x | y", "x & y"),
        mutants.Survivor("src/gdnp/a.py", 9, "z", ""),
    ]
    first = mutants.written(page, old, "2 of 9 survived.")
    assert first.count("| ? |") == 2
    told = first.replace("| nothing | ? |", "| nothing | same |").replace("| ? |", "| tuning |")
    moved = [
        mutants.Survivor("src/gdnp/a.py", 4, "x | y", "x & y"),
        mutants.Survivor("src/gdnp/b.py", 1, "z", ""),
    ]
    second = mutants.written(told, moved, "2 of 8 survived.")
    assert r"| src/gdnp/a.py:4 | `x \| y` | `x & y` | tuning |" in second
    assert "| src/gdnp/b.py:1 | `z` | nothing | ? |" in second
    assert "a.py:9" not in second
    assert "2 of 9" not in second
    assert second.partition(mutants.BEGIN)[0] == page.partition(mutants.BEGIN)[0]
    assert second.partition(mutants.END)[2] == page.partition(mutants.END)[2]


def test_a_page_without_a_place_is_refused(mutants):
    with pytest.raises(ValueError, match="the page should have a line <!-- survivors -->"):
        mutants.written("# Mutants\n", [], "")


def test_modules_that_are_not_there_are_refused(mutants, capsys):
    with pytest.raises(SystemExit, match="2"):
        mutants.main(["src/gdnp/no_such_module.py"])
    assert "MODULE should be a file of the source" in capsys.readouterr().err
