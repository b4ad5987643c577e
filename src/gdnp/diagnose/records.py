"""The records that an audit of data ends in."""

from dataclasses import asdict, dataclass
from typing import Any

from gdnp.diagnose.separability import Separability
from gdnp.store import plain
from gdnp.theory import PredictedIterations

EPSILON = 1e-6
"""Accuracy that iterations are predicted for, and that the fit of an audit aims at."""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of S on its range, and the iterations to Δρ <= 1e-6 Δρ₀ that they allow to promise.

    Attributes
    ----------
    largest, smallest : float
        L and μ.
    condition : float or None
        κ = L/μ; None where μ is below what float64 resolves.
    iterations : PredictedIterations or None
        Upper bounds under Assumption 2.
    """

    largest: float
    smallest: float
    condition: float | None
    iterations: PredictedIterations | None


@dataclass(frozen=True)
class Gaussianity:
    """The shape of zᵀw over the rows, for one direction w.

    Attributes
    ----------
    skewness, excess_kurtosis : float
        0 for a Gaussian.
    distance : float
        Kolmogorov's: the largest error of any probability of zᵀw computed from a Gaussian.
    p_value : float or None
        D'Agostino and Pearson's test; None below 20 rows. With many rows it finds any departure, however
        harmless: read `distance`.
    """

    skewness: float
    excess_kurtosis: float
    distance: float
    p_value: float | None


@dataclass(frozen=True)
class Fit:
    """The fitted direction, and the direction S⁻¹u that the paper predicts for it.

    Attributes
    ----------
    what : str
        What was minimised, and how.
    iterations : int
    converged : bool
    relative_gradient : float
        ‖∇f‖ over its value at zero.
    cosine : float or None
        Between the fitted direction and -S⁻¹u in the S inner product; None where either is zero.
    angle : float or None
        The same in degrees.
    training_error : float
        Share of rows on the wrong side, rows on the hyperplane counted half.
    """

    what: str
    iterations: int
    converged: bool
    relative_gradient: float
    cosine: float | None
    angle: float | None
    training_error: float


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes
    ----------
    name : str
    n, d : int
    sparse : bool
    entries : int
        Stored numbers of X.
    positive : float
        Share of the larger label.
    constant : tuple of str
        Columns that never vary.
    offset : float
        The largest |mean|/sd of a column that varies.
    offset_column : str
    widest, narrowest : (str, float)
        The columns of largest and of least standard deviation among those that vary, and these.
    tangled : tuple of str
        Columns that nearly, or wholly, follow from one another, where that is what makes κ large.
    copies : tuple of str
        Columns that another one gives exactly, as "b = a": the same but for units.
    rank : int or None
        Of S; None where S is not formed.
    r : float
        uᵀS⁻¹u, by least squares: R² times the variance of the labels.
    r_squared : float
        R² of least squares on the labels.
    estimated : bool
        Too many columns for S: its eigenvalues are those seen by Lanczos steps from u; κ is at least this.
    raw, scaled : Spectrum
        For the columns as they are, and of unit variance.
    along_u, along_fit : Gaussianity or None
        Of z along u and along the fitted direction.
    separability : Separability
    fit : Fit
    findings : tuple of str
        What is the matter, what it costs and what to do, most important first, without symbols.
    theory : tuple of str
        What the data are to the paper: its predicted direction and its Assumption 2.
    solver : str
        Of the estimators: "auto", or a simpler one that costs less here.
    advice : str
        Why that one.
    """

    name: str
    n: int
    d: int
    sparse: bool
    entries: int
    positive: float
    constant: tuple[str, ...]
    offset: float
    offset_column: str
    widest: tuple[str, float]
    narrowest: tuple[str, float]
    tangled: tuple[str, ...]
    copies: tuple[str, ...]
    rank: int | None
    r: float
    r_squared: float
    estimated: bool
    raw: Spectrum
    scaled: Spectrum
    along_u: Gaussianity | None
    along_fit: Gaussianity | None
    separability: Separability
    fit: Fit
    findings: tuple[str, ...]
    theory: tuple[str, ...]
    solver: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON: numbers that are not finite are None."""
        found: dict[str, Any] = plain(asdict(self))
        return found
