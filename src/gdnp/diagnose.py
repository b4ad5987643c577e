"""An audit of a data set against the assumptions of the paper: what is the matter, what it costs, what to do.

Everything here is about binary classification with an intercept: x is centred, z = -y (x - E x), u = E z and
S = E z zᵀ (Eq. 1). Numbers that depend on the units of the columns (μ, L, κ) are given for the columns as
they are and for columns of unit variance; the others (r, rank, angles, separability) depend on neither.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import eigvalsh_tridiagonal
from scipy.optimize import linprog
from scipy.optimize import minimize as scipy_minimize
from scipy.special import ndtr
from scipy.stats import kurtosis, normaltest, skew

from gdnp.datasets import Dataset
from gdnp.metric import Covariance, OperatorCovariance
from gdnp.objective import LARGEST_GRAM, Objective
from gdnp.solvers import Status, minimize
from gdnp.theory import PredictedIterations, predicted_iterations, sin_squared

FloatArray = NDArray[np.float64]

__all__ = ["Diagnosis", "Fit", "Gaussianity", "Separability", "Spectrum", "diagnose"]

EPSILON = 1e-6
"""Accuracy that iterations are predicted for."""
RIDGE = 1e-4
"""Ridge on columns of unit variance, where the log loss alone has no minimum or none that can be reached."""
STEPS = 300
LANCZOS_STEPS = 100
LARGEST_PROGRAM = 3_000_000
"""Entries of X up to which linear programs decide separability; no more than LARGEST_GRAM columns either."""
STRICT = 1e-6
"""Margin, on columns of unit variance, above which a linear program counts as having a row on one side."""
LARGEST_DEVIATION = 1e100
"""Its square still has a square in float64."""
FAR = 10.0
"""Standard deviations between a column and zero that are worth a sentence."""


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
class Separability:
    """Whether a hyperplane has the rows on their right sides.

    Attributes
    ----------
    kind : {"complete", "partial", "none", "not decided"}
        Partial: some rows strictly, the others on the hyperplane itself; the log loss has no minimum then
        either.
    rows : int or None
        Rows strictly on their side, where known.
    columns : tuple of str
        Columns that do alone what `kind` says.
    """

    kind: str
    rows: int | None
    columns: tuple[str, ...]


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
        What is the matter, what it costs and what to do, most important first.
    solver : str
        A key of ``gdnp.methods.METHODS``.
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
    solver: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON: numbers that are not finite are None."""
        found: dict[str, Any] = _plain(asdict(self))
        return found

    def sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Titles, and under each the rows of a table: what, and its value."""
        about = " at least" if self.estimated else ""
        layout = "sparse" if self.sparse else "dense"
        stored = f", {self.entries:,} stored numbers" if self.sparse else ""
        rank = "not computed (too many columns)" if self.rank is None else f"{self.rank:,} of {self.d:,}"
        data = [
            ("rows x columns", f"{self.n:,} x {self.d:,}, {layout}{stored}"),
            ("larger label", f"{100.0 * self.positive:.3g} % of the rows"),
            ("constant columns", _listed(self.constant) or "none"),
            ("largest |mean|/sd", f"{self.offset:.3g} ({self.offset_column})"),
            ("rank of S", rank),
            ("r = uᵀS⁻¹u", f"{self.r:.4g} (R² of least squares on the labels: {self.r_squared:.3g})"),
        ]
        spectra = [
            (name, f"L {s.largest:.3g}, μ {s.smallest:.3g}, κ{about} {_shown(s.condition)}")
            for name, s in (("columns as they are", self.raw), ("columns of unit variance", self.scaled))
        ]
        bounds = (
            "from the eigenvalues seen" if self.estimated else "upper bounds; Gaussian data, exact arithmetic"
        )
        predicted = [
            (name, _iterations(s, at_least=self.estimated))
            for name, s in (("columns as they are", self.raw), ("columns of unit variance", self.scaled))
        ]
        shapes = [("z along u", _shape(self.along_u)), ("z along the fit", _shape(self.along_fit))]
        shown = (
            "undefined"
            if self.fit.cosine is None
            else f"{self.fit.angle:.3g}° (cosine {self.fit.cosine:.5f})"
        )
        fit = [
            ("fitted", f"{self.fit.what} (relative gradient {self.fit.relative_gradient:.0e})"),
            ("angle to S⁻¹u, in S", shown),
            ("error on these rows", f"{100.0 * self.fit.training_error:.3g} %"),
            ("separable", _separable(self.separability, self.n)),
        ]
        return [
            ("Data", data),
            ("Eigenvalues of S", spectra),
            (f"Predicted iterations to {EPSILON:g} ({bounds})", predicted),
            ("Is z Gaussian?", shapes),
            ("The fitted direction", fit),
        ]

    def lines(self) -> list[str]:
        """Plain text for people."""
        out = [f"Diagnosis of {self.name}", ""]
        sections = self.sections()
        width = max(len(name) for _, rows in sections for name, _ in rows)
        for title, rows in sections:
            out += [title, *(f"  {name:<{width}}  {value}" for name, value in rows), ""]
        out += ["What this means", *(f"  - {sentence}" for sentence in self.findings), ""]
        return [*out, f"Suggested solver: {self.solver}", f"  {self.advice}"]


def diagnose(dataset: Dataset, *, n_jobs: int | None = None) -> Diagnosis:
    """Audit a data set of two classes against the assumptions of the paper.

    S is formed for up to ``gdnp.objective.LARGEST_GRAM`` columns; beyond that only products with X are used.
    Sparse X stays sparse.

    Parameters
    ----------
    dataset : Dataset
        Of ``gdnp.datasets``.
    n_jobs : int or None
        Threads; the result does not depend on them.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        When there are not two classes, X is not finite, or no column varies.

    Examples
    --------
    >>> from gdnp.datasets import gaussian_design
    >>> found = diagnose(gaussian_design(5000, 5, kappa=10.0, seed=1))
    >>> found.separability.kind, found.solver, found.fit.angle < 3.0
    ('none', 'gdnp_metric', True)
    """
    y = dataset.signs()
    X = dataset.X if sp.issparse(dataset.X) else np.asarray(dataset.X, dtype=np.float64)
    objective = Objective(X, y, "log_loss", fit_intercept=True, n_jobs=n_jobs)
    names = dataset.feature_names or tuple(f"column {j + 1}" for j in range(objective.n_features))
    sd = np.sqrt(objective.moments.variance) / objective.moments.scale
    varies = sd > 0.0
    if not varies.any():
        raise ValueError(f"{dataset.name} should have a column that varies. Got {len(names)} constant ones.")
    if sd.max() > LARGEST_DEVIATION or sd[varies].min() < 1.0 / LARGEST_DEVIATION:
        raise ValueError(
            f"{dataset.name} should have columns with standard deviations from {1.0 / LARGEST_DEVIATION:g} "
            f"to {LARGEST_DEVIATION:g}. Got {sd[varies].min():.3g} to {sd.max():.3g}: change their units."
        )
    unit = np.divide(1.0, sd, out=np.zeros_like(sd), where=varies)
    offsets = np.abs(objective.column_mean) * unit
    S, u = objective.covariance, objective.u
    estimated = isinstance(S, OperatorCovariance)
    rank = None if estimated else S.rank
    raw, scaled = _spectra(S, u, unit)
    solution = S.solve(u)
    r = float(u @ solution)
    separability = _separability(X, y, objective.column_mean, unit, names)
    fit, coef, separates = _fit(X, y, objective, unit, separability.kind, -solution, n_jobs)
    if separates:
        alone = separability.columns if separability.kind == "complete" else ()
        separability = Separability("complete", len(y), alone)
    facts: dict[str, Any] = {
        "name": dataset.name,
        "n": objective.n_samples,
        "d": objective.n_features,
        "sparse": sp.issparse(X),
        "entries": objective.design.n_entries,
        "positive": float(np.mean(y > 0.0)),
        "constant": _chosen(names, ~varies),
        "offset": float(offsets.max()),
        "offset_column": names[int(offsets.argmax())],
        "rank": rank,
        "r": r,
        "r_squared": r / (1.0 - float(np.mean(y)) ** 2),
        "estimated": estimated,
        "raw": raw,
        "scaled": scaled,
        "along_u": _gaussianity(objective, u),
        "along_fit": _gaussianity(objective, coef),
        "separability": separability,
        "fit": fit,
    }
    found = Diagnosis(**facts, findings=(), solver="", advice="")
    solver, advice = _advice(found, objective.gram_passes)
    return replace(found, findings=tuple(_findings(found)), solver=solver, advice=advice)


# --- eigenvalues


def _spectra(
    S: Covariance | OperatorCovariance, u: FloatArray, unit: FloatArray
) -> tuple[Spectrum, Spectrum]:
    """Of S, and of the correlation matrix D S D with D = diag(`unit`)."""
    if isinstance(S, Covariance):
        scaled = Covariance(S.S * np.outer(unit, unit))
        return _spectrum(S.largest, S.smallest, S.rank), _spectrum(scaled.largest, scaled.smallest, S.rank)
    return (
        _spectrum(*_lanczos(S.apply, u)),
        _spectrum(*_lanczos(lambda w: unit * S.apply(unit * w), unit * u)),
    )


def _spectrum(largest: float, smallest: float, rank: int | None = None) -> Spectrum:
    resolved = smallest > 8.0 * np.finfo(float).eps * largest
    condition = largest / smallest if resolved else None
    iterations = None if condition is None else predicted_iterations(max(condition, 1.0), EPSILON, rank)
    return Spectrum(largest, smallest, condition, iterations)


def _lanczos(product: Callable[[FloatArray], FloatArray], start: FloatArray) -> tuple[float, float]:
    """The largest and the smallest positive Ritz value of some Lanczos steps: L, and a number above μ.

    Orthogonality that is lost repeats extreme values and harms none; the kernel, which only rounding could
    bring in, is cut off.
    """
    if not np.linalg.norm(start) > 0.0:
        start = product(np.random.default_rng(0).standard_normal(len(start)))
    q, before, beta = start / np.linalg.norm(start), np.zeros_like(start), 0.0
    diagonal, beside = [], []
    for _ in range(min(LANCZOS_STEPS, len(start))):
        v = product(q) - beta * before
        diagonal.append(float(q @ v))
        v -= diagonal[-1] * q
        beta = float(np.linalg.norm(v))
        if beta <= 1e-10 * max(diagonal):
            break
        beside.append(beta)
        before, q = q, v / beta
    values = eigvalsh_tridiagonal(np.array(diagonal), np.array(beside[: len(diagonal) - 1]))
    return float(values[-1]), float(values[values > 1e-9 * values[-1]][0])


# --- shape


def _gaussianity(objective: Objective, direction: FloatArray) -> Gaussianity | None:
    """Of z = -y (x - E x) along a direction; None where it does not vary."""
    norm = objective.covariance.norm(direction)
    if not norm > 0.0:
        return None
    z = objective.origin.line(direction / norm).slope
    sd = float(z.std())
    if not sd > 1e-8:  # z is constant where its mean is all of its length 1 in S
        return None
    t = np.sort((z - z.mean()) / sd)
    steps = np.arange(len(t) + 1) / len(t)
    cdf = ndtr(t)
    return Gaussianity(
        skewness=float(skew(t)),
        excess_kurtosis=float(kurtosis(t)),
        distance=float(max((steps[1:] - cdf).max(), (cdf - steps[:-1]).max())),
        p_value=float(normaltest(t).pvalue) if len(t) >= 20 else None,
    )


# --- separability


def _separability(
    X: Any, y: FloatArray, mean: FloatArray, unit: FloatArray, names: Sequence[str]
) -> Separability:
    weak, strict = _single_columns(X, y)
    if strict.any():
        return Separability("complete", len(y), _chosen(names, strict))
    columns = _chosen(names, weak & (unit > 0.0))
    entries = X.nnz if sp.issparse(X) else X.size
    if entries > LARGEST_PROGRAM or X.shape[1] > LARGEST_GRAM:
        return Separability("partial" if columns else "not decided", None, columns)
    rows = _separated_rows(X, y, mean, unit)
    if rows is None:
        return Separability("partial" if columns else "not decided", None, columns)
    if rows == len(y):
        return Separability("complete", rows, ())
    return Separability("partial" if rows else "none", rows, columns)


def _single_columns(X: Any, y: FloatArray) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Columns whose values in one class do not go beyond those in the other: at most touching, and apart."""
    extremes = []
    for label in (-1.0, 1.0):
        if sp.issparse(X):
            part = sp.csr_matrix(X)[y == label]
            extremes += [part.min(axis=0).toarray().ravel(), part.max(axis=0).toarray().ravel()]
        else:
            mine = (y == label)[:, None]
            extremes += [
                np.min(X, axis=0, where=mine, initial=np.inf),
                np.max(X, axis=0, where=mine, initial=-np.inf),
            ]
    low, high, other_low, other_high = extremes
    varies = np.minimum(low, other_low) < np.maximum(high, other_high)
    weak = ((high <= other_low) | (other_high <= low)) & varies
    return weak, (high < other_low) | (other_high < low)


