"""Figure 2: what is saved is what happened, the summary follows from it, and plots only read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize as scipy_minimize

from gdnp import Objective, methods, minimize
from gdnp.datasets import fetch_a9a, gaussian_design
from gdnp.paper import Options, Store, reproduce
from gdnp.paper.figure2.experiment import FULL, QUICK, Figure2, Profile
from gdnp.paper.figure2.race import RACERS, describe, load_problem, start_at
from gdnp.paper.figure2.summary import _reached, panels
from gdnp.paper.reference import hessian, newton_minimum

TINY = Figure2(quick=Profile(data=("gaussian",), rows=300, starts=3, max_iter=12, grid=(1.0, 4.0, 16.0)))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return reproduce(TINY, out=tmp_path_factory.mktemp("results"), workers=1)


@pytest.fixture(scope="module")
def results(tiny):
    store = Store(tiny.directory)
    return {part.name: store.load(part) for part in TINY.parts(store.settings, Options())}


@pytest.fixture
def separable(tmp_path, rng):
    X = rng.standard_normal((60, 3))
    rows = np.column_stack([X, np.where(X[:, 0] - X[:, 0].mean() > 0.0, "yes", "no")])
    path = tmp_path / "separable.csv"
    path.write_text("a,b,c,class\n" + "\n".join(",".join(row) for row in rows) + "\n")
    return path


# --- the reference minimum


@pytest.mark.parametrize("alpha", [0.0, 0.1])
def test_reference_is_the_minimum(rng, alpha):
    data = gaussian_design(400, 6, seed=3)
    s = rng.uniform(0.5, 2.0, 400)
    objective = Objective(data.X + 3.0, data.y, alpha=alpha, sample_weight=s, n_jobs=1)
    found = newton_minimum(objective)
    centred = data.X - np.average(data.X, axis=0, weights=s)

    def f(w):
        return np.average(np.logaddexp(0.0, -data.y * (centred @ w)), weights=s) + alpha / 2 * w @ w

    expected = scipy_minimize(f, np.zeros(6), method="BFGS", options={"gtol": 1e-7})
    assert found.objective == pytest.approx(f(found.coef), rel=1e-13)
    assert found.objective <= expected.fun + 1e-14
    assert found.coef == pytest.approx(expected.x, abs=1e-5)
    assert found.decrement < 1e-15
    assert not found.separable


def test_hessian_is_that_of_the_gradient(rng):
    data = gaussian_design(200, 4, seed=1)
    objective = Objective(data.X + 2.0, data.y, alpha=0.3, n_jobs=1)
    w, h = rng.standard_normal(4), 1e-6
    numeric = [
        (objective.at(w + h * e).gradient - objective.at(w - h * e).gradient) / (2 * h) for e in np.eye(4)
    ]
    assert hessian(objective, objective.at(w).margins) == pytest.approx(np.array(numeric), abs=1e-8)


def test_reference_refuses_what_it_cannot_minimise():
    data = gaussian_design(50, 3)
    for objective in (Objective(data.X, data.y, "sigmoid"), Objective(data.X, data.y, fit_intercept=True)):
        with pytest.raises(ValueError, match="needs a convex loss and no intercept"):
            newton_minimum(objective)


def test_reference_of_a9a():
    folder = os.environ.get("GDNP_DATA")
    if not folder or not (Path(folder) / "a9a" / "a9a").exists():
        pytest.skip("GDNP_DATA does not name a folder with a9a")
    data = fetch_a9a()
    found = newton_minimum(Objective(data.X, data.y))
    assert found.objective == pytest.approx(0.526342, abs=5e-7)
    assert found.decrement < 1e-15


# --- data


def test_breast_cancer_is_scaled_and_said_to_be():
    spec = describe("breast_cancer", rows=0, seed=0)
    assert (spec["n"], spec["d"], spec["columns"], spec["scaled"]) == (569, 10, 10, True)
    objective = load_problem(spec, "breast_cancer", "log_loss")
    assert np.diag(objective.covariance.S) == pytest.approx(np.ones(10))
    assert not newton_minimum(objective).separable


def test_file_is_known_by_its_contents(separable):
    spec = describe(str(separable), rows=0, seed=0)
    assert (spec["name"], spec["n"], spec["d"], spec["scaled"]) == ("separable.csv", 60, 3, True)
    text = separable.read_text()
    separable.write_text(text.replace("yes", "ja"))
    assert describe(str(separable), rows=0, seed=0)["sha256"] != spec["sha256"]


def test_constant_column_is_left_at_zero(tmp_path):
    path = tmp_path / "constant.csv"
    path.write_text("a,b,y\n1,5,0\n2,5,1\n3,5,0\n4,5,1\n")
    objective = load_problem(describe(str(path), rows=0, seed=0), str(path), "log_loss")
    assert np.diag(objective.covariance.S) == pytest.approx([1.0, 0.0])


def test_unusable_data_are_refused_before_anything_is_written(tmp_path):
    three = tmp_path / "three.csv"
    three.write_text("a,y\n1,0\n2,1\n3,2\n")
    with pytest.raises(ValueError, match=r"exactly two classes\. Got 3"):
        reproduce(TINY, Options(data=(str(three),)), tmp_path / "out")
    wide = tmp_path / "wide.svm"
    wide.write_text("+1 2049:1\n-1 1:1\n")
    with pytest.raises(ValueError, match=r"at most 2048 columns.*Got 2049"):
        reproduce(TINY, Options(data=(str(wide),)), tmp_path / "out")
    with pytest.raises(ValueError, match=r"different names\. Got gaussian, gaussian"):
        reproduce(TINY, Options(data=("gaussian", "gaussian")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- runs


@pytest.mark.parametrize("name", RACERS)
def test_saved_curves_are_those_of_minimize(results, name):
    data = gaussian_design(300, 20, kappa=100.0)
    objective = Objective(data.X, data.y, "sigmoid", n_jobs=2)
    run = results[f"gaussian/sigmoid/{name}/start-1"]
    step = {"step": run["step"]} if RACERS[name].tuned else {}
    method = getattr(methods, "gd" if name == "gd_safe" else name)(**RACERS[name].parameters, **step)
    found = minimize(objective, method, start_at(20, 0, 1), max_iter=12, tol=0.0)
    assert run["n_iter"] == found.n_iter
    assert run["status"] == found.status.name
    for key in ("passes", "objective", "length"):
        assert np.array_equal(run["curves"][key], found.history[key])
    assert np.array_equal(run["curves"]["dual_gradient_norm"], found.history["gradient_norm"])
    centred = data.X - data.X.mean(axis=0)
    margins = data.y * (centred @ found.coef)
    assert run["curves"]["zero_one"][-1] == pytest.approx(np.mean(margins < 0.0), abs=1e-12)
    slope = -data.y / (4.0 * np.cosh(margins / 2.0) ** 2)
    assert run["curves"]["gradient_norm"][-1] == pytest.approx(
        np.linalg.norm(centred.T @ slope) / 300, rel=1e-9, abs=1e-16
    )


def test_steps_are_the_best_of_the_grid_on_a_start_of_their_own(results):
    data = gaussian_design(300, 20, kappa=100.0)
    objective = Objective(data.X, data.y, n_jobs=1)
    tuning = results["gaussian/log_loss/agd/tuning"]
    natural = 4.0 / np.linalg.eigvalsh(np.cov(data.X.T, bias=True))[-1]
    assert tuning["natural_step"] == pytest.approx(natural)
    final = []
    for multiple in (1.0, 4.0, 16.0):
        method = methods.agd(step=multiple * tuning["natural_step"])
        found = minimize(objective, method, start_at(20, 0, 1_000_003), max_iter=12, tol=0.0)
        final.append(found.objective)
    assert tuning["final_objective"] == final
    assert tuning["chosen"] == np.argmin(final)
    assert tuning["multiple"] == (1.0, 4.0, 16.0)[np.argmin(final)]
    assert tuning["on_edge"] == (np.argmin(final) != 1)
    assert results["gaussian/log_loss/agd/start-0"]["step"] == tuning["step"]


def test_starts_are_the_same_for_every_method(results):
    for loss in ("log_loss", "sigmoid"):
        first = [results[f"gaussian/{loss}/{name}/start-2"]["curves"]["length"][0] for name in ("gd", "agd")]
        assert first[0] == first[1]
    norms = {results[f"gaussian/log_loss/gd/start-{k}"]["curves"]["length"][0] for k in range(3)}
    assert len(norms) == 3


def test_gram_is_charged_to_those_who_form_it(results):
    def first(name):
        return results[f"gaussian/log_loss/{name}/start-0"]["curves"]["passes"][0]

    assert first("gd") == 1.0
    assert first("gdnp") >= 10.0
    assert first("gdnp_metric") >= 10.0


def test_curves_repeat_bit_for_bit_in_any_number_of_processes(tiny, tmp_path):
    again = reproduce(TINY, out=tmp_path, workers=2)
    first = {path.name: json.loads(path.read_text()) for path in (tiny.directory / "parts").iterdir()}
    second = {path.name: json.loads(path.read_text()) for path in (again.directory / "parts").iterdir()}
    assert first.keys() == second.keys()
    for name, document in first.items():
        for found in (document, second[name]):
            found["result"].pop("seconds", None)
        assert json.dumps(document) == json.dumps(second[name])


def test_seed_changes_starts_and_sample(tiny, tmp_path):
    other = TINY.settings(Options(seed=1))[1]
    ours = {part.key for part in TINY.parts(Store(tiny.directory).settings, Options())}
    assert ours.isdisjoint(part.key for part in TINY.parts(other, Options(seed=1)))


# --- summary


def test_summary_follows_from_the_curves(tiny, results):
    softplus, sigmoid = tiny.summary["panels"]
    assert (softplus["quantity"], sigmoid["quantity"]) == ("suboptimality", "gradient norm")
    f = np.array([results[f"gaussian/log_loss/agd/start-{k}"]["curves"]["objective"] for k in range(3)])
    gap = f - results["gaussian/log_loss/reference"]["objective"]
    assert (gap > 0.0).all()
    entry = softplus["methods"]["agd"]
    assert entry["final"]["measure"] == pytest.approx(np.median(gap[:, -1]))
    hits = [np.flatnonzero(row <= 1e-2) for row in gap]
    expected = sorted(hit[0] if hit.size else np.inf for hit in hits)[1]
    assert (entry["iterations_to"]["1e-02"]["median"] or np.inf) == expected
    finals = {name: entry["final"]["objective"] for name, entry in sigmoid["methods"].items()}
    assert sigmoid["ordering"]["final_objective"] == sorted(finals, key=finals.__getitem__)
    assert sigmoid["best_objective"] <= min(finals.values())


@pytest.mark.parametrize(
    ("measure", "median", "mean", "runs"),
    [
        ([[3, 1, 0], [3, 3, 0], [3, 0, 3]], 1.0, 4 / 3, 3),  # the first time counts, not the last
        ([[3, 3, 3], [3, 3, 3], [3, 0, 3]], None, None, 1),
        ([[3, 1, 0], [3, 3, 3]], None, None, 1),
        ([[0, 3, 3]], 0.0, 0.0, 1),
    ],
)
def test_reached(measure, median, mean, runs):
    counts = np.broadcast_to(np.arange(3.0), np.shape(measure))
    assert _reached(np.array(measure, dtype=float), 1.0, counts) == {
        "median": median,
        "mean": mean,
        "runs": runs,
    }


def test_findings_state_who_is_ahead_as_measured(tiny):
    for panel in tiny.summary["panels"]:
        ends = {name: entry["final"]["objective"] for name, entry in panel["methods"].items()}
        for rival, label in (("gd_safe", "GD (safe step)"), ("agd", "AGD with a tuned step")):
            word = "ahead of" if ends["gdnp_inner"] < ends[rival] else "behind"
            expected = f"GDNP (inner steps) ends {word} {label} after the same iterations"
            assert any(sentence.startswith(expected) for sentence in panel["findings"])


def test_separable_data_are_called_so(separable, tmp_path):
    outcome = reproduce(TINY, Options(data=(str(separable),)), tmp_path, workers=1)
    assert outcome.directory.name == "figure2-quick-separable"
    softplus = outcome.summary["panels"][0]
    assert softplus["reference"]["separable"]
    assert softplus["reference"]["objective"] == 0.0
    assert "separable" in softplus["findings"][0]
    assert len(outcome.figures) == 6


def test_run_that_ends_early_stays_where_it_was(tiny, results):
    store = Store(tiny.directory)
    for panel in panels(store.settings, results):
        assert all(curve.shape == (3, 13) for curves in panel.curves.values() for curve in curves.values())
        ended = panel.curves["two_step"]["objective"]
        assert (ended[:, 2:] == ended[:, 1:2]).all()


def test_tables_have_a_row_for_every_method(tiny):
    tables = TINY.tables(tiny.summary)
    assert [table.title for table in tables] == ["Gaussian design, softplus", "Gaussian design, sigmoid"]
    for table in tables:
        assert [row[0] for row in table.rows] == [racer.label for racer in RACERS.values()]
        assert {len(row) for row in table.rows} == {len(table.columns)}


# --- profiles


def test_profiles_are_those_of_the_paper():
    assert QUICK.data == ("gaussian", "breast_cancer")
    assert FULL.data == ("gaussian", "a9a")
    assert (FULL.starts, FULL.rows) == (10, 20_000)
    folder, settings = Figure2().settings(Options())
    assert folder == "figure2-quick"
    assert settings["losses"] == ["log_loss", "sigmoid"]
    assert {"gd", "agd", "weight_norm_gd", "batch_norm_gd", "gdnp", "gdnp_inner"} <= set(settings["methods"])


def test_figures_are_drawn_from_files_alone(tiny, results, monkeypatch, tmp_path):
    monkeypatch.setattr("gdnp.paper.figure2.race.minimize", None)
    written = TINY.draw(Store(tiny.directory).settings, results, tmp_path)
    names = ["figure2", "figure2-passes", "figure2-sigmoid"]
    assert [path.name for path in written] == [f"{name}.{kind}" for name in names for kind in ("png", "pdf")]
    for path in written:
        assert path.read_bytes() == (tiny.directory / path.name).read_bytes()
