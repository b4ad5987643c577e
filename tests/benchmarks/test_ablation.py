"""The ablation has a row, or a word, for every threshold of the core, and its rows change what they name."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

import test_structure as structure
from gdnp.newton import method, nonconvex, search, start

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def ablation():
    """The script, which imports others beside it."""
    spec = importlib.util.spec_from_file_location("gdnp_benchmarks_ablation", FOLDER / "ablation.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(FOLDER))
        patched.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        yield module


def thresholds():
    """The paths of the named numbers of the core, without the package's name."""
    return {
        f"{structure.name_of(path)}.{name}".removeprefix("gdnp.")
        for path in structure.CORE_FILES
        for name in structure.number_constants(structure.tree_of(path))
    }


def test_every_threshold_has_a_row_or_a_word(ablation):
    rows, words = set(ablation.THRESHOLDS), set(ablation.GUARDS)
    assert sorted(thresholds() - rows - words) == [], "give it factors in THRESHOLDS, or a word in GUARDS"
    assert sorted((rows | words) - thresholds()) == [], "no number has that name: take it out"
    assert sorted(rows & words) == []


def test_every_row_has_factors_and_every_word_a_test_module(ablation):
    assert [path for path, factors in ablation.THRESHOLDS.items() if not set(factors) - {1.0}] == []
    tested = re.compile(r"tests/(problem|newton|solvers)/(\w+/)?test_\w+\.py")
    assert [path for path, text in ablation.GUARDS.items() if not tested.search(text)] == []


def test_every_variant_changes_something_and_puts_it_back(ablation):
    for changes in ablation.VARIANTS.values():
        for path, value in changes:
            owners = ablation.owners(path)
            before = [getattr(owner, name) for owner, name in owners]
            assert owners
            assert all(found != value for found in before), path
            with ablation.changed([(path, value)]):
                assert all(getattr(owner, name) == value for owner, name in owners)
            assert [getattr(owner, name) for owner, name in owners] == before


def test_a_number_is_changed_wherever_it_is_used(ablation):
    with ablation.changed(ablation.multiplied("newton.start.SAMPLE_TOL", 10.0)):
        assert start.SAMPLE_TOL == method.SAMPLE_TOL == nonconvex.SAMPLE_TOL == 1.0
    with ablation.changed(ablation.multiplied("newton.search.LITTLE", 0.1)):
        assert search.step_in_plane.__defaults__ == (search.LITTLE,) == (pytest.approx(0.01),)
    assert ablation.multiplied("newton.nonconvex.PATH", 0.5) == [("newton.nonconvex.PATH", (0.25,))]
    assert ablation.multiplied("newton.start.SMALLEST", 0.25) == [("newton.start.SMALLEST", 1024)]


def test_what_changes_nothing_is_named_below(ablation, capsys):
    ablation.main(["no plane search", "choice.SMALLEST_RANK x 4", "--quick", "--sets", "breast_cancer"])
    head, below = capsys.readouterr().out.split("\nPasses unchanged everywhere: ")
    assert below == "choice.SMALLEST_RANK x 4\n"
    (row,) = [line for line in head.splitlines() if line.startswith("no plane search")]
    passes = [float(cell.split("+")[0].strip("*")) for cell in row.split("search")[1].split()]
    assert min(passes) > 1.0