def _separated_rows(X: Any, y: FloatArray, mean: FloatArray, unit: FloatArray) -> int | None:
    """Rows that some hyperplane has strictly on their sides while it has no row on the wrong one.

    Each linear program maximises Σ y(xᵀw + b) under y(xᵀw + b) >= 0 and |w|, |b| <= 1. Rows that come out
    positive stay so when later solutions are added with small factors, and are left out from then on: the
    last program finds nothing, or no row is left. None where a program did not end.
    """
    # Centring moves b alone, but keeps columns far from zero in the range of the programs' tolerances.
    scaled = X @ sp.diags_array(unit) if sp.issparse(X) else (X - mean) * unit
    rows = sp.csr_matrix(sp.hstack([sp.csr_matrix(scaled), np.ones((len(y), 1))])).multiply(y[:, None])
    rows = sp.csr_matrix(rows)
    while rows.shape[0]:
        total = np.asarray(rows.sum(axis=0)).ravel()
        found = linprog(-total, A_ub=-rows, b_ub=np.zeros(rows.shape[0]), bounds=(-1.0, 1.0), method="highs")
        if found.status != 0:
            return None
        left = rows @ found.x <= STRICT
        if left.all():
            break
        rows = rows[left]
    return len(y) - int(rows.shape[0])


