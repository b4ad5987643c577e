"""The documentation names only what exists, and the page of verdicts is what the registry says."""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from gdnp.newton.preconditioners.choice import Event, Kind
from gdnp.paper.claims import CLAIMS, Verdict
from paper_problems import verdicts

ROOT = Path(__file__).parents[1]
MAP = ROOT / "docs" / "paper-map.md"
CODE = re.compile(r"`([^`]+)`")


def rows():
    """(number, paper, objects, tests, claims, pages) of every row of the table."""
    lines = [line for line in MAP.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for line in lines[2:]:
        number, paper, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        yield int(number), paper, *map(CODE.findall, cells), re.findall(r"\]\(([^)]+)\)", cells[-1])


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


def equations_of(papers):
    """The numbers of all equations named: 'Eqs. 4-6' are three, 'Eqs. 100, 101' two."""
    found = set()
    for text in re.findall(r"Eqs?\. (\d[\d, -]*)", papers):
        for low, high in re.findall(r"(\d+)(?:-(\d+))?", text):
            found |= {*range(int(low), int(high or low) + 1)}
    return found


def test_equations_are_read_off_lists_and_ranges():
    assert equations_of("Eqs. 4-6 Eq. 7 Eqs. 100, 101 section 5.3") == {4, 5, 6, 7, 100, 101}


def test_the_map_covers_the_sections():
    papers = "; ".join(paper for _, paper, *_ in ROWS).lower()
    assert equations_of(papers.replace("eq", "Eq")) == {*range(1, 23), 100, 101, 104}
    named = [f"{what} {k}" for what, last in NUMBERED.items() for k in range(1, last + 1)]
    assert [name for name in named if name not in papers] == []
    assert [number for number, *_ in ROWS] == list(range(1, len(ROWS) + 1))


NUMBERED = {"assumption": 4, "lemma": 2, "theorem": 3, "algorithm": 3, "footnote": 5, "figure": 3, "table": 1}


@pytest.mark.parametrize(
    ("number", "paper", "objects", "tests", "claims", "pages"),
    ROWS,
    ids=[f"{row[0]} {row[1]}" for row in ROWS],
)
def test_every_row_of_the_map_exists(number, paper, objects, tests, claims, pages):
    assert objects
    assert tests
    assert claims or pages
    for path in objects:
        assert path.startswith("gdnp.")
        assert resolve(path) is not None
    for name in tests:
        file, _, function = name.partition("::")
        assert function in _tests_of(file), name
    assert set(claims) <= set(CLAIMS)
    assert all((ROOT / "docs" / page).is_file() for page in pages)


def test_every_claim_is_on_the_map():
    assert set(CLAIMS) == {claim for *_, claims, _ in ROWS for claim in claims}


def test_names_that_do_not_exist_are_found():
    with pytest.raises(AttributeError, match="no_such_method"):
        resolve("gdnp.methods.no_such_method")
    with pytest.raises(AttributeError, match="no_such_module"):
        resolve("gdnp.no_such_module.thing")
    assert "test_nothing_of_the_kind" not in _tests_of("tests/test_docs.py") - {"test_nothing_of_the_kind"}


def test_verdicts_page_is_what_the_registry_says():
    page = (ROOT / "docs" / "verdicts.md").read_text(encoding="utf-8")
    written = page.partition(verdicts.MARK)[2]
    assert written == verdicts.verdicts_markdown(), "write it again: benchmarks/verdicts.py"


@pytest.mark.parametrize(
    "page",
    [
        "paper-map.md",
        "verdicts.md",
        "corrections.md",
        "figure2.md",
        "figure3.md",
        "solver.md",
        "certificates.md",
        "training-loops.md",
    ],
)
def test_links_lead_somewhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    headings = set(re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        else:
            assert (ROOT / "docs" / target).is_file()


def test_the_note_of_corrections_names_claims_that_judge_as_it_says():
    text = (ROOT / "docs" / "corrections.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", text))
    assert len(named) > 15
    assert named <= set(CLAIMS)
    wrong = {
        name for name, claim in CLAIMS.items() if claim.recorded in (Verdict.FALSE_AS_PRINTED, CORRECTED)
    }
    assert wrong <= named


CORRECTED = Verdict.HOLDS_WITH_CORRECTION
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
