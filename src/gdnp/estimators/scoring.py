"""How good a fitted model is on rows that were held out, by any scorer of scikit-learn's."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring, make_scorer
from sklearn.utils import _safe_indexing

from gdnp._typing import FloatArray
from gdnp.losses import checked_loss


class Scores:
    """Scores of a model on some of the rows X, y: it is ready to predict but for its coefficients.

    No `scoring` is ``default_score``; `weight` is passed on to a scorer that takes weights.
    """

    def __init__(self, model: Any, scoring: Any, X: Any, y: NDArray[Any], weight: FloatArray | None) -> None:
        self.X, self.y = X, y
        self._model = copy.copy(model)
        self._model.__dict__.pop("feature_names_in_", None)  # rows come as arrays
        self._scorer, takes_weights = _scorer(self._model, scoring)
        self._weight = weight if takes_weights else None

    def of(self, rows: NDArray[np.intp]) -> Callable[[dict[str, Any], str], float]:
        """A function of a model's attributes, and of what it is called, for some rows."""
        if is_classifier(self._model):  # others count for nothing
            rows = rows[np.isin(self.y[rows], self._model.classes_)]
            if not len(rows):
                raise ValueError(
                    "cv must test on rows of classes with weight. Got a fold without: give fewer folds, or "
                    "leave out the classes that count for nothing."
                )
        X, y = _safe_indexing(self.X, rows), self.y[rows]
        options = {} if self._weight is None else {"sample_weight": self._weight[rows]}

        def score(attributes: dict[str, Any], name: str) -> float:
            self._model.__dict__.update(attributes)
            try:
                value = float(self._scorer(self._model, X, y, **options))
            except Exception as error:
                raise ValueError(
                    f"scoring must give a number for every model. It failed for {name}: {error}"
                ) from error
            if np.isnan(value):
                raise ValueError(f"scoring must give a number for every model. Got NaN for {name}.")
            return value

        return score


def default_score(model: Any, X: Any, y: NDArray[Any], sample_weight: FloatArray | None = None) -> float:
    """The mean log likelihood or minus the mean squared error, where they belong to the loss.

    A classification loss that is not convex has the accuracy, another regression loss minus the mean absolute
    error. Logarithms of small probabilities keep their digits.
    """
    loss = checked_loss(model.loss)
    if loss.task == "regression":
        error = y - model.predict(X)
        each = -(np.square(error) if loss.quadratic else np.abs(error)).reshape(len(y), -1).mean(axis=1)
    elif loss.convex:
        each = model.predict_log_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    else:
        each = model.predict(X) == y
    return float(np.average(each, weights=sample_weight))


def _scorer(model: Any, scoring: Any) -> tuple[Any, bool]:
    """The scorer, and whether it takes weights; all classes are its labels, whichever a fold holds."""
    scorer = check_scoring(model, default_score if scoring is None else scoring)
    function = getattr(scorer, "_score_func", None)
    known = inspect.signature(scorer if function is None else function).parameters
    if is_classifier(model) and function is not None and "labels" in known:
        labels = {"labels": model.classes_}
        if "pos_label" in known and len(model.classes_) == 2:
            labels["pos_label"] = model.classes_[-1]
        scorer = make_scorer(
            function,
            response_method=scorer._response_method,
            greater_is_better=scorer._sign > 0,
            **{**labels, **scorer._kwargs},
        )
    return scorer, "sample_weight" in known