# --- the fitted direction


def _fit(
    X: Any,
    y: FloatArray,
    objective: Objective,
    unit: FloatArray,
    separable: str,
    predicted: FloatArray,
    n_jobs: int | None,
) -> tuple[Fit, FloatArray, bool]:
    """The fit, its w̃ for raw columns, and whether it was seen to separate all rows."""
    S = objective.covariance
    separates = False
    if separable in ("none", "not decided") and isinstance(S, Covariance):
        result = minimize(objective, "gdnp_metric", max_iter=STEPS, tol=EPSILON)
        separates = result.status is Status.LENGTH_DIVERGES
        if not separates:
            gradient = result.gradient_norm / _start_norm(objective)
            what = f"log loss with intercept, no ridge, {result.n_iter} steps of gdnp_metric"
            return _described(
                objective, what, result.coef, result.intercept, result.n_iter, gradient, predicted
            )
    ridge = _scaled_objective(X, y, unit, n_jobs)
    what = f"log loss with intercept and a ridge of {RIDGE:g} on columns of unit variance"
    if isinstance(S, Covariance):
        result = minimize(ridge, "gdnp_metric", max_iter=STEPS, tol=EPSILON)
        gradient = result.gradient_norm / _start_norm(ridge)
        what = f"{what}, {result.n_iter} steps of gdnp_metric"
        coef, intercept, count = result.coef, result.intercept, result.n_iter
    else:
        coef, intercept, count, gradient = _quasi_newton(ridge)
        what = f"{what}, {count} iterations of L-BFGS"
    fit, coef, separated = _described(objective, what, coef * unit, intercept, count, gradient, predicted)
    return fit, coef, separates or separated


