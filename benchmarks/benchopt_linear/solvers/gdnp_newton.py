"""GDNPClassifier with its default solver."""

from __future__ import annotations

from benchmark_utils.linear import ScikitLearnSolver

from gdnp import GDNPClassifier


class Solver(ScikitLearnSolver):
    """GDNPClassifier, one class against the rest; for both losses."""

    name = "gdnp"
    requirements = ["pip::gdnp"]  # noqa: RUF012
    losses = ("log_loss", "sigmoid")

    def estimator(self, tol: float) -> GDNPClassifier:
        """The estimator for two classes."""
        return GDNPClassifier(self.loss, alpha=self.alpha, tol=tol)
