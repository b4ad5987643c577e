"""LIBLINEAR through scikit-learn: a trust-region Newton method."""

from __future__ import annotations

from benchmark_utils.linear import ScikitLearnSolver
from sklearn.linear_model import LogisticRegression


class Solver(ScikitLearnSolver):
    """LIBLINEAR through scikit-learn.

    It penalises the intercept b by b²/(2 C n s²), s = intercept_scaling, so that with s = 1 its optimum is
    another one. With s = 100 the difference is near 1e-9 on a9a; with more, its own tolerance (relative to
    the first gradient, in which the long column weighs) stops it early.
    """

    name = "liblinear"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012
    parameters = {"intercept_scaling": [100.0]}  # noqa: RUF012

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(
            C=self.C,
            solver="liblinear",
            tol=tol,
            max_iter=1000,
            intercept_scaling=self.intercept_scaling,
        )
