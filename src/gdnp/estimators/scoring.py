"""How good a fitted model is on rows that were held out, by any scorer of scikit-learn's."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin, is_classifier
from sklearn.metrics import check_scoring, make_scorer
from sklearn.utils import _safe_indexing

from gdnp._typing import FloatArray
from gdnp.losses import checked_loss


class Scores:
    """Scores of a model on some of the rows X, y: it is ready to predict but for its coefficients.

    No `scoring` is ``default_score``; `weight` is passed on to a scorer that takes weights.
    """

    def __init__(self, model: Any, scoring: Any, X: Any, y: NDArray[Any], weight: FloatArray | None) -> None:
        self.X, self.y, self.weight = X, y, weight
        self._model = copy.copy(model)
        self._model.__dict__.pop("feature_names_in_", None)  # rows come as arrays
        self._scorer, self._weighs = _scorer(self._model, scoring)

    def of(self, rows: NDArray[np.intp]) -> Callable[[dict[str, Any], str], float]:
        """A function of a model's attributes, and of what it is called, for some rows."""
        X, y = _safe_indexing(self.X, rows), self.y[rows]
        weight = None if self.weight is None else self.weight[rows]

        def score(attributes: dict[str, Any], name: str) -> float:
            self._model.__dict__.update({k: v for k, v in attributes.items() if k != "feature_names_in_"})
            return self.given(self._model, X, y, weight, name)

        return score

    def given(self, model: Any, X: Any, y: NDArray[Any], weight: FloatArray | None, name: str) -> float:
        """The score of a model that is called `name`."""
        options = {"sample_weight": weight} if self._weighs and weight is not None else {}
        try:
            value = float(self._scorer(model, X, y, **options))
        except Exception as error:
            raise ValueError(
                f"scoring must give a number for every model. It failed for {name}: {error}"
            ) from error
        if np.isnan(value):
            raise ValueError(f"scoring must give a number for every model. Got NaN for {name}.")
        return value


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


class _Predicted(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    def predict(self, X: Any) -> Any:
        return X


PREDICTED = _Predicted()
"""A model of predictions instead of rows: it returns them."""
