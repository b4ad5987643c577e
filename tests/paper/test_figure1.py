"""Figure 1: GDNP_seq takes one and the same way for every loss, and the drawing needs no computation."""

from dataclasses import dataclass

import numpy as np
import pytest

from gdnp.datasets import gaussian_parameters
from gdnp.metric import Identity
from gdnp.paper import EXPERIMENTS, Options, redraw, reproduce
from gdnp.paper.figure1.experiment import Figure1, Profile, geometry
from gdnp.paper.figure1.flows import direction_flow, gradient_flow, hausdorff, length_flow
from gdnp.population import Halfspace, LeastSquares

TINY = Figure1(quick=Profile(rows=200, grid=9))


@dataclass(frozen=True)
class WithColumns(Options):
    columns: tuple[str, ...] = ()


def everywhere(w):
    return 1.0


def population(d=2):
    return gaussian_parameters(d, kappa=6.0, r=0.5, seed=3)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    return reproduce(TINY, Options(), tmp_path_factory.mktemp("figure1"), workers=1)


def test_gradient_flow_of_least_squares_is_the_matrix_exponential():
    """w̃' = -2(u + S w̃) goes to -S⁻¹u on a curve that is known in the eigenbasis of S."""
    S, u = np.diag([1.0, 0.25]), np.array([0.3, 0.1])
    start, optimum = np.array([2.0, 1.0]), -u / np.diagonal(S)
    path = gradient_flow(LeastSquares(u, S), start, everywhere)
    assert path.stationary
    np.testing.assert_allclose(path.points[-1], optimum, atol=1e-7)
    gap = (path.points - optimum) / (start - optimum)
    inner = path.points[1:-10]
    # gap_k = exp(-2 λ_k t): the first is the fourth power of the second.
    np.testing.assert_allclose(gap[1 : len(inner) + 1, 0], gap[1 : len(inner) + 1, 1] ** 4, atol=1e-8)


def test_flow_stops_where_it_leaves():
    S, u = np.diag([1.0, 0.25]), np.array([0.3, 0.1])
    path = gradient_flow(LeastSquares(u, S), np.array([2.0, 1.0]), lambda w: w[0] - 1.0)
    assert not path.stationary
    assert path.points[-1][0] == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("d", [2, 4])
def test_direction_flow_is_the_same_for_every_loss_on_the_population(d):
    u, S = population(d)
    start = np.random.default_rng(1).standard_normal(d)
    arcs = [
        direction_flow(f, start, points=201)
        for f in (LeastSquares(u, S), Halfspace(u, S, "log_loss"), Halfspace(u, S, "sigmoid"))
    ]
    length = np.sqrt(start @ S @ start)
    optimal = -np.linalg.solve(S, u)
    for arc in arcs:
        assert hausdorff(arc.points, arcs[0].points) < 1e-6
        np.testing.assert_allclose(np.einsum("ij,jk,ik->i", arc.points, S, arc.points), length**2)
        np.testing.assert_allclose(
            arc.points[-1], optimal * length / np.sqrt(optimal @ S @ optimal), atol=1e-6
        )


def test_on_the_sphere_of_weight_normalization_the_curves_differ():
    u, S = population(4)
    start = np.random.default_rng(1).standard_normal(4)
    arcs = [
        direction_flow(f, start, metric=Identity(4), points=101).points
        for f in (LeastSquares(u, S), Halfspace(u, S, "log_loss"))
    ]
    assert hausdorff(*arcs) > 0.1


def test_length_flow_ends_at_the_minimum_along_the_ray():
    """The log loss has its minimum at length 2√r/(1 - r)."""
    u, S = population()
    f = Halfspace(u, S, "log_loss")
    ray = length_flow(f, -0.3 * f.optimal_direction, everywhere)
    assert ray.stationary
    np.testing.assert_allclose(ray.points[-1], -2.0 * f.optimal_direction / (1.0 - f.r), rtol=1e-6)


def test_hausdorff_of_shifted_and_of_refined_curves():
    t = np.linspace(0.0, 1.0, 11)
    line = np.column_stack([t, 0.0 * t])
    assert hausdorff(line, line + np.array([0.0, 0.3])) == pytest.approx(0.3)
    assert hausdorff(line, line[::10]) == pytest.approx(0.0, abs=1e-15)
    assert hausdorff(line, line[:6]) == pytest.approx(0.5)


def test_coincidence_is_exact_on_the_population_and_measured_on_the_sample(outcome):
    population, sample = outcome.summary["panels"]
    assert population["coincidence"] < 1e-6
    assert population["higher"]["coincidence"] < 1e-6
    assert population["higher"]["sphere_apart"] > 0.1
    assert population["gd_apart"] > 1.0
    assert 1e-4 < sample["coincidence"] < 0.5
    assert "coincide:" in population["findings"][0]
    assert f"{population['coincidence']:.1e}" in population["findings"][0]
    assert "differ:" in sample["findings"][0] or "nearly coincide:" in sample["findings"][0]


