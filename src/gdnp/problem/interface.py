"""What a solver may ask of an objective: a point, a line through it, and the metric of the data.

Two worlds implement this: ``gdnp.problem.Objective`` (rows of data) and ``gdnp.population`` (Assumption 2,
exact by one-dimensional quadrature). Solvers see nothing else, so a theorem is tested and software is run
with the same code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from gdnp._typing import FloatArray
from gdnp.losses import Loss
from gdnp.metric import Covariance, OperatorCovariance


@dataclass
class Cost:
    """Ledger of passes over the data: one pass is one product with X and one with Xᵀ.

    A product alone is half a pass. A Gram matrix is charged for its n d² multiplications, that is d/2
    passes when X is dense, so that curves 'against passes' do not flatter methods that form one.
    """

    passes: float = 0.0
    meter: Any = None

    @property
    def read(self) -> dict[str, float]:
        """Readings of a source, rounds of a cluster, and their bytes; of rows in memory nothing."""
        return {} if self.meter is None else {name: getattr(self.meter, name) for name in self.meter.counts}

    def charge(self, passes: float) -> None:
        """Add `passes` to the bill."""
        self.passes += passes

    @contextmanager
    def free(self) -> Iterator[None]:
        """Charge nothing meanwhile: measuring is not the method's doing."""
        passes = self.passes
        try:
            yield
        finally:
            self.passes = passes


class Expansion(NamedTuple):
    """f and its derivatives at a step length t along a direction and c along another."""

    value: float
    f_t: float
    f_c: float
    f_tt: float
    f_tc: float
    f_cc: float

    @property
    def gradient(self) -> FloatArray:
        """(f_t, f_c), shape (2,)."""
        return np.array([self.f_t, self.f_c])

    @property
    def hessian(self) -> FloatArray:
        """The matrix of second derivatives, shape (2, 2)."""
        return np.array([[self.f_tt, self.f_tc], [self.f_tc, self.f_cc]])


class Line(Protocol):
    """f along w̃ + t d, with the intercept free to move by c. Evaluations cost no pass over the data."""

    def expansion(self, t: float, c: float = 0.0) -> Expansion:
        """Value and derivatives at step length `t` and intercept shift `c`."""

    def point(self, t: float, c: float = 0.0, *, last: bool = False) -> Point:
        """The handle of the point at step length `t` and intercept shift `c`; `last` uses the line up."""


class Point(Protocol):
    """A handle on w̃ (and an intercept): the backend owns whatever it needs to know about that point."""

    @property
    def coef(self) -> FloatArray:
        """w̃, shape (d,)."""

    @property
    def intercept(self) -> float:
        """γ, the intercept in the objective's own (centred) coordinates."""

    @property
    def value(self) -> float:
        """f(w̃, γ), ridge included."""

    @property
    def gradient(self) -> FloatArray:
        """∇f(w̃), ridge included, shape (d,)."""

    @property
    def intercept_gradient(self) -> float:
        """∂f/∂γ; 0 where the objective has no intercept."""

    @property
    def mean_gradient(self) -> float:
        """E φ'."""

    @property
    def mean_curvature(self) -> float:
        """E φ'': c₂ of the Stein decomposition ∇f = c₁ u + c₂ S w̃."""

    @property
    def separates(self) -> bool:
        """Whether every row has t < 0, so that a decreasing loss has no minimiser along this ray."""

    def line(self, direction: FloatArray) -> Line:
        """The restriction of f to w̃ + t `direction`."""


class Objective(Protocol):
    """f(w̃, γ) = E φ(t) + α/2 ‖w̃‖², with the moments of Eq. 1."""

    @property
    def n_features(self) -> int:
        """The dimension d."""

    @property
    def loss(self) -> Loss:
        """The pointwise loss φ."""

    @property
    def alpha(self) -> float:
        """The ridge α."""

    @property
    def fit_intercept(self) -> bool:
        """Whether γ is a variable."""

    @property
    def cost(self) -> Cost:
        """The ledger that every product with the data is charged to."""

    @property
    def u(self) -> FloatArray:
        """Eq. 1: u = E[-y x] (x centred where the objective centres), shape (d,)."""

    @property
    def covariance(self) -> Covariance | OperatorCovariance:
        """S, as a metric."""

    @property
    def gram_passes(self) -> float:
        """What forming S costs, in passes over the data; 0 where S is given."""

    @property
    def origin(self) -> Point:
        """The handle of w̃ = 0, γ = 0, which needs no pass."""

    def at(self, coef: FloatArray, intercept: float = 0.0) -> Point:
        """The handle of a point; value and gradient are known after one pass."""

    @property
    def length_cap(self) -> float:
        """Largest |g|; a search that gets there has found no finite length."""

    def raw_intercept(self, coef: FloatArray, intercept: float) -> float:
        """b of xᵀw̃ + b for raw columns, given γ for the objective's own."""

    def stein_coefficient(self, point: Point) -> float:
        """c₁ of ∇f = c₁ u + c₂ S w̃ as Gaussian data has it (population averages taken over the data)."""
