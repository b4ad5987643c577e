"""Fits side by side: against the best proof that there is, in units that are asked for."""

from types import SimpleNamespace

import numpy as np
import pytest

from gdnp import AlphaDisplay, ConvergenceDisplay, GDNPClassifier, GDNPRegressor, GDNPRegressorCV
from problems import draw

matplotlib = pytest.importorskip("matplotlib")
figures = pytest.importorskip("matplotlib.figure")


@pytest.fixture
def ax():
    return figures.Figure().subplots()


def fit(objectives, *, gap=0.0, proved=False, solver="gd", **history):
    objective = np.array(objectives)
    rows = {"objective": objective, "passes": 2.0 * np.arange(len(objective)), **history}
    rows.setdefault("seconds", 0.5 * np.arange(len(objective)))
    certificate = SimpleNamespace(objective=objective[-1], gap=gap, proved=proved)
    return SimpleNamespace(history_=rows, certificate_=certificate, solver=solver)


def test_a_proof_is_the_best_there_is(ax):
    """An objective of 2.2 within 10 % of the least one proves that this is 2, whoever came lower."""
    fits = {"proved": fit([4.0, 2.2], gap=0.1, proved=True), "lower": fit([4.0, 2.1])}
    fits["vague"] = fit([4.0, 3.0], gap=1.0, proved=True)
    display = ConvergenceDisplay.from_estimators(fits, ax=ax)
    assert display.suboptimality("proved") == pytest.approx([1.0, 0.1])
    assert display.suboptimality("lower") == pytest.approx([1.0, 0.05])


def test_without_a_proof_the_lowest_objective_is_the_best(ax):
    """Nor is a proof one of the same problem that somebody's objective is below."""
    fits = {"a": fit([4.0, 2.0]), "b": fit([3.0, 2.5], gap=0.1, proved=True)}
    display = ConvergenceDisplay.from_estimators(fits, ax=ax)
    assert display.suboptimality("a") == pytest.approx([1.0, 0.0])
    assert display.lines_[0].get_ydata() == pytest.approx([1.0, 1e-16])  # zero has no logarithm


@pytest.mark.parametrize(
    ("x", "along", "label"),
    [
        ("passes", [0.0, 2.0, 4.0], "passes over the data"),
        ("seconds", [0.0, 0.5, 1.0], "seconds"),
        ("iterations", [0, 1, 2], "iterations"),
    ],
)
def test_axes_are_what_they_are_called(ax, x, along, label):
    fits = [fit([3.0, 2.0, 1.0]), fit([3.0, 2.0, 1.5]), fit([3.0, 1.0, 1.0], solver="newton")]
    display = ConvergenceDisplay.from_estimators(fits, x=x, ax=ax, color="red")
    assert [line.get_label() for line in display.lines_] == ["gd", "gd 2", "newton"]
    assert display.lines_[0].get_xdata().tolist() == along
    assert {line.get_color() for line in display.lines_} == {"red"}
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == (label, "relative suboptimality", "log")
    assert display.figure_ is ax.figure


def test_one_class_of_several(ax):
    several = fit([9.0, 8.0, 3.0, 2.0], **{"class": np.array(["a", "a", "b", "b"])})
    several.classes_ = np.array(["a", "b"])
    proofs = [SimpleNamespace(objective=one, gap=0.25, proved=True) for one in (8.0, 2.0)]
    several.certificate_ = tuple(proofs)
    display = ConvergenceDisplay.from_estimators({"fit": several}, class_index=1, ax=ax)
    assert display.suboptimality("fit") == pytest.approx([0.875, 0.25])


def test_real_fits_meet_their_tolerance_on_axes_of_their_own(rng):
    matplotlib.use("Agg")
    X, y = draw(rng)
    display = ConvergenceDisplay.from_estimators([GDNPClassifier(alpha=1e-2).fit(X, y)])
    assert display.suboptimality("auto")[-1] <= 1e-8
    matplotlib.pyplot.close(display.figure_)


def test_what_cannot_be_drawn_is_refused(ax):
    with pytest.raises(ValueError, match="'auto' is not; call fit first"):
        ConvergenceDisplay.from_estimators([GDNPClassifier()])
    with pytest.raises(ValueError, match="at least one"):
        ConvergenceDisplay.from_estimators([])
    with pytest.raises(ValueError, match="x must be 'passes', 'seconds' or 'iterations'"):
        ConvergenceDisplay.from_estimators([fit([1.0])], x="epochs", ax=ax)


def test_one_of_several_targets(ax, rng):
    X, y = draw(rng)
    model = GDNPRegressor("pseudo_huber").fit(X, np.column_stack([y, 3.0 * y + X[:, 0]]))
    display = ConvergenceDisplay.from_estimators({"fit": model}, class_index=1, ax=ax)
    last = display.histories["fit"]["objective"][-1]
    assert last == pytest.approx(model.certificate_[1].objective, rel=1e-6)
    assert len(display.histories["fit"]["objective"]) == (model.history_["target"] == 1).sum()


# Ridges


@pytest.mark.parametrize("folds", [None, 3])
def test_scores_have_a_mean_a_spread_and_a_choice(ax, rng, folds):
    """The standard deviation over folds, and the standard error over rows left out one by one."""
    X, y = draw(rng, 30, 3)
    model = GDNPRegressorCV(alphas=[1.0, 1e-3, 1e-2], cv=folds).fit(X, y)
    display = AlphaDisplay.from_estimator(model, ax=ax)
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_xdata(), [1e-3, 1e-2, 1.0])
    order = [1, 2, 0]
    mean, sd = model.scores_.mean(axis=0)[order], model.scores_.std(axis=0)[order]
    np.testing.assert_allclose(line.get_ydata(), mean)
    sd = sd if folds else sd / np.sqrt(30)
    (area,) = display.fill_between_
    corners = area.get_paths()[0].vertices
    for x, low, high in zip([1e-3, 1e-2, 1.0], mean - sd, mean + sd, strict=True):
        heights = corners[np.isclose(corners[:, 0], x), 1]
        assert (heights.min(), heights.max()) == (pytest.approx(low), pytest.approx(high))
    assert [list(one.get_xdata()) for one in ax.lines[1:]] == [[model.alpha_] * 2]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("alpha", "score", "log")


def test_a_picture_of_ridges_needs_scores(rng):
    with pytest.raises(ValueError, match="must be fitted, and choose a ridge"):
        AlphaDisplay.from_estimator(GDNPRegressor().fit(*draw(rng)))
