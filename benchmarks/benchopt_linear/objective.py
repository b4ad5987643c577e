"""Mean loss and ridge of a linear classifier in raw coordinates, the intercept never penalised."""

from __future__ import annotations

from typing import Any

import numpy as np
from benchopt import BaseObjective

from gdnp.losses import get_loss


class Objective(BaseObjective):
    """Sum over classes of mean φ(-y (xᵀw + b)) + alpha/2 ‖w‖², with alpha = 1/(C n).

    One class has one term for two classes; with more, each class against the rest. The optimum that
    suboptimality is relative to is the best value any solver reaches (``benchmarks/table.py``).
    """

    name = "linear classification"
    min_benchopt_version = "1.6"
    requirements = ["pip::gdnp", "pip::scikit-learn"]  # noqa: RUF012
    parameters = {"loss": ["log_loss", "sigmoid"], "C": [1.0]}  # noqa: RUF012
    test_dataset_name = "breast_cancer"
    test_config = {"loss": "log_loss"}  # noqa: RUF012

    def skip(self, X: Any, y: Any, absent: str | None = None) -> tuple[bool, str | None]:
        """Leave out sets whose data are not here."""
        return (False, None) if absent is None else (True, absent)

    def set_data(self, X: Any, y: Any, absent: str | None = None) -> None:
        """Keep X and the labels of each class."""
        self.X, self.y = X, y
        classes = np.unique(y)
        positive = classes if len(classes) > 2 else classes[1:]
        self.signs = np.where(y[:, None] == positive, 1.0, -1.0)
        self.alpha = 1.0 / (self.C * len(y))

    def get_objective(self) -> dict[str, Any]:
        """What solvers may know."""
        return {"X": self.X, "y": self.y, "alpha": self.alpha, "loss": self.loss}

    def evaluate_result(self, coef: np.ndarray, intercept: np.ndarray) -> dict[str, float]:
        """The objective, and the share of wrong signs, at coef (K, d) and intercept (K,)."""
        z = -self.signs * (self.X @ coef.T + intercept)
        value = get_loss(self.loss).value(z).mean(axis=0).sum() + 0.5 * self.alpha * np.sum(coef**2)
        return {"value": float(value), "error": float((z >= 0.0).mean())}

    def get_one_result(self) -> dict[str, np.ndarray]:
        """The constant prediction of zero."""
        K = self.signs.shape[1]
        return {"coef": np.zeros((K, self.X.shape[1])), "intercept": np.zeros(K)}
