"""``GDNPRegressor``: linear regression with squared or robust losses."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from gdnp._typing import FloatArray
from gdnp.design import DesignMatrix
from gdnp.design.block import Affine
from gdnp.design.source import numbers
from gdnp.estimators.base import LinearEstimator, ScoresSources, Task
from gdnp.estimators.cluster import by_parts
from gdnp.estimators.fitting import Data, Settings, fit_one
from gdnp.losses import Loss, SquaredError
from gdnp.solvers.state import ROUNDING
from gdnp.validation import checked_number

LARGEST_TARGET = 1e150
NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""
EFFICIENT = 1.345
"""δ of Huber's loss in standard deviations that keeps 95 % of least squares' efficiency for normal errors."""
TOO_NARROW = 1e3
"""Residuals in units of a δ that was not chosen, above which it is worth a word."""


@dataclass(eq=False, repr=False)
class GDNPRegressor(ScoresSources, RegressorMixin, LinearEstimator):  # type: ignore[misc]
    """Linear regressor that converges on raw data and says how close it came.

    Minimises (1/Σs_i) Σ s_i φ(y_i - x_iᵀw - b) + alpha/2 ‖w‖² over w and b in the raw coordinates of X; b is
    never penalised. With "squared_error", φ(r) = r²/2, so ``Ridge``'s alpha is n times this one. At alpha = 0
    the answer is the limit of a vanishing ridge, as ``LinearRegression`` has it: of many minimisers that of
    least ‖w‖, whether a row has weight 2 or stands there twice.

    Parameters
    ----------
    loss : {"squared_error", "huber", "pseudo_huber"} or gdnp.losses.Loss
        φ; the last two are ``gdnp.losses.Huber(delta)`` and ``PseudoHuber(delta)``.
    delta : float or "auto"
        δ > 0 of "huber" and "pseudo_huber", in the units of y: residuals are squared up to about δ, and count
        by their size beyond. "auto" is 1.345 times the scale of the residuals of least squares with this
        alpha, which is 1.4826 times their median absolute deviation; that of y where they are nothing but
        rounding. A ``Loss`` brings its own.
    alpha, fit_intercept, solver, tol, max_iter, warm_start, n_init, n_jobs, random_state, verbose
        See ``GDNPClassifier``.
    class_weight : None
        Regression has no classes.

    Attributes
    ----------
    coef_ : ndarray of shape (d,) or (k, d)
        As with all of these, a first axis stands for the targets where y has two.
    intercept_ : float or ndarray of shape (k,)
    delta_ : float or ndarray of shape (k,)
        δ, of a loss that has one.
    direction_, length_, certificate_, history_, n_iter_, n_features_in_, feature_names_in_
        See ``GDNPClassifier``.
    """

    loss: str | Loss = "squared_error"
    _: KW_ONLY
    delta: float | str = 1.0
    _target = ("target", "targets")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _task(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> Task:
        settings = self._settings("regression")
        if self.class_weight is not None:
            raise ValueError(f"class_weight must be None in regression. Got {self.class_weight!r}.")
        read, y, weight, rows = self._given(X, y, sample_weight, options, y_numeric=True, multi_output=True)
        remote = isinstance(read, DesignMatrix)
        target: Any = numbers(y, "y", rows) if remote else np.asarray(y, dtype=np.float64)
        largest = float(rows.extremes(target)[0, 2])
        if largest > 0.0 and not 1.0 / LARGEST_TARGET <= largest <= LARGEST_TARGET:
            raise ValueError(
                f"y must be 0 or from {1.0 / LARGEST_TARGET:g} to {LARGEST_TARGET:g} in size, so that its "
                f"squares are numbers. Got {largest:g} at most; multiply y by a constant."
            )
        self._several = len(target.shape) == 2
        columns = rows.columns(target) if self._several else [target]
        return Task(settings, read, weight, [lambda one=one: one for one in columns])  # type: ignore[misc]

    def _settings(self, task: str) -> Settings:
        if not (isinstance(self.delta, str) and self.delta == "auto"):
            checked_number('delta, where it is not "auto",', self.delta, positive=True)
        return super()._settings(task)

    def _words(self, settings: Settings) -> Iterator[str]:
        """Say so too where the default δ is another thing than the size of the residuals."""
        yield from super()._words(settings)
        if not (isinstance(self.loss, str) and hasattr(self, "delta_") and self.delta == 1.0):
            return
        known = self.certificate_ if isinstance(self.certificate_, tuple) else (self.certificate_,)
        with np.errstate(all="ignore"):
            squares = np.square(np.atleast_2d(self.coef_)).sum(axis=1, dtype=np.float64)
            ridges = 0.5 * getattr(self, "alpha_", settings.alpha) * squares
            risk = max(one.objective - ridge for one, ridge in zip(known, ridges, strict=True))
        if risk > TOO_NARROW:
            yield (
                f"The residuals are about {risk:.2g} times delta=1, so that they count by their size alone; "
                'set delta in the units of y, or delta="auto".'
            )

    def _settings_of(
        self, X: Any, target: FloatArray, weight: FloatArray | None, settings: Settings
    ) -> Settings:
        """With δ in the loss, and in ``delta_``; "auto" is 1.345 times the scale of least squares' residuals.

        Where most residuals are 0 but for rounding their mean size stands in, or if all are the
        standard deviation of the targets.
        """
        if not hasattr(settings.loss, "delta"):
            return settings
        if isinstance(self.loss, str):
            auto = isinstance(self.delta, str)
            delta = self._auto_delta(X, target, weight, settings) if auto else float(self.delta)
            settings = replace(settings, loss=replace(settings.loss, delta=delta))  # type: ignore[type-var]
        delta = settings.loss.delta  # type: ignore[attr-defined]
        self.delta_ = np.append(getattr(self, "delta_", []), delta) if self._several else delta
        return settings

    def _auto_delta(self, X: Any, target: FloatArray, weight: FloatArray | None, settings: Settings) -> float:
        squares = replace(settings, loss=SquaredError(), solver="auto")
        data = Data(X, weight, squares, self.n_jobs)
        found = fit_one(data.objective(target), squares)
        rows = data.design.rows
        made = rows.empty()
        data.design.map("margins", Affine(found.coef, found.intercept), reads=(None, None), writes=(made,))
        target, weight = rows.array(target), None if weight is None else rows.array(weight)
        residuals = target - rows.array(made)
        size = np.abs(residuals - _median(residuals, weight))
        size[size <= ROUNDING * (np.abs(target).max() + abs(found.intercept))] = 0.0
        scale = NORMAL_MAD * _median(size, weight) or float(np.average(size, weights=weight) or target.std())
        return EFFICIENT * scale or 1.0

    def _attributes(self, coefs: list[FloatArray], intercepts: list[float]) -> dict[str, Any]:
        found = super()._attributes(coefs, intercepts)
        return found if self._several else {name: values[0] for name, values in found.items()}

    @by_parts
    def predict(self, X: Any) -> FloatArray:
        """X coef_ᵀ + intercept_, shape (n,) or (n, k)."""
        return self._decision(X)


def _median(values: FloatArray, weight: FloatArray | None) -> float:
    """The least value with half of the weight up to it: a weight of 2 is the row twice."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(np.full(len(values), 1.0 / len(values)) if weight is None else weight[order])
    return float(values[order[np.searchsorted(below, 0.5 * below[-1])]])
