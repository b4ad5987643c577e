"""The shape of the code itself, read with ``ast``: layers, thresholds, sizes, a test module for each module.

Nothing here imports gdnp, so that a circle is reported rather than met.
"""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src"
PACKAGE = SRC / "gdnp"
TESTS = Path(__file__).parent

LAYERS = (
    ("_typing", "_files", "_cached"),
    ("losses", "validation"),
    ("design",),
    ("metric", "moments"),
    ("problem",),
    ("theory", "population"),
    ("solvers",),
    ("newton",),
    ("methods", "columns", "parts", "reference", "store", "tables"),
    ("estimators", "datasets"),
    ("models", "display", "diagnose", "nn", "plotting", "versions", "explorer"),
    ("paper",),
    ("cli",),
)
"""What may import what, lowest first: a module imports from its own layer and from those before it."""

CORE = ("problem", "newton", "solvers")
MOST_CONSTANTS = 57
PLAIN = (0, 1, 2)
"""Numbers that say themselves what they are."""
MOST_LINES = {"": 31_618, "paper": 5_511}  # to come down to 27 000
MOST_PARAMETERS = 8
PUBLIC_AND_LONG = {"diagnose", "moments", "reproduce"}
PUBLIC_AND_LONG |= {"fit_metric", "cross_dependency", "s_norm", "source", "train_mlp"}
"""Commands, whose options are parameters, and signatures that users rely on."""
MOST_WORDS = 42
NUMBERS_OF_A_MODULE = {"e", "eps", "inf", "max", "min", "nan", "pi", "smallest_normal", "tiny"}
"""Attributes of math, NumPy and ``finfo`` that are numbers."""


# What there is


def name_of(path):
    """src/gdnp/a/b.py is gdnp.a.b, and src/gdnp/a/__init__.py is gdnp.a."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(SRC.rglob("*.py"))
MODULES = {name_of(path): path for path in FILES}


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path, line):
    return f"{path.relative_to(SRC.parent).as_posix()}:{line}"


def expect_none(found, advice=""):
    """Fail with a line for each thing found, and what to do about all of them."""
    if found:
        pytest.fail("\n".join([*found, *filter(None, [advice])]), pytrace=False)


# Imports


def is_package(module):
    return MODULES[module].name == "__init__.py"


@cache
def exports(package):
    """Where a package takes each of its names from: {name: (module, name there)}."""
    found = {}
    for node in ast.walk(tree_of(MODULES[package])):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
    return found


def owner(module, name):
    """The module that `from module import name` reads; a package hands its names on from its own modules."""
    if f"{module}.{name}" in MODULES:
        return f"{module}.{name}"
    if is_package(module) and name in exports(module):
        source, original = exports(module)[name]
        if source.startswith(f"{module}."):
            return owner(source, original)
    return module


@cache
def imports(module):
    return imports_in(module, tree_of(MODULES[module]))


def imports_in(module, tree):
    """{imported module: line}, in functions and under TYPE_CHECKING too, without the bare package."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names if alias.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            targets = [owner(node.module, alias.name) for alias in node.names]
            if module.startswith(f"{node.module}."):
                targets.append(node.module)  # even a module is a name of the package, which may not be ready
        else:
            continue
        for target in targets:
            if target not in ("gdnp", module):
                found.setdefault(target, node.lineno)
    return found


def rank(module):
    """The number of a module's layer, or None."""
    names = module.split(".")[1:]
    prefixes = [".".join(names[:end]) for end in range(len(names), 0, -1)]
    return next((k for name in prefixes for k, layer in enumerate(LAYERS) if name in layer), None)


def test_imports_are_absolute():
    found = [
        f"{place(path, node.lineno)} imports {'.' * node.level}{node.module or ''}: write gdnp.…, "
        "which the checks of this module read"
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    expect_none(found)


def test_names_with_an_underscore_stay_in_their_module():
    found = [
        f"{place(path, node.lineno)} imports {alias.name} from {node.module}"
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gdnp")
        for alias in node.names
        if alias.name.startswith("_") and alias.name[-2:] != "__"
    ]
    expect_none(found, "A name that other modules import begins without an underscore.")


def circles(graph):
    """Each circle of {module: modules}, with its last import cut before the next one is looked for."""
    graph = {module: set(targets) for module, targets in graph.items()}
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1][::-1]  # graphlib goes from the imported to the importer
            yield circle
            graph[circle[-2]].remove(circle[-1])
        else:
            return


def test_no_module_imports_itself_by_a_circle():
    found = [
        ", ".join(f"{place(MODULES[a], imports(a)[b])} imports {b}" for a, b in pairwise(circle))
        for circle in circles({module: imports(module) for module in MODULES})
    ]
    expect_none(found, "Move what the modules of a circle share to one of its own, below them.")


