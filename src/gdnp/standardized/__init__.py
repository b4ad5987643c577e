"""The objective of the estimators in standardised coordinates, where every column has unit curvature."""

from gdnp.standardized.coordinates import standardise
from gdnp.standardized.gram import Gram, covariance, diagonal, gram, kernel_matrix
from gdnp.standardized.problem import Coordinates, Place, PlaneJet, Ray, Shared, Standardized

__all__ = [
    "Coordinates",
    "Gram",
    "Place",
    "PlaneJet",
    "Ray",
    "Shared",
    "Standardized",
    "covariance",
    "diagonal",
    "gram",
    "kernel_matrix",
    "standardise",
]
