"""What the classifier and the regressor have in common: parameters, validation, records, warnings."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeVar, cast

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gdnp._typing import FloatArray
from gdnp.design.threads import single_threaded_blas
from gdnp.estimators.fitting import COLUMNS, SOLVERS, Data, Fitted, Settings, fit_one
from gdnp.losses import get_loss
from gdnp.solvers import Progress, Status

try:
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing to support."""

    _with_callbacks = None

M = TypeVar("M", bound=Callable[..., Any])

__all__ = ["LinearEstimator", "with_callbacks"]

REMEDIES = {
    Status.MAX_ITER: "raise max_iter, or tol if less will do",
    Status.STALLED: "the arithmetic allows no better: raise tol, or alpha",
    Status.NON_FINITE: "scale the data, or drop the rows with extreme values",
    Status.LENGTH_DIVERGES: "the direction stands; set alpha > 0 for a finite length",
}
REASONS = {
    Status.MAX_ITER: "the iterations ran out",
    Status.STALLED: "no step improves the objective any more",
    Status.NON_FINITE: "a step gave NaN or infinity and was undone",
    Status.LENGTH_DIVERGES: "the data is separable, or the loss bounded, and no ridge bounds the length",
}


def with_callbacks(method: M) -> M:
    """What scikit-learn wants around a fit that supports its callbacks, where it has them."""
    return method if _with_callbacks is None else cast(M, _with_callbacks(method))


