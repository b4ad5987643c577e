"""scikit-learn's Newton method by Cholesky factors."""

from __future__ import annotations

from typing import Any

from benchmark_utils.linear import ScikitLearnSolver, too_wide
from sklearn.linear_model import LogisticRegression


class Solver(ScikitLearnSolver):
    """scikit-learn's Newton method by Cholesky factors."""

    name = "newton-cholesky"
    requirements = ["pip::scikit-learn"]  # noqa: RUF012

    def skip(self, X: Any, y: Any, alpha: float, loss: str) -> tuple[bool, str | None]:
        """Leave out wide sets."""
        skipped = super().skip(X, y, alpha, loss)
        return skipped if skipped[0] else too_wide(X)

    def estimator(self, tol: float) -> LogisticRegression:
        """The estimator for two classes."""
        return LogisticRegression(C=self.C, solver="newton-cholesky", tol=tol, max_iter=1000)
