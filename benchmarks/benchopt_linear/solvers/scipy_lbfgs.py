"""L-BFGS of SciPy from zero, for the sigmoid loss."""

from __future__ import annotations

import numpy as np
from benchmark_utils.linear import LinearSolver
from scipy.optimize import minimize

from gdnp.losses import get_loss


class Solver(LinearSolver):
    """One product with X and one with its transpose an evaluation, as anyone would write it."""

    name = "scipy-lbfgs"
    requirements = ["pip::scipy", "pip::gdnp"]  # noqa: RUF012
    losses = ("sigmoid",)
    test_config = {"objective": {"loss": "sigmoid"}}  # noqa: RUF012

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """One fit a class."""
        X, alpha, n = self.X, self.alpha, len(self.y)
        loss = get_loss(self.loss)

        def fitted(sign: np.ndarray) -> np.ndarray:
            def f(x: np.ndarray) -> tuple[float, np.ndarray]:
                value, slope = loss.value_and_gradient(-sign * (X @ x[:-1] + x[-1]))
                r = -sign * slope / n
                gradient = np.append(X.T @ r + alpha * x[:-1], r.sum())
                return value.mean() + 0.5 * alpha * (x[:-1] @ x[:-1]), gradient

            options = {"maxiter": 10_000, "maxfun": 20_000, "gtol": tol, "ftol": 0.0}
            return minimize(f, np.zeros(X.shape[1] + 1), jac=True, method="L-BFGS-B", options=options).x

        found = np.vstack([fitted(np.where(target, 1.0, -1.0)) for target in self.targets()])
        return found[:, :-1], found[:, -1]
