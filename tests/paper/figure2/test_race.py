"""What is saved of a race is what happened."""

import numpy as np
import pytest

from gdnp import Objective, methods, minimize
from gdnp.datasets import gaussian_design
from gdnp.paper.figure2.race import RACERS, describe, load_problem
from gdnp.paper.runner.problems import start_at
from gdnp.reference import newton_minimum
from paper_problems import FIGURE2 as TINY
from paper_problems import saved


@pytest.fixture(scope="module")
def results(figure2):
    return saved(TINY, figure2)[1]


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
