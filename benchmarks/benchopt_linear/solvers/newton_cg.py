"""scikit-learn's Newton method by conjugate gradients."""

from __future__ import annotations

from benchmark_utils.linear import ScikitLearnSolver
from sklearn.linear_model import LogisticRegression


class Solver(ScikitLearnSolver):
    """scikit-learn's Newton method by conjugate gradients."""

    name = "newton-cg"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(C=self.C, solver="newton-cg", tol=tol, max_iter=1000)
