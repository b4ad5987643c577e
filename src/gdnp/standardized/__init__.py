"""The objective of the estimators in standardised coordinates, where every column has unit curvature."""

from gdnp.standardized.coordinates import Coordinates, standardise
from gdnp.standardized.gram import Gram, covariance, dense_rows, diagonal, gram, gram_product, kernel_matrix
from gdnp.standardized.problem import LineJet, Place, PlaneJet, Ray, Shared, Standardized

__all__ = [
    "Coordinates",
    "Gram",
    "LineJet",
    "Place",
    "PlaneJet",
    "Ray",
    "Shared",
    "Standardized",
    "covariance",
    "dense_rows",
    "diagonal",
    "gram",
    "gram_product",
    "kernel_matrix",
    "standardise",
]
