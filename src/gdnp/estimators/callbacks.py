"""scikit-learn's callbacks: an iteration is a task; they are given a model as if the fit ended there."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from gdnp._typing import FloatArray

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    _with_callbacks = None

M = TypeVar("M", bound=Callable[..., Any])

WRAPPERS = 0 if _with_callbacks is None else 1
"""Calls between a user's and that of ``fit``."""


def with_callbacks(method: M) -> M:
    """What scikit-learn wants around a fit that supports its callbacks, where it has them."""
    return method if _with_callbacks is None else cast(M, _with_callbacks(method))


class Callbacks:
    """The tasks of one fit, whose arguments are given: the fit, each of several targets, each iteration."""

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._given = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = self._parent = estimator._init_callback_context(max_subtasks=None)
        self._fit.call_on_fit_task_begin(**self._given)
        self._attributes: Callable[[list[FloatArray], list[float]], dict[str, Any]]
        self._at: list[tuple[FloatArray, float]] = []

    def begin(
        self,
        starts: list[tuple[FloatArray, float]],
        attributes: Callable[[list[FloatArray], list[float]], dict[str, Any]],
    ) -> None:
        """From (coefficients, intercept) of each target; `attributes` makes a fitted estimator's of them."""
        self._at, self._attributes = starts, attributes

    def target(self, name: str) -> None:
        """Begin one of several targets; those to come are at their starts."""
        self._parent = self._fit.subcontext(task_name=name, max_subtasks=None)
        self._parent.call_on_fit_task_begin(**self._given, reconstruction_attributes=self._now)

    def iteration(self, k: int, coef: FloatArray, intercept: float) -> bool:
        """An iteration of the k-th target, and whether a callback wants it to be the last."""
        self._at[k] = coef, intercept
        task = self._parent.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(**self._given, reconstruction_attributes=self._now)
        return bool(task.call_on_fit_task_end(**self._given, reconstruction_attributes=self._now))

    def target_end(self) -> None:
        """The end of one of several."""
        self._parent.call_on_fit_task_end(**self._given)

    def end(self) -> None:
        """The end of the fit, once the estimator has its attributes."""
        self._fit.call_on_fit_task_end(**self._given, reconstruction_attributes={})

    def _now(self) -> dict[str, Any]:
        return self._attributes([np.array(w) for w, _ in self._at], [b for _, b in self._at])
