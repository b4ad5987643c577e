"""The scripts in ``benchmarks`` on something tiny: tables, comparisons, noisy labels, benchopt."""

import importlib.util
import json
import sys
from dataclasses import replace
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


# Comparisons


@pytest.fixture(scope="module")
def peers():
    """The script with its own modules, which it imports by their bare names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module("peers")


@pytest.fixture
def comparison(peers):
    return peers.comparison


def entry(comparison, seconds, passes=10.0):
    return comparison.summary(seconds, passes, 1e-9, 1e-8)


def rows_of(comparison, *ratios):
    """Rows of old seconds 1 and old passes 10, and the new ones as many times as much."""
    return [
        comparison.Row(f"set {k}", 1.0, seconds, seconds, 10.0, passes and 10.0 * passes, 0.0)
        for k, (seconds, passes) in enumerate(ratios)
    ]


def test_a_row_compares_medians(comparison):
    old, new = entry(comparison, [3.0, 1.0, 2.0]), entry(comparison, [1.0, 9.0, 1.0], 5.0)
    row = comparison.row("here", old, new)
    assert (row.seconds, row.passes) == (0.5, 0.5)
    assert (row.old_seconds, row.new_seconds, row.gap) == (2.0, 1.0, 1e-9)
    assert comparison.row("there", entry(comparison, [1.0], None), new).passes is None


def test_means_are_geometric_and_leave_out_what_is_not_counted(comparison):
    rows = rows_of(comparison, (4.0, 2.0), (0.25, 8.0), (1.0, None))
    assert comparison.mean(rows, lambda row: row.seconds) == pytest.approx(1.0)
    assert comparison.mean(rows, lambda row: row.passes) == pytest.approx(4.0)
    assert comparison.means(rows).endswith("over 3 sets: seconds 1.000, passes 4.000")
    assert comparison.means(rows[2:]).endswith("seconds 1.000, passes -")


@pytest.mark.parametrize(
    ("ratios", "refused"),
    [
        ([(1.0, 1.0), (1.0, 1.0)], []),
        ([(1.09, 1.0), (1.0, 1.0)], []),
        ([(1.2, 1.0), (1.0, 1.0)], ["Geometric mean: seconds should rise by 5%"]),
        ([(1.0, 1.02), (1.0, 0.97)], []),
        ([(1.0, 1.04), (1.0, 0.5)], ["set 0: passes should rise by 3% at most. Got 10.0 to 10.4"]),
        ([(1.0, 1.001), (1.0, 1.0)], ["Geometric mean: passes should not rise. Got 1.0005"]),
    ],
)
def test_check_refuses_more_work_and_much_more_time(comparison, ratios, refused):
    found = comparison.too_much(rows_of(comparison, *ratios))
    assert len(found) == len(refused)
    assert all(text.startswith(start) for text, start in zip(found, refused, strict=True))


def test_a_baseline_is_read_back_and_nothing_is_left_beside_it(comparison, tmp_path):
    sets = {"here": {"gdnp": entry(comparison, [0.2, 0.1, 0.4])}}
    comparison.write(tmp_path / "baseline.json", "log_loss", 1e-8, sets)
    document = comparison.read(tmp_path / "baseline.json")
    assert document["sets"] == sets
    assert document["sets"]["here"]["gdnp"]["seconds"] == 0.2
    assert document["environment"] == comparison.environment()
    assert document["environment"]["numpy"] == np.__version__
    assert document["environment"]["processor"]
    assert document["environment"]["cores"] >= 1
    assert [path.name for path in tmp_path.iterdir()] == ["baseline.json"]
    comparison.check_comparable(document, "log_loss", 1e-8, ["here"])


@pytest.mark.parametrize(
    ("loss", "target", "sets", "message"),
    [
        ("log_loss", 1e-8, ["here", "there"], r"Got only here: leave there out, or --save them too"),
        ("squared_error", 1e-8, ["here"], r"of --loss squared_error\. Got log_loss"),
        ("log_loss", 1e-6, ["here"], r"of --target 1e-06\. Got 1e-08"),
    ],
)
def test_a_baseline_of_other_sets_is_refused(comparison, tmp_path, loss, target, sets, message):
    comparison.write(tmp_path / "baseline.json", "log_loss", 1e-8, {"here": {}})
    document = comparison.read(tmp_path / "baseline.json")
    with pytest.raises(ValueError, match=message):
        comparison.check_comparable(document, loss, target, sets)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "Got no JSON"), ("[]", "of format 1. Got None"), ('{"format": 0}', "of format 1. Got 0")],
)
def test_what_is_no_baseline_is_refused(comparison, tmp_path, text, message):
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        comparison.read(path)


def test_a_changed_machine_is_named(comparison):
    here = comparison.environment()
    assert comparison.differences(here, here) == []
    assert comparison.differences({**here, "cores": 3}, {**here, "cores": 4}) == ["cores 3 then, 4 now"]


def test_pairs_alternate_and_short_fits_are_repeated_more(peers):
    order = []

    def fit(name, seconds):
        return lambda: order.append(name) or {"seconds": seconds, "passes": 1.0, "gap": 0.0}

    found = list(peers.against.pairs(fit("old", 0.25), fit("new", 0.5), 2))
    assert len(found) == 4
    assert order == ["old", "new"] * 5
    assert len(list(peers.against.pairs(fit("old", 9.0), fit("new", 9.0), 2))) == 2
    assert len(list(peers.against.pairs(fit("old", 0.0), fit("new", 0.0), 2))) == peers.against.MOST_PAIRS


def test_a_ratio_is_the_median_over_neighbours(peers):
    fits = [
        ({"seconds": a, "passes": 4.0, "gap": 1e-9}, {"seconds": b, "passes": 5.0, "gap": 1e-8})
        for a, b in ((1.0, 1.0), (10.0, 20.0), (2.0, 6.0))
    ]
    row = peers.against.row("here", fits)
    assert (row.old_seconds, row.new_seconds, row.seconds) == (2.0, 6.0, 2.0)
    assert (row.passes, row.gap) == (1.25, 1e-8)


def test_a_checkout_does_the_same_work_as_itself(peers, monkeypatch, capsys):
    monkeypatch.setattr(peers.against, "LEAST_SECONDS", 0.0)
    src = FOLDER.parent / "src"
    settings = {"loss": "log_loss", "ridge": 1.0, "tol": 1e-8}
    (row,) = peers.against.rows(src, src, ["breast_cancer"], lambda name: peers.SETS[name](), settings, 1)
    assert row.passes == 1.0
    assert row.old_passes > 1.0
    assert row.gap <= 1e-8
    monkeypatch.setattr(peers.against, "rows", lambda *_: iter([replace(row, seconds=1.0, new_passes=99.0)]))
    assert peers.main(["breast_cancer", "--against", str(src)]) == 0
    assert peers.main(["breast_cancer", "--against", str(src), "--check"]) == 1
    assert "Geometric mean: passes should not rise" in capsys.readouterr().out


def test_a_race_is_of_the_loss_and_the_ridge_that_are_asked_for(peers, monkeypatch, capsys):
    raced = []

    def rows(old, new, sets, load, settings, repeats):
        _, y = load("breast_cancer")
        raced.append((settings, len(np.unique(y)) > 2))
        return iter([peers.comparison.Row("breast_cancer", 1.0, 1.0, 1.0, 2.0, 2.0, 0.0)])

    monkeypatch.setattr(peers.against, "rows", rows)
    arguments = ["breast_cancer", "--against", str(FOLDER.parent / "src")]
    peers.main(arguments)
    peers.main([*arguments, "--ridge", "0", "--loss", "squared_error"])
    assert raced == [
        ({"loss": "log_loss", "ridge": 1.0, "tol": 1e-8}, False),
        ({"loss": "squared_error", "ridge": 0.0, "tol": 1e-8}, True),
    ]


def test_a_worker_fits_the_loss_with_the_ridge(peers, rng):
    from sklearn.linear_model import LinearRegression, LogisticRegression

    worker = sys.modules["worker"]
    X, y = rng.standard_normal((80, 3)), rng.standard_normal(80)
    least = 0.5 * np.square(y - LinearRegression().fit(X, y).predict(X)).mean()
    assert worker.fit(X, y, "squared_error", 0.0, 1e-10)["objective"] == pytest.approx(least)
    logistic = LogisticRegression(C=0.5, tol=1e-8).fit(X, y > 0.0)
    margins = np.where(y > 0.0, 1.0, -1.0) * logistic.decision_function(X)
    penalty = 2.0 * np.square(logistic.coef_).sum() / (2.0 * len(y))
    found = worker.fit(X, y > 0.0, "log_loss", 2.0, 1e-10)["objective"]
    assert found == pytest.approx(np.logaddexp(0.0, -margins).mean() + penalty)


def test_a_worker_that_ends_is_named(peers, monkeypatch, tmp_path):
    (tmp_path / "gdnp").mkdir()
    (tmp_path / "gdnp" / "__init__.py").write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended early: its traceback is above"):
        list(peers.against.rows(tmp_path, tmp_path, ["breast_cancer"], peers.SETS.get, {}, 1))


def test_saving_and_comparing_go_through_the_command(peers, tmp_path, capsys):
    file = tmp_path / "baseline.json"
    arguments = ["breast_cancer", "--solvers", "gdnp", "newton-cholesky", "--repeats", "1"]
    assert peers.main([*arguments, "--save", str(file)]) == 0
    document = json.loads(file.read_text())
    found = document["sets"]["breast_cancer"]
    assert found["gdnp"]["passes"] > 1.0
    assert found["newton-cholesky"]["passes"] is None
    assert max(entry["gap"] for entry in found.values()) <= 1e-8
    capsys.readouterr()
    document["environment"]["processor"] = "another"
    file.write_text(json.dumps(document))
    assert peers.main([*arguments[1:], "--compare", str(file)]) == 0
    text = capsys.readouterr().out
    assert text.count("geometric means of new/old over 1 sets") == 2
    assert "passes 1.000" in text
    assert "Caution: seconds are of different machines or versions: processor another then" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_set"], "SET must be one of a9a"),
        (["--check"], "--check is for --against"),
        (["--against", "src", "--solvers", "lbfgs"], "leave --save, --compare and --solvers out"),
        (["--ridge", "0"], "--ridge 0 is for --against"),
        (["--against", "src", "--ridge", "-1"], "should be a finite number of at least 0"),
        (["--against", "no_such_folder"], "should name a folder that holds gdnp"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(peers, capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        peers.main(arguments)
    assert message in capsys.readouterr().err


def test_robust_fits_are_counted(monkeypatch, capsys):
    robust = script("robust")
    monkeypatch.setattr(robust, "SHAPES", ((60, 2),))
    robust.main()
    row = capsys.readouterr().out.splitlines()[-1].split("|")
    fewest, mean, most = (float(cell) for cell in row[3:6])
    assert 1 <= fewest <= mean <= most <= 100
    assert row[6].split() == ["12", "of", "12"]