class LinearEstimator(CallbackSupportMixin, BaseEstimator):  # type: ignore[misc]
    """Parameters and fitting of ``GDNPClassifier`` and ``GDNPRegressor``."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # Input

    def _settings(self, task: str) -> Settings:
        loss = get_loss(self.loss)
        if loss.task != task:
            raise ValueError(
                f"loss must be one for {task}. Got {loss.name!r}, which is for {loss.task}; "
                f"use {'GDNPClassifier' if loss.task == 'classification' else 'GDNPRegressor'} for it."
            )
        _check_number("alpha", self.alpha, Real, 0.0)
        _check_number("tol", self.tol, Real, 0.0)
        _check_number("max_iter", self.max_iter, Integral, 1)
        _check_number("n_init", self.n_init, Integral, 1)
        if self.solver not in SOLVERS:
            raise ValueError(f"solver must be one of {list(SOLVERS)}. Got {self.solver!r}.")
        return Settings(
            loss,
            float(self.alpha),
            bool(self.fit_intercept),
            self.solver,
            float(self.tol),
            int(self.max_iter),
            int(self.n_init),
        )

    def _read(self, X: Any, y: Any, **options: Any) -> Any:
        """X and y checked for everything but NaN and infinity in X, which the first pass over it finds."""
        return validate_data(
            self, X, y, accept_sparse=["csr", "csc"], ensure_all_finite=False, order=None, **options
        )

    def _weights(self, sample_weight: Any, X: Any) -> FloatArray | None:
        """Weights of sum one, or None."""
        if sample_weight is None:
            return None
        s = np.array(_check_sample_weight(sample_weight, X, dtype=np.float64), dtype=np.float64)
        if not (s >= 0.0).all():
            raise ValueError(f"sample_weight must be non-negative. Got a minimum of {s.min():g}.")
        largest = s.max()
        if not largest > 0.0:
            raise ValueError("sample_weight must have a positive sum. Got 0: no row counts.")
        s /= largest
        s /= s.sum()
        return s

    # Fitting

    def _fit_targets(
        self,
        X: Any,
        y: Any,
        weight: FloatArray | None,
        settings: Settings,
        targets: list[Callable[[], FloatArray]],
    ) -> None:
        """One fit for each target, which is made, and taken off the list, when its turn comes."""
        context = None
        if getattr(self, "_skl_callbacks", None):
            context = self._init_callback_context(max_subtasks=None)
            context.call_on_fit_task_begin(estimator=self, X=X, y=y)
        rng = check_random_state(self.random_state) if self.n_init > 1 else None
        fits: list[Fitted] = []
        count = len(targets)
        with single_threaded_blas(), np.errstate(all="ignore"):
            data = Data(X, weight, settings, self.n_jobs, count)
            for k in range(count):
                start = None
                if self.warm_start and self._has_start(count, data.design.n_features):
                    start = np.atleast_2d(self.coef_)[k].astype(float), float(np.ravel(self.intercept_)[k])
                monitor = self._monitor(k, count, context)
                objective = data.objective(targets.pop(0)())
                fits.append(fit_one(objective, settings, start=start, rng=rng, monitor=monitor))
        self._keep(fits, settings)
        if context is not None:
            context.call_on_fit_task_end(estimator=self, X=X, y=y)

    def _has_start(self, targets: int, features: int) -> bool:
        return hasattr(self, "coef_") and np.atleast_2d(self.coef_).shape == (targets, features)

    def _monitor(self, k: int, targets: int, context: Any) -> Callable[[Progress], object] | None:
        """Whatever wants to see each iteration: a progress line, and scikit-learn's callbacks."""
        if not self.verbose and context is None:
            return None

        def watch(row: Progress) -> None:
            if self.verbose:
                of = f"class {k + 1}/{targets}  " if targets > 1 else ""
                print(
                    f"gdnp  {of}{row.seconds:8.3f} s  {row.passes:8.1f} passes  "
                    f"objective {row.objective:.10g}  gradient {row.gradient_norm:.2e}",
                    file=sys.stderr,
                )
            if context is not None:
                self._call_back(context, row.solution, targets)

        return watch

    def _call_back(self, context: Any, at: Callable[[], tuple[FloatArray, float]], targets: int) -> None:
        def attributes() -> dict[str, Any] | None:
            if targets > 1:
                return None  # one class alone cannot predict
            coef, intercept = at()
            return self._attributes([coef], [intercept])

        task = context.subcontext(task_name="iteration")
        task.call_on_fit_task_begin(estimator=self)
        task.call_on_fit_task_end(estimator=self, reconstruction_attributes=attributes)

    def _attributes(self, coefs: list[FloatArray], intercepts: list[float]) -> dict[str, Any]:
        raise NotImplementedError

    def _keep(self, fits: list[Fitted], settings: Settings) -> None:
        """Set what every fitted estimator has."""
        for name, value in self._attributes([f.coef for f in fits], [f.intercept for f in fits]).items():
            setattr(self, name, value)
        many = len(fits) > 1
        self.direction_ = np.array([f.direction for f in fits]) if many else fits[0].direction
        self.length_ = np.array([f.length for f in fits]) if many else fits[0].length
        self.certificate_ = tuple(f.certificate for f in fits) if many else fits[0].certificate
        self.n_iter_ = max(1, *(f.n_iter for f in fits)) if many else max(1, fits[0].n_iter)
        self.history_ = {name: np.concatenate([f.history[name] for f in fits]) for name in COLUMNS}
        if many:
            self.history_["class"] = np.repeat(self.classes_, [len(f.history["passes"]) for f in fits])
        self._warn(fits, settings)

    def _warn(self, fits: list[Fitted], settings: Settings) -> None:
        failed = [f.certificate for f in fits if f.certificate.status is not Status.CONVERGED]
        if not failed:
            return
        worst = max(failed, key=lambda certificate: certificate.gap)
        where = f" for {len(failed)} of {len(fits)} classes" if len(fits) > 1 else ""
        known = "proved" if worst.proved else "estimated"
        warnings.warn(
            f"tol={settings.tol:g} was not met{where} (relative suboptimality {worst.gap:.2g}, {known}): "
            f"{REASONS[worst.status]}; {REMEDIES[worst.status]}.",
            ConvergenceWarning,
            stacklevel=5 if _with_callbacks is None else 6,
        )

    # Prediction

    def _decision(self, X: Any) -> FloatArray:
        """X coef_ᵀ + intercept_, shape (n,) or (n, K)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return np.asarray(X @ self.coef_.T + self.intercept_)


def _check_number(name: str, value: Any, kind: Any, least: float) -> None:
    if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value) or value < least:
        expected = "an integer" if kind is Integral else "a finite number"
        raise ValueError(f"{name} must be {expected} of at least {least:g}. Got {value!r}.")
