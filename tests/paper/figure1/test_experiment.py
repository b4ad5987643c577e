"""Figure 1 as an experiment: its data, its frame, and that it repeats."""

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
    assert population["higher"] is None
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
