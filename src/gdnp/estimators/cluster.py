"""Predictions and scores of Dask collections: worked out where the rows are, part by part."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import is_classifier

from gdnp.design.cluster import is_collection

M = TypeVar("M", bound=Callable[..., Any])

__all__ = ["by_parts", "scored"]


def by_parts(method: M) -> M:
    """A prediction for arrays, which for a Dask collection is a Dask array, not computed yet."""

    @wraps(method)
    def predicted(self: Any, X: Any) -> Any:
        if not is_collection(X):
            return method(self, X)
        names = getattr(self, "feature_names_in_", None)
        if hasattr(X, "npartitions") and hasattr(X, "columns"):
            X = X[list(X.columns if names is None else names)].to_dask_array()
        X = X.rechunk({1: -1})
        plain = _Plain(self, method.__name__)
        seen = plain(np.zeros((1, X.shape[1])))
        if seen.ndim == 1:
            return X.map_blocks(plain, dtype=seen.dtype, drop_axis=1)
        return X.map_blocks(plain, dtype=seen.dtype, chunks=(X.chunks[0], (seen.shape[1],)))

    return cast(M, predicted)


class _Plain:
    """A method of a fitted model for arrays of the columns in their order."""

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.name = type(model)(**model.get_params()), name
        fitted = {key: value for key, value in vars(model).items() if key.endswith("_")}
        fitted.pop("feature_names_in_", None)
        self.model.__dict__.update(fitted)

    def __call__(self, X: Any) -> Any:
        method = getattr(self.model, self.name)
        return method(np.asarray(X)) if len(X) else method(np.zeros((1, X.shape[1])))[:0]


def scored(model: Any, X: Any, y: Any, sample_weight: Any) -> float:
    """Accuracy or R² of a Dask collection, from sums over its parts."""
    if isinstance(y, str):
        y = X[y]
    y = y.to_dask_array(lengths=True) if hasattr(y, "npartitions") and not hasattr(y, "chunks") else y
    predicted = model.predict(X)
    if any(size != size for size in predicted.shape):
        predicted = predicted.compute_chunk_sizes()
    s = 1.0 if sample_weight is None else sample_weight
    weigh = predicted * 0 + 1.0 if predicted.dtype.kind in "fiu" else (predicted == predicted) * 1.0
    weigh = weigh * s
    total = weigh.sum()
    if is_classifier(model):
        return float((((predicted == y) * weigh).sum() / total).compute())
    mean = (y * weigh).sum() / total
    return float((1.0 - ((y - predicted) ** 2 * weigh).sum() / ((y - mean) ** 2 * weigh).sum()).compute())
