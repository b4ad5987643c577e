"""An audit of a data set against the assumptions of the paper: what is the matter, what it costs, what to do.

Everything here is about binary classification with an intercept: x is centred, z = -y (x - E x), u = E z and
S = E z zᵀ (Eq. 1). Numbers that depend on the units of the columns (μ, L, κ) are given for the columns as
they are and for columns of unit variance; the others (r, rank, angles, separability) depend on neither.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh_tridiagonal
from scipy.stats import kstest, kurtosis, normaltest, skew

import gdnp.diagnose.words as words
from gdnp._typing import FloatArray
from gdnp.datasets import Dataset
from gdnp.design import Choice, DesignMatrix, Source, SparseDesign, StreamDesign, source
from gdnp.design.cluster import is_collection
from gdnp.design.targets import encoded, signs
from gdnp.diagnose.records import EPSILON, Diagnosis, Fit, Gaussianity, Spectrum
from gdnp.diagnose.separability import Separability, chosen, separability_of
from gdnp.losses import LOSSES
from gdnp.metric import Covariance, OperatorCovariance
from gdnp.newton import solve
from gdnp.problem import Objective
from gdnp.solvers import Result, Status
from gdnp.theory import predicted_iterations, sin_squared

RIDGE = 1e-4
"""Ridge on columns of unit variance, where the log loss alone has no minimum or none that can be reached."""
ROWS_OF_SHAPE = 1 << 20
"""Evenly spaced rows, at most, that a distribution is looked at in."""
LANCZOS_STEPS = 100
HEAVY, FLAT, COPY = 0.3, 1e-2, 1e-12
"""Share of the largest weight that counts; least eigenvalue of a tangle; 1 - |correlation| of a copy."""
MOST_ROWS = 1 << 16
"""Rows of a sample of a cluster's."""
LARGEST_DEVIATION = 1e100
"""Its square still has a square in float64."""


def diagnose(dataset: Dataset | Source, *, n_jobs: int | None = None) -> Diagnosis:
    """Audit a data set of two classes against the assumptions of the paper.

    S is formed for up to ``gdnp.problem.LARGEST_GRAM`` columns; beyond that only products with X are used.
    Sparse X stays sparse, and files are read block by block. Of a Dask collection a sample of at most 65536
    rows, drawn with replacement, is looked at on a worker; the report says so in its name.

    Parameters
    ----------
    dataset : Dataset or Source
        Of ``gdnp.datasets``, or of ``gdnp.design.source`` with a target; every row counts once.
    n_jobs : int or None
        Threads; the result does not depend on them.

    Raises
    ------
    ValueError
        When there are not two classes, X is not finite, or no column varies.

    Examples
    --------
    >>> from gdnp.datasets import gaussian_design
    >>> found = diagnose(gaussian_design(5000, 5, kappa=10.0, seed=1))
    >>> found.separability.kind, found.solver, found.fit.angle < 3.0
    ('none', 'auto', True)
    """
    if isinstance(dataset, Dataset) and is_collection(dataset.X):
        return _of_sample(dataset)
    objective, name, names = _read(dataset, n_jobs)
    names = names or tuple(f"column {j + 1}" for j in range(objective.n_features))
    sd = np.sqrt(objective.moments.variance) / objective.moments.scale
    varies = sd > 0.0
    if not varies.any():
        raise ValueError(f"{name} should have a column that varies. Got {len(names)} constant ones.")
    if sd.max() > LARGEST_DEVIATION or sd[varies].min() < 1.0 / LARGEST_DEVIATION:
        raise ValueError(
            f"{name} should have columns with standard deviations from {1.0 / LARGEST_DEVIATION:g} "
            f"to {LARGEST_DEVIATION:g}. Got {sd[varies].min():.3g} to {sd.max():.3g}: change their units."
        )
    unit = np.divide(1.0, sd, out=np.zeros_like(sd), where=varies)
    offsets = np.abs(objective.column_mean) * unit
    S, u = objective.covariance, objective.u
    estimated = isinstance(S, OperatorCovariance)
    raw, scaled = _spectra(S, u, unit)
    order = np.flatnonzero(varies)[np.argsort(sd[varies], kind="stable")]
    tangled, copies = (
        _related(S.S * np.outer(unit, unit), varies, names) if isinstance(S, Covariance) else ((), ())
    )
    solution = S.solve(u)
    r = float(u @ solution)
    known = cache(partial(solve, objective, tol=EPSILON**2))
    separability = separability_of(objective, varies, names, known)
    fit, coef, separates = _fit(objective, unit, separability.kind, -solution, known)
    if separates:
        alone = separability.columns if separability.kind == "complete" else ()
        separability = Separability("complete", objective.n_samples, alone)
    mean = -float(objective.moments.mean_y[0])
    facts: dict[str, Any] = {
        "name": name,
        "n": objective.n_samples,
        "d": objective.n_features,
        "sparse": isinstance(objective.design, SparseDesign),
        "entries": objective.design.n_entries,
        "positive": 0.5 * (1.0 + mean),
        "constant": chosen(names, ~varies),
        "offset": float(offsets.max()),
        "offset_column": names[int(offsets.argmax())],
        "widest": (names[order[-1]], float(sd[order[-1]])),
        "narrowest": (names[order[0]], float(sd[order[0]])),
        "tangled": tangled,
        "copies": copies,
        "rank": None if estimated else S.rank,
        "r": r,
        "r_squared": r / (1.0 - mean**2),
        "estimated": estimated,
        "raw": raw,
        "scaled": scaled,
        "along_u": _gaussianity(objective, u),
        "along_fit": _gaussianity(objective, coef),
        "separability": separability,
        "fit": fit,
    }
    found = Diagnosis(**facts, findings=(), theory=(), solver="", advice="")
    solver, advice = words.advice(found, objective.gram_passes)
    said = tuple(words.findings(found)), tuple(words.theory(found))
    return replace(found, findings=said[0], theory=said[1], solver=solver, advice=advice)


