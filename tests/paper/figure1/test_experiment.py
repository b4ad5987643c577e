"""Figure 1 as an experiment: its data, its frame, what it says in numbers, and that it repeats."""

import numpy as np
import pytest

from gdnp.datasets import gaussian_parameters
from gdnp.paper import EXPERIMENTS, Options, reproduce
from gdnp.paper.figure1.experiment import Figure1, geometry
from paper_problems import FIGURE1 as TINY
from paper_problems import are_valid_plotly, saved


def test_frame_holds_start_and_minimisers():
    spec = {"name": "gaussian", "d": 2, "kappa": 6.0, "r": 0.5, "seed": 0, "n": 10}
    place = geometry(spec, "gaussian", 115.0)
    u, S = gaussian_parameters(2, kappa=6.0, r=0.5, seed=0)
    v = np.linalg.solve(S, u)
    for w in (place.start, -v, -4.0 * v):
        assert place.inside(w) > 0.0
    cosine = -(place.start @ u) / np.sqrt((place.start @ S @ place.start) * (v @ u))
    assert np.degrees(np.arccos(cosine)) == pytest.approx(115.0)


def test_same_bytes_twice_and_in_processes(figure1, tmp_path):
    again = reproduce(TINY, Options(), tmp_path, workers=2)
    names = sorted(path.name for path in (figure1.directory / "parts").iterdir())
    assert names == sorted(path.name for path in (again.directory / "parts").iterdir())
    for name in [*(f"parts/{name}" for name in names), "settings.json", "summary.json", "figure1.png"]:
        assert (figure1.directory / name).read_bytes() == (again.directory / name).read_bytes(), name


def test_data_of_the_users_own(tmp_path, rng):
    X = rng.standard_normal((150, 3)) * [1.0, 50.0, 0.01] + [0.0, 7.0, 3.0]
    label = np.where(X[:, 0] + 100.0 * X[:, 2] - 300.0 + rng.standard_normal(150) > 0.0, "yes", "no")
    rows = [f"{a},{b},{c},{name}" for (a, b, c), name in zip(X, label, strict=True)]
    file = tmp_path / "mine.csv"
    file.write_text("\n".join(["width,height,depth,class", *rows]) + "\n")
    options = Options(data=(str(file),), columns=("width", "depth"))
    folder, settings = TINY.settings(options)
    assert folder == "figure1-quick-mine"
    assert settings["data"]["axes"] == ["width", "depth"]
    assert str(tmp_path) not in str(settings)
    result = reproduce(TINY, options, tmp_path / "out", workers=1)
    population, sample = result.summary["panels"]
    assert population["coincidence"] < 1e-6
    assert sample["coincidence"] < 0.5
    figures = TINY.interactive(*saved(TINY, result))
    assert are_valid_plotly(figures)
    axes = [figures[0]["layout"][name]["title"]["text"] for name in ("xaxis", "yaxis")]
    assert axes == ["width", "depth"]
    assert TINY.settings(Options(data=(str(file),), columns=("1", "3")))[1] == settings
    with pytest.raises(ValueError, match=r"--columns must name .* one of width, height, depth, .* 'length'"):
        TINY.settings(Options(data=(str(file),), columns=("width", "length")))
    with pytest.raises(ValueError, match=r"two different columns. Got width, width"):
        TINY.settings(Options(data=(str(file),), columns=("width", "width")))


def test_refuses_what_it_cannot_show(tmp_path):
    with pytest.raises(ValueError, match=r"one data set. Got 2"):
        TINY.settings(Options(data=("gaussian", "breast_cancer")))
    with pytest.raises(ValueError, match="--columns chooses columns of --data FILE"):
        TINY.settings(Options(columns=("1", "2")))
    with pytest.raises(FileNotFoundError):
        TINY.settings(Options(data=(str(tmp_path / "absent.csv"),)))
    file = tmp_path / "known.csv"
    file.write_text("a,b,y\n" + "".join(f"{k % 2},{k % 3},{k % 2}\n" for k in range(12)))
    with pytest.raises(ValueError, match="something, but not everything"):
        TINY.settings(Options(data=(str(file),)))


def test_is_registered():
    assert isinstance(EXPERIMENTS["figure1"], Figure1)


def test_coincidence_is_exact_on_the_population_and_measured_on_the_sample(figure1):
    population, sample = figure1.summary["panels"]
    assert population["coincidence"] < 1e-6
    assert population["gd_apart"] > 1.0
    assert 1e-4 < sample["coincidence"] < 0.5
    assert "coincide:" in population["findings"][0]
    assert f"{population['coincidence']:.1e}" in population["findings"][0]
    assert "differ:" in sample["findings"][0] or "nearly coincide:" in sample["findings"][0]


def test_sigmoid_has_no_best_length_and_says_so(figure1):
    population = figure1.summary["panels"][0]
    sigmoid, logistic = population["losses"]["sigmoid"], population["losses"]["log_loss"]
    assert sigmoid["best_length"] is None
    assert not sigmoid["ray_stationary"]
    assert any("sigmoid loss leaves the frame" in sentence for sentence in population["findings"])
    r = population["r"]
    assert logistic["best_length"] == pytest.approx(2.0 * np.sqrt(r) / (1.0 - r))
    assert logistic["gradient_norm"] < 1e-6


def test_tables_have_a_row_for_every_loss(figure1):
    tables = TINY.tables(figure1.summary)
    assert [table.title for table in tables] == [panel["label"] for panel in figure1.summary["panels"]]
    for table, panel in zip(tables, figure1.summary["panels"], strict=True):
        assert [row[0] for row in table.rows] == ["least squares", "logistic", "sigmoid"]
        assert {len(row) for row in table.rows} == {len(table.columns)}
        assert table.rows[0][1] == "0.0e+00"
        assert table.rows[2][1] == f"{panel['losses']['sigmoid']['distance_to_least_squares']:.1e}"
        assert table.rows[2][4:] == ("none", "leaves the frame")
