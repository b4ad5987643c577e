"""The site: its code blocks run; every public name has its page, an example and a docstring."""

import ast
import importlib
import inspect
import json
import re
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(
    [*DOCS.glob("api/*.md"), *DOCS.glob("tutorials/*.md"), *DOCS.glob("guide/*.md"), DOCS / "scale.md"]
)
NEEDS_TORCH = {"nn", "networks"}
"""Pages of what needs PyTorch."""


def blocks_of(page):
    return BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_code_of_pages_runs(page, tmp_path, monkeypatch):
    if page.stem in NEEDS_TORCH:
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.delenv("GDNP_DATA", raising=False)
    space = {"__name__": f"docs.{page.stem}"}
    for block in blocks_of(page):
        exec(compile(block, str(page), "exec"), space)


# --- the API


def documented_modules():
    """{module: page} of the pages of the API."""
    for page in sorted(DOCS.glob("api/*.md")):
        named = re.search(r"automodule:: (\S+)", page.read_text(encoding="utf-8"))
        if named:
            yield named[1], page


MODULES = dict(documented_modules())
PUBLIC = [
    (module, name)
    for module in MODULES
    for name in importlib.import_module(module).__all__
    if module != "gdnp.nn" or importlib.util.find_spec("torch")
]


def words_of(page):
    """Every name that the code of a page mentions."""
    found = set()
    for block in blocks_of(page):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_has_an_example_that_runs(module):
    if module == "gdnp.nn":
        pytest.importorskip("torch")
    missing = set(importlib.import_module(module).__all__) - words_of(MODULES[module])
    assert missing == set()


@pytest.mark.parametrize(("module", "name"), PUBLIC, ids=".".join)
def test_every_public_name_says_what_it_is(module, name):
    value = getattr(importlib.import_module(module), name)
    if not (inspect.isclass(value) or inspect.isfunction(value)):
        return  # data, which the module says
    text = inspect.getdoc(value)
    assert text is not None
    assert text.partition("\n\n")[0].endswith((".", ":", "?")), "it begins with a sentence"
    if inspect.isclass(value) and issubclass(value, Exception | Enum):
        return
    # What several functions share is said once, at the head of their module.
    told = f"{text} {inspect.getmodule(value).__doc__}"
    inherited = inspect.isclass(value) and "__init__" not in vars(value) and not is_dataclass(value)
    parameters = set() if inherited else set(inspect.signature(value).parameters) - {"args", "kwargs"}
    assert {name for name in parameters if not re.search(rf"\b{re.escape(name)}\b", told)} == set()


# --- the rest of the site


def test_notebooks_have_exercises_with_solutions_and_no_output():
    notebooks = sorted(DOCS.glob("notebooks/*.ipynb"))
    assert len(notebooks) == 2
    for path in notebooks:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        words = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        assert sum("### Exercise" in text for text in words) == sum("Solution" in text for text in words) == 3
        assert all(cell.get("outputs", []) == [] for cell in cells)
        for block in code:
            ast.parse(block)


def test_examples_of_the_gallery_have_a_title_and_say_what_they_show():
    scripts = sorted((DOCS.parent / "examples" / "gallery").glob("plot_*.py"))
    assert scripts
    for path in scripts:
        title, line, *rest = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))).splitlines()
        assert set(line) == {"="}
        assert len(line) == len(title)
        assert any(rest)


def test_every_page_is_in_a_table_of_contents():
    """What Sphinx says of a page that is in none is a warning, and so an error."""
    listed = {DOCS / "index.md"}
    for page in DOCS.rglob("*.md"):
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            entries = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{entry}.md").resolve() for entry in entries}
    pages = {page for page in DOCS.rglob("*.md") if "examples" not in page.relative_to(DOCS).parts}
    assert pages - listed == set()
