"""The objective of the estimators in standardised coordinates, where every column has unit curvature."""

from gdnp.standardized.coordinates import standardise
from gdnp.standardized.gram import Gram, covariance, diagonal, gram, kernel_matrix
from gdnp.standardized.problem import Place, Standardized

__all__ = [
    "Gram",
    "Place",
    "Standardized",
    "covariance",
    "diagonal",
    "gram",
    "kernel_matrix",
    "standardise",
]