def _read(dataset: Dataset | Source, n_jobs: int | None) -> tuple[Objective, str, Sequence[str] | None]:
    """The log loss with an intercept and no ridge, what the rows are called, and their columns."""
    if isinstance(dataset, Dataset):
        X = dataset.X if sp.issparse(dataset.X) else np.asarray(dataset.X, dtype=np.float64)
        objective = Objective(X, dataset.signs(), "log_loss", fit_intercept=True, n_jobs=n_jobs)
        return objective, dataset.name, dataset.feature_names
    design, rows = dataset.design, dataset.design.rows
    name = design.stream.title if isinstance(design, StreamDesign) else "the source"
    if not callable(dataset.target) or dataset.weight is not None:
        given = "no target" if dataset.target is None else "rows on workers, or weights"
        raise ValueError(f"{name} should be rows that are read here, with y and no weight. Got {given}.")
    classes, codes = encoded(dataset.target, rows)
    if len(classes) != 2:
        shown = ", ".join(map(str, classes[:5]))
        raise ValueError(f"{name} should have exactly two classes. Got {len(classes)}: {shown}.")
    y: Any = rows.empty()
    rows.total(partial(signs, 1), codes, writes=(y,))
    design.n_jobs = -1 if n_jobs is None else n_jobs
    return (
        Objective.unchecked(design, y, None, LOSSES["log_loss"], 0.0, fit_intercept=True),
        name,
        dataset.names,
    )


def _on_worker(name: str, names: tuple[str, ...] | None, part: DesignMatrix, y: NDArray[Any]) -> Diagnosis:
    return diagnose(Dataset(name, np.concatenate(list(Source(part).blocks())), y, names))


def _of_sample(dataset: Dataset) -> Diagnosis:
    """Of rows of a Dask collection, where one of its workers is."""
    found = source(dataset.X, y=dataset.y)
    n, rows = found.design.n_samples, found.design.rows
    names = dataset.feature_names or (None if found.names is None else tuple(found.names))
    name = f"{dataset.name} ({min(n, MOST_ROWS):,} rows drawn from {n:,})"
    mass = rows.hold(np.broadcast_to(1.0, n))
    made: Diagnosis = found.design.on_sample(
        partial(_on_worker, name, names), mass, min(n, MOST_ROWS), found.target
    )
    return made


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