def _start_norm(objective: Objective) -> float:
    """‖∇f‖ at zero, in S⁻¹; 1 where that is stationary."""
    origin = objective.origin
    return math.hypot(objective.covariance.dual_norm(origin.gradient), origin.intercept_gradient) or 1.0


def _scaled_objective(X: Any, y: FloatArray, unit: FloatArray, n_jobs: int | None) -> Objective:
    """The same rows with columns of unit variance and a ridge; a copy of X, sparse if X is."""
    scaled = sp.csr_matrix(X @ sp.diags_array(unit)) if sp.issparse(X) else X * unit
    return Objective(scaled, y, "log_loss", alpha=RIDGE, fit_intercept=True, n_jobs=n_jobs)


def _quasi_newton(objective: Objective) -> tuple[FloatArray, float, int, float]:
    """L-BFGS for columns too many for S: w̃, the raw intercept, iterations and the relative gradient."""

    def both(w: FloatArray) -> tuple[float, FloatArray]:
        point = objective.at(w[:-1], float(w[-1]))
        return point.value, np.append(point.gradient, point.intercept_gradient)

    start = np.zeros(objective.n_features + 1)
    first = float(np.linalg.norm(both(start)[1])) or 1.0
    options = {"maxiter": STEPS, "gtol": EPSILON * first / math.sqrt(len(start)), "ftol": 0.0}
    found = scipy_minimize(both, start, jac=True, method="L-BFGS-B", options=options)
    coef, intercept = found.x[:-1], objective.raw_intercept(found.x[:-1], float(found.x[-1]))
    return coef, intercept, int(found.nit), float(np.linalg.norm(found.jac)) / first


