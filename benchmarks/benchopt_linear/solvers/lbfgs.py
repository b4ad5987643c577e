"""scikit-learn's default: L-BFGS of SciPy."""

from __future__ import annotations

from benchmark_utils.linear import ScikitLearnSolver
from sklearn.linear_model import LogisticRegression


class Solver(ScikitLearnSolver):
    """scikit-learn's default: L-BFGS of SciPy."""

    name = "lbfgs"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(C=self.C, solver="lbfgs", tol=tol, max_iter=10_000)