def test_circles_are_found_one_by_one():
    graph = {"a": "b", "b": "a", "c": "d", "d": "e", "e": "c", "f": "a"}
    found = sorted(set(circle) for circle in circles(graph))
    assert sorted(map(sorted, found)) == [["a", "b"], ["c", "d", "e"]]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("from gdnp.design import compiled", {"gdnp.design.compiled", "gdnp.design"}),  # it may not be ready
        ("import gdnp.design.compiled as compiled", {"gdnp.design.compiled"}),
        ("from gdnp.design.compiled import curvature", {"gdnp.design.compiled"}),
        ("from gdnp.problem import gram", {"gdnp.problem.gram"}),
    ],
)
def test_what_a_package_takes_from_itself_is_an_import_of_the_package(code, found):
    assert set(imports_in("gdnp.design.block", ast.parse(code))) == found


def test_every_module_has_a_layer():
    lost = [
        f"{place(path, 1)} has no layer: name {module.removeprefix('gdnp.')} in LAYERS or move it"
        for module, path in MODULES.items()
        if module not in ("gdnp", "gdnp.__main__") and rank(module) is None
    ]
    gone = [
        f"LAYERS names {name}, which is no module: take it out"
        for layer in LAYERS
        for name in layer
        if f"gdnp.{name}" not in MODULES
    ]
    expect_none(lost + gone)


def test_no_import_goes_up():
    found = [
        f"{place(MODULES[module], line)} imports {target}, from layer {rank(module)} up to {rank(target)}: "
        "move what is needed down, or the importer up"
        for module in MODULES
        for target, line in imports(module).items()
        if None not in (rank(module), rank(target)) and rank(module) < rank(target)
    ]
    expect_none(found)


# Thresholds


def is_number(node, known):
    """Whether an expression is a number, or a tuple of numbers, made of nothing but numbers."""
    match node:
        case ast.Constant(value=value):
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ast.UnaryOp(operand=operand):
            return is_number(operand, known)
        case ast.BinOp(left=left, right=right):
            return is_number(left, known) and is_number(right, known)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            return bool(parts) and all(is_number(part, known) for part in parts)
        case ast.Name(id=name):
            return name in known
        case ast.Attribute(attr=name):
            return name in NUMBERS_OF_A_MODULE
        case ast.Call(func=ast.Name(id="float" | "int")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="math" | "np")), args=arguments):
            return bool(arguments) and all(is_number(argument, known) for argument in arguments)
    return False


def assignments(tree):
    """(name, value, line) of each assignment at module level; of a tuple, one each."""
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, value, node.lineno
            elif isinstance(target, ast.Tuple):
                values = value.elts if isinstance(value, ast.Tuple) else [value] * len(target.elts)
                yield from ((t.id, v, node.lineno) for t, v in zip(target.elts, values, strict=True))


def number_constants(tree):
    """{name: line} of the UPPER_CASE numbers of a module, those made of others included."""
    known = {}
    upper = [item for item in assignments(tree) if re.fullmatch(r"_?[A-Z][A-Z0-9_]*", item[0])]
    imported = {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name.isupper()
    }
    for name, value, line in upper:
        # Arithmetic may use a constant of another module; its bare alias is a name, not a threshold.
        if is_number(value, {*known, *(imported if isinstance(value, ast.BinOp) else ())}):
            known[name] = line
    return known


def unnamed_numbers(comparison):
    """Numbers other than 0, 1 and 2 in the arithmetic and the calls of a comparison, indices aside."""
    todo = [comparison.left, *comparison.comparators]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Subscript):
            todo.append(node.value)
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, int | float | complex) and node.value not in PLAIN:
                yield node
        elif not isinstance(node, ast.Compare):  # met by the walk that found this one
            todo.extend(ast.iter_child_nodes(node))


CORE_FILES = [path for path in FILES for part in CORE if path.is_relative_to(PACKAGE / part)]


def test_the_core_has_few_thresholds():
    found = [
        f"{place(path, line)} {name}"
        for path in CORE_FILES
        for name, line in number_constants(tree_of(path)).items()
    ]
    expect_none(
        found[MOST_CONSTANTS:] and found,
        f"{len(found)} numbers, and {MOST_CONSTANTS} are enough: derive one from another, or drop it.",
    )


def test_the_core_compares_with_numbers_that_have_names():
    found = [
        f"{place(path, number.lineno)} compares with {number.value!r}: give it a name and a reason"
        for path in CORE_FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Compare)
        for number in unnamed_numbers(node)
    ]
    expect_none(found)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("A = 1e-3\nB, C = 2, -3.0\n_D: float = 2.0**-52", {"A", "B", "C", "_D"}),
        ("A = 3\nB = 2 * A\nC = A", {"A", "B", "C"}),
        ("from m import EPS\nA = 8 * EPS\nB = EPS", {"A"}),
        ("A = np.finfo(float).eps\nB = math.sqrt(3.0)\nC = (1.0, 0.1)", {"A", "B", "C"}),
        ("A = 'word'\nB = np.float64\nC = {1: 2}\nD = True\nE = (T, 1)\nlower = 1\nF = (NEW, OLD)", set()),
        ("def f():\n    A = 1", set()),
    ],
)
def test_number_constants_are_told_from_other_names(code, names):
    assert set(number_constants(ast.parse(code))) == names


