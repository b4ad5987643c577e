"""Losses and methods of one's own, by name: found, checked, and told apart by the text of their module."""

import sys

import pytest

from gdnp.losses import get_loss
from gdnp.paper.runner.experiment import OptionError
from gdnp.paper.runner.own import called, hashes, loss_of, measured_as

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


@pytest.fixture(autouse=True)
def _mine(tmp_path, monkeypatch):
    (tmp_path / "ours.py").write_text(TEXT)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("ours", None)


@pytest.mark.parametrize("name", ["ours:Mine", "ours:instance", "sigmoid"])
def test_a_loss_is_a_class_an_instance_or_one_of_the_library(name):
    assert loss_of(name).value(1.5) == get_loss("sigmoid").value(1.5)


def test_figures_call_it_by_the_name_of_the_object():
    assert called("ours:Mine", {"ours:Mine": "known"}) == "known"
    assert called("ours:Mine", {}) == "Mine"


def test_only_the_log_loss_is_measured_by_its_suboptimality():
    assert [measured_as(name) for name in ("log_loss", "ours:Mine", "sigmoid")] == [
        "log_loss",
        "sigmoid",
        "sigmoid",
    ]


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
        (("squared_error",), (), "one of classification"),
        (("cauchy",), (), "loss must be one of"),
        ((), ("gdnp",), "MODULE:OBJECT"),
        ((), ("math:pi",), "should name a function"),
        ((), ("ours:Mine",), "should name a function"),
    ],
)
def test_what_is_not_ones_own_is_refused(losses, methods, said):
    with pytest.raises(OptionError, match=said):
        hashes(losses, methods)