def _described(
    objective: Objective,
    what: str,
    coef: FloatArray,
    intercept: float,
    iterations: int,
    gradient: float,
    predicted: FloatArray,
) -> tuple[Fit, FloatArray, bool]:
    """Angle and error of w̃ on the raw columns."""
    S = objective.covariance
    point = objective.at(coef, intercept - objective.raw_intercept(coef, 0.0))
    length, target = S.norm(coef), S.norm(predicted)
    cosine = angle = None
    if length > 0.0 and target > 0.0:
        cosine = float(np.clip(S.inner(coef, predicted) / (length * target), -1.0, 1.0))
        sine = math.sqrt(min(max(sin_squared(objective.u, S, coef), 0.0), 1.0))
        angle = math.degrees(math.atan2(sine, cosine))  # accurate for small angles, where the cosine is not
    fit = Fit(
        what=what,
        iterations=iterations,
        converged=gradient <= EPSILON,
        relative_gradient=gradient,
        cosine=cosine,
        angle=angle,
        training_error=float(0.5 * np.mean(np.sign(point.margins) + 1.0)),
    )
    return fit, coef, point.separates


# --- in words


def _findings(found: Diagnosis) -> list[str]:
    """Sentences for someone who has the data and not the paper."""
    return [
        sentence
        for sentence in (
            _about_separability(found),
            _about_condition(found),
            _about_signal(found),
            _about_rank(found),
            _about_offsets(found),
            _about_direction(found),
            _about_shape(found),
            _about_classes(found),
        )
        if sentence
    ]


def _about_separability(found: Diagnosis) -> str:
    kind, columns = found.separability.kind, _listed(found.separability.columns)
    cure = "Add a ridge (alpha > 0): it makes the solution finite and unique."
    if kind == "complete":
        alone = (
            f" One column is enough ({columns}): check that it does not give the label away."
            if columns
            else ""
        )
        return (
            f"A hyperplane classifies all {found.n:,} rows correctly, so the log loss has no minimum: its "
            f"coefficients grow for as long as a solver runs.{alone} {cure}"
        )
    if kind == "partial":
        rows = "some rows" if found.separability.rows is None else f"{found.separability.rows:,} rows"
        where = f" ({columns}: there one class stops where the other begins)" if columns else ""
        return (
            f"The classes overlap, but {rows} can be pushed to their side for ever without touching the "
            f"rest{where}: some coefficients of the log loss grow without end while the others settle. {cure}"
        )
    if kind == "not decided":
        return "Whether a hyperplane separates the classes was not decided: too many numbers for that test."
    return ""