@pytest.mark.parametrize(
    ("code", "numbers"),
    [
        ("x < 0.5 * y", [0.5]),
        ("abs(x - 3) <= MOST", [3]),
        ("-1.0 <= x <= 2", []),
        ("x[3] < y and a + 4 > 2", [4]),
        ("flag is True or x == 'word'", []),
        ("(x < 7) == y", [7]),
    ],
)
def test_unnamed_numbers_are_found(code, numbers):
    compares = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Compare)]
    assert [number.value for node in compares for number in unnamed_numbers(node)] == numbers


# Tests mirror the source


def holds_code(tree):
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return any(isinstance(node, definitions) for node in ast.walk(tree))


def test_every_module_has_a_test_module():
    found = []
    for path in FILES:
        folder, name = path.relative_to(PACKAGE).parent, path.stem
        test = TESTS / folder / f"test_{name.lstrip('_')}.py"
        if not name.startswith("__") and holds_code(tree_of(path)) and not test.is_file():
            found.append(f"{place(path, 1)} has no test module: write {test.relative_to(SRC.parent)}")
    expect_none(found, f"{len(found)} modules have none.")


# Sizes


def test_the_array_type_is_made_once():
    found = [
        f"{place(path, line)} makes FloatArray: import it from gdnp._typing"
        for path in FILES
        for name, _, line in assignments(tree_of(path))
        if name == "FloatArray" and path != PACKAGE / "_typing.py"
    ]
    expect_none(found)


@pytest.mark.parametrize("part", MOST_LINES, ids=lambda part: part or "all")
def test_the_source_is_no_longer_than_it_may_be(part):
    lines = {path: path.read_bytes().count(b"\n") for path in FILES if path.is_relative_to(PACKAGE / part)}
    longest = sorted(lines, key=lines.get, reverse=True)[:5]
    total = sum(lines.values())
    expect_none(
        [f"{place(path, 1)} has {lines[path]} lines" for path in longest if total > MOST_LINES[part]],
        f"src/gdnp/{part} has {total} lines: take {total - MOST_LINES[part]} of them out.",
    )


def parameters(function):
    """Names of the parameters, without self or cls."""
    a = function.args
    named = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    return [argument.arg for argument in named if argument.arg not in ("self", "cls")]


def test_functions_have_few_parameters():
    found = [
        f"{place(path, node.lineno)} {node.name} has {len(parameters(node))} parameters: {MOST_PARAMETERS} "
        "are enough, so put some that go together into one"
        for path in FILES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef) and node.name not in {"__init__", *PUBLIC_AND_LONG}
        if len(parameters(node)) > MOST_PARAMETERS
    ]
    expect_none(found)


# Sentences

END = re.compile(
    r"(?<!\bEq)(?<!\bEqs)(?<!\bal)(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)[.!?][)\"'”’`*]*\s+(?=[^a-z\s])"
)
"""The end of a sentence: a stop that no small letter follows, and that no abbreviation wears."""


def docstrings(tree):
    """(text, line) of each string that stands as a statement, those under constants included."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value, node.lineno


def paragraphs(text):
    """Runs of lines: a blank line, a rule, a bullet, a row of a table or another indentation begins one."""
    run, indent, first = [], None, True
    for line in text.split("\n"):
        depth = len(line) - len(line.lstrip())
        bullet = re.match(r"\s*(?:[-*]|\d+\.)\s", line)
        apart = bullet or re.search(r"\S {2,}\S", line) or set(line) <= set("-= ")
        if apart or (depth != indent and not first):
            yield " ".join(run)
            run = []
        # The first line of a docstring follows the quotes, so that its indentation is not the text's.
        first, indent = not run and indent is None, depth if not bullet else depth + 2
        if not line.lstrip().startswith((">>> ", "... ")):
            run.append(line.strip())
    yield " ".join(run)


def sentences(text):
    for paragraph in paragraphs(text):
        yield from END.split(paragraph)


def words(sentence):
    return sum(any(c.isalnum() for c in word) for word in sentence.split())


def test_sentences_of_docstrings_are_short():
    found = [
        f"{place(path, line)} has a sentence of {words(sentence)} words: make it two. '{sentence[:60]}…'"
        for path in FILES
        for text, line in docstrings(tree_of(path))
        for sentence in sentences(text)
        if words(sentence) > MOST_WORDS
    ]
    expect_none(found)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("One two.", [2]),
        ("One two. Three (Eq. 4) five! Six?", [2, 4, 1]),
        ("As of Kohler et al. (2019). Then", [6, 1]),
        ("One\n    two three.\n\n    Four\n    ----\n    five : int\n        Six.", [3, 1, 2, 1]),
        ("One:\n\n    - two three\n      four\n    - five", [1, 3, 1]),
        ("‖w‖ = 0 is none. φ is one.", [4, 3]),
    ],
)
def test_sentences_are_told_apart(text, counts):
    assert [words(sentence) for sentence in sentences(text) if words(sentence)] == counts
