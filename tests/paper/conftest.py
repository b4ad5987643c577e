"""One small run of each experiment, made when the first test asks for it and shared by all of them."""

import shutil

import numpy as np
import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.paper import EXPERIMENTS, Options, reproduce
from gdnp.paper.claims import Claim, Verdict, registry
from gdnp.paper.claims.registry import judge, seen
from gdnp.paper.report.page import write_report
from paper_problems import DIGITS, FIGURE1, FIGURE2, FIGURE3, TABLE1


@pytest.fixture(scope="session")
def figure1(tmp_path_factory):
    return reproduce(FIGURE1, Options(), tmp_path_factory.mktemp("figure1"), workers=1)


@pytest.fixture(scope="session")
def figure2(tmp_path_factory):
    return reproduce(FIGURE2, Options(), tmp_path_factory.mktemp("figure2"), workers=1)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="session")
def figure3(torch, tmp_path_factory):
    return reproduce(FIGURE3, DIGITS, tmp_path_factory.mktemp("figure3"), workers=1)


@pytest.fixture(scope="session")
def table1(tmp_path_factory):
    return reproduce(TABLE1, Options(), tmp_path_factory.mktemp("table1"), workers=1)


@pytest.fixture
def made_up(monkeypatch):
    """A registry of three: one that agrees, one that differs, one without its data."""

    def missing():
        raise DataNotFoundError("no such file here")

    def claim(name, check):
        return Claim(name, "Statement.", "Eq. 0", "scope", "0", Verdict.HOLDS, check)

    claims = {
        "fine": claim("fine", lambda: judge({"bound": 1.0, "evidence": "fine."}, seen(0))),
        "wrong": claim("wrong", lambda: judge({"bound": 1.0, "evidence": "wrong."}, seen(2))),
        "absent": claim("absent", missing),
    }
    monkeypatch.setattr(registry, "CLAIMS", claims)
    return claims


@pytest.fixture
def separable(tmp_path, rng):
    """A file whose classes a plane separates."""
    X = rng.standard_normal((60, 3))
    rows = np.column_stack([X, np.where(X[:, 0] - X[:, 0].mean() > 0.0, "yes", "no")])
    path = tmp_path / "separable.csv"
    path.write_text("a,b,c,class\n" + "\n".join(",".join(row) for row in rows) + "\n")
    return path


@pytest.fixture(scope="session")
def finished(figure1, figure2, table1, tmp_path_factory):
    """A folder of results: Figure 1, Figure 2 and Table 1."""
    out = tmp_path_factory.mktemp("results")
    for outcome in (figure1, figure2, table1):
        shutil.copytree(outcome.directory, out / outcome.directory.name)
    return out


@pytest.fixture(scope="session")
def page(finished):
    return write_report(None, finished, EXPERIMENTS)


@pytest.fixture(scope="session")
def text(page):
    return page.read_text(encoding="utf-8")
