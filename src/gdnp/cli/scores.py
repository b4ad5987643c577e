"""How good a model is on rows that it has not seen, and how good one is that looks at no column."""

import math
import warnings
from collections.abc import Callable, Iterable
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
from sklearn.model_selection import KFold, StratifiedKFold, train_test_split

from gdnp._files import require
from gdnp.cli.values import plain, text

NAMES = {
    "auc": "AUC",
    "log_loss": "log loss",
    "accuracy": "accuracy",
    "r2": "R²",
    "rmse": "root mean square error",
    "mae": "mean absolute error",
}
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
    found, classes = {}, model.classes_
    if hasattr(model, "predict_proba") and np.isin(y, classes).all():
        shares = model.predict_proba(X)
        if len(np.unique(y)) == len(classes):
            of = shares if len(classes) > 2 else shares[:, 1]
            found["auc"] = float(roc_auc_score(y, of, multi_class="ovr"))
        found["log_loss"] = float(log_loss(y, shares, labels=classes))
    return {**found, "accuracy": float(accuracy_score(y, predicted))}


def folds_of(y: NDArray[Any], classifies: bool) -> int:
    """Into how many parts rows can be split so that each has every class."""
    return int(np.unique(y, return_counts=True)[1].min()) if classifies else len(y)


def held_out(
    make: Callable[[NDArray[Any]], Any], X: Any, y: NDArray[Any], test: float | None, folds: int | None
) -> tuple[dict[str, Any] | None, Any]:
    """Scores on rows that were left out, beside a baseline's; and the model behind them, if it was one.

    `make` gives a new estimator for a target; `test` and `folds` may be 0 for none, and n decides where both
    are None.
    """
    classifies, n = is_classifier(make(y)), len(y)
    if test is None and folds is None:
        test, folds = (None, FOLDS * (n >= FEWEST)) if n < FEW else (SHARE, None)
    folds = min(folds, folds_of(y, classifies)) if folds else folds
    if not (test or folds) or folds_of(y, classifies) < 2 or (folds and folds < 2):
        return None, None
    baseline = DummyClassifier(strategy="prior") if classifies else DummyRegressor()
    found: list[dict[str, float]] = []
    blind: list[dict[str, float]] = []
    for fitted, left in _splits(y, classifies, test, folds):
        model = make(y[fitted])
        with warnings.catch_warnings():  # the fit of all rows says what there is to say
            warnings.simplefilter("ignore")
            model.fit(_part(X, fitted), y[fitted])
        found.append(scores_of(model, _part(X, left), y[left]))
        blind.append(scores_of(baseline.fit(fitted[:, None], y[fitted]), left[:, None], y[left]))
    said = baseline.fit(y[:, None], y).predict(y[:1, None])[0]
    says = f"{text(plain(said))!r} for every row" if classifies else f"{said:.4g}, the mean"
    how = f"{folds}-fold cross-validation" if folds else f"{len(left):,} of {n:,} rows held out"
    frame = require("pandas", "Averaging scores").DataFrame
    scores = frame(found).dropna(axis=1)  # what has no value in a fold has no mean
    return {
        "method": how,
        "values": scores.mean().to_dict(),
        "spread": scores.std(ddof=0).to_dict() if folds else None,
        "baseline": frame(blind)[list(scores)].mean().to_dict(),
        "note": f"The baseline says {says}. Below is the model of all rows.",
    }, None if folds else model


def _splits(
    y: NDArray[Any], classifies: bool, test: float | None, folds: int | None
) -> Iterable[tuple[Index, Index]]:
    if folds:
        kind = StratifiedKFold if classifies else KFold
        return kind(folds, shuffle=True, random_state=0).split(y, y)  # type: ignore[no-any-return]
    rows, labels = np.arange(len(y)), y if classifies else None
    return [train_test_split(rows, test_size=test, stratify=labels, random_state=0)]


def _part(X: Any, rows: Index) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
