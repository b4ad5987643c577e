"""Predictions, scores and folds of Dask collections: worked out where the rows are, part by part."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import is_classifier

from gdnp._typing import FloatArray
from gdnp.design import Rows, RowVector, Source
from gdnp.design.cluster import is_collection, is_frame, named
from gdnp.design.targets import mass_of
from gdnp.estimators.scoring import default_score

M = TypeVar("M", bound=Callable[..., Any])


def by_parts(method: M) -> M:
    """A prediction for arrays, which for a Dask collection is a Dask array, not computed yet."""

    @wraps(method)
    def predicted(self: Any, X: Any) -> Any:
        if not is_collection(X):
            return method(self, X)
        names = getattr(self, "feature_names_in_", None)
        if is_frame(X):
            X = named(X, () if names is None else names)
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
    weigh = (predicted == predicted) * 1.0 * s
    total = weigh.sum()
    if is_classifier(model):
        return float((((predicted == y) * weigh).sum() / total).compute())
    mean = (y * weigh).sum() / total
    return float((1.0 - ((y - predicted) ** 2 * weigh).sum() / ((y - mean) ** 2 * weigh).sum()).compute())


class DealtFolds:
    """Folds of rows on workers, dealt out one by one, and scores on them; see ``Scores``."""

    def __init__(self, model: Any, found: Source, count: int) -> None:
        self._model, self._found, self.count = model, found, count
        self._design: Any = found.design
        self._dealt = self._design.rows.dealt(count)

    def training(self, weight: RowVector | None, k: int) -> RowVector:
        """Weights of sum one, 0 in the k-th fold; those of all rows are `weight`."""
        rows: Rows = self._design.rows
        made = rows.empty()
        mass = rows.total(partial(_outside, k), weight, self._dealt, writes=(made,))[0]
        if not mass > 0.0:
            raise ValueError(
                f"cv must train on rows of positive weight. Got none in fold {k}; pass another number."
            )
        return rows.combine((1.0 / mass, made), out=made)

    def classes_in(self, weight: RowVector) -> Any:
        """The classes of the rows of positive weight."""
        classes, codes = self._design.rows.labels(self._found.target)
        return classes[self._design.rows.total(partial(mass_of, len(classes)), weight, codes)[0] > 0.0]

    def of(self, k: int) -> Callable[[dict[str, Any], str], float]:
        """A function of a model's attributes, and of what it is called, for the k-th fold."""

        def score(attributes: dict[str, Any], name: str) -> float:
            model = _Plain(self._model, "predict").model
            model.__dict__.update(attributes)
            vectors = self._found.target, self._found.weight, self._dealt
            total, mass = np.sum(self._design.asked(_score_of_part, *vectors, model=model, k=k), axis=0)
            if not mass > 0.0:
                raise ValueError(f"cv must hold out rows of positive weight. Got none for {name}.")
            return float(total / mass)

        return score


def _outside(k: int, s: FloatArray | None, dealt: Any, out: FloatArray) -> list[Any]:
    """See ``Rows.total``: the weights outside of a fold, written, and their sum."""
    out[:] = dealt != k if s is None else s * (dealt != k)
    return [float(out.sum())]


def _score_of_part(X: Any, y: Any, s: Any, dealt: Any, *, model: Any, k: int) -> tuple[float, float]:
    """The sum of the scores of the rows of a fold, and of their weights."""
    here = dealt == k if s is None else (dealt == k) & (s > 0.0)
    here = here & np.isin(y, model.classes_) if is_classifier(model) else here
    mass = float(here.sum() if s is None else s[here].sum())
    weight = None if s is None else s[here]
    return (default_score(model, X[here], y[here], weight) * mass, mass) if mass else (0.0, 0.0)