def _about_condition(found: Diagnosis) -> str:
    raw, scaled = found.raw, found.scaled
    if raw.iterations is None or scaled.iterations is None or raw.condition is None:
        return (
            "The condition number of the columns is beyond what double precision resolves (about 1e15): "
            "gradient descent on them will not converge. Bring the columns to one scale, or use a solver in "
            "the metric of the data, which does not depend on their units."
        )
    about = "at least " if found.estimated else ""
    up_to = "" if found.estimated else "up to "
    before, after = raw.iterations, scaled.iterations
    text = f"κ is {about}{_shown(raw.condition)}: "
    text += f"gradient descent needs {up_to}{_several(before.gradient, 'iteration')}"
    if before.gradient <= 100:
        return f"{text}. The columns are well conditioned; any solver will do."
    text += f", conjugate gradients {up_to}{_count(before.conjugate_gradient)}"
    if after.gradient < 0.3 * before.gradient:
        both = f"{_count(after.gradient)} and {_count(after.conjugate_gradient)}"
        text += f" (once every column has unit variance, {both})"
    else:
        text += "; scaling the columns does not help, since they are correlated rather than of unequal units"
    return f"{text}. A step in the metric of the data does not depend on κ."


def _about_signal(found: Diagnosis) -> str:
    if found.separability.kind == "complete":
        return ""
    share = 100.0 * found.r_squared
    if share < 0.1:
        return (
            f"A linear fit explains {share:.2g} % of the labels' variance: hardly any linear signal, "
            "whatever the solver. Look for other features."
        )
    chance = 100.0 * min((found.d if found.rank is None else found.rank) / max(found.n - 1, 1), 1.0)
    if share < 3.0 * chance:
        return (
            f"A linear fit explains {share:.3g} % of the labels' variance, of which about {chance:.2g} % is "
            f"what as many columns of pure noise would explain with {found.n:,} rows: check the fit on other "
            "rows, and add a ridge."
        )
    return ""


def _about_rank(found: Diagnosis) -> str:
    varying = found.d - len(found.constant)
    parts = []
    if found.constant:
        never = "never varies: drop it" if len(found.constant) == 1 else "never vary: drop them"
        parts.append(f"{_several(len(found.constant), 'column')} {never} ({_listed(found.constant)}).")
    if found.n <= varying:
        parts.append(
            f"There are fewer rows than columns that vary ({found.n:,} and {varying:,}), so infinitely many "
            "coefficients predict the same: a ridge picks one."
        )
    elif found.rank is not None and found.rank < varying:
        parts.append(
            f"{varying - found.rank:,} of the {varying:,} columns that vary can be computed from the others "
            "(dummy variables that add up to one, sums, duplicates): predictions are unique and coefficients "
            "are not. Drop columns or add a ridge; S is treated on its range here, without jitter."
        )
    return " ".join(parts)


def _about_offsets(found: Diagnosis) -> str:
    if found.offset <= FAR:
        return ""
    return (
        f"{found.offset_column} lies {found.offset:.3g} standard deviations away from zero, where the paper "
        "assumes mean zero. gdnp centres by itself; for other solvers, centre the columns first, since an "
        "offset alone slows them down."
    )


def _about_direction(found: Diagnosis) -> str:
    angle = found.fit.angle
    if angle is None:
        return "There is no linear signal at all: E[y (x - E x)] = 0, or the fit is zero."
    start = f"S⁻¹u, which takes one linear solve, is {angle:.2g}° from the fitted direction"
    if angle <= 5.0:
        return f"{start}: nearly the solution already, as the theory for Gaussian data has it."
    if angle <= 30.0:
        return (
            f"{start}: a good start and not the solution. Methods that stop there (scaled least squares) "
            "keep this gap."
        )
    return f"{start}: the theory for Gaussian data says little here; judge by the fit itself."


