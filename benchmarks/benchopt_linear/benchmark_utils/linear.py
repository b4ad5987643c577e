"""What all solvers of the benchmark share: sampling by tolerance, one class against the rest, the answer."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from benchopt import BaseSolver
from benchopt.stopping_criterion import SufficientProgressCriterion
from sklearn.multiclass import OneVsRestClassifier

MOST_MATRIX_COLUMNS = 3000
"""Columns from which solvers that hold a d x d matrix are left out: it would take minutes and gigabytes."""


class LinearSolver(BaseSolver):
    """A solver run from scratch at tolerances of 1, .1, .01 and so on: each run is a point of its curve.

    A run is what a user pays for: validation of the input is in it. ``fit`` is all that a subclass must have.
    """

    losses = ("log_loss",)
    sampling_strategy = "tolerance"
    stopping_criterion = SufficientProgressCriterion(eps=1e-12, patience=4, strategy="tolerance")

    def skip(self, X: Any, y: Any, alpha: float, loss: str) -> tuple[bool, str | None]:
        """Leave out a loss that the solver does not have."""
        return (False, None) if loss in self.losses else (True, f"no {loss} loss")

    def set_objective(self, X: Any, y: Any, alpha: float, loss: str) -> None:
        """Keep the problem."""
        self.X, self.y, self.alpha, self.loss = X, y, alpha, loss
        self.classes = np.unique(y)
        self.C = 1.0 / (alpha * len(y))

    def targets(self) -> list[np.ndarray]:
        """Booleans, one array a class; one array in all for two classes."""
        positive = self.classes if len(self.classes) > 2 else self.classes[1:]
        return [self.y == label for label in positive]

    def warm_up(self) -> None:
        """Imports, compilation and threads are no part of a solver's time."""
        self.run_once(1.0)

    def get_next(self, stop_val: float) -> float:
        """A tenth, on a ladder that begins at 0.1."""
        return 0.1 * min(stop_val, 1.0)

    def run(self, stop_val: float) -> None:
        """Fit once, warnings about convergence left out: the tolerance is loose on purpose."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.coef, self.intercept = self.fit(min(stop_val, 1.0))

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """coef of shape (K, d) and intercept of shape (K,) at a tolerance."""
        raise NotImplementedError

    def get_result(self) -> dict[str, np.ndarray]:
        """What the last run found."""
        return {"coef": self.coef, "intercept": self.intercept}


class ScikitLearnSolver(LinearSolver):
    """An estimator of scikit-learn, inside OneVsRestClassifier where there are more than two classes."""

    def estimator(self, tol: float) -> Any:
        """The estimator for two classes."""
        raise NotImplementedError

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """Fit, and collect the classes."""
        if len(self.classes) == 2:
            model = self.estimator(tol).fit(self.X, self.y)
            return model.coef_, model.intercept_
        parts = OneVsRestClassifier(self.estimator(tol)).fit(self.X, self.y).estimators_
        return np.vstack([part.coef_ for part in parts]), np.concatenate([part.intercept_ for part in parts])


class EpochSolver(ScikitLearnSolver):
    """An estimator whose tolerance says little on badly scaled data: more and more epochs instead."""

    sampling_strategy = "iteration"
    stopping_criterion = SufficientProgressCriterion(eps=1e-12, patience=4, strategy="iteration")

    def warm_up(self) -> None:
        """Imports, compilation and threads are no part of a solver's time."""
        self.run_once(1)

    def get_next(self, stop_val: float) -> float:
        """Twice as many."""
        return max(1, 2 * int(stop_val))

    def run(self, stop_val: float) -> None:
        """Fit once."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.epochs = max(1, int(stop_val))
            self.coef, self.intercept = self.fit(0.0)


def too_wide(X: Any) -> tuple[bool, str | None]:
    """Whether a d x d matrix is too much for X."""
    d = X.shape[1]
    if d <= MOST_MATRIX_COLUMNS:
        return False, None
    return True, f"would hold a {d} x {d} matrix of {math.ceil(8 * d * d / 2**30)} GiB"
