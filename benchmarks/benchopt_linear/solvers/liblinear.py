"""LIBLINEAR through scikit-learn: a trust-region Newton method."""

from __future__ import annotations

from benchmark_utils.linear import ScikitLearnSolver
from sklearn.linear_model import LogisticRegression


class Solver(ScikitLearnSolver):
    """LIBLINEAR through scikit-learn.

    It penalises the intercept b by b²/(2 C n s²), s = intercept_scaling, so that its optimum is another one.
    On a9a that costs 5e-5 of the objective with s = 1, 8e-8 with 10 and 2e-9 with 100. A longer column slows
    it down, and ends it early, its tolerance being relative to the first gradient: hence two curves.
    """

    name = "liblinear"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012
    parameters = {"intercept_scaling": [10.0, 100.0]}  # noqa: RUF012

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(
            C=self.C, solver="liblinear", tol=tol, max_iter=1000, intercept_scaling=self.intercept_scaling
        )