def _about_shape(found: Diagnosis) -> str:
    shape = found.along_fit
    if shape is None:
        return ""
    if shape.p_value is not None and shape.p_value >= 0.01:
        return "Along the fitted direction z cannot be told from a Gaussian, which Assumption 2 asks for."
    mild = abs(shape.skewness) < 0.5 and abs(shape.excess_kurtosis) < 1.0 and shape.distance < 0.05
    many = " (with so many rows the test finds any departure)" if mild and found.n > 5000 else ""
    if mild:
        return f"Along the fitted direction z is nearly Gaussian{many}: rates for Gaussian data are a guide."
    return (
        f"Along the fitted direction z is not Gaussian (skewness {shape.skewness:.2g}, excess kurtosis "
        f"{shape.excess_kurtosis:.2g}; probabilities are off by up to {shape.distance:.2g}): predicted "
        "iterations are a guide, not a promise, and GDNP's step is guarded for this reason."
    )


def _about_classes(found: Diagnosis) -> str:
    rare = min(found.positive, 1.0 - found.positive)
    if rare >= 0.02:
        return ""
    return (
        f"The rarer class has {100.0 * rare:.2g} % of the rows: an accuracy of {100.0 * (1.0 - rare):.4g} % "
        "means nothing. Look at the ranking of the rows, or weigh the classes."
    )


def _advice(found: Diagnosis, gram_passes: float) -> tuple[str, str]:
    """The cheapest method by passes over the data, and why."""
    ridge = "" if found.separability.kind == "none" else ", with a ridge (alpha > 0)"
    if found.estimated:
        return "agd", (
            f"{found.d:,} columns are too many to hold S. Scale the columns to unit variance (without "
            "centring, so that sparse data stay sparse) and use an accelerated first-order method"
            f"{ridge}."
        )
    gradient = found.raw.iterations.gradient if found.raw.iterations else None
    steps = max(found.fit.iterations, 1)
    if gradient is not None and gradient < gram_passes + steps:
        return "gd", (
            f"Gradient descent gets there in at most {_several(gradient, 'pass')} over the data{ridge}; "
            f"forming S costs as much as {_count(gram_passes)}. With momentum (agd) it is faster still."
        )
    settled = "took" if found.fit.converged else "had not quite settled after"
    seen = f"The fit above {settled} {_several(steps, 'step')} (Gaussian data: 1 for the direction)."
    rival = "cannot get there" if gradient is None else f"may need {_several(gradient, 'iteration')}"
    return "gdnp_metric", (
        f"Take steps in the metric of the data{ridge}. {seen} Plain gradient descent {rival}; forming S "
        f"once costs as much as {_several(gram_passes, 'pass')} over the data."
    )


# --- numbers in words


def _iterations(spectrum: Spectrum, *, at_least: bool) -> str:
    if spectrum.iterations is None:
        return "GD and CG: not predictable, κ is not resolved; metric step: 1"
    about = "at least " if at_least else ""
    found = spectrum.iterations
    return (
        f"GD {about}{_count(found.gradient)}, CG {about}{_count(found.conjugate_gradient)}, "
        f"metric step {found.metric}"
    )


def _shape(shape: Gaussianity | None) -> str:
    if shape is None:
        return "does not vary"
    p = "too few rows to test" if shape.p_value is None else f"p {_p_value(shape.p_value)}"
    return (
        f"skewness {shape.skewness:+.2f}, excess kurtosis {shape.excess_kurtosis:+.2f}, "
        f"off by {shape.distance:.3f} at most, {p}"
    )


def _p_value(p: float) -> str:
    return "below 1e-10" if p < 1e-10 else f"{p:.2g}"


def _separable(found: Separability, n: int) -> str:
    if found.kind == "partial":
        return f"partly: {'some' if found.rows is None else f'{found.rows:,}'} of {n:,} rows"
    return {"complete": "yes", "none": "no", "not decided": "not decided"}[found.kind]


def _shown(value: float | None) -> str:
    return "not resolved (above 1e15)" if value is None else f"{value:.3g}"


def _count(value: float) -> str:
    return f"{round(value):,}" if value < 1e6 else f"{value:.1e}"


def _several(count: float, noun: str) -> str:
    ending = "" if _count(count) == "1" else "es" if noun.endswith("s") else "s"
    return f"{_count(count)} {noun}{ending}"


def _chosen(names: Sequence[str], mask: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, kept in zip(names, mask, strict=True) if kept)


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _plain(value: Any) -> Any:
    """JSON: tuples as lists, and None for numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