def test_sigmoid_has_no_best_length_and_says_so(outcome):
    population = outcome.summary["panels"][0]
    sigmoid, logistic = population["losses"]["sigmoid"], population["losses"]["log_loss"]
    assert sigmoid["best_length"] is None
    assert not sigmoid["stays_in_frame"]
    assert any("sigmoid loss leaves the frame" in sentence for sentence in population["findings"])
    r = population["r"]
    assert logistic["best_length"] == pytest.approx(2.0 * np.sqrt(r) / (1.0 - r))
    assert logistic["gradient_norm"] < 1e-6


def test_frame_holds_start_and_minimisers():
    spec = {"name": "gaussian", "d": 2, "kappa": 6.0, "r": 0.5, "seed": 0, "n": 10}
    place = geometry(spec, "gaussian", 115.0)
    u, S = gaussian_parameters(2, kappa=6.0, r=0.5, seed=0)
    v = np.linalg.solve(S, u)
    for w in (place.start, -v, -4.0 * v):
        assert place.inside(w) > 0.0
    cosine = -(place.start @ u) / np.sqrt((place.start @ S @ place.start) * (v @ u))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(115.0)


def test_same_bytes_twice_and_in_processes(outcome, tmp_path):
    again = reproduce(TINY, Options(), tmp_path, workers=2)
    names = sorted(path.name for path in (outcome.directory / "parts").iterdir())
    assert names == sorted(path.name for path in (again.directory / "parts").iterdir())
    for name in [*(f"parts/{name}" for name in names), "settings.json", "summary.json", "figure1.png"]:
        assert (outcome.directory / name).read_bytes() == (again.directory / name).read_bytes(), name


def test_redraws_from_files_alone(outcome, tmp_path):
    drawn = redraw(TINY, outcome.directory, tmp_path)
    assert sorted(path.name for path in drawn.figures) == [
        "figure1-sample.pdf",
        "figure1-sample.png",
        "figure1.pdf",
        "figure1.png",
    ]
    for path in drawn.figures:
        assert path.stat().st_size > 10_000
    assert (tmp_path / "figure1.png").read_bytes() == (outcome.directory / "figure1.png").read_bytes()
    assert len(TINY.tables(drawn.summary)) == 2


def test_data_of_the_users_own(tmp_path, rng):
    X = rng.standard_normal((150, 3)) * [1.0, 50.0, 0.01] + [0.0, 7.0, 3.0]
    label = np.where(X[:, 0] + 100.0 * X[:, 2] - 300.0 + rng.standard_normal(150) > 0.0, "yes", "no")
    rows = [f"{a},{b},{c},{name}" for (a, b, c), name in zip(X, label, strict=True)]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["width,height,depth,class", *rows]) + "\n")
    options = WithColumns(data=(str(file),), columns=("width", "depth"))
    folder, settings = TINY.settings(options)
    assert folder == "figure1-quick-mine"
    assert settings["data"]["axes"] == ["width", "depth"]
    assert str(tmp_path) not in str(settings)
    result = reproduce(TINY, options, tmp_path / "out", workers=1)
    population, sample = result.summary["panels"]
    assert population["coincidence"] < 1e-6
    assert sample["coincidence"] < 0.5
    assert population["higher"] is None
    assert TINY.settings(WithColumns(data=(str(file),), columns=("1", "3")))[1] == settings
    with pytest.raises(
        ValueError, match=r"names or numbers \(1 to 3\) of width, height, depth. Got 'length'"
    ):
        TINY.settings(WithColumns(data=(str(file),), columns=("width", "length")))
    with pytest.raises(ValueError, match=r"two different columns. Got width, width"):
        TINY.settings(WithColumns(data=(str(file),), columns=("width", "width")))


def test_refuses_what_it_cannot_show(tmp_path):
    with pytest.raises(ValueError, match=r"one data set. Got 2"):
        TINY.settings(Options(data=("gaussian", "breast_cancer")))
    with pytest.raises(ValueError, match="--columns chooses columns of --data FILE"):
        TINY.settings(WithColumns(columns=("1", "2")))
    with pytest.raises(FileNotFoundError):
        TINY.settings(Options(data=(str(tmp_path / "absent.csv"),)))
    file = tmp_path / "known.csv"
    file.write_text("a,b,y\n" + "".join(f"{k % 2},{k % 3},{k % 2}\n" for k in range(12)))
    with pytest.raises(ValueError, match="something, but not everything"):
        TINY.settings(Options(data=(str(file),)))


def test_is_registered():
    assert isinstance(EXPERIMENTS["figure1"], Figure1)
