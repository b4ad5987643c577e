"""Scores on rows that were not seen: against scikit-learn's own, beside a baseline's."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from gdnp.cli.scores import held_out, scores_of


@pytest.fixture
def rows(rng):
    X = rng.standard_normal((400, 3))
    return X, np.where(X[:, 0] + rng.standard_normal(400) > 0.5, "yes", "no")


def logistic(y):
    return LogisticRegression()


def linear(y):
    return LinearRegression()


def test_cross_validation_is_scikit_learns(rows):
    X, y = rows
    found, _ = held_out(logistic, X, y, None, 4)
    split = StratifiedKFold(4, shuffle=True, random_state=0)
    for name, scoring in (("auc", "roc_auc"), ("log_loss", "neg_log_loss"), ("accuracy", "accuracy")):
        expected = np.abs(cross_val_score(LogisticRegression(), X, y, cv=split, scoring=scoring))
        assert found["values"][name] == pytest.approx(expected.mean())
        assert found["spread"][name] == pytest.approx(expected.std())
    assert found["method"] == "4-fold cross-validation"
    assert found["note"].startswith("The baseline says 'no' for every row.")
    assert found["baseline"]["auc"] == 0.5
    assert found["baseline"]["accuracy"] == pytest.approx(np.mean(y == "no"), abs=0.01)


def test_rows_held_out_are_not_fitted(rows):
    X, y = rows
    seen = []

    class Spy(LogisticRegression):
        def fit(self, X, y):
            seen.append(len(X))
            return super().fit(X, y)

    found, model = held_out(lambda y: Spy(), X, y, 0.25, None)
    assert seen == [300]
    assert found["method"] == "100 of 400 rows held out"
    assert found["spread"] is None
    assert model.coef_.shape == (1, 3)


def test_how_many_rows_decides_what_is_not_said(rows):
    X, y = rows
    assert held_out(logistic, X, y, None, None)[0]["method"] == "5-fold cross-validation"
    many = np.tile(X, (5, 1)), np.tile(y, 5)
    assert held_out(logistic, *many, None, None)[0]["method"] == "400 of 2,000 rows held out"


@pytest.mark.parametrize(("test", "folds"), [(0.0, None), (None, 0)])
def test_nothing_is_held_out_where_nothing_is_asked_for(rows, test, folds):
    assert held_out(logistic, *rows, test, folds) == (None, None)


def test_too_few_rows_give_no_score(rows):
    X, y = rows
    assert held_out(logistic, X[:19], y[:19], None, None) == (None, None)
    assert held_out(logistic, X[:19], y[:19], None, 3)[0]["method"] == "3-fold cross-validation"
    rare = y.copy().astype("U9")
    rare[0] = "once"
    assert held_out(logistic, X, rare, None, None) == (None, None)


def test_regression_has_errors_in_the_units_of_the_target(rng):
    X = rng.standard_normal((200, 2))
    y = X @ [3.0, -1.0] + 0.5 * rng.standard_normal(200)
    found, _ = held_out(linear, X, y, 0.5, None)
    assert found["values"]["rmse"] == pytest.approx(0.5, rel=0.2)
    assert found["baseline"]["rmse"] == pytest.approx(y.std(), rel=0.2)
    assert found["baseline"]["r2"] <= 0.0
    assert found["note"].startswith(f"The baseline says {y.mean():.4g}, the mean.")
    assert found["values"]["mae"] < found["values"]["rmse"]


def test_several_classes_are_each_against_the_rest(rng):
    X = rng.standard_normal((300, 2))
    y = np.digitize(X[:, 0] + rng.standard_normal(300), [-0.5, 0.5])
    model = LogisticRegression().fit(X, y)
    expected = roc_auc_score(y, model.predict_proba(X), multi_class="ovr")
    assert scores_of(model, X, y)["auc"] == pytest.approx(expected)


def test_classes_that_the_model_does_not_know_have_no_probability(rows):
    X, y = rows
    model = LogisticRegression().fit(X, y)
    other = np.where(y == "no", "maybe", y)
    assert scores_of(model, X, other) == {"accuracy": pytest.approx(np.mean(model.predict(X) == other))}
    assert "auc" not in scores_of(model, X[y == "no"], y[y == "no"])  # one class has no ranking


def test_a_fold_of_one_row_has_errors_and_no_r2(rng):
    X = rng.standard_normal((6, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _ = held_out(linear, X, X[:, 0], None, 6)
    assert set(found["values"]) == {"rmse", "mae"}