def _related(
    R: FloatArray, varies: NDArray[np.bool_], names: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns in the flattest direction of the correlation matrix R (d, d), and those that are copies."""
    at = np.flatnonzero(varies)
    R = R[np.ix_(at, at)]
    values, flat = eigh(R, subset_by_index=[0, 0])
    weight = np.abs(flat[:, 0])
    heavy = np.flatnonzero(weight >= HEAVY * weight.max())
    tangled = values[0] < FLAT and len(at) > 1
    first, second = np.nonzero(np.triu(np.abs(R) > 1.0 - COPY, 1))
    copies = {int(k): int(j) for j, k in zip(first[::-1], second[::-1], strict=True)}
    return (
        tuple(names[at[j]] for j in heavy[np.argsort(-weight[heavy], kind="stable")]) if tangled else (),
        tuple(f"{names[at[k]]} = {names[at[j]]}" for k, j in sorted(copies.items())),
    )


# --- shape


def _gaussianity(objective: Objective, direction: FloatArray) -> Gaussianity | None:
    """Of z = -y (x - E x) along a direction; None where it does not vary."""
    norm = objective.covariance.norm(direction)
    if not norm > 0.0:
        return None
    line = objective.origin.line(direction / norm)
    n = objective.n_samples
    some = np.arange(0, n, -(-n // ROWS_OF_SHAPE))
    z = objective.design.rows.gather(line.first.slope, Choice(some, len(some)))
    sd = float(z.std())
    if not sd > 1e-8:  # z is constant where its mean is all of its length 1 in S
        return None
    t = (z - z.mean()) / sd
    return Gaussianity(
        skewness=float(skew(t)),
        excess_kurtosis=float(kurtosis(t)),
        distance=float(kstest(t, "norm", method="asymp").statistic),
        p_value=float(normaltest(t).pvalue) if len(t) >= 20 else None,
    )


# --- the fitted direction


def _fit(
    objective: Objective, unit: FloatArray, separable: str, predicted: FloatArray, known: Callable[[], Result]
) -> tuple[Fit, FloatArray, bool]:
    """The fit, its w̃ for raw columns, and whether it was seen to separate all rows."""
    what, unread, found = "log loss with intercept, no ridge", objective.unread, None
    if separable in ("none", "not decided"):
        found = known()
    if found is None or found.status is Status.LENGTH_DIVERGES:
        what = f"log loss with intercept and a ridge of {RIDGE:g} on columns of unit variance"
        y: Any = objective.design.rows.combine((-1.0, objective.sigma))
        unread = Objective.unchecked(
            unread.design.transformed(None, unit), y, None, objective.loss, RIDGE, fit_intercept=True
        )
        found = solve(unread, tol=EPSILON**2)  # whose coef is of the columns as they are
    coef, S = found.coef, objective.covariance
    point = objective.at(coef, found.intercept - objective.raw_intercept(coef, 0.0))
    length, target = S.norm(coef), S.norm(predicted)
    cosine = angle = None
    if length > 0.0 and target > 0.0:
        cosine = float(np.clip(S.inner(coef, predicted) / (length * target), -1.0, 1.0))
        sine = math.sqrt(min(max(sin_squared(objective.u, S, coef), 0.0), 1.0))
        angle = math.degrees(math.atan2(sine, cosine))  # accurate for small angles, where the cosine is not
    end = found.state.point
    first = float(np.linalg.norm(end.objective.point(np.zeros_like(end.x)).x_gradient))
    gradient = float(np.linalg.norm(end.x_gradient)) / (first or 1.0)  # zero may be stationary
    fit = Fit(
        what=f"{what}, {found.n_iter} steps",
        iterations=found.n_iter,
        converged=gradient <= EPSILON,
        relative_gradient=gradient,
        cosine=cosine,
        angle=angle,
        training_error=float(objective.design.rows.total(_wrong, point.margins)[0]) / objective.n_samples,
    )
    return fit, coef, point.separates


def _wrong(t: FloatArray) -> list[Any]:
    """Rows on the wrong side, those on the hyperplane counted half."""
    return [0.5 * float(np.sum(np.sign(t) + 1.0))]
