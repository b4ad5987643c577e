"""``GDNPRegressor``: linear regression with squared or robust losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import RegressorMixin

from gdnp._typing import FloatArray
from gdnp.estimators.base import LinearEstimator, with_callbacks
from gdnp.losses import Loss

__all__ = ["GDNPRegressor"]


LARGEST_TARGET = 1e150


class GDNPRegressor(RegressorMixin, LinearEstimator):  # type: ignore[misc]
    """Linear regressor that converges on raw data and says how close it came.

    Minimises (1/Σs_i) Σ s_i φ(y_i - x_iᵀw - b) + alpha/2 ‖w‖² over w and b in the raw coordinates of X; b is
    never penalised. With "squared_error", φ(r) = r²/2, so ``Ridge``'s alpha is n times this one.

    Parameters
    ----------
    loss : {"squared_error", "pseudo_huber"} or gdnp.losses.Loss
        φ; "pseudo_huber" is ``gdnp.losses.PseudoHuber(delta=1)``, in the units of y.
    alpha, fit_intercept, solver, tol, max_iter, warm_start, n_init, n_jobs, random_state, verbose
        See ``GDNPClassifier``.
    class_weight : None
        Regression has no classes.

    Attributes
    ----------
    coef_ : ndarray of shape (d,)
    intercept_ : float
    direction_, length_, certificate_, history_, n_iter_, n_features_in_, feature_names_in_
        See ``GDNPClassifier``.
    """

    def __init__(
        self,
        loss: str | Loss = "squared_error",
        *,
        alpha: float = 1e-4,
        fit_intercept: bool = True,
        solver: str = "auto",
        tol: float = 1e-8,
        max_iter: int = 1000,
        class_weight: Any = None,
        warm_start: bool = False,
        n_init: int = 1,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.loss = loss
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.n_init = n_init
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GDNPRegressor:
        """Fit to X of shape (n, d), dense or sparse, and targets y of shape (n,).

        Raises
        ------
        ValueError
            For bad parameters, NaN or infinity, wrong shapes, or weights that are negative or sum to zero.
        """
        settings = self._settings("regression")
        if self.class_weight is not None:
            raise ValueError(f"class_weight must be None in regression. Got {self.class_weight!r}.")
        X, y = self._read(X, y, y_numeric=True)
        weight = self._weights(sample_weight, X)
        target = np.asarray(y, dtype=np.float64)
        largest = float(np.abs(target).max())
        if largest > LARGEST_TARGET:
            raise ValueError(
                f"y must be at most {LARGEST_TARGET:g} in size, so that its squares are finite. "
                f"Got {largest:g}; divide y by a constant."
            )
        self._fit_targets(X, y, weight, settings, [lambda: target])
        return self

    def _attributes(self, coefs: list[FloatArray], intercepts: list[float]) -> dict[str, Any]:
        return {"coef_": coefs[0], "intercept_": intercepts[0], "n_features_in_": self.n_features_in_}

    def predict(self, X: Any) -> FloatArray:
        """X coef_ + intercept_, shape (n,)."""
        return self._decision(X)
