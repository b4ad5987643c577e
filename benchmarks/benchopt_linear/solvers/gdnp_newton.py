"""GDNPClassifier with its default solver."""

from __future__ import annotations

import numpy as np
from benchmark_utils.linear import LinearSolver

from gdnp import GDNPClassifier


class Solver(LinearSolver):
    """GDNPClassifier, one class against the rest by itself; for both losses."""

    name = "gdnp"
    requirements = ["pip::gdnp"]  # noqa: RUF012
    losses = ("log_loss", "sigmoid")

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """Fit."""
        model = GDNPClassifier(self.loss, alpha=self.alpha, tol=tol).fit(self.X, self.y)
        return model.coef_, model.intercept_
