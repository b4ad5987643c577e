"""scikit-learn's stochastic average gradient method."""

from __future__ import annotations

from benchmark_utils.linear import EpochSolver
from sklearn.linear_model import LogisticRegression


class Solver(EpochSolver):
    """saga: 1, 2, 4 epochs and so on."""

    name = "saga"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(C=self.C, solver="saga", tol=tol, max_iter=self.epochs, random_state=0)
