"""The scripts in ``benchmarks`` on something tiny: the table, noisy labels, the objective of benchopt."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

FOLDER = Path(__file__).parents[1] / "benchmarks"


def script(name):
    """A module of ``benchmarks``, which is no package."""
    spec = importlib.util.spec_from_file_location(f"gdnp_benchmarks_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def noisy():
    return script("noisy_labels")


RUNS = [
    ("easy", "gdnp", 0.02, 2.0),
    ("easy", "gdnp", 0.03, 1.0),
    ("easy", "gdnp", 0.01, 1.5),
    ("easy", "newton", 0.06, 1.0 + 1e-9),
    ("easy", "slow[C=1.0]", 3.0, 1.0),
    ("hard", "gdnp", 0.5, 4.0),
    ("hard", "newton", 0.1, 4.0 * (1.0 + 1e-5)),
    ("hard", "slow[C=1.0]", 9.0, float("nan")),
    ("lost", "gdnp", 0.1, 5.0),
    ("lost", "newton", 0.2, 3.0),
]
HEAD = ["dataset_name", "solver_name", "time", "objective_value"]


@pytest.fixture(params=["csv", "parquet"])
def result(request, tmp_path):
    """A result as benchopt writes it, as far as the table reads it."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(RUNS, columns=HEAD).assign(objective_name="log loss", idx_rep=0)
    path = tmp_path / f"result.{request.param}"
    if request.param == "csv":
        frame.to_csv(path, index=False)
    else:
        pytest.importorskip("pyarrow")
        frame.to_parquet(path)
    return path


def test_table_takes_the_shortest_run_within_the_target(result):
    table = script("table")
    runs = table.read([result])
    seconds = table.seconds_to(runs, 1e-8)
    assert list(seconds.columns) == ["gdnp", "newton", "slow"]
    np.testing.assert_allclose(seconds.loc["easy"], [0.03, 0.06, 3.0])
    np.testing.assert_allclose(seconds.loc["hard"], [0.5, np.nan, np.nan])
    np.testing.assert_allclose(table.ratios(seconds), [2.0, np.nan, np.nan])
    np.testing.assert_allclose(table.ratios(table.seconds_to(runs, 1e-4))["hard"], 0.2)


def test_table_says_who_is_slower_and_who_did_not_get_there(result, capsys):
    script("table").main([str(result)])
    text = capsys.readouterr().out
    loose, middle, tight = text.split("### ")[1:]
    assert "gdnp is slower: hard." in loose
    assert "Geometric mean of the ratios: 0.63 over 2 sets." in loose
    assert "Only gdnp got there: hard." in tight
    for section in (loose, middle, tight):
        assert "gdnp did not get there, a peer did: lost." in section
    assert "| easy | 30 ms | 60 ms | 3 s | 2.00 |" in tight


def test_table_refuses_what_is_no_result(tmp_path):
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "other.csv"
    pandas.DataFrame({"a": [1]}).to_csv(path)
    with pytest.raises(ValueError, match="Got no column objective_name"):
        script("table").read([path])


def test_flips_are_as_many_as_asked_for(noisy, rng):
    X, y = rng.standard_normal((200, 3)), np.repeat([-1.0, 1.0], 100)
    same, flipped = noisy.spoil(X, y, 0.2, False, np.random.default_rng(1))
    assert same is X
    assert (flipped != y).sum() == 40
    assert (noisy.spoil(X, y, 0.0, True, np.random.default_rng(1))[1] == y).all()


def test_leverage_moves_flipped_rows_out_by_five_and_sparse_agrees_with_dense(noisy, rng):
    X, y = rng.standard_normal((200, 4)) * [1.0, 10.0, 0.1, 0.0], np.repeat([-1.0, 1.0], 100)
    X[:, 0] += y
    moved, flipped = noisy.spoil(X, y, 0.1, True, np.random.default_rng(2))
    rows = flipped != y
    assert rows.sum() == 20
    np.testing.assert_array_equal(moved[~rows], X[~rows])
    sd = X.std(axis=0)
    standard = np.divide(moved - X, sd, out=np.zeros_like(X), where=sd > 0.0)
    np.testing.assert_allclose(np.linalg.norm(standard[rows], axis=1), noisy.SHIFT)
    assert (np.sign(standard[rows, 0]) == y[rows]).all()
    sparse, _ = noisy.spoil(sp.csr_matrix(X), y, 0.1, True, np.random.default_rng(2))
    np.testing.assert_allclose(sparse.toarray(), moved, atol=1e-12)


def test_noisy_labels_on_breast_cancer(noisy, monkeypatch):
    monkeypatch.setattr(noisy, "NOISES", {"clean": (0.0, False), "10 % leverage": (0.1, True)})
    monkeypatch.setattr(noisy, "MOST_EVALUATIONS", 100)
    report = noisy.study(["breast_cancer"], 1)
    clean = report["accuracy"]["breast_cancer"]["clean"][0]
    assert set(clean) == set(noisy.MODELS)
    assert min(run["accuracy"] for run in clean.values()) > 0.85
    run = report["race"]["breast_cancer"]["clean"][0]
    assert run["gdnp passes"] > 0.0
    assert run["scipy passes"] >= 1.0
    text = noisy.markdown(report)
    assert text.count("| clean |") == 3  # accuracy, work on standardised columns, work on raw ones


def test_noisy_labels_leaves_out_what_is_not_here(noisy, monkeypatch, tmp_path):
    monkeypatch.setenv("GDNP_DATA", str(tmp_path))
    report = noisy.study(["mushrooms"], 1)
    assert "mushrooms/mushrooms" in report["left out"]["mushrooms"]
    assert "mushrooms was left out" in noisy.markdown(report)


def test_benchopt_measures_the_objective_that_gdnp_minimises(rng):
    pytest.importorskip("benchopt")
    from gdnp import GDNPClassifier

    objective = script("benchopt_linear/objective").Objective.get_instance(loss="log_loss", C=2.0)
    X, y = rng.standard_normal((60, 3)), rng.integers(0, 2, 60)
    objective.set_data(X=X, y=y)
    given = objective.get_objective()
    model = GDNPClassifier(alpha=given["alpha"]).fit(X, y)
    found = objective.evaluate_result(model.coef_, model.intercept_)
    np.testing.assert_allclose(found["value"], model.certificate_.objective, rtol=1e-10)
    assert found["value"] < objective.evaluate_result(**objective.get_one_result())["value"]
    assert objective.skip(X=None, y=None, absent="not here") == (True, "not here")
