"""The hundred settings of scikit-learn's checks: each kind is there, and explanations are of what happens."""

import importlib
from itertools import product
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from gdnp import GDNPClassifier
from gdnp.losses import LOSSES

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("estimator_checks")


def test_a_hundred_settings_have_every_solver_loss_ridge_intercept_and_start(script):
    made = script.settings()
    assert len(made) >= 100
    of = {(e.solver, e.loss, e.alpha, e.fit_intercept, e.warm_start) for e in made.values()}
    assert len(of) == len(made)
    assert {("auto", *rest) for rest in product(LOSSES, script.ALPHAS, (True, False), (True, False))} <= of
    assert set(product(script.OTHERS, ("log_loss", "squared_error"), script.ALPHAS)) <= {
        row[:3] for row in of
    }


@pytest.mark.parametrize(
    "name",
    [
        "auto log_loss alpha=0 intercept cold",
        "auto log_loss alpha=1 no-intercept cold",
        "auto squared_error alpha=0.0001 intercept warm",
        "auto sigmoid alpha=1 intercept cold",
    ],
)
def test_failures_are_shared_or_explained_and_explanations_are_not_stale(script, name):
    estimator = script.settings()[name]
    found = script.failures(estimator)
    assert script.unexplained(name, estimator, found) == []
    assert script.stale({name: found}) == []


def test_what_logistic_regression_fails_too_is_fine_and_nothing_else(script):
    check = "check_class_weight_classifiers"
    assert check in script.failures(LogisticRegression(fit_intercept=False))
    with_none, name = GDNPClassifier(fit_intercept=False), "auto log_loss alpha=0.0001 no-intercept cold"
    assert script.unexplained(name, with_none, {check: "words"}) == []
    (wrong,) = script.unexplained(name, GDNPClassifier(), {check: "words"})
    assert wrong == f"{name}: {check}: words"


def test_an_explanation_of_what_passes_is_stale(script, monkeypatch):
    name = "auto probit alpha=1 intercept cold"
    monkeypatch.setattr(
        script, "EXPLAINED", (script.Explanation("check", ("probit", "alpha=1"), "Because."),)
    )
    assert script.unexplained(name, GDNPClassifier(), {"check": ""}) == []
    assert script.stale({name: {"check": ""}, "auto probit alpha=1 intercept warm": {}}) == []
    assert script.stale({name: {}}) == ["check is explained for probit alpha=1, and passes: drop it."]
    assert script.stale({"auto log_loss alpha=1 intercept cold": {}}) == []
