"""The words of a diagnosis: its numbers as rows, what they mean, and which solver they suggest."""

from collections.abc import Sequence

from gdnp.diagnose.records import EPSILON, Diagnosis, Gaussianity, Spectrum
from gdnp.diagnose.separability import Separability

FAR = 10.0
"""Standard deviations between a column and zero that are worth a sentence."""
UNEQUAL, FEW = 100.0, 100
"""Ratio of standard deviations that is worth one, and iterations that are not."""


def sections(found: Diagnosis) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titles of what was `found`, and under each the rows of a table: what, and its value."""
    about = " at least" if found.estimated else ""
    layout = "sparse" if found.sparse else "dense"
    stored = f", {found.entries:,} stored numbers" if found.sparse else ""
    rank = "not computed (too many columns)" if found.rank is None else f"{found.rank:,} of {found.d:,}"
    data = [
        ("rows x columns", f"{found.n:,} x {found.d:,}, {layout}{stored}"),
        ("rows with y = +1", f"{100.0 * found.positive:.3g} % of the rows"),
        ("constant columns", _listed(found.constant) or "none"),
        ("largest |mean|/sd", f"{found.offset:.3g} ({found.offset_column})"),
        ("rank of S", rank),
        ("r = uᵀS⁻¹u", f"{found.r:.4g} (R² of least squares on the labels: {found.r_squared:.3g})"),
    ]
    scales = (("columns as they are", found.raw), ("columns of unit variance", found.scaled))
    spectra = [
        (name, f"L {s.largest:.3g}, μ {s.smallest:.3g}, κ{about} {_shown(s.condition)}") for name, s in scales
    ]
    bounds = (
        "from the eigenvalues seen" if found.estimated else "upper bounds; Gaussian data, exact arithmetic"
    )
    predicted = [(name, _iterations(s, at_least=found.estimated)) for name, s in scales]
    shapes = [("z along u", _shape(found.along_u)), ("z along the fit", _shape(found.along_fit))]
    shown = (
        "undefined" if found.fit.cosine is None else f"{found.fit.angle:.3g}° (cosine {found.fit.cosine:.5f})"
    )
    fit = [
        ("fitted", f"{found.fit.what} (relative gradient {found.fit.relative_gradient:.0e})"),
        ("angle to S⁻¹u, in S", shown),
        ("error on these rows", f"{100.0 * found.fit.training_error:.3g} %"),
        ("separable", _separable(found.separability, found.n)),
    ]
    return [
        ("Data", data),
        ("Eigenvalues of S", spectra),
        (f"Predicted iterations to {EPSILON:g} ({bounds})", predicted),
        ("Is z Gaussian?", shapes),
        ("The fitted direction", fit),
    ]


def findings(found: Diagnosis) -> list[str]:
    """Sentences for someone who has the data and not the paper."""
    first = (_about_separability, _about_condition, _about_signal, _about_rank)
    then = (_about_offsets, _about_classes)
    return [sentence for about in (*first, *then) if (sentence := about(found))]


def theory(found: Diagnosis) -> list[str]:
    """What the paper says of such data, in its symbols."""
    return [sentence for about in (_about_direction, _about_shape) if (sentence := about(found))]


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
        rows = "some rows" if found.separability.rows is None else _several(found.separability.rows, "row")
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
    (wide, most), (narrow, least) = found.widest, found.narrowest
    scales = (
        f"The columns have very different scales ({narrow} varies by {least:.2g}, {wide} by {most:.2g})"
        if most > UNEQUAL * least
        else ""
    )
    tangle = f"{_listed(found.tangled)} nearly follow from one another" if found.tangled else ""
    cause = " and ".join(filter(None, (scales, tangle))) or "Columns are correlated"
    if raw.iterations is None or scaled.iterations is None or raw.condition is None:
        return (
            f"{cause}: the condition number is beyond what double precision resolves (about 1e15), and "
            "gradient descent will not converge. Steps in the metric of the data do not depend on units."
        )
    about, up_to = ("at least ", "") if found.estimated else ("", "up to ")
    before, after = raw.iterations, scaled.iterations
    if before.gradient <= FEW:
        endless = found.separability.kind in ("complete", "partial")
        several = found.rank is not None and found.rank < found.d - len(found.constant)
        start, end = ("with a ridge ", "") if endless or several else ("", ", and any solver will do")
        return (
            f"The columns are well conditioned ({about}{_shown(raw.condition)}): {start}gradient descent "
            f"needs {up_to}{_several(before.gradient, 'iteration')}{end}."
        )
    text = (
        f"{cause}: the condition number is {about}{_shown(raw.condition)}, and gradient descent needs "
        f"{up_to}{_several(before.gradient, 'iteration')}"
    )
    if after.gradient < 0.3 * before.gradient:
        text += f", or {_count(after.gradient)} once every column has unit variance"
    else:
        text += "; scaling the columns does not help"
    return f"{text}. A step in the metric of the data does not depend on it."


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
    if found.copies:
        parts.append(f"The same but for units: {_listed(found.copies)}. Keep one of each.")
    if found.n <= varying:
        parts.append(
            f"There are fewer rows than columns that vary ({found.n:,} and {varying:,}), so infinitely many "
            "coefficients predict the same: a ridge picks one."
        )
    elif found.rank is not None and found.rank < varying:
        parts.append(
            f"{varying - found.rank:,} of the {varying:,} columns that vary can be computed from the others "
            "(dummy variables that add up to one, sums, duplicates): predictions are unique and coefficients "
            "are not. Drop columns or add a ridge."
        )
    return " ".join(parts)


def _about_offsets(found: Diagnosis) -> str:
    if found.offset <= FAR:
        return ""
    return (
        f"{found.offset_column} lies {found.offset:.3g} standard deviations away from zero. gdnp centres "
        "by itself; for other solvers, centre the columns first, since an offset alone slows them down."
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


def advice(found: Diagnosis, gram_passes: float) -> tuple[str, str]:
    """The default solver, or gradient descent where that takes fewer passes over the data; and why."""
    ridge = "" if found.separability.kind == "none" else ", with a ridge (alpha > 0)"
    gradient = found.raw.iterations.gradient if found.raw.iterations else None
    steps = max(found.fit.iterations, 1)
    if not found.estimated and gradient is not None and gradient < gram_passes + steps:
        return "gd", (
            f"Gradient descent gets there in at most {_several(gradient, 'pass')} over the data{ridge}; "
            f"forming the covariance of the columns costs as much as {_count(gram_passes)}."
        )
    rival = "cannot get there" if gradient is None else f"may need {_several(gradient, 'iteration')}"
    settled = "took" if found.fit.converged else "had not quite settled after"
    seen = (
        f"{found.d:,} columns are too many to hold their covariance, and it does without"
        if found.estimated
        else f"A fit of the log loss {settled} {_several(steps, 'step')}"
    )
    return "auto", (
        f"The default{ridge}: it steps in the metric of the data, whatever the units, and says how close it "
        f"came. {seen}; plain gradient descent {rival}."
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


def _listed(names: Sequence[str], most: int = 4) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
