"""How good a model is on rows that it has not seen, and how good one is that looks at no column."""

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import (
    accuracy_score,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.model_selection import KFold, ShuffleSplit, StratifiedKFold, StratifiedShuffleSplit

NAMES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "r2": "R²",
    "rmse": "root mean square error",
}
NAMES |= {"mae": "mean absolute error"}
FEW = 2000
"""Below so many rows a fifth of them tells little, and fitting five times costs little."""
FEWEST, FOLDS, SHARE = 20, 5, 0.2

Index = NDArray[np.intp]


def scores_of(model: Any, X: Any, y: NDArray[Any]) -> dict[str, float]:
    """AUC, each class against the rest, log loss and accuracy; or R² and errors in units of the target."""
    predicted = model.predict(X)
    if not hasattr(model, "classes_"):
        r2 = r2_score(y, predicted) if np.ptp(y) > 0.0 else math.nan
        rmse, mae = root_mean_squared_error(y, predicted), mean_absolute_error(y, predicted)
        return {"r2": float(r2), "rmse": float(rmse), "mae": float(mae)}
    found = {}
    classes = model.classes_
    if hasattr(model, "predict_proba") and np.isin(y, classes).all():
        shares = model.predict_proba(X)
        known = np.unique(y)
        if len(classes) == 2 and len(known) == 2:
            found["auc"] = float(roc_auc_score(y == classes[1], shares[:, 1]))
        elif len(known) == len(classes) > 2:
            each = [roc_auc_score(y == label, shares[:, k]) for k, label in enumerate(classes)]
            found["auc"] = float(np.mean(each))
        found["log_loss"] = float(log_loss(y, shares, labels=classes))
    return {**found, "accuracy": float(accuracy_score(y, predicted))}


def folds_of(y: NDArray[Any], classifies: bool) -> int:
    """Into how many parts rows can be split so that each has every class."""
    return int(np.unique(y, return_counts=True)[1].min()) if classifies else len(y)


def held_out(
    make: Callable[[NDArray[Any]], Any], X: Any, y: NDArray[Any], test: float | None, folds: int | None
) -> tuple[dict[str, Any] | None, Any]:
    """Scores on rows that were left out, beside a baseline's, and the last model that was fitted for it.

    Parameters
    ----------
    make : callable
        A new estimator for a target.
    X, y : n rows
        y holds labels of text, or numbers for a regressor.
    test : float, optional
        Share of the rows to hold out, 0 for none.
    folds : int, optional
        Of a cross-validation, 0 for none. What is not said depends on n.
    """
    classifies, n = is_classifier(make(y)), len(y)
    if test is None and folds is None:
        test, folds = (None, FOLDS * (n >= FEWEST)) if n < FEW else (SHARE, None)
    folds = min(folds, folds_of(y, classifies)) if folds else folds
    if not (test or folds) or folds_of(y, classifies) < 2 or (folds and folds < 2):
        return None, None
    baseline = DummyClassifier(strategy="prior") if classifies else DummyRegressor()
    rows: list[dict[str, float]] = []
    other: list[dict[str, float]] = []
    model = None
    for fitted, left in _splits(y, classifies, test, folds):
        model = make(y[fitted])
        with warnings.catch_warnings():  # the fit of all rows says what there is to say
            warnings.simplefilter("ignore")
            model.fit(_part(X, fitted), y[fitted])
        rows.append(scores_of(model, _part(X, left), y[left]))
        other.append(scores_of(baseline.fit(fitted[:, None], y[fitted]), left[:, None], y[left]))
    count = len(left)
    how = f"{folds}-fold cross-validation" if folds else f"{count:,} of {n:,} rows held out"
    shared = [name for name in rows[0] if all(math.isfinite(row.get(name, math.nan)) for row in rows)]
    return {
        "method": how,
        "values": {name: float(np.mean([row[name] for row in rows])) for name in shared},
        "spread": {name: float(np.std([row[name] for row in rows])) for name in shared} if folds else None,
        "baseline": {name: float(np.mean([row[name] for row in other])) for name in shared},
    }, model


def _splits(
    y: NDArray[Any], classifies: bool, test: float | None, folds: int | None
) -> Iterator[tuple[Index, Index]]:
    shuffled: dict[str, Any] = {"random_state": 0}
    if folds:
        kind = StratifiedKFold if classifies else KFold
        return kind(folds, shuffle=True, **shuffled).split(y, y)  # type: ignore[no-any-return]
    kind = StratifiedShuffleSplit if classifies else ShuffleSplit
    return kind(1, test_size=test, **shuffled).split(y, y)  # type: ignore[no-any-return]


def _part(X: Any, rows: Index) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
