"""What the package promises as a whole: one version, light imports, and commands written down once."""

import importlib.metadata
import importlib.resources
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gdnp

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

needs_checkout = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _readme_command(marker: str) -> str:
    """The one line of the fenced block that directly follows a marker comment."""
    blocks = re.findall(rf"^<!-- {marker} -->\n```\w*\n(.+)\n```$", _read("README.md"), flags=re.MULTILINE)
    assert len(blocks) == 1, f"README.md needs one one-line block after <!-- {marker} -->"
    return blocks[0]


# One version


def test_version_is_the_same_everywhere():
    version = PROJECT["version"]
    assert importlib.metadata.version("gdnp") == version
    assert gdnp.__version__ == version
    assert re.findall(r"^version: (.+)$", _read("CITATION.cff"), flags=re.MULTILINE) == [version]
    assert f"## [{version}]" in _read("CHANGELOG.md")


def test_type_information_is_shipped():
    assert (importlib.resources.files("gdnp") / "py.typed").is_file()


# Modules


def test_every_module_is_there_on_first_use():
    found = {path.stem for path in Path(gdnp.__file__).parent.iterdir() if not path.name.startswith("_")}
    found -= {"py"}
    assert found <= set(dir(gdnp))
    for name in found - {"nn"}:  # which needs torch
        assert getattr(gdnp, name).__name__ == f"gdnp.{name}"
    _run(sys.executable, "-c", "import gdnp; gdnp.population.Halfspace; gdnp.losses.check_loss; gdnp.theory")


# Pins

REQUIREMENTS = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]


@pytest.mark.parametrize(
    "requirement", [r for r in REQUIREMENTS if r.name != "gdnp"], ids=lambda requirement: requirement.name
)
def test_constraints_pin_a_version_that_is_allowed(requirement):
    lines = [line for line in _read("constraints.txt").splitlines() if not line.startswith("#")]
    pins = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


# Light imports


def test_import_needs_no_extra():
    # None in sys.modules makes an import fail as if the package were not installed.
    extras = "matplotlib", "pandas", "torch", "typer", "rich", "pooch", "plotly", "pyarrow", "skops", "dask"
    _run(sys.executable, "-c", f"import sys; sys.modules.update(dict.fromkeys({extras!r})); import gdnp")


def test_import_loads_no_heavy_package():
    # pandas and rich are left out: scikit-learn itself imports them where they are installed.
    modules = _run(sys.executable, "-c", "import sys, gdnp; print(*sys.modules)").split()
    heavy = {"matplotlib", "torch", "typer", "pooch", "plotly", "skops", "dask", "distributed"}
    assert heavy.isdisjoint(modules)


# Commands written down once


def test_readme_installs_with_the_pins_before_it_runs():
    for marker in ("main-command", "test-command"):
        make, install, _ = _readme_command(marker).split(" && ")
        assert make == "python3.11 -m venv .venv"
        assert install.startswith(".venv/bin/pip install -c constraints.txt ")


@needs_checkout
def test_ci_runs_the_test_command_of_the_readme():
    script = _read(".ci/run").splitlines()
    extraction = [line for line in script if re.match(r"(line|install|tests)=", line)]
    found = _run("bash", "-c", "\n".join([*extraction, 'echo "$install"; echo "$tests"'])).splitlines()
    install, _, tests = _readme_command("test-command").rpartition(" && ")
    assert found == [install, tests]
    assert script.index('eval "$install"') < len(script) - 1
    assert script[-1] == 'eval "$tests"'


@needs_checkout
def test_pre_commit_runs_the_lint_commands_of_ci():
    script = _read(".ci/run")
    between = script[script.index('eval "$install"\n') : script.index('eval "$tests"\n')]
    hooks = re.findall(r"^ +entry: (.+)$", _read(".pre-commit-config.yaml"), flags=re.MULTILINE)
    assert hooks == between.splitlines()[1:4] == ["ruff check .", "ruff format --check .", "mypy"]


@needs_checkout
def test_ci_installs_once_without_a_compiler():
    script = _read(".ci/run")
    plain = script[
        script.index("CC=false CXX=false pip install") : script.index('eval "$tests"\n')
    ].splitlines()
    files = [word for line in plain if line.startswith("pytest") for word in line.split() if "/" in word]
    assert "tests/design/test_block.py" in files
    assert [file for file in files if not (ROOT / file).is_file()] == []


@needs_checkout
def test_no_tracked_file_names_a_path_of_one_machine():
    tracked = [ROOT / name for name in _run("git", "ls-files", "-z").split("\0") if name]
    path = re.compile(rb"(?<![\w.~-])/(?:home|root|Users|work|mnt)/\w|\b[A-Z]:\\Users\\")
    assert [file for file in tracked if file.is_file() and path.search(file.read_bytes())] == []
