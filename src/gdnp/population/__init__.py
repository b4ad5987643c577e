"""The paper's Gaussian population (Assumption 2): expectations by quadrature, exact to rounding."""

from gdnp.population.halfspace import Halfspace, LeastSquares
from gdnp.population.network import HiddenUnit, PopulationMLP

__all__ = ["Halfspace", "HiddenUnit", "LeastSquares", "PopulationMLP"]
