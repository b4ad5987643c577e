"""skglm: its compiled logistic datafit with its L-BFGS, the solver it has for smooth penalties."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from benchmark_utils.linear import LinearSolver
from numba import float64
from skglm.datafits import Logistic
from skglm.penalties.base import BasePenalty
from skglm.solvers import LBFGS


class RidgeButLast(BasePenalty):
    """alpha/2 ‖w‖² without the last coefficient: skglm's L-BFGS has no intercept of its own."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha

    def get_spec(self):
        """Types for numba."""
        return (("alpha", float64),)

    def params_to_dict(self):
        """Parameters for numba."""
        return {"alpha": self.alpha}

    def value(self, w):
        """The penalty at w."""
        return self.alpha * (w[:-1] ** 2).sum() / 2

    def gradient(self, w):
        """Its gradient at w."""
        gradient = self.alpha * w
        gradient[-1] = 0.0
        return gradient


class Solver(LinearSolver):
    """skglm, with a column of ones that the penalty leaves out."""

    name = "skglm"
    requirements = ["pip::skglm"]  # noqa: RUF012

    def fit(self, tol: float) -> tuple[np.ndarray, np.ndarray]:
        """One fit a class."""
        ones = np.ones((self.X.shape[0], 1))
        X = sp.hstack((self.X, ones), format="csc") if sp.issparse(self.X) else np.hstack((self.X, ones))
        X = X if sp.issparse(X) else np.asfortranarray(X)
        solver = LBFGS(max_iter=10_000, tol=tol)
        found = np.vstack(
            [
                solver.solve(X, np.where(target, 1.0, -1.0), Logistic(), RidgeButLast(self.alpha))[0]
                for target in self.targets()
            ]
        )
        return found[:, :-1], found[:, -1]
