"""glum: iteratively reweighted least squares for generalised linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchmark_utils.linear import LinearSolver, too_wide
from glum import GeneralizedLinearRegressor


class Solver(LinearSolver):
    """glum's binomial family: half its mean deviance is the mean log loss."""

    name = "glum"
    requirements = ["pip::glum"]  # noqa: RUF012

    def skip(self, X: Any, y: Any, alpha: float, loss: str) -> tuple[bool, str | None]:
        """Leave out wide sets."""
        skipped = super().skip(X, y, alpha, loss)
        return skipped if skipped[0] else too_wide(X)

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """One fit a class."""
        models = [
            GeneralizedLinearRegressor(
                alpha=self.alpha, l1_ratio=0, family="binomial", gradient_tol=tol, max_iter=1000
            ).fit(self.X, target.astype(float))
            for target in self.targets()
        ]
        return np.vstack([m.coef_ for m in models]), np.array([m.intercept_ for m in models])
