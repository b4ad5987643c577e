"""Other people's tests against gdnp: scikit-learn's of linear models, and PyTorch's cases of weight_norm.

    python benchmarks/other_tests.py [FILE ...] [--keyword WORDS] [--reasons FILE] [--verbose]

FILE is one of ``FILES``. scikit-learn's tests are run from the installed package; while a file is imported,
the names of ``adapters.NAMES`` stand for gdnp. PyTorch has no tests in its package: ``weight_norm_cases.py``
runs its documented examples and its sample inputs. A test passes, or fails, or is not applicable: because
gdnp does not offer the feature, because it never came to gdnp, or because it skips itself here.

A failure needs a reason in ``other_tests.toml``: 'tolerance' or 'feature not offered', with a sentence. The
status is 1 where a test fails without one, and where a pattern there matches a test that passes or none that
was run.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import adapters
import pytest

FOLDER = Path(__file__).resolve().parent
FILES = {
    "logistic": "sklearn.linear_model.tests.test_logistic",
    "ridge": "sklearn.linear_model.tests.test_ridge",
    "huber": "sklearn.linear_model.tests.test_huber",
    "glm": "sklearn.linear_model._glm.tests.test_glm",
    "weight_norm": str(FOLDER / "weight_norm_cases.py"),
}
KINDS = ("tolerance", "feature not offered")
PASSED, FAILED = "passed", "failed"
NEVER = "never comes to a model of gdnp"


@dataclass(frozen=True)
class Reason:
    """Why tests fail.

    Attributes
    ----------
    test : str
        ``test_file.py::test_name[parameters]``, where * stands for anything.
    kind : str
        One of ``KINDS``.
    why : str
        A sentence.
    """

    test: str
    kind: str
    why: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}. Got {self.kind!r}, for {self.test}.")
        if not self.why:
            raise ValueError(f"why must be a sentence. Got none, for {self.test}.")

    def matches(self, test: str) -> bool:
        """Whether this is about a test."""
        return re.fullmatch(re.escape(self.test).replace(r"\*", ".*"), test) is not None


def read(path: Path) -> list[Reason]:
    """The reasons of a file, one for each of the ``tests`` of an entry."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("failure", [])
    return [Reason(test, entry["kind"], entry["why"]) for entry in entries for test in entry["tests"]]


@dataclass(eq=False)
class Outcomes:
    """A plugin of pytest that puts gdnp into scikit-learn's tests and keeps what becomes of each.

    Attributes
    ----------
    of : dict of str to str
        ``PASSED``, ``FAILED`` or why a test is not applicable, by the test.
    words : dict of str to str
        The last line of each failure.
    """

    of: dict[str, str] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: Any) -> Any:
        """Import a file of scikit-learn with gdnp's names in place of its own."""
        with replaced() if isinstance(collector, pytest.Module) else unchanged():
            return (yield)

    def pytest_runtest_setup(self) -> None:
        """Forget which adapters earlier tests fitted."""
        adapters.used.clear()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One of the three phases of a test."""
        test = _short(report.nodeid)
        if report.failed:
            self.of[test] = FAILED
            crash = getattr(report.longrepr, "reprcrash", None)
            self.words[test] = (crash.message if crash else str(report.longrepr)).strip()
        elif report.skipped and hasattr(report, "wasxfail"):
            self.of.setdefault(test, PASSED)
        elif report.skipped:
            self.of.setdefault(test, report.longrepr[2].removeprefix("Skipped: "))
        elif report.when == "call":
            own = test.startswith("weight_norm") or adapters.used
            self.of.setdefault(test, PASSED if own else NEVER)

    def pytest_collectreport(self, report: Any) -> None:
        """A file that cannot be imported is a failure of its own."""
        if report.failed:
            self.of[_short(report.nodeid)] = FAILED
            self.words[_short(report.nodeid)] = str(report.longrepr).strip()


def _short(nodeid: str) -> str:
    """The file's own name, and all behind it: parameters may have slashes."""
    path, mark, rest = nodeid.partition("::")
    return f"{path.rpartition('/')[2]}{mark}{rest}"


