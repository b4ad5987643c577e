"""Sentences of an audit from records written by hand: each says its number, and is silent without cause."""

from dataclasses import replace

import pytest

from gdnp.diagnose import Diagnosis, Fit, Gaussianity, Separability, Spectrum, sections, words
from gdnp.theory import PredictedIterations, predicted_iterations

GAUSSIAN = Gaussianity(skewness=0.01, excess_kurtosis=-0.02, distance=0.004, p_value=0.6)
SKEWED = Gaussianity(skewness=1.5, excess_kurtosis=3.0, distance=0.11, p_value=1e-40)


def spectrum(condition):
    iterations = None if condition is None else predicted_iterations(condition, 1e-6)
    return Spectrum(1.0, 1.0 / (condition or 1e18), condition, iterations)


FIT = Fit("log loss", 4, True, 1e-9, cosine=0.9999, angle=0.8, training_error=0.2)
PLAIN = Diagnosis(
    name="plain",
    n=1000,
    d=5,
    sparse=False,
    entries=5000,
    positive=0.5,
    constant=(),
    offset=0.1,
    offset_column="a",
    widest=("a", 2.0),
    narrowest=("b", 1.0),
    tangled=(),
    copies=(),
    rank=5,
    r=0.4,
    r_squared=0.4,
    estimated=False,
    raw=spectrum(2.0),
    scaled=spectrum(2.0),
    along_u=GAUSSIAN,
    along_fit=GAUSSIAN,
    separability=Separability("none", 0, ()),
    fit=FIT,
    findings=(),
    theory=(),
    solver="",
    advice="",
)


def said(**changes):
    return words.findings(replace(PLAIN, **changes)) + words.theory(replace(PLAIN, **changes))


def shown(**changes):
    return {name: value for _, rows in sections(replace(PLAIN, **changes)) for name, value in rows}


def test_data_with_nothing_the_matter():
    condition, direction, shape = said()
    assert condition.startswith("The columns are well conditioned (2): gradient descent needs up to ")
    assert condition.endswith("any solver will do.")
    assert not any(symbol in condition for symbol in "κ⁻ᵀ")
    assert direction == (
        "S⁻¹u, which takes one linear solve, is 0.8° from the fitted direction: nearly the solution already, "
        "as the theory for Gaussian data has it."
    )
    assert shape.startswith("Along the fitted direction z cannot be told from a Gaussian, which")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"separability": Separability("complete", 1000, ())}, "classifies all 1,000 rows correctly"),
        ({"separability": Separability("complete", 1000, ("a",))}, "One column is enough (a): check that"),
        ({"separability": Separability("partial", 7, ())}, "but 7 rows can be pushed"),
        ({"separability": Separability("partial", None, ("b",))}, "some rows can be pushed to their side"),
        ({"separability": Separability("partial", None, ("b",))}, "(b: there one class stops"),
        ({"separability": Separability("not decided", None, ())}, "was not decided: too many numbers"),
        ({"raw": spectrum(None)}, "beyond what double precision resolves"),
        ({"raw": spectrum(1e6)}, "6.9e+06 iterations, or 10 once every column has unit variance"),
        ({"raw": spectrum(1e6), "widest": ("w", 5e3)}, "different scales (b varies by 1, w by 5e+03): the"),
        ({"raw": spectrum(1e6), "tangled": ("p", "q")}, "p, q nearly follow from one another: the"),
        ({"copies": ("q = p",)}, "The same but for units: q = p. Keep one of each."),
        ({"raw": spectrum(1e6), "scaled": spectrum(9e5)}, "scaling the columns does not help"),
        (
            {"raw": spectrum(1e6), "estimated": True},
            "the condition number is at least 1e+06, and gradient descent needs 6.9e+06",
        ),
        ({"r_squared": 5e-4}, "explains 0.05 % of the labels' variance: hardly any linear signal"),
        ({"n": 20, "r_squared": 0.3}, "of which about 26 % is what as many columns of pure noise"),
        ({"constant": ("c",), "d": 6}, "1 column never varies: drop it (c)."),
        ({"constant": tuple("cdefgh"), "d": 11}, "6 columns never vary: drop them (c, d, e, f and 2 more)."),
        ({"n": 5, "rank": 4}, "fewer rows than columns that vary (5 and 5)"),
        ({"rank": 3}, "2 of the 5 columns that vary can be computed from the others"),
        ({"offset": 250.0}, "a lies 250 standard deviations away from zero"),
        ({"fit": replace(FIT, angle=None, cosine=None)}, "There is no linear signal at all"),
        ({"fit": replace(FIT, angle=20.0)}, "is 20° from the fitted direction: a good start and not"),
        ({"fit": replace(FIT, angle=60.0)}, "says little here; judge by the fit itself"),
        ({"along_fit": SKEWED}, "is not Gaussian (skewness 1.5, excess kurtosis 3; probabilities are off"),
        ({"along_fit": replace(GAUSSIAN, p_value=1e-3)}, "z is nearly Gaussian: rates for"),
        ({"along_fit": replace(GAUSSIAN, p_value=1e-3), "n": 10**4}, "(with so many rows the test finds any"),
        ({"positive": 0.999}, "The rarer class has 0.1 % of the rows: an accuracy of 99.9 %"),
    ],
)
def test_each_finding_says_its_number(changes, sentence):
    assert sentence in " ".join(said(**changes))
    assert sentence not in " ".join(said())


