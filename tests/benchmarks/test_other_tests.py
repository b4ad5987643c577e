"""Other people's tests against gdnp: adapters solve the same problems, and reasons are held to outcomes."""

import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import sklearn.linear_model as linear
from sklearn.datasets import load_breast_cancer, load_diabetes

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("other_tests")


@pytest.fixture
def adapters(script):
    return script.adapters


@pytest.fixture(scope="module")
def labels():
    X, y = load_breast_cancer(return_X_y=True)
    return (X - X.mean(0)) / X.std(0), y


# The adapters


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 1: 0.5}])
@pytest.mark.parametrize("weighted", [False, True])
def test_c_and_weights_mean_what_they_mean_to_scikit_learn(adapters, labels, rng, class_weight, weighted):
    X, y = labels
    s = rng.integers(1, 4, len(y)).astype(float) if weighted else None
    options = {"C": 0.3, "class_weight": class_weight, "tol": 1e-8}
    theirs = linear.LogisticRegression(solver="newton-cholesky", **options).fit(X, y, s)
    ours = adapters.LogisticRegression(**options).fit(X, y, s)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-7)


@pytest.mark.parametrize("intercept", [True, False])
def test_alpha_means_what_it_means_to_scikit_learn(adapters, rng, intercept):
    X, y = load_diabetes(return_X_y=True)
    s = rng.integers(1, 4, len(y)).astype(float)
    theirs = linear.Ridge(2.0, fit_intercept=intercept).fit(X, y, s)
    ours = adapters.Ridge(2.0, fit_intercept=intercept, tol=1e-7).fit(X, y, s)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)
    by_function = adapters.ridge_regression(X, y, 2.0, sample_weight=s, tol=1e-7, return_intercept=intercept)
    np.testing.assert_allclose(by_function[0] if intercept else by_function, theirs.coef_, rtol=1e-6)


def test_a_share_between_0_and_1_is_two_weighted_labels(adapters, rng):
    from sklearn._loss import HalfBinomialLoss
    from sklearn.linear_model._glm import _GeneralizedLinearRegressor

    X, y = rng.standard_normal((40, 3)), rng.random(40)
    options = {"alpha": 0.1, "tol": 1e-10}
    theirs, ours = (
        type("Binomial", (cls,), {"_get_loss": lambda self, xp=None, device=None: HalfBinomialLoss()})(
            **options
        )
        for cls in (_GeneralizedLinearRegressor, adapters.GLM)
    )
    theirs.set_params(solver="newton-cholesky")
    s = rng.random(40)
    np.testing.assert_allclose(ours.fit(X, y, s).coef_, theirs.fit(X, y, s).coef_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-6)


def test_nothing_is_fitted_by_scikit_learn(adapters, labels, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("scikit-learn fits")

    for name in ("LogisticRegression", "Ridge", "HuberRegressor"):
        monkeypatch.setattr(getattr(linear, name), "fit", refuse)
        monkeypatch.setattr(getattr(linear, name), "predict", refuse)
    adapters.used.clear()
    for cls in (adapters.LogisticRegression, adapters.Ridge, adapters.HuberRegressor):
        cls().fit(*labels).predict(labels[0])
    assert adapters.used == {"LogisticRegression", "Ridge", "HuberRegressor"}


def test_what_is_not_offered_is_named_even_inside_of_raises(adapters, labels):
    for make, feature in [
        (lambda: adapters.LogisticRegression(l1_ratio=1.0).fit(*labels), "l1 and elastic net"),
        (lambda: adapters.Ridge(positive=True).fit(*labels), "positive coefficients"),
        (lambda: adapters.namesake("PoissonRegressor")().fit(*labels), "HalfPoissonLoss"),
        (lambda: adapters.absent("RidgeCV")(alphas=[1.0]).fit(*labels), "RidgeCV"),
    ]:
        with (
            pytest.raises(pytest.skip.Exception, match=f"not offered: {feature}"),
            pytest.raises(Exception, match="never"),
        ):
            make()


def test_a_warm_start_begins_at_the_last_fit(adapters, labels):
    model = adapters.LogisticRegression(warm_start=True).fit(*labels)
    coef = model.coef_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_params(max_iter=1).fit(*labels)
    np.testing.assert_allclose(model.coef_, coef, rtol=1e-3)


# The reasons


def reason(script, test, kind="tolerance"):
    return script.Reason(test, kind, "Because.")


def test_a_star_stands_for_anything_and_a_bracket_for_itself(script):
    about = reason(script, "test_a.py::test_b[x-*-True]")
    assert about.matches("test_a.py::test_b[x-/y[0]-True]")
    assert not about.matches("test_a.py::test_b[x-True]")
    assert not about.matches("test_a.py::test_b[x-y-True]z")


def test_only_two_kinds_are_reasons(script):
    with pytest.raises(ValueError, match="kind must be one of"):
        reason(script, "test", "fault")
    with pytest.raises(ValueError, match="why must be a sentence"):
        script.Reason("test", "tolerance", "")


def test_reasons_are_held_to_what_happens(script):
    found = script.Outcomes(
        {"a": script.FAILED, "b": script.PASSED, "c": script.NEVER}, {"a": "assert 1 == 2"}
    )
    assert script.judge(found, [reason(script, "a")], True) == []
    assert script.judge(found, [], True) == ["a fails without a reason: assert 1 == 2"]
    for test, complete, words in [
        ("b", False, "1 of its tests pass"),
        ("*", False, "1 of its tests pass"),
        ("c", False, "none of its tests fails"),
        ("d", True, "none of its tests fails"),
    ]:
        wrong = script.judge(found, [reason(script, "a"), reason(script, test)], complete)
        assert len(wrong) == 1
        assert words in wrong[0]
    assert script.judge(found, [reason(script, "a"), reason(script, "d")], False) == []


def test_huber_runs_from_the_package_and_a_wrong_reason_is_found(script, tmp_path):
    assert {about.kind for about in script.read(FOLDER / "other_tests.toml")} == set(script.KINDS)
    reasons = tmp_path / "reasons.toml"
    entry = (
        '[[failure]]\ntests = ["test_huber.py::test_huber_bool"]\nkind = "tolerance"\nwhy = "It passes."\n'
    )
    reasons.write_text(entry)
    done = subprocess.run(
        [sys.executable, FOLDER / "other_tests.py", "huber", "--reasons", reasons],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "test_huber.py::test_huber_warm_start fails without a reason: assert 1 == 0" in done.stdout
    assert "test_huber.py::test_huber_bool has a reason, and 1 of its tests pass" in done.stdout
    assert "HuberRegressor.outliers_" in done.stdout
    assert script.NEVER in done.stdout
