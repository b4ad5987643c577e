"""The documentation names only what exists, and the page of verdicts is what the registry says."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from gdnp.newton.preconditioners import Event, Kind
from gdnp.paper.claims import CLAIMS, verdicts_markdown

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "paper-map.md"
CODE = re.compile(r"`([^`]+)`")


def rows():
    """(paper, objects, tests, claims) of every row of the table."""
    lines = [line for line in MAP.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for line in lines[2:]:
        paper, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        yield paper, *(CODE.findall(cell) for cell in cells)


ROWS = list(rows())


def resolve(path):
    """The object of a dotted path: the longest prefix that is a module, then attributes."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if not path.startswith(error.name or " "):
                raise
            continue
        for name in parts[end:]:
            # A class attribute that is only annotated is there in every subclass.
            annotated = getattr(found, "__annotations__", {})
            found = annotated[name] if name in annotated else getattr(found, name)
        return found
    raise ModuleNotFoundError(path)


@cache
def _tests_of(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_the_map_covers_the_sections():
    papers = " ".join(paper for paper, *_ in ROWS)
    equations = {int(n) for n in re.findall(r"Eqs?\. (\d+)", papers)} | {4, 5, 6, 101}
    assert equations == {*range(1, 23), 100, 101, 104}
    for name in ("Assumption 1", "Assumption 2", "Assumption 3", "Assumption 4", "Lemma 1", "Theorem 1"):
        assert name in papers
    for name in (
        "Theorem 2",
        "Lemma 2",
        "Theorem 3",
        "Algorithm 1",
        "Algorithm 2",
        "Algorithm 3",
        "Footnote 1",
        "Footnote 2",
        "footnote 3",
        "Figure 2",
    ):
        assert name in papers


@pytest.mark.parametrize(("paper", "objects", "tests", "claims"), ROWS, ids=[row[0] for row in ROWS])
def test_every_row_of_the_map_exists(paper, objects, tests, claims):
    assert objects
    assert tests
    assert claims
    for path in objects:
        assert path.startswith("gdnp.")
        assert resolve(path) is not None
    for name in tests:
        file, _, function = name.partition("::")
        assert function in _tests_of(file), name
    assert set(claims) <= set(CLAIMS)


def test_every_claim_is_on_the_map():
    assert set(CLAIMS) == {claim for *_, claims in ROWS for claim in claims}


def test_names_that_do_not_exist_are_found():
    with pytest.raises(AttributeError, match="no_such_method"):
        resolve("gdnp.methods.no_such_method")
    with pytest.raises(AttributeError, match="no_such_module"):
        resolve("gdnp.no_such_module.thing")
    assert "test_nothing_of_the_kind" not in _tests_of("tests/test_docs.py") - {"test_nothing_of_the_kind"}


def test_verdicts_page_is_what_the_registry_says():
    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    assert page == verdicts_markdown(), "write it again: python -m gdnp.paper.claims"


@pytest.mark.parametrize(
    "page", ["paper-map.md", "verdicts.md", "figure3.md", "solver.md", "certificates.md"]
)
def test_links_lead_somewhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (ROOT / "docs" / target).is_file()


SOLVER = (ROOT / "docs" / "solver.md").read_text(encoding="utf-8")


def test_the_solver_page_names_what_exists():
    names = set(re.findall(r"`(gdnp\.[\w.]+)[^`]*`", SOLVER))
    assert len(names) > 10
    for name in names:
        assert resolve(name) is not None, name


def test_the_solver_page_has_the_kinds_and_events_of_the_code():
    first, second = SOLVER.split("| event |")
    assert [kind.name for kind in Kind if f"| `{kind.name}` |" not in first] == []
    assert [event.name for event in Event if f"\n| {event.name}" not in second] == []


def test_the_run_of_the_solver_page_prints_what_it_says(capsys):
    code, printed = re.search(r"```python\n(.+?)```\n\n```\n(.+?)```", SOLVER, re.DOTALL).groups()
    exec(compile(code, "docs/solver.md", "exec"), {"__name__": "page"})
    found, expected = (re.sub(r"\d[\d.e-]*", "#", text) for text in (capsys.readouterr().out, printed))
    assert found == expected  # but for the numbers, which a better solver changes
