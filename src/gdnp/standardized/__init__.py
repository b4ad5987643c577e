"""The objective of the estimators in standardised coordinates, where every column has unit curvature."""

from gdnp.standardized.coordinates import Coordinates, standardise
from gdnp.standardized.gram import Gram, covariance, dense_rows, diagonal, gram, gram_product, kernel_matrix
from gdnp.standardized.jets import LineJet, PlaneJet, Ray, intercept_ray, length_ray, line_jet, plane_jet
from gdnp.standardized.problem import Place, Shared, Standardized

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
    "intercept_ray",
    "kernel_matrix",
    "length_ray",
    "line_jet",
    "plane_jet",
    "standardise",
]