def test_findings_that_would_contradict_each_other_are_left_out():
    complete = Separability("complete", 1000, ())
    assert not any("linear fit explains" in one for one in said(r_squared=0.0, separability=complete))
    assert not any("Along the fitted" in one for one in said(along_fit=None))
    assert not any("can be computed" in one for one in said(rank=None))


@pytest.mark.parametrize(
    ("changes", "passes", "solver", "why"),
    [
        ({}, 3.0, "auto", "took 4 steps; plain gradient descent may need 10 iterations."),
        (
            {},
            100.0,
            "gd",
            "in at most 10 passes over the data; forming the covariance of the columns costs as much as 100.",
        ),
        ({}, 8.0, "gd", "at most 10 passes"),  # S and the 4 steps after it would take 12
        ({"raw": spectrum(None)}, 100.0, "auto", "plain gradient descent cannot get there"),
        ({"estimated": True, "rank": None}, 1.0, "auto", "5 columns are too many to hold their covariance"),
        ({"fit": replace(FIT, converged=False)}, 3.0, "auto", "had not quite settled after 4 steps"),
        ({"separability": Separability("partial", 1, ())}, 3.0, "auto", ", with a ridge (alpha > 0):"),
        ({"separability": Separability("partial", 1, ())}, 1e3, "gd", ", with a ridge (alpha > 0);"),
    ],
)
def test_advice_counts_passes(changes, passes, solver, why):
    name, reason = words.advice(replace(PLAIN, **changes), passes)
    assert name == solver
    assert why in reason


def test_the_fit_is_named_and_not_pointed_at():
    _, reason = words.advice(replace(PLAIN, raw=spectrum(None)), 100.0)
    assert "A fit of the log loss took 4 steps" in reason
    assert "above" not in reason


@pytest.mark.parametrize(
    "changes",
    [
        {"separability": Separability("complete", 1000, ())},
        {"separability": Separability("partial", 3, ())},
        {"rank": 3},
        {"n": 5, "rank": 4},
    ],
)
def test_no_solver_will_do_without_one_solution(changes):
    text = " ".join(said(**changes))
    assert "any solver will do" not in text
    assert "well conditioned (2): with a ridge gradient descent needs up to" in text


def test_tables_show_every_number():
    rows = shown()
    assert rows["rows x columns"] == "1,000 x 5, dense"
    assert rows["constant columns"] == "none"
    assert rows["rank of S"] == "5 of 5"
    assert rows["angle to S⁻¹u, in S"] == "0.8° (cosine 0.99990)"
    assert rows["error on these rows"] == "20 %"
    assert rows["separable"] == "no"
    assert rows["z along u"] == "skewness +0.01, excess kurtosis -0.02, off by 0.004 at most, p 0.6"
    assert rows["columns as they are"].startswith("GD 10, CG ")


def test_tables_of_what_is_not_known():
    rows = shown(sparse=True, entries=1234, rank=None, estimated=True, along_u=None)
    assert rows["rows x columns"] == "1,000 x 5, sparse, 1,234 stored numbers"
    assert rows["rank of S"] == "not computed (too many columns)"
    assert rows["columns as they are"].startswith("GD at least 10, CG at least ")
    assert rows["z along u"] == "does not vary"
    rows = shown(raw=spectrum(None), fit=replace(FIT, angle=None, cosine=None))
    assert rows["columns as they are"] == "GD and CG: not predictable, κ is not resolved; metric step: 1"
    assert rows["angle to S⁻¹u, in S"] == "undefined"
    assert shown(along_u=replace(GAUSSIAN, p_value=None))["z along u"].endswith("too few rows to test")
    assert shown(along_u=SKEWED)["z along u"].endswith("p 1e-40")


@pytest.mark.parametrize(
    ("separability", "text"),
    [
        (Separability("complete", 1000, ()), "yes"),
        (Separability("partial", 5, ()), "partly: 5 of 1,000 rows"),
        (Separability("partial", None, ("a",)), "partly: some of 1,000 rows"),
        (Separability("not decided", None, ()), "not decided"),
    ],
)
def test_separability_in_the_table(separability, text):
    assert shown(separability=separability)["separable"] == text


@pytest.mark.parametrize(
    ("count", "text"), [(1, "up to 1 iteration,"), (2, "up to 2 iterations,"), (100, "up to 100 iterations,")]
)
def test_counts_in_words(count, text):
    raw = replace(PLAIN.raw, iterations=PredictedIterations(count, count, 1))
    assert text in said(raw=raw)[0]
