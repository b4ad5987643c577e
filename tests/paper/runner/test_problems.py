"""Problems that experiments share, against their definitions, and losses of one's own, by name."""

import sys

import numpy as np
import pytest

from gdnp.datasets import DataNotFoundError
from gdnp.losses import get_loss
from gdnp.metric import Covariance
from gdnp.paper.claims import run_claims
from gdnp.paper.runner.experiment import OptionError
from gdnp.paper.runner.problems import (
    a9a,
    called,
    described_rows,
    gaussian_moments,
    gaussian_objective,
    gaussian_rows,
    hashes,
    identified,
    loss_of,
    measured_as,
    prepared_rows,
    start_at,
    state_at,
)

SPEC = {"n": 4000, "d": 3, "kappa": 5.0, "r": 0.4, "seed": 2, "name": "not looked at"}


def test_moments_are_those_that_the_rows_tend_to():
    u, S = gaussian_moments(SPEC)
    assert u @ np.linalg.solve(S, u) == pytest.approx(0.4)
    assert np.linalg.cond(S) == pytest.approx(5.0)
    X, y = gaussian_rows(SPEC)
    assert set(y) == {-1.0, 1.0}
    np.testing.assert_allclose(-(y[:, None] * X).mean(axis=0), u, atol=0.05)
    np.testing.assert_allclose(X.T @ X / len(X), S, atol=0.1)


@pytest.mark.parametrize("loss", ["squared_error", "log_loss", "sigmoid"])
def test_sample_tends_to_its_population(loss):
    exact, sample = (gaussian_objective(SPEC, world, loss) for world in ("population", "sample"))
    w = np.array([0.5, -1.0, 0.3])
    if loss == "squared_error":  # written without its constant, and without its half
        w = -exact.covariance.solve(exact.u)
        np.testing.assert_allclose(exact.at(w).gradient, 0.0, atol=1e-12)
        np.testing.assert_allclose(sample.at(w).gradient, 0.0, atol=0.05)
    else:
        assert sample.at(w).value == pytest.approx(exact.at(w).value, rel=0.03)
    assert sample.at(w).margins.shape == (4000,)  # the population has none
    assert not hasattr(exact.at(w), "margins")


def test_a_file_is_known_by_name_and_contents(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,y\n1,0\n2,1\n")
    first = identified(str(path))
    assert first["name"] == "a.csv"
    path.write_text("a,y\n1,0\n2,0\n")
    assert identified(str(path))["sha256"] != first["sha256"]
    assert identified("breast_cancer") == {"name": "breast_cancer", "sha256": None}


def test_starts_are_drawn_from_a_unit_gaussian():
    starts = np.array([start_at(50, 0, number) for number in range(400)])
    assert (starts**2).sum(axis=1).mean() == pytest.approx(1.0, rel=0.05)
    np.testing.assert_array_equal(start_at(50, 0, 3), starts[3])
    assert not np.array_equal(start_at(50, 1, 3), starts[3])


def test_state_is_at_the_joined_vector():
    f = gaussian_objective(SPEC, "population", "log_loss")
    metric, w = Covariance(np.diag([1.0, 4.0, 9.0])), np.array([1.0, 1.0, 1.0])
    state = state_at(f, metric, w, -2.0)
    np.testing.assert_allclose(state.point.coef, -2.0 * w / np.sqrt(14.0))
    assert state.norm == pytest.approx(np.sqrt(14.0))
    assert state.length.g == -2.0


def test_a9a_is_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    with pytest.raises(DataNotFoundError, match="a9a is not on this machine"):
        a9a()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["assumption-1-a9a", "gdnp-accelerates-a9a"])
def test_missing_data_is_never_a_verdict(name, monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    (result,) = run_claims([name])
    assert result.outcome == "NOT RUN: data missing"
    assert result.agrees is None
    assert "a9a is not on this machine" in result.reason


def test_breast_cancer_is_scaled_and_said_to_be():
    spec = described_rows("breast_cancer")
    assert (spec["n"], spec["d"], spec["columns"], spec["scaled"]) == (569, 10, list(range(10)), True)
    X, y = prepared_rows(spec, "breast_cancer")
    assert X.var(axis=0) == pytest.approx(np.ones(10))
    assert set(y) == {-1.0, 1.0}


def test_rows_of_a_file_are_known_by_their_contents(separable):
    spec = described_rows(str(separable))
    assert (spec["name"], spec["n"], spec["d"], spec["scaled"]) == ("separable.csv", 60, 3, True)
    separable.write_text(separable.read_text().replace("yes", "ja"))
    assert described_rows(str(separable))["sha256"] != spec["sha256"]


def test_constant_column_is_left_out(tmp_path):
    path = tmp_path / "constant.csv"
    path.write_text("a,b,y\n1,5,0\n2,5,1\n3,5,0\n4,5,1\n")
    X, _ = prepared_rows(described_rows(str(path)), str(path))
    assert X.var(axis=0) == pytest.approx([1.0])


TEXT = """
from gdnp.losses import Sigmoid

class Mine(Sigmoid):
    name = "mine"

class Wrong(Sigmoid):
    def gradient(self, t):
        return 2.0 * super().gradient(t)

instance = Mine()

def method(field, starts, multiples):
    yield
"""


@pytest.fixture
def _mine(tmp_path, monkeypatch):
    (tmp_path / "ours.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("ours", None)


@pytest.mark.parametrize("name", ["ours:Mine", "ours:instance", "sigmoid"])
@pytest.mark.usefixtures("_mine")
def test_a_loss_is_a_class_an_instance_or_one_of_the_library(name):
    assert loss_of(name).value(1.5) == get_loss("sigmoid").value(1.5)


@pytest.mark.usefixtures("_mine")
def test_figures_call_it_by_the_name_of_the_object():
    assert called("ours:Mine", {"ours:Mine": "known"}) == "known"
    assert called("ours:Mine", {}) == "Mine"


@pytest.mark.usefixtures("_mine")
def test_only_the_log_loss_is_measured_by_its_suboptimality():
    assert [measured_as(name) for name in ("log_loss", "ours:Mine", "sigmoid")] == [
        "log_loss",
        "sigmoid",
        "sigmoid",
    ]


@pytest.mark.usefixtures("_mine")
def test_other_text_is_another_hash(tmp_path):
    first = hashes(("log_loss", "ours:Mine"), ("ours:method",))
    assert set(first) == {"ours"}
    (tmp_path / "ours.py").write_text(TEXT + "# more\n")
    assert hashes(("ours:Mine",), ())["ours"] != first["ours"]
    assert hashes(("log_loss",), ()) == {}


@pytest.mark.parametrize(
    ("losses", "methods", "said"),
    [
        (("nowhere:Loss",), (), "No module named 'nowhere'"),
        (("ours:Nothing",), (), "no attribute 'Nothing'"),
        (("ours:Wrong",), (), "ours:Wrong: "),
        (("squared_error",), (), "one for classification"),
        (("cauchy",), (), "loss must be one of"),
        ((), ("gdnp",), "MODULE:OBJECT"),
        ((), ("math:pi",), "should name a function"),
        ((), ("ours:Mine",), "should name a function"),
    ],
)
@pytest.mark.usefixtures("_mine")
def test_what_is_not_ones_own_is_refused(losses, methods, said):
    with pytest.raises(OptionError, match=said):
        hashes(losses, methods)
