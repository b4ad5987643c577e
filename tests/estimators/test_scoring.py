"""Scores are scikit-learn's, with every class among the labels and failures in one sentence."""

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    make_scorer,
    max_error,
    mean_absolute_error,
    mean_squared_error,
)

from gdnp import GDNPClassifier, GDNPRegressor
from gdnp.estimators.scoring import Scores, default_score
from problems import draw


def scores_of(model, scoring, X, y, weight=None, rows=None, **attributes):
    rows = np.arange(len(y)) if rows is None else rows
    return Scores(model, scoring, X, y, weight).of(rows)(attributes, "fold 0")


@pytest.fixture
def three(rng):
    X = rng.standard_normal((60, 3))
    y = np.array(["a", "b", "c"])[np.argmax(X + 0.5 * rng.standard_normal((60, 3)), axis=1)]
    return GDNPClassifier(alpha=0.1).fit(X, y), X, y


def test_the_default_is_what_the_loss_is_about(rng, three):
    model, X, y = three
    s = rng.random(60)
    assert default_score(model, X, y, s) == pytest.approx(
        -log_loss(y, model.predict_proba(X), sample_weight=s)
    )
    bounded = GDNPClassifier("sigmoid", alpha=0.1).fit(X, y)
    assert default_score(bounded, X, y) == accuracy_score(y, bounded.predict(X))
    targets = np.column_stack((X @ [1.0, 2.0, 3.0], X[:, 0] ** 2))
    for loss, error in (("squared_error", mean_squared_error), ("huber", mean_absolute_error)):
        fitted = GDNPRegressor(loss, alpha=0.1).fit(X, targets)
        expected = -error(targets, fitted.predict(X), sample_weight=s)
        assert default_score(fitted, X, targets, s) == pytest.approx(expected)


def test_small_probabilities_keep_their_digits(rng):
    """A row that is as wrong as e^-700 counts with 700, where a rounded probability has no logarithm."""
    model = GDNPClassifier(alpha=0.1).fit(*draw(rng, d=1))
    X = np.array([[-700.0 / model.coef_[0, 0]]])
    assert default_score(model, X, model.classes_[1:]) == pytest.approx(-700.0 + model.intercept_[0])


def test_rows_that_lack_a_class_are_scored_with_all_labels(three):
    model, X, y = three
    rows = np.flatnonzero(y != "b")
    expected = -log_loss(y[rows], model.predict_proba(X[rows]), labels=["a", "b", "c"])
    assert scores_of(model, "neg_log_loss", X, y, rows=rows) == pytest.approx(expected)
    assert scores_of(model, None, X, y, rows=rows) == pytest.approx(expected)


def test_weights_go_to_scorers_that_take_them(rng, three):
    model, X, y = three
    s = rng.random(60)
    expected = accuracy_score(y, model.predict(X), sample_weight=s)
    assert scores_of(model, "accuracy", X, y, s) == pytest.approx(expected)
    regressor = GDNPRegressor().fit(X, X[:, 0])
    scorer = make_scorer(max_error, greater_is_better=False)  # it takes none
    assert np.isfinite(scores_of(regressor, scorer, X, X[:, 0], s))
    assert scores_of(regressor, lambda model, X, y: 7, X, X[:, 0], s) == 7.0


def test_attributes_are_those_that_are_given(three):
    model, X, y = three
    found = scores_of(model, "accuracy", X, y, coef_=np.zeros((3, 3)), intercept_=np.array([0.0, 1.0, 0.0]))
    assert found == np.mean(y == "b")
    assert model.coef_.any()


@pytest.mark.parametrize(
    ("scoring", "message"),
    [
        (lambda model, X, y: 1 / 0, "failed for fold 0: division by zero"),
        (lambda model, X, y: np.nan, "Got NaN for fold 0"),
        (lambda model, X, y: {"a": 1.0}, "failed for fold 0"),
        ("f1", "failed for fold 0: .*average"),
    ],
)
def test_a_scorer_that_fails_is_one_sentence(three, scoring, message):
    with pytest.raises(ValueError, match=f"^scoring must give a number for every model. .*{message}"):
        scores_of(three[0], scoring, *three[1:])