@contextmanager
def unchanged() -> Iterator[None]:
    """Nothing in place of anything."""
    yield


@contextmanager
def replaced() -> Iterator[None]:
    """scikit-learn's names as ``adapters.NAMES`` has them."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in adapters.NAMES.items():
            for name, value in names.items():
                patch.setattr(import_module(module), name, value)
        yield


def collect(files: Sequence[str], keyword: str, verbose: bool) -> Outcomes:
    """Run files, without the settings of this project's own tests."""
    found = Outcomes()
    root = os.path.commonpath([*find_spec("sklearn").submodule_search_locations, FOLDER])
    arguments = [
        f"--config-file={os.devnull}",
        f"--rootdir={root}",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
    ]
    arguments += ["-q", "--tb=short"] if verbose else ["-q", "--tb=no", "--no-summary", "--disable-warnings"]
    if keyword:
        arguments += ["-k", keyword]
    pytest.main([*arguments, "--pyargs", *(FILES[name] for name in files)], plugins=[found])
    return found


def judge(found: Outcomes, reasons: Sequence[Reason], complete: bool) -> list[str]:
    """What is wrong: failures without a reason, and reasons without a failure."""
    wrong = [
        f"{test} fails without a reason: {found.words[test].splitlines()[0][:150]}"
        for test, outcome in found.of.items()
        if outcome == FAILED and not any(reason.matches(test) for reason in reasons)
    ]
    for reason in reasons:
        about = [outcome for test, outcome in found.of.items() if reason.matches(test)]
        if PASSED in about:
            wrong.append(
                f"{reason.test} has a reason, and {about.count(PASSED)} of its tests pass: take it out."
            )
        elif FAILED not in about and (about or complete):
            wrong.append(f"{reason.test} has a reason, and none of its tests fails: take it out.")
    return wrong


def table(found: Outcomes, reasons: Sequence[Reason]) -> Iterator[str]:
    """Counts of each file, then what is not applicable, then what fails and why."""
    files: dict[str, Counter[str]] = {}
    absent: Counter[str] = Counter()
    for test, outcome in found.of.items():
        count = files.setdefault(test.partition("::")[0], Counter())
        count[outcome if outcome in (PASSED, FAILED) else "not applicable"] += 1
        if outcome not in (PASSED, FAILED):
            absent[outcome.removeprefix(adapters.MISSING).partition("\n")[0]] += 1
    yield f"{'':28}{PASSED:>10}{FAILED:>10}{'not applicable':>18}"
    for name, count in files.items():
        yield f"{name:28}{count[PASSED]:10}{count[FAILED]:10}{count['not applicable']:18}"
    yield "\nnot applicable:"
    for why, number in absent.most_common():
        yield f"{number:6}  {why[:100]}"
    yield "\nfailed, with a reason:"
    for reason in reasons:
        number = sum(outcome == FAILED and reason.matches(test) for test, outcome in found.of.items())
        if number:
            yield f"{number:6}  {reason.kind}: {reason.test}\n        {reason.why}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and say whether all is as the reasons say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", metavar="FILE", help=f"of {', '.join(FILES)}; all if none")
    parser.add_argument("--keyword", default="", metavar="WORDS", help="pytest's -k")
    parser.add_argument("--reasons", type=Path, default=FOLDER / "other_tests.toml", metavar="FILE")
    parser.add_argument("--verbose", action="store_true", help="with the traceback of each failure")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.files if name not in FILES]
    if unknown:
        parser.error(f"FILE must be one of {', '.join(FILES)}. Got {', '.join(unknown)}.")
    reasons = read(options.reasons)
    found = collect(options.files or list(FILES), options.keyword, options.verbose)
    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "torch"))
    print(f"\n{packages}", *table(found, reasons), sep="\n")
    wrong = judge(found, reasons, not (options.files or options.keyword))
    print("", *wrong, sep="\n")
    return int(bool(wrong) or not found.of)


if __name__ == "__main__":
    sys.exit(main())
